// Keeps `12 s ago` current in each <time data-ms="...">.
(() => {
  const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];
  const age = (seconds) => {
    for (const [unit, size] of UNITS) if (seconds >= size) return `${Math.round(seconds / size)} ${unit} ago`;
    return `${Math.max(0, Math.round(seconds))} s ago`;
  };
  setInterval(() => document.querySelectorAll("time[data-ms]").forEach((time) => {
    const text = age((Date.now() - Number(time.dataset.ms)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }), 1000);
})();
