// The table and the list: elements and text nodes, no markup from texts.

const DID = {
  cache: "cache",
  stale: "stale copy",
  304: "304",
  network: "network",
  nothing: "not loaded",
};

/** An element with attributes, and children or texts. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function bytes(count) {
  return count < 1000 ? `${count}\u00a0B` : `${(count / 1000).toFixed(1)}\u00a0kB`;
}

export function seconds(count) {
  if (count < 120) return `${Math.round(count)} s`;
  if (count < 7200) return `${Math.round(count / 60)} min`;
  return count < 172_800 ? `${Math.round(count / 3600)} h` : `${Math.round(count / 86_400)} days`;
}

/** One file of the table. Buttons call `act(action, name)`. */
export class Row {
  constructor(file, act) {
    this.did = make("span", { class: "did" });
    this.cost = make("span", { class: "note" });
    this.freshness = make("span", { class: "freshness" });
    this.etag = make("code", { class: "etag" });
    this.coding = make("span", { class: "note coding" });
    this.visit = make("span", { class: "visit" });
    this.total = make("span", { class: "note total" });
    const cells = [
      make("th", { scope: "row" }, ...this.describe(file)),
      make("td", { "data-label": "At this visit" }, this.did, this.cost),
      make("td", { "data-label": "Its copy" }, this.freshness, this.etag, this.coding),
      make("td", { "data-label": "The server" }, this.visit, this.total),
      make("td", {}, ...this.buttons(file, act)),
    ];
    this.element = make("tr", { "data-name": file.name }, ...cells);
  }

  describe(file) {
    const shown = document.querySelector(`#gallery [data-name="${CSS.escape(file.name)}"]`);
    const title = file.name === "page" ? "the page itself" : file.name;
    const text = make(
      "div",
      {},
      make("span", { class: "name" }, title),
      make("code", { class: "promise" }, file.cacheControl),
      make("p", { class: "lesson" }, file.lesson),
    );
    return [make("div", { class: "file" }, shown ?? make("div", { class: "blank" }, "</>"), text)];
  }

  buttons(file, act) {
    const offered = [];
    if (file.version) offered.push(["change", "Change"]);
    if (file.expires) offered.push(["expire", "Expire"]);
    const buttons = offered.map(([action, label]) => {
      const button = make("button", { class: "quiet small", type: "button" }, label);
      button.setAttribute("aria-label", `${label} ${file.name}`);
      button.addEventListener("click", () => act(action, file.name));
      return button;
    });
    this.news = make("span", { class: "note news", role: "status" });
    return buttons.length ? [make("div", { class: "actions" }, ...buttons), this.news] : [];
  }

  /** What happened; `timing` has the bytes and the milliseconds. */
  showTiming(did, timing) {
    this.did.dataset.did = did;
    this.did.textContent = DID[did];
    if (!timing) return;
    const spent = `${Math.round(timing.duration)}\u00a0ms`;
    const size = timing.encodedBodySize ? ` of ${bytes(timing.encodedBodySize)}` : "";
    const saved = did === "network" ? "" : size;
    this.cost.textContent = `${bytes(timing.transferSize)}${saved}, ${spent}`;
  }

  showCopy(copy) {
    this.copy = copy;
    this.etag.textContent = copy?.etag ?? "";
    this.coding.textContent = copy?.coding ?? "";
  }

  /** What is left of the freshness; `now` is Unix time in seconds by the server's clock. */
  tick(now) {
    if (this.copy === undefined) return;
    const left = this.copy ? this.copy.freshUntil - now : 0;
    let [state, text] = ["stale", "stale: will be asked for"];
    if (!this.copy) [state, text] = ["none", "none is kept"];
    else if (this.copy.validates) [state, text] = ["asks", "kept, but always asked for"];
    else if (left > 0) [state, text] = ["fresh", `fresh for ${seconds(left)}`];
    if (this.freshness.textContent === text) return;
    this.freshness.dataset.state = state;
    this.freshness.textContent = text;
  }

  showCounts(file) {
    const list = (counts) => Object.entries(counts)
      .filter(([, count]) => count)
      .map(([status, count]) => `${count}\u00a0×\u00a0${status}`)
      .join(", ");
    this.visit.textContent = list(file.visit) || "not asked";
    this.total.textContent = `in all: ${list(file.total) || "never"}`;
  }
}

/** The sentence on the whole visit. */
export function summarize(visits, rows) {
  const of = (...kinds) => rows.filter(({ did }) => kinds.includes(did)).length;
  const sum = (field) => rows.reduce((total, { timing }) => total + (timing?.[field] ?? 0), 0);
  const which = visits === 1 ? "Your first visit" : `Visit ${visits}`;
  return (
    `${which}: of ${rows.length} files ${of("cache", "stale")} came without a wait for the `
    + `server, ${of("304")} by a 304, and ${of("network")} over the network; `
    + `${bytes(sum("transferSize"))} were transferred for ${bytes(sum("encodedBodySize"))} of content.`
  );
}

/** An answer of the report, and what its Cache-Status means. */
export function describeReport(status, run) {
  const meanings = [
    [/; hit/, "From the store: the handler has not run."],
    [/fwd=stale/, "It was stale: the handler has run anew."],
    [/fwd=uri-miss/, "Nothing was stored: the handler has run, and its answer is kept."],
  ];
  const [, meaning] = meanings.find(([pattern]) => pattern.test(status)) ?? [null, ""];
  return make(
    "li",
    {},
    make("code", {}, status),
    make("span", { class: "note" }, ` run ${run}. ${meaning}`),
  );
}
