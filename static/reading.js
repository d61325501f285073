"use strict";

// Reading a trajectory by keyboard: one step is the current one; keys move it, fold it, label it, edit it.
const reading = document.querySelector(".reading");

function allSteps() { return [...document.querySelectorAll(".step[data-step]")]; }
function currentStep() { return document.querySelector(".step.now"); }

function goTo(step, { scroll = true } = {}) {
  if (!step) return;
  currentStep()?.classList.remove("now");
  step.classList.add("now");
  for (const mark of document.querySelectorAll(".map a")) {
    mark.classList.toggle("now", mark.hash === `#${step.id}`);
  }
  if (scroll) step.scrollIntoView({ block: "nearest" });
}

function move(by) {
  const steps = allSteps();
  const at = steps.indexOf(currentStep());
  goTo(steps[Math.min(steps.length - 1, Math.max(0, at + by))]);
}

function moveToError(by) {
  const current = Number(currentStep()?.dataset.step || 0);
  const marks = [...document.querySelectorAll(".map a.err")].map((mark) => Number(mark.hash.slice(6)));
  const target = by > 0 ? marks.find((n) => n > current) : marks.reverse().find((n) => n < current);
  if (target) goTo(document.getElementById(`step-${target}`));
}

function toggleFirstError(step) {
  const radio = step?.querySelector("input[name=first_error]");
  if (!radio) return;
  radio.checked = !radio.checked;
  radio.dispatchEvent(new Event("change", { bubbles: true }));
}

function showFirstError() {
  const chosen = document.querySelector("input[name=first_error]:checked");
  for (const step of allSteps()) step.classList.toggle("wrong", step === chosen?.closest(".step"));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]") || isTyping(event.target)) return;
  const step = currentStep();
  const actions = {
    j: () => move(1), k: () => move(-1), J: () => moveToError(1), K: () => moveToError(-1),
    x: () => toggleFirstError(step),
    e: () => step?.querySelector("a.edit")?.click(),
    z: () => { for (const fold of step?.querySelectorAll("details") || []) fold.open = !fold.open; },
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});

reading?.addEventListener("click", (event) => {
  const mark = event.target.closest(".map a");
  if (mark) {
    const step = document.getElementById(mark.hash.slice(1));
    if (step) { event.preventDefault(); goTo(step); }
    return;
  }
  goTo(event.target.closest(".step[data-step]"), { scroll: false });
});

document.addEventListener("change", (event) => { if (event.target.name === "first_error") showFirstError(); });

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

function showLease() {
  for (const lease of document.querySelectorAll("[data-until]")) {
    const minutes = Math.ceil((new Date(lease.dataset.until) - Date.now()) / 60000);
    lease.textContent = minutes > 0 ? `yours for ${minutes} min` : "your hold ran out";
  }
}
showLease();
setInterval(showLease, 20000);

goTo(
  document.getElementById(location.hash.slice(1)) || document.querySelector(".step[data-source=agent]"),
  { scroll: Boolean(location.hash) },
);
