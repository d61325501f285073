"use strict";

// The theme: the system's, until the reader chose one. Runs before the first paint (the script is not deferred).
const themes = ["auto", "light", "dark"];
function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll("[data-theme-switch]")) button.textContent = `Theme: ${theme}`;
}
function readTheme() {
  try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; }
}
applyTheme(readTheme());

function startPage() {
  applyTheme(readTheme());
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) time.textContent = at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  }
}
document.addEventListener("DOMContentLoaded", startPage);
document.addEventListener("htmx:afterSwap", startPage);

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (!target) return;
  if (target.closest("[data-theme-switch]")) {
    const next = themes[(themes.indexOf(readTheme()) + 1) % themes.length];
    try { localStorage.setItem("theme", next); } catch { /* private window: the choice lasts for this page */ }
    applyTheme(next);
  }
  const opener = target.closest("[data-dialog]");
  if (opener) {
    event.preventDefault();
    document.getElementById(opener.dataset.dialog)?.showModal();
  }
  if (target.closest("[data-close]")) target.closest("dialog")?.close();
  if (target.closest("[data-copy]")) {
    const source = document.getElementById(target.closest("[data-copy]").dataset.copy);
    if (source) navigator.clipboard?.writeText(source.textContent);
  }
});

// A menu closes with Escape, which gives the focus back to its button, and with a click beside it.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (!menu) return;
  event.preventDefault();
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("change", (event) => {
  const select = event.target;
  if (select instanceof HTMLSelectElement && "goto" in select.dataset) location.href = select.value;
  if (select instanceof Element && select.closest("form[data-autosubmit]")) select.closest("form").requestSubmit();
});

// A form is sent once: a double click is one request.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  if (form.method !== "post" || form.hasAttribute("hx-post")) return;
  form.dataset.sent = "1";
  setTimeout(() => delete form.dataset.sent, 4000);
});
addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });

function isTyping(target) {
  return target instanceof Element && target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
}

// A control with data-key is pressed by that key; its <kbd> says so.
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    const palette = document.getElementById("palette");
    if (palette) { event.preventDefault(); palette.showModal(); palette.querySelector("input").focus(); }
    return;
  }
  const dialog = document.querySelector("dialog[open]");
  if (dialog?.id === "palette" && (event.key === "ArrowDown" || event.key === "ArrowUp" || event.key === "Enter")) {
    const links = [...dialog.querySelectorAll("li a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "Enter") {
      if (at < 0 && links[0]) { event.preventDefault(); links[0].click(); }
    } else if (links.length) {
      event.preventDefault();
      links[(at + (event.key === "ArrowDown" ? 1 : links.length - 1) + (at < 0 && event.key === "ArrowUp" ? 1 : 0)) % links.length].focus();
    }
    return;
  }
  if (dialog || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
  // Enter presses what has the focus, and nothing else.
  if (event.key === "Enter" && event.target instanceof Element && event.target.closest("a[href], button, summary")) return;
  const name = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + event.key;
  for (const control of document.querySelectorAll("[data-key]")) {
    if (control.dataset.key !== name || control.disabled || control.closest("[hidden]") || control.matches("details[open] > summary")) continue;
    event.preventDefault();
    if (control.matches("textarea, input[type=text], input[type=search]")) control.focus();
    else control.click();
    return;
  }
});

// Whoever signed out, or in again, on another tab goes on here: with the token of the newest session, and with what
// they wrote still on the page.
document.addEventListener("htmx:configRequest", (event) => {
  const token = /(?:^|; )whetstone_csrf=([^;]+)/.exec(document.cookie)?.[1];
  if (!token) return;
  event.detail.headers["X-CSRFToken"] = token;
  if (event.detail.parameters.csrfmiddlewaretoken) event.detail.parameters.csrfmiddlewaretoken = token;
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const address = event.detail.xhr.responseURL;
  const signedOut = Boolean(address) && new URL(address).pathname === "/sign-in/";
  document.getElementById("signed-out")?.remove();
  if (!signedOut) return;
  event.detail.shouldSwap = false;
  const note = document.createElement("p");
  note.id = "signed-out";
  note.className = "notice bad";
  note.setAttribute("role", "alert");
  note.append("You are signed out. ");
  const link = document.createElement("a");
  Object.assign(link, { href: "/sign-in/", target: "_blank", textContent: "Sign in on another tab" });
  note.append(link, ", then save again: what you wrote is still here.");
  document.body.append(note);
});

// A text that a key leads into is left by Escape, and its form sent by Ctrl Enter.
document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (!(field instanceof HTMLTextAreaElement) || !field.dataset.key || field.dataset.names) return;
  if (event.key === "Escape" && !field.closest("dialog")) field.blur();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const button = document.querySelector(`button[form="${field.form?.id}"][data-key="Enter"]`) || field.form?.querySelector("[data-key=Enter]");
    if (button) { event.preventDefault(); button.click(); }
  }
});
