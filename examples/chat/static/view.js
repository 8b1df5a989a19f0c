// What people see. Everything that others have written becomes text nodes, never markup; the
// Content-Security-Policy (require-trusted-types-for) would not let it be otherwise.

export const find = (id) => document.getElementById(id);

const KEPT = 500; // messages in the page
const GROUP = 5 * 60_000; // ms in which messages of the same person stand below one name
const NEAR = 80; // pixels from the end in which the list follows what comes

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A hue for a name, the same on every page (FNV-1a). */
function hue(name) {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % 360;
}

function face(name) {
  const [letter = "?"] = name;
  const made = element("span", { class: "face", "aria-hidden": "true" }, letter.toUpperCase());
  made.style.setProperty("--hue", hue(name));
  return made;
}

// --- messages ------------------------------------------------------------------------------

const list = find("messages");
const shown = new Map(); // by key

let atEnd = true; // whether the reader is at the end of the list, and follows what comes

function toEnd() {
  if (atEnd) list.scrollTop = list.scrollHeight;
}

list.addEventListener("scroll", () => {
  atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
});
new ResizeObserver(toEnd).observe(list); // a keyboard on a phone, for instance

/** Whether a message comes too soon after one of the same person to need its name again. */
function continues(previous, { name, at }) {
  return previous?.dataset.name === name && at - Number(previous.dataset.at) < GROUP;
}

function regroup(item) {
  if (!item?.dataset.name) return;
  const told = { name: item.dataset.name, at: Number(item.dataset.at) };
  item.classList.toggle("more", continues(item.previousElementSibling, told));
}

/** Show a message, or that one of ours has arrived. Whether it is new. */
export function showMessage({ key, name, text, at, pending = false }) {
  const known = shown.get(key);
  if (known && !known.classList.contains("pending")) return false;
  const time = element("time", { datetime: new Date(at).toISOString() }, clock.format(at));
  const by = element("span", { class: "by" }, element("bdi", {}, name), time);
  by.style.setProperty("--hue", hue(name));
  const kind = pending ? "message pending" : "message";
  const data = { class: kind, "data-name": name, "data-at": at, "data-key": key };
  const content = element("p", { class: "text", dir: "auto" }, text);
  const item = element("li", data, face(name), by, content);
  const after = known?.nextElementSibling;
  known?.remove();
  place(item);
  regroup(after);
  shown.set(key, item);
  return !known;
}

/** At the end, but before what is still on its way. */
function place(item) {
  const pending = item.classList.contains("pending");
  const before = pending ? null : list.querySelector(".pending");
  list.insertBefore(item, before);
  regroup(item);
  regroup(item.nextElementSibling);
  while (list.childElementCount > KEPT) {
    shown.delete(list.firstElementChild.dataset.key);
    list.firstElementChild.remove();
  }
  toEnd();
}

/** Say below one of our messages why it was not sent. */
export function showRefusal(key, reason) {
  const item = shown.get(key);
  if (!item) return;
  item.classList.remove("pending");
  item.append(element("p", { class: "wrong", role: "alert" }, `Not sent: ${reason}`));
  toEnd();
}

/** A line between the messages. */
export function showEvent(text) {
  place(element("li", { class: "event" }, text));
}

export function clearMessages() {
  list.replaceChildren();
  shown.clear();
  atEnd = true;
}

// --- rooms, people, state ------------------------------------------------------------------

export function showRooms(rooms, current) {
  find("room-title").textContent = current;
  document.title = `#${current} · httpkit chat`;
  find("rooms").replaceChildren(
    ...rooms.map((room) => {
      const link = element("a", { href: `#${room}` }, room);
      if (room === current) link.setAttribute("aria-current", "page");
      return element("li", {}, link);
    }),
  );
}

export function showPeople(names, count, me) {
  find("people-count").textContent = count;
  const more = count - names.length;
  find("people").replaceChildren(
    ...names.map((name) =>
      element("li", name === me ? { class: "me" } : {}, face(name), element("bdi", {}, name)),
    ),
    ...(more > 0 ? [element("li", { class: "more" }, `and ${more} more`)] : []),
  );
}

export function showTyping(names) {
  const [first, second] = names;
  find("typing").textContent =
    names.length === 0 ? ""
    : names.length === 1 ? `${first} is typing …`
    : names.length === 2 ? `${first} and ${second} are typing …`
    : `${names.length} people are typing …`;
}

const STATES = { connecting: "connecting", open: "connected", waiting: "reconnecting" };

/** @param served what the server has said about itself: {protocol, worker} */
export function showState(state, label, served) {
  const pill = find("state");
  pill.dataset.state = state;
  pill.dataset.worker = served?.worker ?? "";
  pill.dataset.protocol = served?.protocol ?? "";
  const over = state === "open" && served ? ` over HTTP/${served.protocol}` : "";
  const word = element("span", { class: state === "open" ? "word" : "" }, `${STATES[state]} · `);
  pill.replaceChildren(word, `${label}${over}`);
  pill.title = served ? `process ${served.worker}` : "";
}

// --- what it costs -------------------------------------------------------------------------

/** "734 B", "1.5 kB", "12 kB". */
function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 999_500) return `${(bytes / 1000).toFixed(bytes < 9950 ? 1 : 0)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** "12 ms", "1.7 s". */
function delay({ total, count }) {
  if (count === 0) return "–";
  const mean = Math.round(total / count);
  return mean < 1000 ? `${mean} ms` : `${(mean / 1000).toFixed(1)} s`;
}

/** @param rows [{name, label, cost, running, current}] */
export function showCosts(rows, comparing) {
  const most = Math.max(1, ...rows.map(({ cost }) => cost.bytes));
  find("costs").tBodies[0].replaceChildren(
    ...rows.flatMap(({ name, label, cost, running, current }) => {
      const state = `${current ? "current" : ""} ${running ? "" : "idle"}`;
      const fill = element("div");
      fill.style.width = `${(100 * cost.bytes) / most}%`;
      return [
        element("tr", { class: state, "data-transport": name },
          element("th", { scope: "row" }, label),
          element("td", {}, cost.requests),
          element("td", {}, size(cost.sent)),
          element("td", {}, size(cost.received)),
          element("td", {}, comparing ? delay(cost.delay) : "–")),
        element("tr", { class: `bar ${state}`, "aria-hidden": "true" },
          element("td", { colspan: 5 }, fill)),
      ];
    }),
  );
}
