"use strict";

// Two attempts side by side by keyboard: one row is the current one; what is opened on one side opens on the other.
const duel = document.getElementById("duel");

function allRows() { return [...duel.querySelectorAll(".abreast")]; }

function goToRow(row, { scroll = true } = {}) {
  if (!row) return;
  duel.querySelector(".abreast.now")?.classList.remove("now");
  row.classList.add("now");
  if (scroll) row.scrollIntoView({ block: "nearest" });
}

function moveRow(by) {
  const rows = allRows();
  const at = rows.indexOf(duel.querySelector(".abreast.now"));
  goToRow(rows[Math.min(rows.length - 1, Math.max(0, at + by))]);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]") || isTyping(event.target)) return;
  const row = duel.querySelector(".abreast.now");
  const actions = {
    j: () => moveRow(1),
    k: () => moveRow(-1),
    z: () => {
      const folds = [...(row?.querySelectorAll("details") || [])];
      const open = folds.some((fold) => !fold.open);
      for (const fold of folds) fold.open = open;
    },
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});

duel.addEventListener("click", (event) => goToRow(event.target.closest(".abreast"), { scroll: false }));

// The fold of the other side that stands for the same: the same kind, at the same place among its kind.
function findPartner(fold) {
  const step = fold.closest(".step");
  const other = [...(fold.closest(".abreast")?.querySelectorAll(".step") || [])].find((each) => each !== step);
  if (!step || !other) return null;
  const kind = fold.className.split(" ")[0];
  const ofKind = (side) => [...side.querySelectorAll("details")].filter((each) => each.className.split(" ")[0] === kind);
  return ofKind(other)[ofKind(step).indexOf(fold)];
}

duel.addEventListener("toggle", (event) => {
  const partner = findPartner(event.target);
  if (partner && partner.open !== event.target.open) partner.open = event.target.open;
}, true);  // toggle does not bubble

goToRow(allRows()[0], { scroll: false });
