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

// What was chosen less than a moment before the page is left goes along, too. Changes are counted, so that an answer of
// the server says up to which of them it has kept.
let changes = 0;
let kept = 0;
for (const kind of ["change", "input"]) {
  document.addEventListener(kind, (event) => { if (event.target.form?.id === "answer") changes += 1; });
}
function isOfAnswer(event) { return ["draft", "answer"].includes(event.detail.elt.id); }
document.addEventListener("htmx:beforeSend", (event) => {
  if (isOfAnswer(event)) event.detail.xhr.changesSent = changes;
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (isOfAnswer(event) && event.detail.successful) kept = Math.max(kept, event.detail.xhr.changesSent ?? 0);
});
addEventListener("pagehide", () => {
  const form = document.getElementById("answer");
  const draft = document.getElementById("draft")?.getAttribute("hx-post");
  if (kept === changes || !form || !draft) return;
  navigator.sendBeacon(draft, new FormData(form));
  // A reload may be answered before the draft has arrived.
  const fields = [...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken");
  try { sessionStorage.setItem(draft, JSON.stringify(fields)); } catch { /* private window: the draft is on its way */ }
});

function restoreTyped() {
  const form = document.getElementById("answer");
  const draft = document.getElementById("draft")?.getAttribute("hx-post");
  const typed = draft && sessionStorage.getItem(draft);
  if (!form || !typed) return;
  sessionStorage.removeItem(draft);
  const fields = JSON.parse(typed);
  // After a correction the steps may have other numbers: their labels were moved by the server.
  const corrected = fields.some(([name, value]) => name === "revision" && value !== form.elements.revision.value);
  for (const control of form.elements) {
    if (control.type === "hidden" || (corrected && /^(label-|mode-|first_error)/.test(control.name))) continue;
    const values = fields.filter(([name]) => name === control.name).map(([, value]) => value);
    if (control.type === "radio" || control.type === "checkbox") control.checked = values.includes(control.value);
    else if (control.tagName === "TEXTAREA" && values.length) control.value = values[0];
  }
  document.getElementById("draft").dispatchEvent(new Event("working"));
}
document.addEventListener("DOMContentLoaded", restoreTyped);
