"use strict";

// A discussion: it rests while nobody looks, names are completed after "@", and what could not be sent stays typed.
const NAMES_SHOWN = 6;
const NAME_BEFORE = /(?:^|[^\p{L}\p{N}_.@+-])@([\p{L}\p{N}_.@+-]*)$/u;
let memberNames = null;

function say(text) {
  const said = document.querySelector("#thread [data-said]");
  if (said) said.textContent = text;
}

function isOfThread(event) { return Boolean(event.detail.elt.closest?.("#thread")); }

document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.detail.elt.id === "remarks") event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  const remarks = document.getElementById("remarks");
  if (remarks && !document.hidden) htmx.trigger(remarks, "refresh");
});

document.addEventListener("htmx:responseError", (event) => {
  if (isOfThread(event) && event.detail.elt.id !== "remarks") say(`That did not work (${event.detail.xhr.status}). What you wrote is still here.`);
});
document.addEventListener("htmx:sendError", (event) => {
  if (isOfThread(event) && event.detail.elt.id !== "remarks") say("The server does not answer. What you wrote is still here.");
});

function listOfNames() { return document.getElementById("names"); }

function closeNames(area) {
  const list = listOfNames();
  if (list) { list.hidden = true; list.replaceChildren(); }
  area.removeAttribute("aria-activedescendant");
  area.removeAttribute("aria-controls");
}

function chooseName(area, option) {
  for (const other of listOfNames().children) other.setAttribute("aria-selected", String(other === option));
  area.setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

function insertName(area, name) {
  const before = area.value.slice(0, area.selectionStart);
  const typed = before.match(NAME_BEFORE)?.[1] ?? "";
  area.setRangeText(`${name} `, before.length - typed.length, area.selectionEnd, "end");
  closeNames(area);
}

async function readNames(area) {
  if (memberNames === null) {
    try {
      memberNames = (await (await fetch(area.dataset.names)).json()).names;
    } catch {
      return []; // the next "@" asks again
    }
  }
  return memberNames;
}

async function offerNames(area) {
  const typed = () => area.value.slice(0, area.selectionStart).match(NAME_BEFORE)?.[1].toLowerCase();
  if (typed() === undefined) { closeNames(area); return; }
  const names = await readNames(area);
  const start = typed(); // which went on while the names were on their way
  const fitting = start === undefined ? [] : names.filter((name) => name.toLowerCase().startsWith(start)).slice(0, NAMES_SHOWN);
  if (!fitting.length || (fitting.length === 1 && fitting[0].toLowerCase() === start)) { closeNames(area); return; }
  const options = fitting.map((name, at) => {
    const option = document.createElement("li");
    option.id = `name-${at}`;
    option.setAttribute("role", "option");
    option.textContent = name;
    return option;
  });
  listOfNames().replaceChildren(...options);
  listOfNames().hidden = false;
  area.setAttribute("aria-controls", "names");
  chooseName(area, options[0]);
}

document.addEventListener("input", (event) => { if (event.target.dataset?.names) offerNames(event.target); });
document.addEventListener("focusout", (event) => { if (event.target.dataset?.names) closeNames(event.target); });

document.addEventListener("keydown", (event) => {
  const area = event.target;
  if (!area.dataset?.names || event.isComposing) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    area.form.requestSubmit();
    return;
  }
  const list = listOfNames();
  if (!list || list.hidden || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const options = [...list.children];
  const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  const actions = {
    ArrowDown: () => chooseName(area, options[(at + 1) % options.length]),
    ArrowUp: () => chooseName(area, options[(at + options.length - 1) % options.length]),
    Enter: () => insertName(area, options[at].textContent),
    Tab: () => insertName(area, options[at].textContent),
    Escape: () => closeNames(area),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});

document.addEventListener("mousedown", (event) => {
  const option = event.target.closest?.("#names [role=option]");
  if (!option) return;
  event.preventDefault();
  insertName(document.getElementById("remark"), option.textContent);
});
