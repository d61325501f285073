"use strict";

// Find in trajectory: the server lists where words stand; here one hit after another is gone to and marked.
function findBar() { return document.getElementById("find"); }
function findInput() { return document.querySelector("#find input[type=search]"); }

function openFind() {
  findBar().hidden = false;
  findInput().focus();
  findInput().select();
}

function closeFind() {
  findBar().hidden = true;
  CSS.highlights?.delete("find");
  document.activeElement?.blur();
}

function allHits() { return [...document.querySelectorAll("#hits a[data-step]")]; }

let shownWords = ""; // those that the list answers
let walkOnceShown = 0;

function walkHits(by) {
  if (findInput().value !== shownWords) { // Enter came before the list
    walkOnceShown = by;
    htmx.trigger(findInput(), "wanted");
    return;
  }
  const hits = allHits();
  if (!hits.length) return;
  const at = hits.findIndex((hit) => hit.hasAttribute("aria-current"));
  goToHit(hits[at < 0 && by < 0 ? hits.length - 1 : (at + by + hits.length) % hits.length]);
}

function goToHit(hit) {
  for (const other of allHits()) other.removeAttribute("aria-current");
  hit.setAttribute("aria-current", "true");
  const list = hit.closest("ol");
  list.scrollTop = hit.offsetTop - list.offsetTop - list.clientHeight / 3;
  goToNumber(Number(hit.dataset.step), { scroll: "start", done: (step) => showHit(step, hit.dataset.part) });
}

// A folded text is unfolded, which may fetch it first; then the words in it are marked.
function showHit(step, name) {
  const part = step.querySelector(`[data-part="${CSS.escape(name)}"]`) || step;
  for (let fold = part.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  const [first] = markWords(part);
  if (first) scrollToRange(first);
}

// Ranges of the words in an element, whichever spans they run across; the browser draws them without any change to it.
function markWords(part) {
  const words = findInput().value.toLowerCase();
  const nodes = [];
  let text = "";
  const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (part.matches("details") && walker.currentNode.parentElement.closest("summary")) continue;
    nodes.push({ node: walker.currentNode, start: text.length });
    text += walker.currentNode.data;
  }
  const lower = text.toLowerCase();
  const ranges = [];
  if (lower.length === text.length && words) {
    for (let at = lower.indexOf(words); at >= 0 && ranges.length < 500; at = lower.indexOf(words, at + words.length)) {
      const range = new Range();
      range.setStart(...pointAt(nodes, at));
      range.setEnd(...pointAt(nodes, at + words.length, true));
      ranges.push(range);
    }
  }
  if (CSS.highlights) CSS.highlights.set("find", new Highlight(...ranges));
  return ranges;
}

function pointAt(nodes, offset, isEnd = false) {
  let low = 0;
  let high = nodes.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (isEnd ? nodes[middle].start < offset : nodes[middle].start <= offset) low = middle;
    else high = middle - 1;
  }
  return [nodes[low].node, offset - nodes[low].start];
}

function scrollToRange(range) {
  const { top, bottom } = range.getBoundingClientRect();
  const floor = findBar().getBoundingClientRect().bottom + 24;
  if (top < floor || bottom > innerHeight - 40) scroller().scrollTop += top - Math.max(floor, innerHeight / 3);
}

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element) || !findBar()) return;
  if (event.target.closest("[data-find-open]")) {
    event.preventDefault();
    openFind();
    return;
  }
  if (event.target.closest("[data-find-close]")) closeFind();
  const walk = event.target.closest("[data-find]");
  if (walk) walkHits(Number(walk.dataset.find));
  const hit = event.target.closest("#hits a[data-step]");
  if (hit && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    goToHit(hit);
  }
});

// Keys pressed in the bar are its own, before any other listener sees them: none of them is a verdict, or saves.
window.addEventListener("keydown", (event) => {
  const bar = findBar();
  if (!bar || bar.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  const inside = event.target instanceof Element && bar.contains(event.target);
  if (inside) event.stopPropagation();
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    closeFind();
  } else if (inside && event.key === "Enter" && event.target === findInput()) {
    event.preventDefault();
    walkHits(event.shiftKey ? -1 : 1);
  }
}, { capture: true });

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "hits") return;
  shownWords = findInput().value;
  const by = walkOnceShown;
  walkOnceShown = 0;
  if (by) walkHits(by);
});

// A text that was fetched for a hit is marked when it is there.
document.addEventListener("htmx:afterSettle", (event) => {
  const hit = document.querySelector("#hits a[aria-current]");
  const part = event.target instanceof Element ? event.target.closest("[data-part]") : null;
  if (!hit || !part || findBar().hidden) return;
  if (part.dataset.part === hit.dataset.part && part.closest(".step")?.dataset.step === hit.dataset.step) {
    const [first] = markWords(part);
    if (first) scrollToRange(first);
  }
});
