// One event stream a page. `data-live` on <body> names it, `data-run` the run the page is about.
// What arrives becomes an event on <body> that htmx waits for (`reachq:run`, `reachq:moved`), at most a few a second;
// a ready-made piece of page (`event: board`) is morphed into its place, so that focus and selection stay.
(() => {
  const body = document.body;
  if (!body.dataset.live) return;
  const lamp = document.querySelector("[data-live-state]");
  const show = (state, text) => { if (lamp && lamp.dataset.state !== state) { lamp.dataset.state = state; lamp.textContent = text; } };
  const due = new Map();
  const announce = (name, pause) => {
    const at = due.get(name);
    if (at && at.timer) return;
    const wait = Math.max(0, (at ? at.last + pause : 0) - Date.now());
    const timer = setTimeout(() => {
      due.set(name, { last: Date.now() });
      htmx.trigger(body, name);
    }, wait);
    due.set(name, { last: at ? at.last : 0, timer });
  };
  // The board's list of what just happened: the newest on top, no more than fit.
  const ticker = document.getElementById("ticker");
  document.addEventListener("reachq-event", ({ detail }) => {
    if (!ticker || detail.kind === "moved" || detail.kind === "progress") return;
    const line = document.createElement("li");
    const at = document.createElement("span");
    at.className = "at";
    at.textContent = new Date(detail.ms).toISOString().slice(11, 19);
    const who = detail.by || detail.user;
    const words = [detail.kind, detail.mode, detail.verdict, detail.dispatcher, detail.worker, who ? `(${who})` : ""].filter(Boolean).join(" ");
    line.append(at);
    if (detail.run_id) {
      const link = document.createElement("a");
      link.href = `/runs/${detail.run_id}`;
      link.textContent = detail.run_id.slice(0, 8);
      line.append(link, " ");
    }
    line.append(words);
    line.dataset.id = detail.id;
    ticker.prepend(line);
    while (ticker.children.length > 100) ticker.lastChild.remove();
    document.getElementById("ticker-empty")?.remove();
  });
  let source = null;
  const open = () => {
    source = new EventSource(body.dataset.live);
    source.onopen = () => { show("on", "live"); announce("reachq:run", 300); announce("reachq:moved", 1000); };
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.run_id && event.run_id === body.dataset.run) announce("reachq:run", 250);
      announce("reachq:moved", 1000);
      document.dispatchEvent(new CustomEvent("reachq-event", { detail: { id: message.lastEventId, ...event } }));
    };
    source.addEventListener("board", (message) => {
      const place = document.getElementById("board-live");
      if (place) { Idiomorph.morph(place, message.data, { morphStyle: "innerHTML" }); htmx.process(place); }
    });
    source.onerror = () => {
      show("off", "reconnecting…");
      // A refusal ends an EventSource for good; only a lost line is tried again by itself.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 3000);
    };
  };
  open();
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
})();
