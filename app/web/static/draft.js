// The draft of a <form data-keep="name"> survives the end of a session: it is restored after signing in again, and only then.
(() => {
  const KEY = "reachq-draft";
  const form = document.querySelector("form[data-keep]");
  const isKept = (field) => field.name
    && !["hidden", "file", "submit"].includes(field.type)
    && (field.type !== "radio" || field.checked);
  const keep = () => {
    const values = [...form.elements].filter(isKept).map((field) => [field.name, field.value]);
    sessionStorage.setItem(KEY, JSON.stringify([form.dataset.keep, values]));
  };
  const fill = (name, value) => {
    for (const field of form.elements) {
      if (field.name !== name) continue;
      if (field.type === "radio") field.checked = field.value === value;
      else if (field.type !== "hidden") field.value = value;
    }
  };
  const restore = () => {
    const [name, values] = JSON.parse(sessionStorage.getItem(KEY) || "[]");
    if (name !== form.dataset.keep) return;
    for (const [field, value] of values) fill(field, value);
    form.dispatchEvent(new Event("change", { bubbles: true }));
  };
  try {
    if (form) {
      const signedIn = document.referrer && new URL(document.referrer).pathname === "/sign-in";
      if (signedIn) addEventListener("load", restore);
      form.addEventListener("input", keep);
    } else if (location.pathname !== "/sign-in") sessionStorage.removeItem(KEY);
  } catch { /* storage is not allowed: the user types it again */ }
})();
