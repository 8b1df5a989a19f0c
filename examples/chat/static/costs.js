// What a transport costs, counted where the page can see it.
//
// Exact: requests, bodies, frames (RFC 6455 §5.2), and the fields of answers to fetch.
// Estimated: the heads that scripts cannot see. The server tells once how large the head of a
// request of this browser is (`measure`); those of others differ by their path alone, and by what
// the constants below say. All heads count as the text of HTTP/1.1; HTTP/2 packs them with HPACK.
// Not counted: frames of HTTP/2, records of TLS, TCP, pings.

const encoder = new TextEncoder();
const bytes = (text) => encoder.encode(text).length;

const BODY_FIELDS = 110; // Content-Type, Content-Length and Origin of a POST
const HANDSHAKE_FIELDS = 150; // Upgrade, Connection, Origin and Sec-WebSocket-* of a request
const ANSWER_HEAD = 190; // of the answers to EventSource and WebSocket

let requestHead = 500; // without the path, until `measure` knows

/** Ask the server how large the head of a request is. */
export async function measure() {
  const url = new URL("request-head", document.baseURI);
  const response = await fetch(url, { cache: "no-store" });
  if (response.ok) requestHead = (await response.json()).bytes - url.pathname.length;
}

/** Bytes of a frame around its payload (RFC 6455 §5.2); a client's has a mask. */
function frameHead(length, masked) {
  const extended = length < 126 ? 0 : length < 65536 ? 2 : 8;
  return 2 + extended + (masked ? 4 : 0);
}

/** Bytes of a chunk around its data (RFC 9112 §7.1). */
const chunkHead = (length) => length.toString(16).length + 4;

export class Cost {
  constructor() {
    this.reset();
  }

  reset() {
    this.requests = 0;
    this.sent = 0;
    this.received = 0;
    this.events = 0;
    this.delay = { total: 0, count: 0 }; // ms behind the fastest transport
  }

  get bytes() {
    return this.sent + this.received;
  }

  #request(url) {
    this.requests += 1;
    this.sent += requestHead + url.pathname.length + url.search.length;
  }

  /** fetch, counted. The body is read here, since its length is what counts. */
  async fetch(url, options = {}) {
    this.#request(url);
    if (options.body !== undefined) this.sent += BODY_FIELDS + bytes(options.body);
    const response = await fetch(url, { cache: "no-store", ...options });
    let head = `HTTP/1.1 ${response.status} ${response.statusText}\r\n\r\n`.length;
    for (const [name, value] of response.headers) head += name.length + value.length + 4;
    const body = await response.arrayBuffer();
    // A coded body is smaller on its way than here; its length says so.
    const length = Number(response.headers.get("content-length") ?? body.byteLength);
    this.received += head + length;
    const empty = [204, 304].includes(response.status);
    return new Response(empty ? null : body, response);
  }

  /** The request for an event stream, and the head of its answer. */
  stream(url) {
    this.#request(url);
    this.received += ANSWER_HEAD;
  }

  /** An event of a stream: `id: …`, `data: …`, an empty line; in a chunk of its own. */
  streamed(data, id) {
    const length = bytes(`data: ${data}\n\n`) + (id ? bytes(`id: ${id}\n`) : 0);
    this.received += length + chunkHead(length);
  }

  /** The handshake of a WebSocket. */
  handshake(url) {
    this.#request(url);
    this.sent += HANDSHAKE_FIELDS;
    this.received += ANSWER_HEAD;
  }

  frameSent(text) {
    const length = bytes(text);
    this.sent += frameHead(length, true) + length;
  }

  frameReceived(text) {
    const length = bytes(text);
    this.received += frameHead(length, false) + length;
  }

  /** An event has arrived; only messages are compared, since every transport gets all of them. */
  event(event) {
    if (event.kind !== "message") return;
    this.events += 1;
    this.#compare(event.key);
  }

  #compare(key) {
    const now = performance.now();
    const first = arrivals.get(key) ?? now;
    if (!arrivals.has(key)) arrivals.set(key, now);
    if (arrivals.size > 500) arrivals.delete(arrivals.keys().next().value);
    this.delay.total += now - first;
    this.delay.count += 1;
  }
}

/** When each message has arrived first, by whichever transport. */
const arrivals = new Map();
