"use strict";

// The form of a correction: Ctrl+Enter shows the difference and then saves it; Escape leaves a field, then the page.
const correction = document.getElementById("correction");
// A page that came back with a preview, a problem or a conflict holds what was typed before.
let typed = Boolean(document.querySelector("#correct [role=alert], #correct [role=status].notice, #correct [name=save]"));
let sent = false;

correction.addEventListener("input", () => { typed = true; });
correction.addEventListener("submit", () => { sent = true; });
addEventListener("pageshow", () => { sent = false; });
addEventListener("beforeunload", (event) => { if (typed && !sent) event.preventDefault(); });

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    document.querySelector("[data-go]")?.click();
  } else if (event.key === "Escape" && isTyping(event.target)) {
    event.preventDefault();
    event.target.blur();
  }
});

// Another operation has other fields: the first of them is where one goes on.
correction.addEventListener("change", (event) => {
  if (event.target.name !== "operation") return;
  correction.querySelector(`.when-${event.target.value} textarea`)?.focus();
});
