"""Clients that go away, and what becomes of their requests; nothing may be left behind."""

import asyncio
import contextvars
import gc
import weakref

import pytest

from httpkit.protocol.engine import Deadline
from httpkit.response import Response

from .wire import chunked, make_request


class Slow:
    """A handler that waits to be released, and notes how it ended."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.outcome: list[str] = []
        self.request = None

    async def __call__(self, request):
        self.request = request
        try:
            await self.released.wait()
        except asyncio.CancelledError as error:
            self.outcome.append(f"cancelled: {error}")
            self.disconnected = request.is_disconnected()
            raise
        self.outcome.append("done")
        return Response("slow")


@pytest.fixture
def slow() -> Slow:
    return Slow()


# --- half-close ----------------------------------------------------------------------------------


def test_a_half_closed_client_is_answered(live, slow) -> None:
    server = live(slow)
    client = server.connect()
    client.request()
    client.half_close()
    server.until_receiving(Deadline.HALF_CLOSED)
    assert slow.outcome == []
    assert not server.call(slow.request.is_disconnected)
    server.call(slow.released.set)
    answer = client.receive()
    assert (answer.body, answer.closes) == (b"slow", True)
    client.expect_end()


def test_a_half_closed_client_waits_only_so_long(live, slow) -> None:
    server = live(slow, half_close_timeout=30)
    client = server.connect()
    client.request()
    client.half_close()
    server.until_receiving(Deadline.HALF_CLOSED)
    server.pass_time(29.9)
    assert slow.outcome == []
    server.pass_time(0.2)
    server.until(lambda: slow.outcome)
    assert slow.outcome == ["cancelled: the client has gone"]
    assert slow.disconnected
    client.expect_end()


def test_a_half_closed_client_may_be_slow_while_bytes_flow(live) -> None:
    async def body():
        while True:
            yield "tick"
            await ticks.get()

    ticks: asyncio.Queue[int] = asyncio.Queue()
    server = live(lambda request: Response(body()), half_close_timeout=30)
    client = server.connect()
    client.request()
    client.half_close()
    client.receive_until(b"tick\r\n")
    server.until_receiving(Deadline.HALF_CLOSED)
    for _ in range(5):
        server.pass_time(29)
        server.call(ticks.put_nowait, 1)
        client.receive_until(b"tick\r\n")
    server.pass_time(31)
    # Cut short: there is no last chunk.
    client.expect_end()


def test_a_half_closed_client_on_http_1_0_is_reset(live) -> None:
    """The end of the connection would look like the end of the body."""

    async def body():
        yield "tick"
        await asyncio.Event().wait()

    server = live(lambda request: Response(body()), half_close_timeout=30)
    client = server.connect()
    client.request(version="1.0")
    client.half_close()
    client.receive_until(b"tick")
    server.until_receiving(Deadline.HALF_CLOSED)
    server.pass_time(31)
    client.expect_reset()


def test_the_end_of_input_between_requests_closes(live) -> None:
    server = live()
    client = server.connect()
    client.get()
    client.half_close()
    client.expect_end()
    server.until(lambda: server.connection() is None)


def test_the_end_of_input_before_any_request_closes(live) -> None:
    server = live()
    client = server.connect()
    client.half_close()
    client.expect_end()


def test_the_end_of_input_inside_a_head(live) -> None:
    server = live()
    client = server.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    client.half_close()
    answer = client.receive()
    assert (answer.status, answer.closes) == (400, True)
    client.expect_end()
    assert server.requests == []


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_the_end_of_input_inside_a_body_cancels_at_once(live, slow, framing) -> None:
    server = live(slow)
    client = server.connect()
    client.request("/", framing, method="POST")
    server.until(lambda: slow.request)
    client.half_close()
    server.until(lambda: slow.outcome)
    assert slow.outcome == ["cancelled: the client has gone"]
    assert slow.disconnected
    assert client.receive().status == 400
    client.expect_end()


# --- resets --------------------------------------------------------------------------------------


def test_a_reset_cancels_at_once(live, slow) -> None:
    server = live(slow)
    client = server.connect()
    client.request()
    server.until(lambda: slow.request)
    client.reset()
    server.until(lambda: slow.outcome)
    assert slow.outcome == ["cancelled: the client has gone"]
    assert slow.disconnected
    server.until(lambda: server.server.counters.requests_in_flight == 0)


def test_a_reset_after_a_half_close_is_noticed_by_the_next_write(live) -> None:
    async def body():
        try:
            while True:
                yield b"a" * 100_000
                await asyncio.sleep(0)
        finally:
            outcome.append("closed")

    outcome: list[str] = []
    server = live(lambda request: Response(body()))
    client = server.connect()
    client.request()
    client.half_close()
    client.receive_until(b"\r\n\r\n")
    client.reset()
    server.until(lambda: outcome)


def test_pipelined_requests_of_a_client_that_is_gone_are_not_served(live, slow) -> None:
    server = live(slow)
    client = server.connect()
    client.send(make_request("/1") + make_request("/2"))
    server.until(lambda: slow.request)
    client.reset()
    server.until(lambda: slow.outcome)
    server.until(lambda: server.connection() is None)
    assert server.requests == ["GET /1"]


def test_a_handler_that_swallows_its_cancellation(live) -> None:
    async def handler(request):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("swallowed")
        return Response("nobody reads this")

    outcome: list[str] = []
    server = live(handler)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    client.reset()
    server.until(lambda: outcome)
    server.until(lambda: server.server.counters.requests_in_flight == 0)


def test_a_handler_that_fails_while_it_is_cancelled_is_logged(live, caplog) -> None:
    async def handler(request):
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("broken cleanup")

    server = live(handler)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    client.reset()
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert caplog.text.count("ValueError: broken cleanup") == 1


def test_an_expected_end_is_not_logged(live, slow, caplog) -> None:
    server = live(slow)
    client = server.connect()
    client.request()
    server.until(lambda: slow.request)
    client.reset()
    server.until(lambda: slow.outcome)
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert "failed" not in caplog.text


# --- nothing is left behind ----------------------------------------------------------------------


def test_everything_of_a_request_dies_with_it(live) -> None:
    """Without the garbage collector: reference counts are enough."""
    kept = contextvars.ContextVar("kept")
    alive: list[weakref.ref] = []
    make_stream = None

    async def echo(request):
        kept.set(request)  # as middleware does that wants to know the request everywhere

        async def body():
            async for chunk in request.stream():
                yield chunk

        if request.path == "/stream":
            return Response(body())
        if request.path == "/background":
            return Response("text", background=lambda: request.path)
        return Response(await request.body())

    def plain(request):
        kept.set(request)
        return Response(request.path)

    def handler(request):
        return plain(request) if request.path == "/plain" else echo(request)

    def make_watched_stream(connection, event):
        exchange = make_stream(connection, event)
        alive.append(weakref.ref(exchange))
        return exchange

    server = live(handler)
    make_stream, server.server.make_stream = server.server.make_stream, make_watched_stream
    gc.collect()
    gc.disable()
    try:
        client = server.connect()
        for path in ("/plain", "/later", "/stream", "/background"):
            client.request(path, "Transfer-Encoding: chunked", method="POST")
            client.send(chunked(b"abc"))
            assert client.receive().status == 200
            server.until(lambda: not server.server.background)
        client.send(make_request("/plain") * 10 + make_request("/later") * 10)
        for _ in range(20):
            client.receive()
        gone = server.connect()
        gone.request("/stream", "Content-Length: 5", method="POST")
        gone.receive_until(b"\r\n\r\n")
        gone.reset()
        server.until(lambda: server.server.counters.connections_open == 1)
        assert len(alive) == 25
        server.until(lambda: not any(ref() for ref in alive), "the last reference")
    finally:
        gc.enable()


def test_no_garbage_for_each_request(live) -> None:
    """The collector finds nothing to do: requests leave no circles."""

    async def handler(request):
        return Response(await request.body())

    server = live(handler)
    client = server.connect()
    client.send(make_request(method="POST", body=b"abc"))
    client.receive_until(b"abc")
    gc.collect()
    gc.disable()
    try:
        client.send(make_request(method="POST", body=b"abc") * 50)
        for _ in range(50):
            client.receive_until(b"abc")
        assert server.call(gc.collect) < 50
    finally:
        gc.enable()


def test_counters_after_clients_of_every_kind(live, slow) -> None:
    server = live(slow)
    for _ in range(3):
        client = server.connect()
        client.request()
        client.reset()
    waiting = server.connect()
    waiting.request()
    half = server.connect()
    half.send(b"GET / HT")
    nonsense = server.connect()
    nonsense.send(b"\0")
    nonsense.receive_rest()
    nonsense.close()
    server.until(lambda: server.server.counters.connections_open == 2)
    server.call(slow.released.set)
    waiting.receive()
    waiting.close()
    half.reset()
    server.until(lambda: server.server.counters.connections_open == 0)
    counters = server.server.counters
    assert counters.connections_opened == 6
    assert counters.requests_in_flight == 0
    assert counters.requests_refused == 1
