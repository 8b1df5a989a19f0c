"""What a connection leaves behind is freed by reference counts: nothing of it is for the collector.

Full collections of the garbage collector hold up every connection of a process, the longer the more
connections there are.
"""

import gc
from collections import Counter

import pytest

from httpkit.app import App
from httpkit.request import Request
from tests.echoing import echo
from tests.server.wire import Client

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def ask(client: Client) -> None:
    assert client.get().body == b"here"


def stream(client: Client) -> None:
    assert client.get("/stream").body == b"aabb"


def close_websocket(client: Client) -> None:
    client.send(HANDSHAKE)
    client.receive_until(b"\r\n\r\n")
    client.send(b"\x81\x82\0\0\0\0ab")
    assert client.receive_exactly(4) == b"\x81\x02ab"
    client.send(b"\x88\x82\0\0\0\0\x03\xe8")
    client.receive_rest()


def lose_websocket(client: Client) -> None:
    client.send(HANDSHAKE)
    client.receive_until(b"\r\n\r\n")


@pytest.mark.parametrize("way", [ask, stream, close_websocket, lose_websocket])
def test_a_connection_leaves_nothing_for_the_garbage_collector(live, way) -> None:
    app = App()

    @app.get("/")
    async def here(request: Request) -> str:
        return "here"

    @app.get("/stream")
    async def pieces(request: Request):
        yield "aa"
        yield "bb"

    app.websocket("/ws")(echo)
    server = live(app)

    def visit() -> None:
        with server.connect() as client:
            way(client)
        server.until(lambda: server.connection() is None)
        server.call(lambda: None)

    for _ in range(3):  # what is made once
        visit()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(5):
            visit()
        gc.collect()
        left = Counter(type(each).__qualname__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    kinds = {name for name, number in left.items() if number >= 5}
    assert not kinds & {"Connection", "Exchange", "Request", "WebSocketSession", "Task"}, left
    assert not kinds & {"_Opening", "WebSocketUpgrade", "HTTP1Engine", "coroutine"}, left
