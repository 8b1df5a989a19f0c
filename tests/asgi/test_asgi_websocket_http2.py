"""WebSockets of hosted applications on streams of HTTP/2 (RFC 8441), over both libraries."""

import zlib
from typing import Any

import pytest

from httpkit import App
from httpkit.asgi import ASGIApplication
from tests.frames import CLOSE, PING, PONG, TEXT, close, frame
from tests.server.test_websocket_http2 import Connection, engine, live

from .conftest import Script, start
from .test_asgi_websocket import ACCEPT, CONNECT, refusals

__all__ = ["engine", "live"]

RSV1 = 0x40


def closing(code: int, reason: bytes = b"") -> tuple[int, bytes]:
    return CLOSE, code.to_bytes(2, "big") + reason


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert await receive() == CONNECT
    names = scope["subprotocols"]
    fields = [(b"x-one", b"1")]
    await send({**ACCEPT, "headers": fields, "subprotocol": names[-1] if names else None})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    scope["seen"] = message


def test_the_handshake_and_messages(host) -> None:
    server, app = host(echo)
    connection = Connection(server.connect())
    stream = connection.open(("sec-websocket-protocol", "a, b"), ("x-in", "2"))
    head = connection.heads[stream]
    assert (head[":status"], head["x-one"], head["sec-websocket-protocol"]) == ("200", "1", "b")
    for name in ("sec-websocket-accept", "connection", "upgrade"):
        assert name not in head
    scope = app.scope
    assert (scope["type"], scope["http_version"], scope["scheme"]) == ("websocket", "2", "ws")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/", b"/", b"")
    assert scope["subprotocols"] == ("a", "b")
    assert "method" not in scope
    assert set(scope["extensions"]) == {"websocket.http.response"}
    fields = dict(scope["headers"])
    assert (fields[b"x-in"], fields[b"host"]) == (b"2", b"localhost")
    assert not any(name.startswith(b":") for name in fields)
    connection.send(stream, frame(TEXT, b"one"), frame(PING, b"p"), frame(0x82, b"\x00"))
    found = connection.receive(stream, 5 + 3 + 3)
    assert sorted(found) == sorted([(TEXT, b"one"), (PONG, b"p"), (0x82, b"\x00")])
    connection.send(stream, close(3001, b"enough"))
    assert connection.receive(stream, 4) == [closing(3001)]
    connection.until(lambda: stream in connection.ended)
    server.until(lambda: "seen" in scope)
    assert scope["seen"] == {"type": "websocket.disconnect", "code": 3001, "reason": "enough"}
    assert app.errors == []


def test_frames_in_any_pieces(host) -> None:
    server, _ = host(echo)
    connection = Connection(server.connect())
    stream = connection.open()
    for byte in frame(TEXT, "é".encode() * 30) + frame(TEXT):
        connection.send(stream, bytes([byte]))
    assert connection.receive(stream, 64) == [(TEXT, "é".encode() * 30), (TEXT, b"")]


def test_several_on_one_connection_end_alone(host) -> None:
    """By a Close, the end of the stream, and RST_STREAM; the last one lives on."""
    server, app = host(echo)
    connection = Connection(server.connect())
    streams = [connection.open() for _ in range(4)]
    closed, ended, reset, kept = streams
    connection.send(closed, close(1000))
    connection.h2.end_stream(ended)
    connection.h2.reset_stream(reset)
    connection.flush()
    server.until(lambda: all("seen" in scope for scope in app.scopes[:3]))
    assert [scope["seen"]["code"] for scope in app.scopes[:3]] == [1000, 1006, 1006]
    connection.send(kept, frame(TEXT, b"still open"))
    assert connection.receive(kept, 12) == [(TEXT, b"still open")]
    connection.send(kept, close(1000))
    connection.until(lambda: kept in connection.ended)


