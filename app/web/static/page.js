// Small conveniences; every page works without them.
(() => {
  const say = (seconds) => {
    for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) if (seconds >= size) return `${Math.round(seconds / size)} ${unit} ago`;
    return `${Math.max(0, Math.round(seconds))} s ago`;
  };
  // For screen readers.
  const announce = (text) => { document.getElementById("announcement").textContent = text; };
  const tick = () => document.querySelectorAll("time[data-ms]").forEach((t) => {
    const text = say((Date.now() - Number(t.dataset.ms)) / 1000);
    if (t.textContent !== text) t.textContent = text;
  });
  setInterval(tick, 1000);

  document.addEventListener("click", async (event) => {
    const target = event.target.closest("button");
    if (!target) return;
    if (target.hasAttribute("data-theme-switch")) {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("reachq-theme", root.dataset.theme); } catch { /* then it applies to this page only */ }
    } else if (target.dataset.preset) {
      const box = document.getElementById(target.dataset.into || "services");
      const have = box.value.trim().replace(/,$/, "");
      box.value = have ? `${have}, ${target.dataset.preset}` : target.dataset.preset;
      box.dispatchEvent(new Event("input", { bubbles: true }));
      box.focus();
    } else if (target.dataset.copy) {
      const text = document.getElementById(target.dataset.copy).textContent;
      target.dataset.label ??= target.textContent;
      try { await navigator.clipboard.writeText(text.trim()); target.textContent = "Copied"; }
      catch { getSelection().selectAllChildren(document.getElementById(target.dataset.copy)); target.textContent = "Selected"; }
      announce(target.textContent);
      setTimeout(() => { target.textContent = target.dataset.label; }, 1500);
    }
  });
  // A one-time message is not shown again when the page is reloaded.
  const here = new URL(location);
  if (here.searchParams.has("said")) { here.searchParams.delete("said"); history.replaceState(null, "", here); }
  // Typed text is kept when the session ends: it is restored after signing in again, and only then.
  const form = document.querySelector("form[data-keep]");
  const DRAFT = "reachq-draft";
  const keep = () => {
    const fields = [...form.elements].filter((e) => e.name && !["hidden", "file", "submit"].includes(e.type) && (e.type !== "radio" || e.checked));
    sessionStorage.setItem(DRAFT, JSON.stringify([form.dataset.keep, fields.map((e) => [e.name, e.value])]));
  };
  const restore = () => {
    const [name, fields] = JSON.parse(sessionStorage.getItem(DRAFT) || "[]");
    if (name !== form.dataset.keep) return;
    for (const [field, value] of fields) for (const e of form.elements) if (e.name === field) { if (e.type === "radio") e.checked = e.value === value; else if (e.type !== "hidden") e.value = value; }
    form.dispatchEvent(new Event("change", { bubbles: true }));
  };
  try {
    if (form) {
      if (document.referrer && new URL(document.referrer).pathname === "/sign-in") addEventListener("load", restore);
      form.addEventListener("input", keep);
    } else if (location.pathname !== "/sign-in") sessionStorage.removeItem(DRAFT);
  } catch { /* storage is not allowed: the user types it again */ }
  // A confirmation before actions that cannot be undone.
  document.addEventListener("submit", (event) => {
    const words = event.target.dataset.confirm;
    if (words && !confirm(words)) event.preventDefault();
  });
  // htmx reports an error when a request ends because the user leaves the page; it is ignored.
  let leaving = 0;
  addEventListener("beforeunload", () => { leaving = Date.now(); });
  const complain = console.error;
  console.error = (...said) => { if (Date.now() - leaving > 3000 || !String(said[0]).startsWith("htmx:")) complain(...said); };
  // A failed request is reported.
  document.addEventListener("htmx:responseError", (event) => {
    const place = document.getElementById("trouble");
    const { status } = event.detail.xhr;
    place.textContent = status === 404 || status === 409 ? "It no longer exists." : status === 403 ? "The request was rejected; reload the page." : `The request failed (${status}). Try again.`;
    place.hidden = false;
  });
  // An error response still contains a page: show it in its place.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 422) { event.detail.shouldSwap = true; event.detail.isError = false; }
  });
})();
// A grid is one stop for the Tab key; the arrow keys, Home and End (with Ctrl: of the whole grid) move between its cells.
(() => {
  const reachable = "a[href], button, [tabindex]";
  const rows = (grid) => [...grid.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.querySelector(reachable)));
  const stop = (grid, chosen) => grid.querySelectorAll(reachable).forEach((one) => { one.tabIndex = one === chosen ? 0 : -1; });
  const prepare = () => document.querySelectorAll("table[role=grid]").forEach((grid) => {
    const stops = [...grid.querySelectorAll(reachable)];
    // After a morph, every new cell is a stop again.
    if (stops.filter((one) => one.tabIndex === 0).length > 1) stop(grid, stops.find((one) => one === document.activeElement) || stops[0]);
  });
  document.addEventListener("keydown", (event) => {
    const grid = event.target.closest?.("table[role=grid]");
    if (!grid || event.altKey || event.metaKey || event.shiftKey) return;
    const all = rows(grid);
    let y = all.findIndex((row) => row.includes(event.target)), x = y < 0 ? -1 : all[y].indexOf(event.target);
    if (y < 0) return;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
    if (event.key === "Home" || event.key === "End") {
      const last = event.key === "End";
      if (event.ctrlKey) y = last ? all.length - 1 : 0;
      const row = all[y].filter(Boolean);
      x = all[y].indexOf(last ? row[row.length - 1] : row[0]);
    } else if (dx || dy) {
      do { x += dx; y += dy; } while (all[y] && x >= 0 && x < all[y].length && !all[y][x]); // past cells without a target
    } else return;
    const next = all[y]?.[x];
    event.preventDefault();
    if (next) { stop(grid, next); next.focus(); }
  });
  document.addEventListener("focusin", (event) => {
    const grid = event.target.closest?.("table[role=grid]");
    if (grid && event.target.matches(reachable)) stop(grid, event.target);
  });
  prepare();
  new MutationObserver(prepare).observe(document.getElementById("content") || document.body, { childList: true, subtree: true });
})();
