"""WebSockets over TLS (wss): by HTTP/1.1, byte by byte, and on streams of HTTP/2."""

import socket

import pytest
import websockets

from httpkit import WebSocket, serve
from tests.echoing import echo, make_app
from tests.frames import CLOSE, TEXT, close, frame

from .certificates import Authority
from .conftest import Live
from .live import run
from .test_websocket import Socket
from .test_websocket_http2 import Connection
from .tls import HOST, connect, options


def end_of(client) -> bytes:
    """What is left until the server's close_notify; without one the socket raises."""
    data = b""
    while piece := client.socket.recv(65_536):
        data += piece
    return data


def test_messages_and_both_ends(live: Live, authority: Authority) -> None:
    seen: list[object] = []

    async def handler(ws: WebSocket) -> None:
        request = ws.request
        await ws.accept()
        assert request.tls is not None
        await ws.send(f"{request.url} {request.tls.version}")
        seen.extend([message async for message in ws])
        seen.append((ws.close_code, ws.close_reason))

    server = live(make_app(handler), **options(authority))
    client = connect(server, authority.client_context())
    ws = Socket(client)
    # The request says localhost; the scheme is that of the connection.
    assert ws.receive() == (TEXT, b"https://example.com/ TLSv1.3")
    for byte in frame(TEXT, "é".encode()):  # each a record of its own
        ws.send(bytes([byte]))
    ws.send(frame(TEXT, b"a" * 70_000), close(3000, b"enough"))
    ws.expect_close(3000)
    assert end_of(client) == b""
    server.until(lambda: len(seen) == 3)
    assert seen == ["é", "a" * 70_000, (3000, "enough")]


@pytest.mark.parametrize("how", ["close_notify", "end of input", "reset"])
def test_a_client_that_vanishes(live: Live, authority: Authority, how: str) -> None:
    """With an orderly end of TLS or without, there was no Close (RFC 6455 §7.1.5)."""
    outcome: list[object] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        outcome.append([message async for message in ws])
        outcome.append(ws.close_code)

    server = live(make_app(handler), **options(authority))
    client = connect(server, authority.client_context())
    ws = Socket(client)
    ws.send(frame(TEXT, b"last words"))
    if how == "close_notify":
        client.socket.unwrap()
    elif how == "end of input":
        client.socket.shutdown(socket.SHUT_RDWR)
    else:
        server.until(lambda: server.server.counters.websockets_open)
        client.reset()
    server.until(lambda: len(outcome) == 2)
    assert outcome[1] == 1006
    if how != "reset":
        assert outcome[0] == ["last words"]


def test_a_slow_client_holds_up_its_handler_alone(live: Live, authority: Authority) -> None:
    sent: list[int] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        if ws.query.get("fast"):
            await ws.send("fast")
            return
        for number in range(100):
            await ws.send(b"x" * 262_144)
            sent.append(number)

    server = live(make_app(handler), **options(authority))
    context = authority.client_context()
    slow = Socket(connect(server, context))
    server.until(lambda: server.server.counters.websocket_sends_blocked)
    assert len(sent) < 100
    fast = Socket(connect(server, context), target="/?fast=1")
    assert fast.receive() == (TEXT, b"fast")
    for _ in range(100):
        assert slow.receive() == (0x82, b"x" * 262_144)
    slow.expect_close(1000)


def test_a_graceful_stop(live: Live, authority: Authority) -> None:
    server = live(make_app(echo), **options(authority))
    client = connect(server, authority.client_context())
    ws = Socket(client)
    stopped = server.begin_stop()
    assert ws.expect_close(1001) == "the server is going away"
    ws.send(close(1001))
    assert end_of(client) == b""
    stopped.result(10)


def test_several_on_one_connection_of_http2(live: Live, authority: Authority) -> None:
    """RFC 8441, by ALPN."""
    server = live(make_app(echo), **options(authority))
    client = connect(server, authority.client_context(alpn=["h2"]))
    assert client.socket.selected_alpn_protocol() == "h2"
    connection = Connection(client)
    first, second = connection.open(), connection.open()
    connection.send(first, frame(TEXT, b"one"))
    connection.send(second, frame(TEXT, b"two"))
    assert connection.receive(first, 5) == [(TEXT, b"one")]
    assert connection.receive(second, 5) == [(TEXT, b"two")]
    connection.send(first, close(1000))
    assert connection.receive(first, 4) == [(CLOSE, (1000).to_bytes(2, "big"))]
    connection.send(second, frame(TEXT, b"still open"))
    assert connection.receive(second, 12) == [(TEXT, b"still open")]
    connection.send(second, close(1000))
    connection.until(lambda: second in connection.ended)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_with_the_websockets_library(authority: Authority, loop: str) -> None:
    async def main() -> None:
        context = authority.client_context()
        async with serve(make_app(echo), port=0, access_log=False, **options(authority)) as server:
            url = f"wss://127.0.0.1:{server.addresses[0].port}/"
            async with websockets.connect(
                url, ssl=context, server_hostname=HOST, max_size=None, proxy=None
            ) as ws:
                for size in (0, 125, 65_536, 3_000_000):
                    for message in ("é" * size, b"\xff" * size):
                        await ws.send(message)
                        assert await ws.recv() == message
                await (await ws.ping())
            assert ws.close_code == 1000

    run(main(), loop)
