"""*The pieces*: httptools, ngh2 and a frame parser in asyncio protocols, with a coroutine around.

What a request costs in Python before there is a framework: it is parsed, a dictionary finds its
route, a coroutine answers it with a head that is made once a second. There is no limit, no deadline
and no check of anything, no request object, no answer object, no task, no backpressure. Nobody may
be served with it; a framework on the same libraries cannot be faster. WebSockets have no handler:
each message is sent back, or to everybody in the room, where it is parsed.
Run by the harness as ``python -m benchmarks.servers.pieces --port 8000 --protocol http1``.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Coroutine
from email.utils import formatdate
from hashlib import sha1
from pathlib import Path
from typing import Any, cast

import click
import httptools
import msgspec
import ngh2
import uvloop
from websockets.speedups import apply_mask

from benchmarks.apps.bare_asgi import JSON, TEXT
from benchmarks.endpoint import HOST
from benchmarks.messages import JOINED, SENT
from benchmarks.servers.limit import server_context

Answer = tuple[int, bytes, bytes]

encode = msgspec.json.Encoder().encode
TEXT_FRAME, CLOSE_FRAME = 0x81, 0x88
#: RFC 6455 §1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: Ends of heads, by the length of the body.
ENDS = [b"%d\r\n\r\n" % size for size in range(256)]


async def index(_: bytes) -> Answer:
    """Answer a short text."""
    return 200, TEXT, b"Hello, World!"


async def message(_: bytes) -> Answer:
    """Answer a small object."""
    return 200, JSON, encode({"message": "Hello, World!"})


async def length(body: bytes) -> Answer:
    """Answer the length of the body."""
    return 200, TEXT, b"%d" % len(body)


async def post(body: bytes) -> Answer:
    """Send a message to everybody in the room: framed once, written to each."""
    frame = serialize_frame(TEXT_FRAME, body)
    for member in list(ROOM):
        member.write(frame)
    return 200, TEXT, SENT


async def user(number: int) -> Answer:
    """Answer a path parameter."""
    return 200, JSON, encode({"id": number})


async def missing() -> Answer:
    """Answer that there is no such path."""
    return 404, TEXT, b"Not Found"


ROUTES = {
    ("GET", b"/"): index,
    ("GET", b"/json"): message,
    ("POST", b"/echo"): length,
    ("POST", b"/room"): post,
}


def respond(method: str, target: bytes, body: bytes) -> Answer:
    """Find the route and take the only step of its coroutine."""
    route = ROUTES.get((method, target))
    coroutine: Coroutine[Any, Any, Answer]
    if route is not None:
        coroutine = route(body)
    elif target.startswith(b"/users/") and target[7:].isdigit():
        coroutine = user(int(target[7:]))
    else:
        coroutine = missing()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("Answer", stop.value)
    raise RuntimeError("nobody here waits for anything")


#: Heads of answers in HTTP/1.1, up to the value of their Content-Length, and fields in HTTP/2.
HEADS: dict[tuple[int, bytes], bytes] = {}
FIELDS: dict[tuple[int, bytes, int], list[tuple[bytes, bytes]]] = {}


def forget_dates() -> None:
    """Forget what has a date now, and in a second again."""
    HEADS.clear()
    FIELDS.clear()
    asyncio.get_running_loop().call_later(1, forget_dates)


def make_head(status: int, content_type: bytes) -> bytes:
    """Make a head of HTTP/1.1."""
    date = formatdate(usegmt=True).encode()
    head = b"HTTP/1.1 %d .\r\ndate: %b\r\ncontent-type: %b\r\ncontent-length: " % (
        status,
        date,
        content_type,
    )
    HEADS[status, content_type] = head
    return head


def make_fields(status: int, content_type: bytes, length: int) -> list[tuple[bytes, bytes]]:
    """Make the fields of HTTP/2."""
    fields = [
        (b":status", b"%d" % status),
        (b"date", formatdate(usegmt=True).encode()),
        (b"content-type", content_type),
        (b"content-length", b"%d" % length),
    ]
    FIELDS[status, content_type, length] = fields
    return fields


class HTTP1(asyncio.Protocol):
    """Parses requests with httptools, and writes the answers to one read at once."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.out: list[bytes] = []
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is called for each read."""
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write

    def data_received(self, data: bytes) -> None:
        """Answer all requests of a read."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgrade()
            return
        out = self.out
        if out:
            self.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def on_message_begin(self) -> None:
        """Forget the last request."""
        self.target = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """Keep the target."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field."""
        self.headers.append((name.lower(), value))

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """Answer the request."""
        if self.parser.should_upgrade():
            return
        method = self.parser.get_method().decode()
        status, content_type, body = respond(method, self.target, self.body)
        head = HEADS.get((status, content_type)) or make_head(status, content_type)
        self.out.append(head + ENDS[len(body)] + body)

    def upgrade(self) -> None:
        """Let a WebSocket take over, where there is one."""
        if self.target not in (b"/ws", b"/room"):
            self.write(b"HTTP/1.1 404 .\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()
            return
        key = dict(self.headers)[b"sec-websocket-key"]
        self.write(
            b"HTTP/1.1 101 .\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-accept: %b\r\n\r\n" % b64encode(sha1(key + GUID).digest())
        )
        self.transport.set_protocol(WebSocket(self.transport, joins=self.target == b"/room"))


class WebSocket(asyncio.Protocol):
    """Sends each message back; whoever joins the room gets what is posted there, too."""

    def __init__(self, transport: asyncio.Transport, *, joins: bool) -> None:
        self.transport = transport
        self.write = transport.write
        self.rest = b""
        if joins:
            ROOM.add(self)
            self.write(serialize_frame(TEXT_FRAME, JOINED.encode()))

    def data_received(self, data: bytes) -> None:
        """Send the messages of a read back, all in one write."""
        if self.rest:
            data = self.rest + data
        out: list[bytes] = []
        position = 0
        while (start := payload_start(data, position)) and start[1] <= len(data):
            begin, end = start
            first = data[position]
            payload = apply_mask(data[begin:end], data[begin - 4 : begin])
            if first == TEXT_FRAME:
                payload = payload.decode().encode()  # a handler gets text, and gives text
            out.append(serialize_frame(first, payload))
            position = end
            if first == CLOSE_FRAME:
                self.write(b"".join(out))
                self.transport.close()
                return
        self.rest = data[position:]
        if out:
            self.write(out[0] if len(out) == 1 else b"".join(out))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Leave the room."""
        ROOM.discard(self)


#: Who has joined.
ROOM: set[WebSocket] = set()


def payload_start(data: bytes, position: int) -> tuple[int, int] | None:
    """Return where the payload of a masked frame begins and ends; its end may be still to come."""
    if len(data) < position + 2:
        return None
    size = data[position + 1] & 0x7F
    if size < 126:
        return position + 6, position + 6 + size
    width = 2 if size == 126 else 8
    if len(data) < position + 2 + width:
        return None
    size = int.from_bytes(data[position + 2 : position + 2 + width], "big")
    return position + 6 + width, position + 6 + width + size


def serialize_frame(first: int, payload: bytes) -> bytes:
    """Return an unmasked frame (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


class HTTP2(asyncio.Protocol):
    """Lets ngh2 have the bytes, and writes what it has to send once for each read."""

    def __init__(self) -> None:
        self.connection = ngh2.Connection(ngh2.Role.SERVER, ngh2.Configuration())
        self.connection.initiate_connection({})
        self.requests: dict[int, tuple[str, bytes, bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client."""
        self.write = cast("asyncio.Transport", transport).write
        self.write(self.connection.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Answer all requests of a read."""
        connection = self.connection
        connection.receive_data(data)
        for event in connection.events():
            if type(event) is ngh2.RequestReceived:
                fields = dict(event.headers)
                request = fields[b":method"].decode(), fields[b":path"], b""
            elif type(event) is ngh2.DataReceived:
                method, path, body = self.requests.pop(event.stream_id)
                request = method, path, body + event.data
            else:
                continue
            if event.end_stream:
                self.answer(event.stream_id, *request)
            else:
                self.requests[event.stream_id] = request
        if out := connection.data_to_send():
            self.write(out)

    def answer(self, stream_id: int, method: str, path: bytes, body: bytes) -> None:
        """Answer one request."""
        status, content_type, content = respond(method, path, body)
        size = len(content)
        key = status, content_type, size
        self.connection.send_response(stream_id, FIELDS.get(key) or make_fields(*key))
        self.connection.send_data(stream_id, content, end_stream=True)


async def serve(
    port: int, protocol: type[asyncio.Protocol], context: ssl.SSLContext | None
) -> None:
    """Serve until the process is killed."""
    forget_dates()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, HOST, port, backlog=2048, ssl=context)
    async with server:
        await server.serve_forever()


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--protocol", type=click.Choice(["http1", "http2"]), required=True)
@click.option("--certificate", type=click.Path(path_type=Path), help="PEM file; TLS if given.")
@click.option("--key", type=click.Path(path_type=Path), help="PEM file of its key.")
def main(port: int, protocol: str, certificate: Path | None, key: Path | None) -> None:
    """Run the pieces over one protocol."""
    context = None
    if certificate and key:
        context = server_context(certificate, key)
        context.set_alpn_protocols(["h2" if protocol == "http2" else "http/1.1"])
    uvloop.run(serve(port, HTTP2 if protocol == "http2" else HTTP1, context))


if __name__ == "__main__":
    main()
