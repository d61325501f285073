"use strict";

// A file is sent in pieces, so that what has arrived stays when the page is left: the same file chosen again goes on.
const PIECE = 8 * 1024 * 1024;
const PATIENCE = [500, 1000, 2000, 4000, 8000, 15000];

function wait(milliseconds) { return new Promise((done) => setTimeout(done, milliseconds)); }

async function sendFile(form, file) {
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const box = form.querySelector("[data-sending]");
  const say = (text) => { form.querySelector("[data-said]").textContent = text; };
  const show = (received) => {
    const share = file.size ? Math.floor((100 * received) / file.size) : 0;
    form.querySelector("progress").value = share;
    form.querySelector("[data-share]").textContent = `${share} %`;
  };
  const body = new FormData();
  body.set("name", file.name);
  body.set("size", file.size);
  body.set("key", `${file.name}:${file.size}:${file.lastModified}`);
  box.hidden = false;
  show(0);
  let failures = 0;
  let state = null;
  while (!state?.complete) {
    try {
      const answer = state
        ? await fetch(state.pieces, {
          method: "PUT",
          headers: { "X-CSRFToken": token, "Upload-Offset": state.received, "Content-Type": "application/octet-stream" },
          body: file.slice(state.received, state.received + PIECE),
        })
        : await fetch(form.dataset.upload, { method: "POST", headers: { "X-CSRFToken": token }, body });
      const said = await answer.json();
      if (answer.status === 409) { state.received = said.received; continue; }
      if (!answer.ok && answer.status < 500) { say(said.error); return; }
      if (!answer.ok) throw new Error(said.error);
      state = said;
      failures = 0;
      say("You may leave this page; choose the same file again to go on.");
      show(state.received);
    } catch {
      if (failures >= PATIENCE.length) { say("The connection is lost. Choose the same file again to go on."); return; }
      say("The connection is lost; trying again …");
      await wait(PATIENCE[failures++]);
    }
  }
  location.href = state.next;
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const file = form.querySelector("input[type=file]")?.files[0];
  if (!("upload" in form.dataset) || !file || form.querySelector("[name=url]")?.value) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  sendFile(form, file).finally(() => { button.disabled = false; });
});

// The preview follows the choices; what is typed waits for Enter, so that a click on Import is not overtaken.
document.addEventListener("change", (event) => {
  const control = event.target instanceof Element ? event.target.closest("select, input[type=checkbox]") : null;
  control?.closest("form[data-look]")?.requestSubmit();
});
