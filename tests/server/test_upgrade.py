"""Leaving HTTP: accepted, refused and ignored upgrades."""

import asyncio

import pytest

from httpkit.errors import ClientDisconnected
from httpkit.protocol.engine import Deadline
from httpkit.response import Response, Upgrade

from .wire import make_request

OFFER = make_request("/", "Connection: upgrade", "Upgrade: echo, other")


async def shout(stream) -> None:
    while data := await stream.receive():
        await stream.send(data.upper())


def accept(request):
    return Upgrade("echo", shout, {"x-hello": "you"})


def shake_hands(client, extra: bytes = b"") -> bytes:
    client.send(OFFER + extra)
    head = client.receive_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"upgrade: echo\r\n" in head
    assert b"connection: upgrade\r\n" in head
    return head


def test_bytes_both_ways(live) -> None:
    server = live(accept)
    client = server.connect()
    assert b"x-hello: you\r\n" in shake_hands(client)
    for i in range(3):
        client.send(b"hello %d" % i)
        assert client.receive_exactly(7) == b"HELLO %d" % i
    client.half_close()
    client.expect_end()
    assert server.requests == ["GET /"]


def test_leftover_bytes_of_the_handshake(live) -> None:
    client = live(accept).connect()
    shake_hands(client, b"early bird")
    assert client.receive_exactly(10) == b"EARLY BIRD"
    client.send(b"\r\n\r\nGET")
    assert client.receive_exactly(7) == b"\r\n\r\nGET"


def test_the_end_of_a_session_ends_the_connection(live) -> None:
    async def session(stream):
        await stream.send(b"bye")

    client = live(lambda request: Upgrade("echo", session)).connect()
    shake_hands(client, b"nobody reads this")
    assert client.receive_rest() == b"bye"


def test_an_answer_after_a_slow_decision(live) -> None:
    async def handler(request):
        await released.wait()
        return Upgrade("echo", shout)

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.send(OFFER + b"ahead")
    server.until(lambda: server.requests)
    client.expect_silence()
    server.call(released.set)
    client.receive_until(b"\r\n\r\n")
    assert client.receive_exactly(5) == b"AHEAD"


@pytest.mark.parametrize("protocol", ["foo", "h2c", "websocket"])
def test_an_upgrade_nobody_accepts_is_ignored(live, protocol) -> None:
    server = live()
    client = server.connect()
    client.send(make_request("/", "Connection: upgrade", f"Upgrade: {protocol}") + make_request())
    for _ in range(2):
        answer = client.receive()
        assert (answer.status, answer.closes) == (200, False)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "offer",
    [
        make_request(),
        make_request("/", "Connection: upgrade", "Upgrade: other"),
        make_request("/", "Upgrade: echo"),
        make_request("/", "Connection: upgrade", "Upgrade: echo", version="1.0"),
        make_request("/", "Connection: upgrade", "Upgrade: echo", method="POST", body=b"a"),
    ],
    ids=["no offer", "another protocol", "not in Connection", "HTTP/1.0", "a body"],
)
def test_what_was_not_offered_cannot_be_accepted(live, caplog, offer) -> None:
    client = live(accept).connect()
    client.send(offer)
    assert client.receive().status == 500
    assert "did not offer to upgrade" in caplog.text


def test_a_session_that_fails_resets(live, caplog) -> None:
    async def session(stream):
        await stream.send(b"so far")
        raise ValueError("broken session")

    client = live(lambda request: Upgrade("echo", session)).connect()
    shake_hands(client)
    client.expect_reset()
    assert "broken session" in caplog.text


def test_a_client_that_leaves_cancels_the_session(live) -> None:
    async def session(stream):
        try:
            await asyncio.Event().wait()
        finally:
            outcome.append("ended")

    outcome: list[str] = []
    server = live(lambda request: Upgrade("echo", session))
    client = server.connect()
    shake_hands(client)
    client.reset()
    server.until(lambda: outcome)


