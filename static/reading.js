"use strict";

// Reading a trajectory by keyboard: one step is the current one; keys move it, fold it, label it, edit it.
// Steps come in chunks, each loaded when it is near the window or when a step of it is wanted. The whole reading may be
// exchanged for the next item's: nothing of it is kept in a name.
let wantedStep = null; // { number, done }: where to go once its chunk is there

function reading() { return document.querySelector(".reading"); }
function countSteps() { return Number(reading()?.dataset.count || 0); }
function allSteps() { return [...document.querySelectorAll(".step[data-step]")]; }
function currentStep() { return document.querySelector(".step.now"); }
function currentNumber() { return Number(currentStep()?.dataset.step || 0); }
function findStep(number) { return document.getElementById(`step-${number}`); }
function findMark(number) { return document.querySelector(`.map a[href="#step-${number}"]`); }
function allChunks() { return [...document.querySelectorAll(".chunk")]; }
function chunkOf(number) {
  return allChunks().find((chunk) => Number(chunk.dataset.first) <= number && number <= Number(chunk.dataset.last));
}

// What scrolls: the column beside the panel, or on a narrow screen the page.
function scroller() {
  const column = reading();
  const scrolls = getComputedStyle(column).overflowY !== "visible";
  return scrolls ? column : document.scrollingElement;
}
function windowTop() { return scroller() === reading() ? reading().getBoundingClientRect().top : 0; }

function goTo(step, { scroll = "nearest" } = {}) {
  if (!step) return;
  currentStep()?.classList.remove("now");
  step.classList.add("now");
  document.querySelector(".map a.now")?.classList.remove("now");
  const mark = findMark(step.dataset.step);
  if (mark) {
    mark.classList.add("now");
    const map = mark.closest(".map");
    const top = mark.offsetTop - map.clientHeight / 2;
    if (mark.offsetTop < map.scrollTop || mark.offsetTop + 20 > map.scrollTop + map.clientHeight) map.scrollTop = top;
  }
  if (scroll) step.scrollIntoView({ block: scroll });
}

// Goes to a step whether it is loaded or not; `done` is called with it.
function goToNumber(number, { scroll = "nearest", done } = {}) {
  if (number < 1 || number > countSteps()) return;
  const step = findStep(number);
  const chunk = chunkOf(number);
  if (step && chunk?.matches(".htmx-settling")) {
    wantedStep = { number, done };
    goTo(step, { scroll });
  } else if (step && !chunk?.dataset.stale) {
    wantedStep = null;
    goTo(step, { scroll });
    done?.(step);
  } else if (chunk) {
    wantedStep = { number, done };
    chunk.scrollIntoView({ block: "start" });
    htmx.trigger(chunk, "wanted");
  }
}

function move(by) {
  const from = wantedStep?.number || currentNumber();
  goToNumber(Math.min(countSteps(), Math.max(1, from + by)));
}

// The next mark of an error or a label; a label of "correct" or "neutral" is one too.
function moveToMark(by) {
  const from = wantedStep?.number || currentNumber();
  const marks = [...document.querySelectorAll(".map a.err, .map a[data-label]")].map((mark) => Number(mark.hash.slice(6)));
  const target = by > 0 ? marks.find((n) => n > from) : marks.reverse().find((n) => n < from);
  if (target) goToNumber(target, { scroll: "start" });
}

function toggleFirstError(step) {
  const radio = step?.querySelector("input[name=first_error]");
  if (!radio) return;
  radio.checked = !radio.checked;
  radio.dispatchEvent(new Event("change", { bubbles: true }));
}

// The answer's fields among the steps: what is checked, and what stands in for steps that are not loaded.
function readFields(root) {
  const fields = new Map();
  for (const field of root.querySelectorAll("[form=answer]")) {
    if (!["radio", "checkbox"].includes(field.type) || field.checked) fields.set(field.name, field.value);
  }
  return fields;
}

const SIGNS = { correct: "✓", neutral: "–", wrong: "✕", first: "1" };
const WORDS = { correct: "correct", neutral: "neutral", wrong: "wrong", first: "first error" };

