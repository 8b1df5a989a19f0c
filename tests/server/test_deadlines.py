"""Deadlines on what a peer sends, and on a request as a whole; the clock is turned by hand.

Those of idle connections and of lingering stand in test_keep_alive, of half-closed clients in
test_disconnect, of stalled readers in test_streaming.
"""

import asyncio

import pytest

from httpkit.protocol.engine import Deadline
from httpkit.response import Response

from .wire import make_request

HEAD = make_request("/", "X-Filler: " + "a" * 100)


# --- heads ---------------------------------------------------------------------------------------


def test_a_head_has_ten_seconds(live) -> None:
    server = live()
    client = server.connect()
    client.send(HEAD[:50])
    server.until_receiving(Deadline.HEAD)
    server.pass_time(9.9)
    client.expect_silence()
    server.pass_time(0.2)
    answer = client.receive()
    assert (answer.status, answer.closes) == (408, True)
    client.expect_end()
    assert server.requests == []


def test_drips_do_not_extend_it(live) -> None:
    server = live()
    client = server.connect()
    client.send(HEAD[:20])
    server.until_receiving(Deadline.HEAD)
    engine = server.the_connection().engine
    for i in range(20, 29):
        client.send(HEAD[i : i + 1])
        server.until(lambda i=i: len(engine._buffer) == i + 1)
        server.pass_time(1)
    client.expect_silence()
    client.send(HEAD[29:30])
    server.until(lambda: len(engine._buffer) == 30)
    server.pass_time(1.1)
    assert client.receive().status == 408
    client.expect_end()


def test_each_head_has_its_own_time(live) -> None:
    server = live()
    client = server.connect()
    for _ in range(3):
        client.send(HEAD[:50])
        server.until_receiving(Deadline.HEAD)
        server.pass_time(9.9)
        client.send(HEAD[50:])
        assert client.receive().status == 200


def test_a_slow_handler_is_no_slow_head(live) -> None:
    """The time a handler takes does not count against the head that waits behind it."""

    async def handler(request):
        await released.wait()
        return Response("done")

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.send(HEAD + HEAD[:50])
    server.until(lambda: server.requests)
    server.pass_time(1000, 1000)
    server.call(released.set)
    assert client.receive().status == 200
    server.until_receiving(Deadline.HEAD)
    server.pass_time(9.9)
    client.send(HEAD[50:])
    assert client.receive().status == 200


# --- bodies --------------------------------------------------------------------------------------


async def read_body(request):
    return Response(str(len(await request.body())))


def upload(server, size: int = 1_000_000):
    client = server.connect()
    client.request("/", f"Content-Length: {size}", method="POST")
    server.until_receiving(Deadline.BODY)
    return client, server.the_connection().engine


def test_a_body_needs_a_rate_after_its_grace(live) -> None:
    server = live(read_body, body_grace=5, min_body_rate=240)
    client, engine = upload(server)
    server.pass_time(4.9)
    client.expect_silence()
    client.send(b"a" * 240)  # a second more
    server.until(lambda: engine.body_received == 240)
    server.pass_time(1.0)
    client.expect_silence()
    server.pass_time(0.2)
    answer = client.receive()
    assert (answer.status, answer.closes) == (408, True)
    client.expect_end()


def test_a_steady_body_is_never_late(live) -> None:
    server = live(read_body, body_grace=5, min_body_rate=240)
    client, engine = upload(server, 24_000)
    for i in range(100):
        client.send(b"a" * 240)
        server.until(lambda i=i: i == 99 or engine.body_received == 240 * (i + 1))
        server.pass_time(1)
    assert client.receive().body == b"24000"


def test_a_handler_is_cancelled_when_its_body_is_late(live) -> None:
    async def handler(request):
        try:
            await request.body()
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    outcome: list[str] = []
    server = live(handler)
    client, _ = upload(server)
    server.pass_time(5.1)
    server.until(lambda: outcome)
    assert client.receive().status == 408


def test_a_late_body_of_an_answer_that_has_begun(live) -> None:
    """There can be no second answer: the first is cut short."""

    async def handler(request):
        async def body():
            yield b"first"
            async for chunk in request.stream():
                yield chunk

        return Response(body())

    server = live(handler)
    client, _ = upload(server)
    client.receive_until(b"first\r\n")
    server.pass_time(5.1)
    client.expect_end()


def test_the_rate_may_be_switched_off(live) -> None:
    server = live(read_body, min_body_rate=None)
    client, _ = upload(server, 3)
    server.pass_time(1000, 1000)
    client.send(b"abc")
    assert client.receive().body == b"3"