def test_a_session_that_catches_its_cancellation(live) -> None:
    """Reading gives the end, writing says that nobody is there."""

    async def session(stream):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append(await stream.receive())
        try:
            await stream.send(b"hello?")
        except ClientDisconnected:
            outcome.append("gone")

    outcome: list[object] = []
    server = live(lambda request: Upgrade("echo", session))
    client = server.connect()
    shake_hands(client)
    client.reset()
    server.until(lambda: len(outcome) == 2)
    assert outcome == [b"", "gone"]


def test_a_peer_that_ended_its_side_before_the_session_began(live) -> None:
    async def handler(request):
        await released.wait()
        return Upgrade("echo", session)

    async def session(stream):
        while data := await stream.receive():
            received.append(data)
        received.append(b"end")

    received: list[bytes] = []
    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.send(OFFER + b"last words")
    client.half_close()
    server.until_receiving(Deadline.HALF_CLOSED)
    server.call(released.set)
    client.receive_until(b"\r\n\r\n")
    client.expect_end()
    assert received == [b"last words", b"end"]


def test_an_upgrade_behind_many_requests_and_the_end(live) -> None:
    """All of it is read before the first answer; the session still learns of the end."""

    def handler(request):
        return Upgrade("echo", shout) if "upgrade" in request.headers else Response("plain")

    server = live(handler, pipeline_depth=2)
    client = server.connect()
    client.send(make_request() * 20 + OFFER)
    client.half_close()
    for _ in range(20):
        assert client.receive().body == b"plain"
    assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    client.expect_end()


def test_reading_pauses_while_a_session_is_slow(live) -> None:
    async def session(stream):
        await released.wait()
        while data := await stream.receive():
            sizes.append(len(data))

    sizes: list[int] = []
    released = asyncio.Event()
    server = live(lambda request: Upgrade("echo", session), body_buffer=10_000)
    client = server.connect(send_buffer=65_536)
    shake_hands(client)
    flood = b"a" * 30_000_000
    sent = client.fill(flood, server.reading_is_paused)
    assert sent < len(flood)
    connection = server.the_connection()
    assert server.call(lambda: connection.engine._unconsumed) <= 10_000 + 262_144
    server.call(released.set)
    client.half_close()
    client.expect_end()
    assert sum(sizes) == sent


def test_several_tasks_of_a_session_may_write_at_once(live) -> None:
    """Each of them waits for a peer that is slow, and each of them is woken."""

    async def session(stream):
        async def write(data: bytes) -> None:
            for _ in range(100):
                await stream.send(data * 50_000)

        async with asyncio.TaskGroup() as group:
            group.create_task(write(b"a"))
            group.create_task(write(b"b"))
            group.create_task(write(b"c"))

    server = live(lambda request: Upgrade("echo", session))
    client = server.connect(receive_buffer=65_536)
    shake_hands(client)
    data = client.receive_rest()
    assert len(data) == 15_000_000
    assert data.count(b"a") == data.count(b"b") == data.count(b"c")


def test_writers_of_a_session_learn_that_the_client_is_gone(live) -> None:
    """Also those that the session has started and does not wait for."""

    async def session(stream):
        async def write() -> None:
            while True:
                await stream.send(b"a" * 100_000)

        writers.append(asyncio.create_task(write()))
        await asyncio.Event().wait()

    writers: list[asyncio.Task] = []
    server = live(lambda request: Upgrade("echo", session))
    client = server.connect(receive_buffer=65_536)
    shake_hands(client)
    connection = server.the_connection()
    server.until(lambda: connection.blocked)
    client.reset()
    server.until(writers[0].done)
    assert isinstance(writers[0].exception(), ClientDisconnected)


def test_no_deadline_of_a_request_ends_a_session(live) -> None:
    server = live(accept, request_timeout=10, keep_alive_timeout=10, header_timeout=10)
    client = server.connect()
    shake_hands(client)
    server.pass_time(1000, 1000)
    client.send(b"still there")
    assert client.receive_exactly(11) == b"STILL THERE"
