// Four ways to hear of the same events. Each owns its connection, its reconnecting and its resume;
// none knows the page. What they cost is written down in a Cost (costs.js).
//
// A listener has:
//   event(event)      an event of the room
//   state(name)       "connecting", "open" or "waiting"
//   failed(count)     a connection has ended, the count-th in a row that never opened; async
//
// Every message has an id. The last one is sent with each new connection ("after"), so the server
// begins where this page has stopped.

const POLL_EVERY = 2000; // ms
const BACK_OFF = { first: 250, most: 5000 }; // ms

/** Ms before the next attempt: doubled each time, with jitter so that a crowd comes back spread. */
function backOff(failures) {
  const longest = Math.min(BACK_OFF.most, BACK_OFF.first * 2 ** failures);
  return longest * (0.5 + Math.random() / 2);
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener("online", over);
      signal.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    addEventListener("online", over);
    signal.addEventListener("abort", over);
  });
}

/** The address of something of a room, relative to the page, wherever that is mounted. */
export function address(room, path, query = {}) {
  const url = new URL(`rooms/${encodeURIComponent(room)}/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

/** What all have in common: the loop of reconnecting, and sending by POST. */
class Transport {
  #over = new AbortController();
  #opened = false;

  /**
   * @param place {room, name, after}: where to listen, as whom (null: only look on), from which id
   * @param cost a Cost
   * @param listener see above
   */
  constructor(place, cost, listener) {
    this.place = place;
    this.last = place.after ?? null;
    this.known = null; // the version of the members that the page knows
    this.cost = cost;
    this.listener = listener;
  }

  start() {
    this.#run(this.#over.signal);
    return this;
  }

  stop() {
    this.#over.abort();
  }

  async #run(signal) {
    let failures = 0;
    while (!signal.aborted) {
      this.#opened = false;
      this.listener.state("connecting");
      try {
        await this.listen(signal);
      } catch {
        // Whatever it was, the answer is to try again; `failed` looks for the reason.
      }
      if (signal.aborted) return;
      failures = this.#opened ? 0 : failures + 1;
      this.listener.state("waiting");
      await this.listener.failed(failures);
      await pause(backOff(failures), signal);
    }
  }

  opened() {
    this.#opened = true;
    this.listener.state("open");
  }

  receive(event) {
    if (event.id) this.last = event.id;
    if (event.kind === "members") this.known = event.version;
    if (event.kind === "welcome") this.opened();
    else this.cost.event(event);
    this.listener.event(event);
  }

  url(path) {
    const { room, name } = this.place;
    return address(room, path, { name, after: this.last, known: this.known });
  }

  /** Send an event; rejects if it may not have arrived. */
  async send(event) {
    const url = address(this.place.room, "events", { name: this.place.name });
    const body = JSON.stringify(event);
    const response = await this.cost.fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    if (!response.ok) throw new Refused(response.status, await response.text());
  }
}

/** The server has said no; sending it again would not help. */
export class Refused extends Error {
  constructor(status, text) {
    super(text.trim() || `status ${status}`);
    this.status = status;
  }
}

class WebSocketTransport extends Transport {
  static label = "WebSocket";
  #socket = null;

  listen(signal) {
    const url = this.url("socket");
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.cost.handshake(url);
    return new Promise((resolve) => {
      const close = () => socket.close();
      signal.addEventListener("abort", close);
      addEventListener("offline", close);
      socket.addEventListener("message", ({ data }) => {
        if (signal.aborted) return;
        this.cost.frameReceived(data);
        this.receive(JSON.parse(data));
      });
      socket.addEventListener("close", () => {
        signal.removeEventListener("abort", close);
        removeEventListener("offline", close);
        resolve();
      });
    });
  }

  async send(event) {
    if (this.#socket?.readyState !== WebSocket.OPEN) throw new Error("not connected");
    const text = JSON.stringify(event);
    this.#socket.send(text);
    this.cost.frameSent(text);
  }
}

class EventSourceTransport extends Transport {
  static label = "Server-Sent Events";

  listen(signal) {
    const url = this.url("stream");
    const source = new EventSource(url);
    this.cost.stream(url);
    return new Promise((resolve) => {
      const close = () => {
        source.close();
        resolve();
      };
      signal.addEventListener("abort", close);
      source.addEventListener("message", ({ data, lastEventId }) => {
        if (signal.aborted) return;
        const event = JSON.parse(data);
        // The browser repeats the last id with events that have none of their own.
        const id = lastEventId === this.last ? "" : lastEventId;
        if (id) event.id = id;
        this.cost.streamed(data, id);
        this.receive(event);
      });
      source.addEventListener("error", () => {
        // A browser reconnects by itself, with Last-Event-ID, unless the answer was an error.
        if (source.readyState === EventSource.CLOSED) {
          signal.removeEventListener("abort", close);
          resolve();
        } else {
          this.cost.stream(url);
          this.listener.state("waiting");
        }
      });
    });
  }
}

class LongPollTransport extends Transport {
  static label = "Long polling";

  async listen(signal) {
    let first = true;
    while (!signal.aborted) {
      await this.#poll(signal);
      if (first) this.opened();
      first = false;
    }
  }

  async #poll(signal) {
    const response = await this.cost.fetch(this.url("wait"), { signal });
    if (!response.ok) throw new Refused(response.status, await response.text());
    const { events, last } = await response.json();
    for (const event of events) this.receive(event);
    this.last = last ?? this.last;
  }
}

class PollTransport extends Transport {
  static label = "Polling";

  async listen(signal) {
    let first = true;
    while (!signal.aborted) {
      const response = await this.cost.fetch(this.url("events"), { signal });
      if (!response.ok) throw new Refused(response.status, await response.text());
      const { events, last } = await response.json();
      for (const event of events) this.receive(event);
      this.last = last ?? this.last;
      if (first) this.opened();
      first = false;
      await pause(POLL_EVERY, signal);
    }
  }
}

/** By name, the best first: each falls back to the next. */
export const TRANSPORTS = {
  websocket: WebSocketTransport,
  sse: EventSourceTransport,
  longpoll: LongPollTransport,
  poll: PollTransport,
};