def test_compression(host) -> None:
    """RFC 7692; agreed on by the server, as on HTTP/1.1."""
    server, _ = host(echo)
    connection = Connection(server.connect())
    stream = connection.open(("sec-websocket-extensions", "permessage-deflate"))
    assert "permessage-deflate" in connection.heads[stream]["sec-websocket-extensions"]
    text = b"again and " * 1_000
    compressor = zlib.compressobj(wbits=-15)
    data = (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    connection.send(stream, frame(TEXT | RSV1, data))
    [(first, answer)] = connection.receive(stream, 20)
    assert first == TEXT | RSV1
    assert zlib.decompressobj(-15).decompress(answer + b"\x00\x00\xff\xff") == text


def test_an_application_that_closes(host) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 4000, "reason": "so"})
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.send", "text": "late"})

    server, script = host(app)
    connection = Connection(server.connect())
    stream = connection.open()
    assert connection.receive(stream, 6) == [closing(4000, b"so")]
    connection.send(stream, close(4000))
    connection.until(lambda: stream in connection.ended)
    assert script.errors == []


@pytest.mark.parametrize("kind", refusals())
def test_refusals(host, kind) -> None:
    messages, status, text = refusals()[kind]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            await send(message)

    server, script = host(app)
    connection = Connection(server.connect())
    stream = connection.open()
    assert connection.heads[stream][":status"] == str(status)
    connection.until(lambda: stream in connection.ended)
    assert connection.bodies[stream] == text
    assert script.errors == []


@pytest.mark.parametrize(
    "messages", [[], [{"type": "websocket.send", "text": "early"}], [start()]], ids=str
)
def test_mistakes_before_the_answer_are_500(host, messages) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    server, _ = host(app)
    connection = Connection(server.connect())
    stream = connection.open()
    assert connection.heads[stream][":status"] == "500"
    assert connection.heads[connection.open()][":status"] == "500"


def test_a_mistake_after_it_closes_with_1011(host) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        raise LookupError("inside")

    server, _ = host(app)
    connection = Connection(server.connect())
    stream = connection.open()
    assert connection.receive(stream, 4) == [closing(1011)]


def test_another_version_of_the_protocol_never_reaches_the_application(host) -> None:
    """RFC 6455 §4.4, without the Upgrade field that HTTP/2 does not have."""
    server, app = host(echo)
    connection = Connection(server.connect())
    stream = connection.open(("sec-websocket-version", "8"))
    assert connection.heads[stream][":status"] == "426"
    assert "upgrade" not in connection.heads[stream]
    assert app.scopes == []


def test_a_mounted_application(live) -> None:
    hosted = Script(echo)
    app = App()
    app.mount("/", hosted)
    server = live(app)
    connection = Connection(server.connect())
    stream = connection.open()
    connection.send(stream, frame(TEXT, b"below"))
    assert connection.receive(stream, 7) == [(TEXT, b"below")]
    connection.send(stream, close(1000))
    connection.until(lambda: stream in connection.ended)


def test_requests_beside_it(host) -> None:
    """Frames, answers and refusals share the connection."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await echo(scope, receive, send)
            return
        await send(start())
        await send({"type": "http.response.body", "body": b"plain"})

    server, script = host(app)
    connection = Connection(server.connect())
    stream = connection.open()
    request = connection.h2.get_next_available_stream_id()
    connection.bodies[request] = b""
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]
    connection.h2.send_headers(request, fields, end_stream=True)
    connection.send(stream, frame(TEXT, b"x"))
    connection.until(lambda: request in connection.ended)
    assert connection.bodies[request] == b"plain"
    assert connection.receive(stream, 3) == [(TEXT, b"x")]
    assert script.errors == []


def test_hosted_by_itself(live) -> None:
    """An `App` as an ASGI application, hosted again: both borders in a row."""
    app = App()

    @app.websocket("/")
    async def shout(ws: Any) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message.upper())

    server = live(ASGIApplication(app))
    connection = Connection(server.connect())
    stream = connection.open()
    connection.send(stream, frame(TEXT, b"hello"))
    assert connection.receive(stream, 7) == [(TEXT, b"HELLO")]
    connection.send(stream, close(1000))
    connection.until(lambda: stream in connection.ended)
