"use strict";

const find = (id) => document.getElementById(id);

// --- notes ---------------------------------------------------------------------------------

async function showNotes() {
  const notes = await (await fetch("/api/notes")).json();
  find("notes").replaceChildren(...notes.slice(-3).reverse().map((note) => {
    const item = document.createElement("li");
    const text = document.createElement("span");
    text.textContent = note.text;
    const button = document.createElement("button");
    button.className = "quiet";
    button.textContent = "Delete";
    button.addEventListener("click", async () => {
      await fetch(`/api/notes/${note.id}`, { method: "DELETE" });
      showNotes();
    });
    item.append(text, button);
    return item;
  }));
}

find("note-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = event.target.elements.text;
  const response = await fetch("/api/notes", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ text: input.value }),
  });
  const answer = JSON.stringify(await response.json(), null, 2);
  find("note-result").textContent = `${response.status} ${response.statusText}\n${answer}`;
  if (response.ok) input.value = "";
  showNotes();
});

// --- streaming -----------------------------------------------------------------------------

let leave = null;

async function readStream() {
  const result = find("stream-result");
  leave = new AbortController();
  find("stream-start").disabled = true;
  find("stream-stop").disabled = false;
  result.textContent = "";
  try {
    const response = await fetch("/stream", { signal: leave.signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      result.textContent += part.value;
    }
  } catch (error) {
    result.textContent += error.name === "AbortError" ? "You have left.\n" : `${error}\n`;
  }
  find("stream-start").disabled = false;
  find("stream-stop").disabled = true;
}

find("stream-start").addEventListener("click", readStream);
find("stream-stop").addEventListener("click", () => leave.abort());

// --- slow answers --------------------------------------------------------------------------

find("slow-start").addEventListener("click", async () => {
  const item = document.createElement("li");
  item.textContent = "waiting …";
  find("slow-result").append(item);
  const start = performance.now();
  const response = await fetch("/slow?seconds=2", { cache: "no-store" });
  const seconds = (performance.now() - start) / 1000;
  item.textContent = `${response.status} after ${seconds.toFixed(2)} s`;
});

showNotes();
