// Keeps a run's page up to date while the run goes on. Everything works without it.
document.addEventListener("DOMContentLoaded", () => {
  const live = document.getElementById("wf-live");
  if (!live) return;
  const isActive = () => live.firstElementChild && live.firstElementChild.dataset.active === "1";
  const opened = () =>
    new Set([...live.querySelectorAll("details[data-key][open]")].map((row) => row.dataset.key));
  async function look() {
    if (!isActive()) return;
    if (!document.hidden) {
      const response = await fetch(live.dataset.url, { credentials: "same-origin" });
      if (response.ok) {
        const before = opened();
        live.innerHTML = await response.text();
        live.querySelectorAll("details[data-key]").forEach((row) => {
          row.open = before.has(row.dataset.key);
        });
      }
    }
    setTimeout(look, 2000);
  }
  setTimeout(look, 2000);
});
