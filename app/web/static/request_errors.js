// What a page shows when a request of htmx fails.
(() => {
  const words = (status) => {
    if (status === 404 || status === 409) return "It no longer exists.";
    if (status === 403) return "The request was rejected; reload the page.";
    return `The request failed (${status}). Try again.`;
  };
  document.addEventListener("htmx:responseError", (event) => {
    const place = document.getElementById("trouble");
    place.textContent = words(event.detail.xhr.status);
    place.hidden = false;
  });

  // The page of a 422 says what to correct: show it.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status !== 422) return;
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  });

  // htmx logs an error for each request that ends because the user leaves the page; these are dropped.
  let leaving = 0;
  addEventListener("beforeunload", () => { leaving = Date.now(); });
  const log = console.error;
  console.error = (...parts) => {
    if (Date.now() - leaving > 3000 || !String(parts[0]).startsWith("htmx:")) log(...parts);
  };
})();
