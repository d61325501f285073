"use strict";

// Time at work on an item, idle time left out, goes along with every draft and with the answer; the lease is renewed
// while somebody is at work, and runs out where a page is only left open.
const IDLE_AFTER = 30000;
const RENEW_EVERY = 60000;
let lastActive = Date.now();
let lastRenewed = Date.now();

for (const kind of ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "input"]) {
  document.addEventListener(kind, () => { lastActive = Date.now(); }, { capture: true, passive: true });
}

setInterval(() => {
  const field = document.querySelector("input[data-working]");
  if (!field || document.hidden || Date.now() - lastActive > IDLE_AFTER) return;
  field.value = String(Number(field.value) + 1);
  if (Date.now() - lastRenewed > RENEW_EVERY) {
    lastRenewed = Date.now();
    document.getElementById("draft")?.dispatchEvent(new Event("working"));
  }
}, 1000);

document.addEventListener("htmx:afterSwap", () => {
  const renewed = document.querySelector("[data-renewed]");
  const lease = document.querySelector("[data-until]");
  if (renewed && lease) lease.dataset.until = renewed.dataset.renewed;
});

// What was chosen less than a moment before the page is left goes along, too.
let unsaved = false;
for (const kind of ["change", "input"]) {
  document.addEventListener(kind, (event) => { if (event.target.form?.id === "answer") unsaved = true; });
}
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && (event.detail.elt.id === "draft" || event.detail.elt.id === "answer")) unsaved = false;
});
addEventListener("pagehide", () => {
  const form = document.getElementById("answer");
  const draft = document.getElementById("draft")?.getAttribute("hx-post");
  if (unsaved && form && draft) navigator.sendBeacon(draft, new FormData(form));
});
