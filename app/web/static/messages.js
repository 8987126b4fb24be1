// A message (`?said=`) is shown once, not again when the page is reloaded.
(() => {
  const here = new URL(location);
  if (!here.searchParams.has("said")) return;
  here.searchParams.delete("said");
  history.replaceState(null, "", here);
})();
