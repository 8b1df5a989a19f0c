// The page: who we are, what is on its way, and which transport is in use.

import { Cost, measure } from "./costs.js";
import { Refused, TRANSPORTS, address } from "./transports.js";
import {
  clearMessages, element, find, showCosts, showEvent, showMessage, showPeople, showRefusal,
  showRooms, showState, showTyping,
} from "./view.js";

const ROOMS = ["lobby", "kitchen", "help"];
const ROOM = /^[a-z0-9-]{1,32}$/;
const TYPING_SENT = 3000; // ms between two signs
const TYPING_SHOWN = 4500; // ms that a sign holds
const AWAY = 3000; // ms after which somebody who does not come back has left
const SEND_AGAIN = 2000; // ms after which what has failed is sent again

const KINDS = Object.keys(TRANSPORTS);
const costs = Object.fromEntries(KINDS.map((kind) => [kind, new Cost()]));

// Each tab is a person of its own.
const me = {
  name: sessionStorage.getItem("name") ?? inventName(),
  room: roomOfHash(),
  kind: KINDS.find((kind) => kind === sessionStorage.getItem("transport")) ?? KINDS[0],
};

let current = null; // the transport that the page listens to
let observers = new Map(); // the others by kind, while all of them run
let served = null; // what the server has said about itself
let lostAt = null; // when the connection was lost
let members = null; // names, once they are known
let since = Date.now(); // when the costs began
let typingSent = 0;
const outbox = new Map(); // by key: what we have said and not heard yet
const typing = new Map(); // by name: a timer
const leaving = new Map(); // the same, of those who may come back

function inventName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const first = pick(["Quiet", "Swift", "Merry", "Amber", "Clever", "Brave", "Silver", "Gentle"]);
  const last = pick(["Heron", "Otter", "Maple", "Comet", "Robin", "Cedar", "Lynx", "Pebble"]);
  return `${first} ${last}`;
}

function roomOfHash() {
  const room = decodeURIComponent(location.hash.slice(1)).toLowerCase();
  return ROOM.test(room) ? room : ROOMS[0];
}

/** Unlike crypto.randomUUID this is there without TLS, too. */
function newKey() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// --- connections ---------------------------------------------------------------------------

/** Listen by the chosen transport, from where the one before has stopped. */
function connect() {
  const after = current?.place.room === me.room ? current.last : null;
  current?.stop();
  served = null;
  lostAt = null;
  const transport = new TRANSPORTS[me.kind]({ room: me.room, name: me.name, after }, costs[me.kind], {
    event: (event) => transport === current && onEvent(event),
    state: (state) => transport === current && onState(state),
    failed: async (count) => transport === current && (await onFailed(transport, count)),
  });
  current = transport;
  current.start();
  find(`transport-${me.kind}`).checked = true;
}

/** Let the other transports run, too, as onlookers; or end that. */
function observe(wanted) {
  for (const observer of observers.values()) observer.stop();
  observers = new Map();
  if (!wanted) return;
  const nothing = { event() {}, state() {}, async failed() {} };
  for (const kind of KINDS.filter((each) => each !== me.kind)) {
    const place = { room: me.room, name: null, after: current.last };
    observers.set(kind, new TRANSPORTS[kind](place, costs[kind], nothing).start());
  }
}

function reconnect() {
  connect();
  observe(find("compare").checked);
}

function onState(state) {
  if (state === "waiting") lostAt ??= Date.now();
  if (state === "open") {
    if (lostAt !== null) {
      showEvent(`back after ${((Date.now() - lostAt) / 1000).toFixed(1)} s`);
      lostAt = null;
    }
    flush();
  }
  showState(state, TRANSPORTS[me.kind].label, served);
}

/** A connection ended before it opened: is it our name, the transport, or the server? */
async function onFailed(transport, count) {
  if (count === 0) return;
  let answer;
  try {
    answer = await fetch(address(me.room, "name", { name: me.name }), { cache: "no-store" });
  } catch {
    return; // the server is away: it will be back
  }
  if (transport !== current || !answer.ok) return;
  if (!(await answer.json()).free) {
    rename(nextName(me.name), `${me.name} is taken here.`);
  } else if (count >= 2) {
    fallBack();
  }
}

function fallBack() {
  const next = KINDS[KINDS.indexOf(me.kind) + 1];
  if (next === undefined) return;
  find("transport-note").textContent =
    `${TRANSPORTS[me.kind].label} does not come through; using ${TRANSPORTS[next].label}.`;
  me.kind = next;
  reconnect();
}

// --- events --------------------------------------------------------------------------------

function onEvent(event) {
  const handle = handlers[event.kind];
  if (handle) handle(event);
}

const handlers = {
  welcome(event) {
    served = event;
    showState("open", TRANSPORTS[me.kind].label, served);
  },

  message(event) {
    outbox.delete(event.key);
    forgetTyping(event.name);
    showMessage(event);
  },

  typing({ name }) {
    if (name === me.name) return;
    clearTimeout(typing.get(name));
    typing.set(name, setTimeout(() => forgetTyping(name), TYPING_SHOWN));
    showTyping([...typing.keys()]);
  },

  members({ names, count }) {
    const before = members ?? names;
    members = names;
    showPeople(names, count, me.name);
    if (count > names.length) return; // of a crowd only some are known
    for (const name of before.filter((each) => !names.includes(each))) {
      leaving.set(name, setTimeout(() => hasLeft(name), AWAY));
    }
    for (const name of names.filter((each) => !before.includes(each))) hasCome(name);
  },

  gap() {
    showEvent("Some messages that were sent meanwhile are no longer known.");
  },

  refused({ key, status, detail }) {
    if (status >= 500) return deliverLater(key);
    outbox.delete(key);
    showRefusal(key, detail);
  },
};

