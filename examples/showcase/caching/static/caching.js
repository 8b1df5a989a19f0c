// Caching at work: what the browser did for each file of this page, beside what the server counted.

import { findTiming, readCopy, whatHappened } from "./browser.js";
import { Row, describeReport, make, summarize } from "./view.js";

const REPORTS_SHOWN = 6;
const find = (id) => document.getElementById(id);
/** Rows of the table by the name of their file. */
const rows = new Map();
/** Seconds that the clock of the server is ahead of this one. */
let ahead = 0;
let state;
/** Files that a button has fetched anew: what was counted since is no part of the visit. */
const touched = new Set();

const now = () => Date.now() / 1000 + ahead;
const locate = (file) => new URL(file.address, location.href).href;

async function ask(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) throw new Error((await response.text()) || response.statusText);
  return response;
}

/** Take in what the server knows. */
async function learn(response) {
  state = await response.json();
  ahead = state.now - Date.now() / 1000;
  for (const file of state.rows) rows.get(file.name)?.showCounts(file);
  find("runs").textContent = state.report.runs;
}

// --- the visit -----------------------------------------------------------------------------

/** What happened for each file, once; buttons do not change it. */
function showVisit() {
  const seen = state.rows.map((file) => {
    const timing = findTiming(locate(file));
    let did = whatHappened(timing);
    const asked = Object.values(file.visit).some((count) => count);
    if (asked && did === "cache" && !touched.has(file.name)) did = "stale";
    rows.get(file.name).showTiming(did, timing);
    return { did, timing };
  });
  find("summary").textContent = summarize(state.visits, seen);
}

async function showCopy(file) {
  // What may not be stored need not be looked for: the browser would note an error.
  const copy = file.cacheControl === "no-store" ? null : await readCopy(locate(file), now());
  rows.get(file.name).showCopy(copy);
  rows.get(file.name).tick(now());
}

/** Wait until every file of the page is here: of one that is on its way nothing is known. */
async function loadPage() {
  if (document.readyState === "complete") return;
  await new Promise((resolve) => addEventListener("load", resolve, { once: true }));
}

async function begin() {
  await loadPage();
  await learn(await ask("state"));
  for (const file of state.rows) {
    const row = new Row(file, act);
    rows.set(file.name, row);
    row.showCounts(file);
  }
  find("files").tBodies[0].replaceChildren(...[...rows.values()].map((row) => row.element));
  find("gallery").remove();
  showVisit();
  await Promise.all(state.rows.map(showCopy));
  setInterval(() => rows.forEach((row) => row.tick(now())), 1000);
  document.body.dataset.state = "ready";
  // Browsers ask behind one's back when the page is there.
  setTimeout(async () => {
    await learn(await ask("state"));
    showVisit();
    await Promise.all(state.rows.map(showCopy));
  }, 2000);
}

// --- buttons -------------------------------------------------------------------------------

const actions = {
  async change(name) {
    await learn(await ask(`change/${name}`, { method: "POST" }));
    const file = state.rows.find((each) => each.name === name);
    return `The server has version ${file.version}.`;
  },

  async expire(name) {
    await learn(await ask(`expire/${name}`, { method: "POST" }));
    const file = state.rows.find((each) => each.name === name);
    touched.add(name);
    // A promise cannot be taken back from outside: fetch the file anew, without one.
    await ask(locate(file), { cache: "reload" });
    await learn(await ask("state"));
    await showCopy(file);
    return "Fetched anew, without a lifetime.";
  },
};

async function act(action, name) {
  const { news } = rows.get(name);
  try {
    news.textContent = await actions[action](name);
  } catch (error) {
    news.textContent = error.message;
  }
}

function onClick(id, action) {
  find(id).addEventListener("click", async () => {
    try {
      await action();
    } catch (error) {
      find("summary").textContent = error.message;
    }
  });
}

onClick("ask", async () => {
  const response = await ask(state.report.address);
  const { run } = await response.json();
  find("reports").prepend(describeReport(response.headers.get("cache-status"), run));
  while (find("reports").children.length > REPORTS_SHOWN) find("reports").lastChild.remove();
  await learn(await ask("state"));
});

onClick("purge", async () => {
  await learn(await ask("purge", { method: "POST" }));
  find("reports").prepend(make("li", { class: "note" }, "Purged: what has its tag is forgotten."));
});

onClick("forget", async () => {
  await ask("forget", { method: "POST" });
  location.reload();
});

begin().catch((error) => {
  find("summary").textContent = error.message;
});
