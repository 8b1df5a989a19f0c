"""The hot path is a budget: Python calls for each request, counted, so that it cannot grow unseen.

`sys.setprofile` counts calls of Python functions from the bytes of a request to the bytes of its
answer: no clock, no noise. A change that needs more has to raise the number here, and to say why.
"""

import asyncio
import contextlib
import gc
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hpack import Encoder

from httpkit import App, Request, WebSocket
from httpkit.middleware import ResponseCache, cache
from httpkit.protocol.http2 import PREFACE
from httpkit.server.config import Config
from httpkit.server.server import Server
from httpkit.transport.connection import Connection
from httpkit.transport.loop import new_event_loop
from tests.echoing import echo
from tests.frames import TEXT
from tests.frames import frame as websocket_frame
from tests.server.certificates import Authority
from tests.transport.tls_pair import Contexts, TLSPair, make_contexts

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BROWSER = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n%b\r\n" % b"".join(
    b"X-Field-%d: value %d\r\n" % (n, n) for n in range(13)
)
POST = b"POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024

#: Python calls for each request, from bytes to bytes.
BUDGETS = {
    "GET": (GET, 1, 19),
    "path parameter": (b"GET /users/42 HTTP/1.1\r\nHost: localhost\r\n\r\n", 1, 26),
    "15 headers": (BROWSER, 1, 21),
    "16 pipelined": (GET * 16, 16, 17),
    "POST 1 KiB": (POST, 1, 27),
    # No coroutine, and the handler does not run.
    "cache hit": (b"GET /cached HTTP/1.1\r\nHost: localhost\r\n\r\n", 1, 25),
}


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big")
    return head + payload


_ENCODER = Encoder()
_FIELDS = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "localhost")]
#: What a client of HTTP/2 sends first, with two requests that teach HPACK.
GREETING = PREFACE + frame(4, 0, 0) + frame(1, 5, 1, _ENCODER.encode(_FIELDS))
#: What it sends for each request after that, but for the stream id.
HTTP2_GET = _ENCODER.encode(_FIELDS)
#: Python calls for one request alone, and for each of 32 in one read.
HTTP2_BUDGETS = {1: 29, 32: 16}
#: Python calls for one request in one record of TLS, and for each of 16 in one.
TLS_BUDGETS = {1: 23, 16: 16}
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
#: A range of a file, and the Python calls for it.
RANGE = b"GET /video.mp4 HTTP/1.1\r\nHost: localhost\r\nRange: bytes=65536-131071\r\n\r\n"
RANGE_BUDGET = 53
#: Python calls for each message of an echo, alone and of 100 in one read.
WEBSOCKET_BUDGETS = {1: 29, 100: 4.5}


