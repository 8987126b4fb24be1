// A button with `data-copy` copies the text of the element of this id; where the clipboard is refused it selects the text.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button?.dataset.copy) return;
  const source = document.getElementById(button.dataset.copy);
  button.dataset.label ??= button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Selected";
  }
  document.getElementById("announcement").textContent = button.textContent; // for screen readers
  setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
});