function showLabels() {
  const labels = new Map();
  const page = reading();
  const fields = page ? readFields(page) : new Map();
  for (const [name, value] of fields) {
    const number = /^label-(\d+)$/.exec(name)?.[1];
    if (number && SIGNS[value]) labels.set(number, value);
  }
  const first = fields.get("first_error");
  if (first) labels.set(first, "first");
  for (const mark of document.querySelectorAll(".map a[data-label]")) {
    if (!labels.has(mark.hash.slice(6))) {
      delete mark.dataset.label;
      delete mark.dataset.sign;
      mark.title = mark.title.split("; ")[0];
    }
  }
  for (const [number, label] of labels) {
    const mark = findMark(number);
    if (!mark) continue;
    mark.dataset.label = label;
    mark.dataset.sign = SIGNS[label];
    mark.title = `${mark.title.split("; ")[0]}; ${WORDS[label]}`;
  }
  for (const step of allSteps()) step.classList.toggle("wrong", step.dataset.step === first);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !reading()) return;
  if (document.querySelector("dialog[open]") || isTyping(event.target)) return;
  const step = currentStep();
  const actions = {
    j: () => move(1), k: () => move(-1), J: () => moveToMark(1), K: () => moveToMark(-1),
    x: () => toggleFirstError(step),
    e: () => step?.querySelector("a.edit")?.click(),
    z: () => { for (const fold of step?.querySelectorAll("details") || []) fold.open = !fold.open; },
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element) || !event.target.closest(".reading")) return;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest("a[href^='#']");
  if (link?.hash.startsWith("#step-")) {
    event.preventDefault();
    goToNumber(Number(link.hash.slice(6)), { scroll: "start" });
    history.replaceState(history.state, "", link.hash);
    return;
  }
  if (link?.hash.startsWith("#subagent-")) {
    const subagent = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (!subagent) return;
    event.preventDefault();
    subagent.open = true;
    subagent.scrollIntoView({ block: "start" });
    return;
  }
  if (event.target.closest("[data-written-switch]")) {
    event.preventDefault();
    switchWritten(event.target.closest("[data-written-switch]"));
    return;
  }
  if (!event.target.closest("a")) goTo(event.target.closest(".step[data-step]"), { scroll: null });
});

document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.getAttribute?.("form") !== "answer" || !field.closest(".reading")) return;
  if (field.name === "first_error") {
    for (const hidden of reading().querySelectorAll("input[type=hidden][name=first_error]")) hidden.remove();
  }
  showLabels();
});

// A label that was chosen can be taken back by choosing it again.
document.addEventListener("mousedown", (event) => {
  const radio = event.target.closest?.("label")?.querySelector("input[type=radio]");
  if (radio?.checked && radio.getAttribute("form") === "answer") {
    const clear = () => {
      radio.checked = false;
      radio.dispatchEvent(new Event("change", { bubbles: true }));
    };
    radio.addEventListener("click", clear, { once: true });
  }
});

// Rendered, or as it was written: chunks that are there already are loaded again when they are seen.
function switchWritten(link) {
  const { dataset } = reading();
  const written = !("written" in dataset);
  if (written) dataset.written = "";
  else delete dataset.written;
  link.firstChild.textContent = written ? "as written " : "rendered ";
  const address = new URL(location.href);
  if (written) address.searchParams.set("written", "1");
  else address.searchParams.delete("written");
  history.replaceState(history.state, "", address);
  for (const chunk of allChunks()) {
    if ("loaded" in chunk.dataset) chunk.dataset.stale = "1";
    watch(chunk);
  }
  const number = currentNumber();
  if (number) wantedStep = { number };
}

document.addEventListener("htmx:configRequest", (event) => {
  const inside = event.detail.elt.closest?.(".reading");
  if (inside && "written" in inside.dataset) event.detail.parameters.written = "1";
});

// Chunks: loaded when they come near the window; what is read stays where it is.
const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && (!("loaded" in target.dataset) || target.dataset.stale)) htmx.trigger(target, "wanted");
    }
  },
  { rootMargin: "600px 0px" },
);

function watch(chunk) {
  near.unobserve(chunk);
  near.observe(chunk);
}

