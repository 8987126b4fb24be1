// One event stream for each page. `data-live` on <body> is its address, `data-run` the run of the page.
// Each element with `data-refresh` (an address) is fetched again after the event that `data-refresh-on` names: `run`, an
// event of that run, `mine`, an event of a run that the user may see, or `moved`, any event; at most a few times a second. A
// rendered part of the page (`event: board`) is not fetched. Both are morphed into place, so that focus, selection and open
// details stay.
(() => {
  const body = document.body;
  if (!body.dataset.live) return;
  const root = new URL(body.dataset.live, location).pathname.replace(/\/api\/events$/, ""); // of this network's pages
  const lamp = document.querySelector("[data-live-state]");
  const show = (state, text) => { if (lamp && lamp.dataset.state !== state) { lamp.hidden = false; lamp.dataset.state = state; lamp.textContent = text; } };
  const refresh = async (element) => {
    if (!element.dataset.refresh) return; // refreshing has ended
    if (element.fetching) { element.again = true; return; }
    element.fetching = true;
    try {
      const answer = await fetch(element.dataset.refresh);
      if (answer.redirected && new URL(answer.url).pathname === "/sign-in") { location.reload(); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(element.id);
      if (answer.ok && fresh) { Idiomorph.morph(element, fresh); htmx.process(element); }
    } catch { /* the connection is lost or the page is being left: the stream reports when it is back */ }
    element.fetching = false;
    if (element.again) { element.again = false; refresh(element); }
  };
  const due = new Map();
  const announce = (name, pause) => {
    const at = due.get(name);
    if (at && at.timer) return;
    const wait = Math.max(0, (at ? at.last + pause : 0) - Date.now());
    const timer = setTimeout(() => {
      due.set(name, { last: Date.now() });
      document.querySelectorAll(`[data-refresh-on~="${name}"]`).forEach(refresh);
    }, wait);
    due.set(name, { last: at ? at.last : 0, timer });
  };
  // The board's list of live events: the newest on top, as many as fit.
  const ticker = document.getElementById("ticker");
  document.addEventListener("reachq-event", ({ detail }) => {
    if (!ticker || ["moved", "progress", "explained"].includes(detail.kind)) return;
    const line = document.createElement("li");
    const at = document.createElement("span");
    at.className = "at";
    at.textContent = new Date(detail.ms).toISOString().slice(11, 19);
    const who = detail.by || detail.user;
    const words = [detail.kind, detail.mode, detail.verdict, detail.facts, detail.state, detail.dispatcher, detail.worker, who ? `(${who})` : ""].filter(Boolean).join(" ");
    line.append(at);
    if (detail.run_id) {
      const link = document.createElement("a");
      link.href = `${root}/runs/${detail.run_id}`;
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
  let last = "";
  let pause = 3000, later = 0;
  const open = () => {
    source?.close();
    const url = new URL(body.dataset.live, location);
    if (last) url.searchParams.set("after", last);
    source = new EventSource(url);
    source.onopen = () => { show("on", "live"); pause = 3000; announce("run", 300); announce("mine", 1000); announce("moved", 2000); };
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      last = message.lastEventId;
      if (event.kind === "elsewhere") return; // about another network
      if (event.run_id && event.run_id === body.dataset.run) announce("run", 250);
      if (event.run_id) announce("mine", 1000);
      announce("moved", 2000);
      if (event.kind === "paused" || event.kind === "resumed") document.getElementById("ask")?.dispatchEvent(new Event("change", { bubbles: true }));
      document.dispatchEvent(new CustomEvent("reachq-event", { detail: { id: message.lastEventId, ...event } }));
    };
    source.addEventListener("board", (message) => {
      const place = document.getElementById("board-live");
      if (place) { Idiomorph.morph(place, message.data, { morphStyle: "innerHTML" }); htmx.process(place); }
    });
    source.onerror = () => {
      show("off", "reconnecting…");
      // A refusal ends an EventSource permanently; only a lost connection is retried automatically.
      if (source.readyState === EventSource.CLOSED) later = setTimeout(again, pause);
    };
  };
  // The page shows when its session has ended; all other errors are retried at increasing intervals.
  const again = async () => {
    pause = Math.min(pause * 2, 60000);
    try {
      const answer = await fetch(location.href, { method: "HEAD" });
      if (answer.redirected && new URL(answer.url).pathname === "/sign-in") { location.reload(); return; }
    } catch { /* no answer yet */ }
    open();
  };
  open();
  addEventListener("pagehide", () => { clearTimeout(later); source.close(); });
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
})();