/** Reconnecting, changing the transport, or loading the page anew is no news. */
function hasCome(name) {
  if (leaving.has(name)) {
    clearTimeout(leaving.get(name));
    leaving.delete(name);
  } else if (name !== me.name) {
    showEvent(`${name} has come`);
  }
}

function hasLeft(name) {
  leaving.delete(name);
  forgetTyping(name);
  if (name !== me.name) showEvent(`${name} has left`);
}

function forgetTyping(name) {
  clearTimeout(typing.get(name));
  typing.delete(name);
  showTyping([...typing.keys()]);
}

// --- what we say ---------------------------------------------------------------------------

function say(text) {
  const event = { kind: "message", key: newKey(), text };
  outbox.set(event.key, event);
  showMessage({ ...event, name: me.name, at: Date.now(), pending: true });
  deliver(event);
}

/** Send it; it stays in the outbox until we hear it. Pages drop what comes twice, by its key. */
async function deliver(event) {
  try {
    await current.send(event);
  } catch (error) {
    const status = error instanceof Refused ? error.status : 503;
    handlers.refused({ key: event.key, status, detail: error.message });
  }
}

function deliverLater(key) {
  setTimeout(() => outbox.has(key) && deliver(outbox.get(key)), SEND_AGAIN);
}

function flush() {
  for (const event of outbox.values()) deliver(event);
}

function sayThatWeType() {
  if (Date.now() - typingSent < TYPING_SENT) return;
  typingSent = Date.now();
  current.send({ kind: "typing" }).catch(() => {}); // a sign that is late is none
}

// --- rooms and names -----------------------------------------------------------------------

function enter(room) {
  leave();
  me.room = room;
  members = null;
  for (const timers of [typing, leaving]) {
    timers.forEach((timer) => clearTimeout(timer));
    timers.clear();
  }
  outbox.clear();
  clearMessages();
  showTyping([]);
  showPeople([], 0, me.name);
  showRooms([...new Set([...ROOMS, room])], room);
  reconnect();
}

/** Transports without a connection of their own leave when they say so, or are not seen again. */
function leave() {
  if (current === null || !["longpoll", "poll"].includes(me.kind)) return;
  navigator.sendBeacon(address(current.place.room, "leave", { name: current.place.name }));
}

function nextName(name) {
  const [, base, number] = /^(.*?)(?: (\d+))?$/.exec(name);
  return `${base.slice(0, 20)} ${Number(number ?? 1) + 1}`;
}

function rename(name, note = "") {
  leave();
  me.name = name;
  sessionStorage.setItem("name", name);
  find("name-form").elements.name.value = name;
  find("name-note").textContent = note;
  reconnect();
}

async function askForName(name) {
  const answer = await fetch(address(me.room, "name", { name }), { cache: "no-store" });
  if (!answer.ok) return find("name-note").textContent = (await answer.text()).trim();
  const { free } = await answer.json();
  if (free) rename(name);
  else find("name-note").textContent = `${name} is taken here.`;
}

// --- the page ------------------------------------------------------------------------------

function chooseTransport(kind) {
  leave();
  me.kind = kind;
  sessionStorage.setItem("transport", kind);
  find("transport-note").textContent = "";
  reconnect();
}

function resetCosts() {
  for (const cost of Object.values(costs)) cost.reset();
  since = Date.now();
  reconnect(); // so that what it takes to connect is counted for each of them
}

function refreshCosts() {
  const rows = KINDS.map((kind) => ({
    name: kind,
    label: TRANSPORTS[kind].label,
    cost: costs[kind],
    running: kind === me.kind || observers.has(kind),
    current: kind === me.kind,
  }));
  showCosts(rows, observers.size > 0);
  const seconds = Math.round((Date.now() - since) / 1000);
  const minutes = Math.floor(seconds / 60);
  const heard = costs[me.kind].events;
  find("costs-since").textContent =
    `${minutes ? `${minutes} min ` : ""}${seconds % 60} s, ${heard} message${heard === 1 ? "" : "s"}`;
}

function build() {
  find("transports").append(
    ...KINDS.map((kind) => {
      const radio = element("input", {
        type: "radio", name: "transport", value: kind, id: `transport-${kind}`,
      });
      radio.addEventListener("change", () => chooseTransport(kind));
      return element("label", {}, radio, TRANSPORTS[kind].label);
    }),
  );
  find("name-form").elements.name.value = me.name;
  find("transport").open = matchMedia("(min-width: 70.01rem)").matches;
}

function listen() {
  const composer = find("composer");
  const { text } = composer.elements;
  composer.addEventListener("submit", (event) => {
    event.preventDefault();
    if (text.value.trim()) say(text.value.trim());
    text.value = "";
    typingSent = 0;
    text.focus();
  });
  text.addEventListener("input", sayThatWeType);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });
  find("room-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const { room } = event.target.elements;
    const name = room.value.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
    if (ROOM.test(name)) location.hash = name;
    room.value = "";
  });
  find("name-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = event.target.elements.name.value.trim();
    if (name && name !== me.name) askForName(name).catch(() => {});
  });
  find("compare").addEventListener("change", resetCosts);
  find("costs-reset").addEventListener("click", resetCosts);
  addEventListener("hashchange", () => enter(roomOfHash()));
  addEventListener("pagehide", () => {
    leave();
    current.stop();
  });
  addEventListener("pageshow", (event) => event.persisted && reconnect());
}

sessionStorage.setItem("name", me.name);
build();
listen();
await measure().catch(() => {}); // an estimate will do
enter(me.room);
setInterval(refreshCosts, 500);
