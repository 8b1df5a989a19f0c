"""What a connection leaves behind is freed by reference counts: nothing of it is for the collector.

Full collections of the garbage collector hold up every connection of a process, the longer the more
connections there are. Exceptions are what circles are easily made with: their tracebacks lead to
whatever was known where they passed. HTTP/2 has the same in `tests/http2`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from httpkit import WebSocket
from httpkit.app import App
from httpkit.asgi import ASGIApplication
from httpkit.errors import HTTPError
from httpkit.request import Request
from tests.echoing import echo
from tests.garbage import find_garbage
from tests.server.certificates import Authority
from tests.server.conftest import Live
from tests.server.tls import connect, options
from tests.server.wire import Client

#: What may be part of a circle by itself is the parser of h11.
OURS = {
    "Connection",
    "Exchange",
    "HTTP1Engine",
    "HTTPError",
    "HttptoolsParser",
    "MultipartParser",
    "Request",
    "TLSTransport",
    "Task",
    "WebSocketSession",
    "WebSocketUpgrade",
    "_Opening",
    "coroutine",
}

HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def make_app(files: str) -> App:
    app = App()
    app.websocket("/ws")(echo)
    app.static("/files", files)

    @app.get("/")
    async def here(request: Request) -> str:
        return "here"

    @app.get("/stream")
    async def pieces(request: Request) -> AsyncIterator[str]:
        yield "aa"
        yield "bb"

    @app.get("/cut")
    async def cut(request: Request) -> AsyncIterator[str]:
        yield "aa"
        await asyncio.sleep(0)
        raise OSError

    @app.get("/broken")
    async def broken(request: Request) -> None:
        await asyncio.to_thread(int, "no number")

    @app.post("/form")
    async def form(request: Request) -> int:
        return len(await request.form())

    @app.websocket("/refused")
    async def refuse(ws: WebSocket) -> None:
        raise HTTPError(403)

    @app.websocket("/failed")
    async def fail(ws: WebSocket) -> None:
        await ws.accept()
        raise OSError

    @app.websocket("/undecided")
    async def hesitate(ws: WebSocket) -> None:
        await ws.request.early_hints("</a>; rel=preload")
        await asyncio.Event().wait()

    @app.websocket("/grouped")
    async def receive_in_group(ws: WebSocket) -> None:
        await ws.accept()
        async with asyncio.TaskGroup():
            await ws.receive()

    return app


def ask(path: bytes, status: int = 200) -> Callable[[Client], None]:
    """A request that is no plain one, so that httptools sees it."""

    def way(client: Client) -> None:
        client.send(b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
        assert client.receive_rest().startswith(b"HTTP/1.1 %d " % status)

    return way


def open_websocket(path: bytes, status: int = 101) -> Callable[[Client], None]:
    """Open one, and vanish."""

    def way(client: Client) -> None:
        client.send(HANDSHAKE % path)
        assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 %d " % status)

    return way


def close_websocket(client: Client) -> None:
    open_websocket(b"/ws")(client)
    client.send(b"\x81\x82\0\0\0\0ab")
    assert client.receive_exactly(4) == b"\x81\x02ab"
    client.send(b"\x88\x82\0\0\0\0\x03\xe8")
    client.receive_rest()


def leave_undecided(client: Client) -> None:
    open_websocket(b"/undecided", 103)(client)
    client.reset()


def send_malformed_form(client: Client) -> None:
    client.send(
        b"POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n"
        b"Content-Type: multipart/form-data; boundary=a\r\n\r\n--a\r\nno field\r\n\r\nb--"
    )
    assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")


WAYS = {
    "plain": lambda client: client.get(),
    "ask": ask(b"/"),
    "stream": ask(b"/stream"),
    "stream that is cut": ask(b"/cut"),
    "not found": ask(b"/nowhere", 404),
    "no such file": ask(b"/files/none", 404),
    "failure": ask(b"/broken", 500),
    "malformed form": send_malformed_form,
    "websocket": close_websocket,
    "lost websocket": open_websocket(b"/ws"),
    "lost websocket before its answer": leave_undecided,
    "lost websocket of a task group": open_websocket(b"/grouped"),
    "refused websocket": open_websocket(b"/refused", 403),
    "failed websocket": open_websocket(b"/failed"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_connection_leaves_nothing_for_the_garbage_collector(live: Live, tmp_path, way) -> None:
    server = live(make_app(str(tmp_path)))

    def visit() -> None:
        with server.connect() as client:
            way(client)
        server.until(lambda: server.connection() is None)
        server.call(lambda: None)

    assert not find_garbage(visit) & OURS


@pytest.mark.parametrize("way", ["ask", "websocket"])
def test_neither_does_one_with_tls(live: Live, authority: Authority, tmp_path, way: str) -> None:
    server = live(make_app(str(tmp_path)), **options(authority))
    context = authority.client_context()

    def visit() -> None:
        with connect(server, context) as client:
            WAYS[way](client)
        server.until(lambda: server.connection() is None)
        server.call(lambda: None)

    assert not find_garbage(visit) & OURS


async def fail_late(scope, receive, send) -> None:
    """An ASGI application without a lifespan."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await asyncio.sleep(0)
    raise OSError


def test_neither_does_the_failure_of_an_application_that_is_no_app(live: Live) -> None:
    server = live(ASGIApplication(fail_late))

    def visit() -> None:
        with server.connect() as client:
            assert client.get().status == 500
        server.until(lambda: server.connection() is None)
        server.call(lambda: None)

    assert not find_garbage(visit) & OURS