def test_a_request_may_have_a_rate_of_its_own(live) -> None:
    """As routes set it: the server's holds until somebody says otherwise."""

    async def handler(request):
        request.min_body_rate = {"/slow": 10, "/any": None}.get(request.path, ...)
        return Response(b"%d" % len(await request.body()))

    server = live(handler, body_grace=5, min_body_rate=240)
    connections = {}
    for path in ("/", "/slow", "/any"):
        client = connections[path] = server.connect()
        client.request(path, "Content-Length: 30", method="POST")
        server.until(lambda path=path: path in str(server.requests[-1:]))
        client.send(b"a" * 20)
    server.until(lambda: sum(c.engine.body_received for c in server.server._connections) == 60)
    server.pass_time(5.5)
    assert connections["/"].receive().status == 408
    server.pass_time(2)
    assert connections["/slow"].receive().status == 408
    server.pass_time(1000)
    connections["/any"].send(b"a" * 10)
    assert connections["/any"].receive().body == b"30"


def test_a_client_that_waits_for_continue_is_not_late(live) -> None:
    async def handler(request):
        await released.wait()
        return Response(await request.body())

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.request("/", "Expect: 100-continue", "Content-Length: 3", method="POST")
    server.until(lambda: server.requests)
    server.pass_time(1000, 1000)
    client.expect_silence()
    server.call(released.set)
    client.receive_until(b"100 Continue\r\n\r\n")
    # From here on it is the client that makes the handler wait.
    server.pass_time(4.9)
    client.expect_silence()
    server.pass_time(0.2)
    assert client.receive().status == 408


# --- a request as a whole ------------------------------------------------------------------------


def test_request_timeout(live, caplog) -> None:
    async def handler(request):
        try:
            await asyncio.Event().wait()
        finally:
            outcome.append("ended")

    outcome: list[str] = []
    server = live(handler, request_timeout=10)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.pass_time(9.9)
    assert outcome == []
    server.pass_time(0.2)
    answer = client.receive()
    assert (answer.status, answer.closes) == (503, False)
    assert answer.body == b"503 The request took too long.\n"
    assert outcome == ["ended"]
    assert "took longer than 10 s" in caplog.text
    assert "Traceback" not in caplog.text
    server.application.handler = lambda request: Response("next")
    assert client.get().body == b"next"


def test_request_timeout_in_mid_stream(live) -> None:
    async def body():
        yield b"first"
        await asyncio.Event().wait()

    server = live(lambda request: Response(body()), request_timeout=10)
    client = server.connect()
    client.request()
    client.receive_until(b"first\r\n")
    server.pass_time(10.1)
    client.expect_end()


def test_request_timeout_that_a_handler_answers_itself(live) -> None:
    async def handler(request):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Response("fallback")

    server = live(handler, request_timeout=10)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.pass_time(10.1, 100)
    assert client.receive().body == b"fallback"


def test_request_timeout_of_a_handler_that_fails(live, caplog) -> None:
    """What goes wrong in its cleanup is a bug, and logged as one."""

    async def handler(request):
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("broken cleanup")

    server = live(handler, request_timeout=10)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.pass_time(10.1)
    assert client.receive().status == 500
    assert "ValueError: broken cleanup" in caplog.text


def test_a_client_that_leaves_after_the_request_timeout(live, caplog) -> None:
    async def handler(request):
        try:
            await asyncio.Event().wait()
        finally:
            await released.wait()

    released = asyncio.Event()
    server = live(handler, request_timeout=10)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.pass_time(10.1)
    client.reset()
    server.until(lambda: server.connection() is None)
    server.call(released.set)
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert "failed" not in caplog.text


@pytest.mark.parametrize("timeout", [None, 10])
def test_a_request_in_time_hears_nothing_of_it(live, timeout) -> None:
    async def handler(request):
        await released.wait()
        return Response("done")

    released = asyncio.Event()
    server = live(handler, request_timeout=timeout)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.pass_time(5)
    server.call(released.set)
    assert client.receive().body == b"done"


def test_the_reaper_runs_by_itself(live) -> None:
    """Here nobody scans by hand: the loop's own timer does."""
    server = live(header_timeout=0.02)
    client = server.connect()
    server.until_receiving(Deadline.FIRST)

    def advance() -> bool:
        server.clock.now += 1
        return server.connection() is None

    server.until(advance)
    client.expect_end()
