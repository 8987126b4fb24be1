// Before the first paint: what the person chose last, else what their system says.
(() => {
  document.documentElement.classList.add("js");
  let chosen = null;
  try { chosen = localStorage.getItem("reachq-theme"); } catch { /* storage is refused: the system decides */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
