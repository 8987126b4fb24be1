// Before the first paint: the theme that the user chose last, or else the system's.
(() => {
  document.documentElement.classList.add("js");
  let chosen = null;
  try { chosen = localStorage.getItem("reachq-theme"); } catch { /* storage is not allowed: the system decides */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
