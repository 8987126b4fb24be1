// A button with `data-preset` adds its services to the field that `data-into` names.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-preset]");
  if (!button?.dataset.preset) return;
  const field = document.getElementById(button.dataset.into || "services");
  const services = field.value.trim().replace(/,$/, "");
  field.value = services ? `${services}, ${button.dataset.preset}` : button.dataset.preset;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
});
