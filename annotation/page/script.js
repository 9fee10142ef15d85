// Keys, and drafts. Without this script the page works by its forms alone.
const form = document.getElementById("answer");
const own = document.getElementById("own");
const trouble = document.getElementById("trouble");
const line = document.getElementById("line");
const boxes = [...form.querySelectorAll("input[name=chosen]")];
const WAIT_MS = 250;

function tell(words) {
  trouble.textContent = words;
  trouble.hidden = !words;
}

// What was chosen and typed is sent soon after each change, and at once when the page is left.
let waiting;
function draft() {
  clearTimeout(waiting);
  waiting = form.dataset.draft && setTimeout(keep, WAIT_MS);
}

async function keep() {
  waiting = undefined;
  const state = document.getElementById("draft");
  try {
    const answer = await fetch(form.dataset.draft, {
      method: "PUT", body: new URLSearchParams(new FormData(form)), keepalive: true,
    });
    state.textContent = answer.ok ? form.dataset.saved : "";
    if (!answer.ok) tell((await answer.json()).detail);
  } catch {
    state.textContent = "";
    tell(form.dataset.failed);
  }
}

function flush() {
  if (waiting) {
    clearTimeout(waiting);
    keep();
  }
}
form.addEventListener("input", () => { tell(""); draft(); });
document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && flush());
addEventListener("pagehide", flush);

// An answer that the server does not take stays on the page, with what was wrong.
let sending = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sending) return;
  const skips = event.submitter?.value === "skip";
  if (!skips && !own?.value.trim() && !boxes.some((box) => box.checked)) {
    tell(form.dataset.missing);
    return;
  }
  clearTimeout(waiting);
  waiting = undefined;
  sending = true;
  const body = new URLSearchParams(new FormData(form));
  body.set("action", skips ? "skip" : "keep");
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { Accept: "application/json" } });
    if (answer.redirected) location.assign(answer.url);
    else if (answer.ok) location.assign((await answer.json()).next);
    else tell((await answer.json()).detail);
  } catch {
    tell(form.dataset.failed);
  }
  sending = false;
});

line.addEventListener("click", () => {
  const shown = line.getAttribute("aria-pressed") === "true";
  line.setAttribute("aria-pressed", String(!shown));
  document.querySelector(".picture").classList.toggle("bare", shown);
});

const PRESSED = {
  Enter: () => form.requestSubmit(form.querySelector("button[value=keep]")),
  0: () => form.requestSubmit(form.querySelector("button[value=skip]")),
  t: () => own?.focus(),
  b: () => document.getElementById("back")?.click(),
  n: () => document.getElementById("on")?.click(),
  l: () => line.click(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target === own) {
    if (event.key === "Escape") own.blur();
    return;
  }
  // On a link or a button, Enter presses that.
  if (event.key === "Enter" && event.target.matches("a, button")) return;
  const box = /^[1-9]$/.test(event.key) && boxes[event.key - 1];
  const act = box ? () => box.click() : PRESSED[event.key] ?? PRESSED[event.key.toLowerCase()];
  if (act) {
    event.preventDefault();
    act();
  }
});