class Transport(asyncio.Transport):
    """Takes writes, and notes whether it is read."""

    def __init__(self, connected: socket.socket | None = None) -> None:
        super().__init__({} if connected is None else {"socket": connected})
        self.writes: list[bytes] = []
        self._reading = True

    def write(self, data: Any) -> None:
        self.writes.append(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def is_closing(self) -> bool:
        return False


def make_app() -> App:
    app = App()

    @app.get("/")
    async def index(request: Request) -> str:
        return "Hello, World!"

    @app.get("/users/{id:int}")
    async def user(request: Request, id: int) -> dict[str, int]:
        return {"id": id}

    stands_still = partial(float, 1_800_000_000)

    @app.get("/cached", middleware=[ResponseCache(clock=stands_still), cache(60)])
    async def cached(request: Request) -> str:
        return "Hello, World!"

    app.websocket("/echo")(echo)

    @app.post("/length")
    async def length(request: Request) -> str:
        return str(len(await request.body()))

    return app


@contextlib.asynccontextmanager
async def connected(http1: str) -> AsyncIterator[tuple[Connection, Transport]]:
    """A connection of a server that listens nowhere."""
    server = Server(make_app(), Config.of(access_log=False, http1=http1))
    await server.start(listen=False)
    transport = Transport()
    connection = server.make_connection()
    connection.connection_made(transport)
    yield connection, transport
    connection.connection_lost(None)
    await server.stop()


def count_calls(connection: asyncio.Protocol, data: bytes) -> Counter[str]:
    """Python functions called while a connection takes `data`, by name."""
    calls: Counter[str] = Counter()

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            calls[frame.f_code.co_qualname] += 1

    gc.disable()  # finalizers of what other tests left behind are not part of the path
    sys.setprofile(profile)
    try:
        connection.data_received(data)
    finally:
        sys.setprofile(None)
        gc.enable()
    calls.subtract(("count_calls", "Transport.write"))
    return +calls


def in_callback(function: Any) -> Any:
    """Run a function as the loop would: outside any task."""

    async def run(http1: str, *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        async with connected(http1) as (connection, transport):
            result = loop.create_future()
            loop.call_soon(lambda: result.set_result(function(connection, transport, *arguments)))
            return await result

    def call(http1: str, *arguments: Any) -> Any:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(run(http1, *arguments))

    return call


@in_callback
def measure(connection: Connection, transport: Transport, data: bytes) -> tuple[Counter[str], int]:
    connection.data_received(data)  # heads of answers are prebuilt
    # The next head is as the last one, except where the road of other heads is measured.
    connection.data_received(GET if data is BROWSER else data)
    before = len(transport.writes)
    return count_calls(connection, data), len(transport.writes) - before


@pytest.mark.parametrize("name", BUDGETS)
def test_calls_stay_within_the_budget(name: str) -> None:
    data, requests, budget = BUDGETS[name]
    calls, _ = measure("native", data)
    assert calls.total() <= budget * requests, f"{calls.total()} calls: {dict(calls)}"


@in_callback
def measure_http2(connection: Connection, transport: Transport, streams: int) -> tuple[int, int]:
    connection.data_received(GREETING)
    connection.data_received(frame(1, 5, 3, HTTP2_GET))
    requests = b"".join(frame(1, 5, 5 + 2 * number, HTTP2_GET) for number in range(streams))
    before = len(transport.writes)
    calls = count_calls(connection, requests)
    return calls.total(), len(transport.writes) - before


@pytest.mark.parametrize("streams", HTTP2_BUDGETS)
def test_streams_of_http2_stay_within_the_budget(streams: int) -> None:
    calls, writes = measure_http2("native", streams)
    assert calls <= HTTP2_BUDGETS[streams] * streams
    assert writes == 1


@in_callback
def measure_tls(
    connection: Connection, _: Transport, contexts: Contexts, requests: int
) -> tuple[Counter[str], int]:
    pair = TLSPair(contexts, connection)
    for _ in range(2):
        pair.transport.data_received(pair.records(GET))
    raw = Transport()
    pair.transport._raw = raw
    return count_calls(pair.transport, pair.records(GET * requests)), len(raw.writes)


@pytest.mark.parametrize("requests", TLS_BUDGETS)
def test_tls_stays_within_the_budget(requests: int, tmp_path: Path) -> None:
    calls, writes = measure_tls("native", make_contexts(Authority(tmp_path)), requests)
    budget = TLS_BUDGETS[requests] * requests
    assert calls.total() <= budget, f"{calls.total()} calls: {dict(calls)}"
    assert writes == 1


async def receive_answer(connected: socket.socket) -> bytes:
    """An answer to `RANGE`, whole."""
    answer = b""
    while len(answer.partition(b"\r\n\r\n")[2]) < 65_536:
        answer += await asyncio.get_running_loop().sock_recv(connected, 1 << 20)
    return answer


async def measure_range(root: Path) -> tuple[Counter[str], bytes]:
    """A range of a large file, from the file to the socket by sendfile(2)."""
    path = root / "video.mp4"
    path.touch()
    os.truncate(path, 100 << 20)
    os.utime(path, (0, 0))  # one that has just changed would not be kept open
    app = App()
    app.static("/", root)
    server = Server(app, Config.of(access_log=False))
    await server.start(listen=False)
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        connection = server.make_connection()
        connection.connection_made(Transport(ours))
        connection.data_received(RANGE)  # a thread opens the file
        await receive_answer(theirs)
        counted = loop.create_future()
        loop.call_soon(lambda: counted.set_result(count_calls(connection, RANGE)))
        calls, answer = await counted, await receive_answer(theirs)
        connection.connection_lost(None)
    await server.stop()
    return calls, answer


def test_a_range_of_a_file_stays_within_the_budget(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        calls, answer = runner.run(measure_range(tmp_path))
    assert answer.startswith(b"HTTP/1.1 206 ")
    assert calls.total() <= RANGE_BUDGET, f"{calls.total()} calls: {dict(calls)}"


async def measure_websocket(messages: int) -> tuple[Counter[str], list[bytes]]:
    """Echo messages of one read; counts until the loop has nothing left to do."""
    async with connected("native") as (connection, transport):
        connection.data_received(HANDSHAKE)
        for _ in range(5):
            await asyncio.sleep(0)
        message = websocket_frame(TEXT, b"a" * 20)
        for _ in range(2):
            transport.writes.clear()
            calls: Counter[str] = Counter()

            def profile(frame: Any, event: str, _: Any, calls: Counter[str] = calls) -> None:
                if event == "call":
                    calls[frame.f_code.co_qualname] += 1

            def receive(profile: Any = profile) -> None:
                sys.setprofile(profile)
                connection.data_received(message * messages)

            gc.disable()
            try:
                # In a callback, as transports do: within a task nobody can be woken at once.
                asyncio.get_running_loop().call_soon(receive)
                for _ in range(4):
                    await asyncio.sleep(0)
            finally:
                sys.setprofile(None)
                gc.enable()
        for name in ("Transport.write", "sleep", "__sleep0", "measure_websocket"):
            del calls[name]
        return calls, transport.writes


@pytest.mark.parametrize("messages", WEBSOCKET_BUDGETS)
def test_messages_of_a_websocket_stay_within_the_budget(messages: int) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        calls, writes = runner.run(measure_websocket(messages))
    assert calls.total() <= WEBSOCKET_BUDGETS[messages] * messages, dict(calls)
    assert b"".join(writes) == websocket_frame(TEXT, b"a" * 20, key=None) * messages
    assert len(writes) == 1


async def send_in_turns(turns: list[int]) -> list[int]:
    """Writes for so many messages in each turn of the loop, none of them an answer."""
    app, opened = App(), asyncio.get_running_loop().create_future()

    @app.websocket("/echo")
    async def hold(websocket: WebSocket) -> None:
        await websocket.accept()
        opened.set_result(websocket)
        async for _ in websocket:
            pass

    server = Server(app, Config.of(access_log=False))
    await server.start(listen=False)
    transport, connection = Transport(), server.make_connection()
    connection.connection_made(transport)
    connection.data_received(HANDSHAKE)
    websocket = await opened
    await asyncio.sleep(0)
    writes = []
    for messages in turns:
        transport.writes.clear()
        for number in range(messages):
            await websocket.send(str(number))
        at_once = len(transport.writes)
        for _ in range(3):
            await asyncio.sleep(0)
        writes += [at_once, len(transport.writes)]
        sent = [websocket_frame(TEXT, b"%d" % number, key=None) for number in range(messages)]
        assert b"".join(transport.writes) == b"".join(sent)
    connection.connection_lost(None)
    await server.stop()
    return writes


@pytest.mark.parametrize("make_loop", [new_event_loop, asyncio.new_event_loop])
def test_the_first_message_of_a_turn_is_written_at_once_and_the_others_together(make_loop) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(send_in_turns([1, 3, 2])) == [1, 1, 1, 2, 1, 2]


@pytest.mark.parametrize("http1", ["native", "reference"])
@pytest.mark.parametrize("name", BUDGETS)
def test_a_batch_is_one_write(http1: str, name: str) -> None:
    data, _, _ = BUDGETS[name]
    _, writes = measure(http1, data)
    assert writes == 1
