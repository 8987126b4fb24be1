// A <table role="grid"> is one stop for Tab; arrows, Home and End (with Ctrl: of the whole table) move between its cells.
(() => {
  const REACHABLE = "a[href], button, [tabindex]";
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const rowsOf = (grid) => [...grid.querySelectorAll("tbody tr")]
    .map((row) => [...row.cells].map((cell) => cell.querySelector(REACHABLE)));
  const setStop = (grid, chosen) => grid.querySelectorAll(REACHABLE)
    .forEach((element) => { element.tabIndex = element === chosen ? 0 : -1; });

  // A page that was morphed has new cells, each of which is a stop.
  const prepare = () => document.querySelectorAll("table[role=grid]").forEach((grid) => {
    const elements = [...grid.querySelectorAll(REACHABLE)];
    if (elements.filter((element) => element.tabIndex === 0).length <= 1) return;
    setStop(grid, elements.find((element) => element === document.activeElement) || elements[0]);
  });

  // The element that the key leads to; undefined at the edge, null for a key that does not move.
  const target = (rows, x, y, event) => {
    if (event.key === "Home" || event.key === "End") {
      const last = event.key === "End";
      const row = rows[event.ctrlKey ? (last ? rows.length - 1 : 0) : y].filter(Boolean);
      return last ? row[row.length - 1] : row[0];
    }
    if (!ARROWS[event.key]) return null;
    const [dx, dy] = ARROWS[event.key];
    do { x += dx; y += dy; } while (rows[y] && x >= 0 && x < rows[y].length && !rows[y][x]); // skip empty cells
    return rows[y]?.[x];
  };

  document.addEventListener("keydown", (event) => {
    const grid = event.target.closest?.("table[role=grid]");
    if (!grid || event.altKey || event.metaKey || event.shiftKey) return;
    const rows = rowsOf(grid);
    const y = rows.findIndex((row) => row.includes(event.target));
    if (y < 0) return;
    const next = target(rows, rows[y].indexOf(event.target), y, event);
    if (next === null) return;
    event.preventDefault();
    if (!next) return;
    setStop(grid, next);
    next.focus();
  });
  document.addEventListener("focusin", (event) => {
    const grid = event.target.closest?.("table[role=grid]");
    if (grid && event.target.matches(REACHABLE)) setStop(grid, event.target);
  });
  prepare();
  const content = document.getElementById("content") || document.body;
  new MutationObserver(prepare).observe(content, { childList: true, subtree: true });
})();
