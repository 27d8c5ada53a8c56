// What only a script can do on the operators' screens: live pages, copying, keys.
// Everything else works without it.
"use strict";

const LOOK_EVERY = 2000; // milliseconds, unless the page says otherwise

// A part of the page that changes while something goes on: it is fetched anew until the server
// says that it is at rest. What the operator opened stays open, and the focus stays where it was.
function keepLive(live) {
  const looksAgain = () => live.querySelector("[data-active='1']") !== null;
  const show = (text) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = text;
    const opened = new Set([...live.querySelectorAll("details[data-key][open]")].map((row) => row.dataset.key));
    fresh.content.querySelectorAll("details[data-key]").forEach((row) => {
      if (opened.has(row.dataset.key)) row.open = true;
    });
    const focused = live.contains(document.activeElement) ? document.activeElement : null;
    const place = focused && [...live.querySelectorAll("a, button, summary, input")].indexOf(focused);
    live.replaceChildren(...fresh.content.childNodes);
    if (focused) [...live.querySelectorAll("a, button, summary, input")][place]?.focus();
    announce(live);
    addCopying(live);
  };
  const every = Number(live.dataset.every) || LOOK_EVERY;
  let last = null;
  async function look() {
    if (!looksAgain()) return;
    if (!document.hidden) {
      try {
        const response = await fetch(live.dataset.url, { credentials: "same-origin", redirect: "error" });
        const text = response.ok ? await response.text() : last;
        if (text !== null && text !== last) show((last = text));
      } catch {
        // The server is away for a moment, or the session has ended: what is shown stays.
      }
    }
    setTimeout(look, every);
  }
  announce(live);
  setTimeout(look, every);
}

// The only part that is read aloud when it changes.
function announce(live) {
  const line = document.getElementById("wf-status-line");
  const said = live.querySelector("[data-says]");
  if (line && said && line.textContent !== said.dataset.says) line.textContent = said.dataset.says;
}

function addCopying(part) {
  part.querySelectorAll("button[data-copy]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = button.dataset.copyFrom ? button.parentElement.querySelector(button.dataset.copyFrom) : null;
      await navigator.clipboard.writeText(source ? source.textContent : button.dataset.copy);
      const before = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = before), 1200);
    });
  });
}

function useKeys() {
  const help = document.getElementById("wf-help");
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      const search = document.getElementById("searchbar");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    } else if (event.key === "?" && help) {
      event.preventDefault();
      help.showModal();
    }
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-live]").forEach(keepLive);
  addCopying(document);
  useKeys();
});