// A chunk that is not there yet is given the height that its steps will have if they are like those that are.
function reserveHeights() {
  const loaded = allChunks().find((chunk) => "loaded" in chunk.dataset);
  const steps = loaded?.querySelectorAll(".step[data-step]").length || 0;
  const height = steps ? Math.max(loaded.getBoundingClientRect().height / steps, 60) : 160;
  for (const chunk of allChunks()) {
    if ("loaded" in chunk.dataset) continue;
    chunk.style.minHeight = `${Math.round(height * (chunk.dataset.last - chunk.dataset.first + 1))}px`;
  }
}

let before = null; // of the chunk that is being swapped: its place, the answer's fields, and the first error
document.addEventListener("htmx:beforeSwap", (event) => {
  const chunk = event.target;
  if (!(chunk instanceof Element) || !chunk.matches(".chunk")) return;
  const { top, bottom, height } = chunk.getBoundingClientRect();
  const above = top < windowTop() && bottom < innerHeight;
  const focused = document.activeElement?.closest?.(".chunk") === chunk ? document.activeElement.name : "";
  before = {
    above, height, focused, now: currentNumber(),
    fields: readFields(chunk),
    first: readFields(reading()).get("first_error"),
  };
});

document.addEventListener("htmx:afterSwap", (event) => {
  const chunk = event.target;
  if (!before || !(chunk instanceof Element) || !chunk.matches(".chunk")) return;
  const { above, height, focused, now, fields, first } = before;
  before = null;
  restoreFields(chunk, fields, first);
  if (focused) chunk.querySelector(`[name="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  if (now && !currentStep()) goTo(findStep(now), { scroll: null });
  if (above) scroller().scrollTop += chunk.getBoundingClientRect().height - height;
  showLabels();
  if (wantedStep && chunkOf(wantedStep.number) === chunk) goTo(findStep(wantedStep.number), { scroll: "start" });
});

// Only now does htmx know the chunk, and what can be unfolded in it.
document.addEventListener("htmx:afterSettle", (event) => {
  const chunk = event.target;
  if (!(chunk instanceof Element) || !chunk.matches(".chunk")) return;
  watch(chunk);
  if (!wantedStep || chunk !== chunkOf(wantedStep.number)) return;
  const { number, done } = wantedStep;
  wantedStep = null;
  done?.(findStep(number));
});

// The page knows better than the server what the reviewer chose a moment ago.
function restoreFields(chunk, fields, first) {
  for (const field of chunk.querySelectorAll("[form=answer]")) {
    const chosen = field.name === "first_error" ? first : fields.get(field.name);
    if (["radio", "checkbox"].includes(field.type)) field.checked = chosen === field.value;
    else if (chosen !== undefined) field.value = chosen;
  }
  for (const radio of reading().querySelectorAll("input[type=radio][name=first_error]")) {
    if (radio.value === first) radio.checked = true;
  }
}

function showLease() {
  for (const lease of document.querySelectorAll("[data-until]")) {
    const minutes = Math.ceil((new Date(lease.dataset.until) - Date.now()) / 60000);
    lease.textContent = minutes > 0 ? `yours for ${minutes} min` : "your hold ran out";
  }
}
setInterval(showLease, 20000);

function openAtAddress() {
  const number = /^#step-(\d+)$/.exec(location.hash)?.[1];
  if (number) goToNumber(Number(number), { scroll: "start" });
  else if (!currentStep()) goTo(document.querySelector(".step[data-source=agent]"), { scroll: null });
}

// When the document is ready, and whenever the next item took its place.
function openReading() {
  const page = reading();
  if (!page || page.dataset.open) return;
  page.dataset.open = "1";
  wantedStep = before = null;
  reserveHeights();
  showLabels();
  showLease();
  openAtAddress();
  allChunks().forEach(watch);
}

// htmx would put the attributes of a swapped step back as they were: its style, which our policy forbids, and "now".
htmx.config.attributesToSettle = [];
// htmx takes up the page when the document is ready, after this script.
document.addEventListener("DOMContentLoaded", openReading);
document.addEventListener("htmx:afterSettle", openReading);
addEventListener("hashchange", () => { if (reading()) openAtAddress(); });
