"""A tap sees every byte of every connection, and can harm none."""

import logging
from collections.abc import Iterator

import pytest

from httpkit.response import Response, Upgrade
from httpkit.server.server import Server

from .live import Script
from .wire import make_request

HELLO = b"\r\n\r\nHello"


class Recorder:
    """A tap that keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []
        self.times: list[float] = []

    def __call__(self, connection_id: str, direction: str, data: bytes, now: float) -> None:
        assert type(data) is bytes
        self.seen.append((connection_id, direction, data))
        self.times.append(now)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return ((direction, data) for _, direction, data in self.seen)

    def stream(self, direction: str, number: int = 1) -> bytes:
        """All bytes of one direction, which must have ended once, after the last of them."""
        pieces = [
            data
            for name, way, data in self.seen
            if name.endswith(f"-{number}") and way == direction
        ]
        assert pieces[-1] == b""
        assert b"" not in pieces[:-1]
        return b"".join(pieces)


@pytest.fixture
def tap() -> Recorder:
    return Recorder()


def close(server, client) -> None:
    client.close()
    server.until(lambda: server.server.counters.connections_open == 0)


def test_one_request(live, tap) -> None:
    server = live(tap=tap)
    server.clock.now = 5.0
    client = server.connect()
    request = make_request("/path?x=1")
    client.send(request)
    answer = client.receive_until(HELLO)
    close(server, client)
    assert [way for way, _ in tap][:2] == ["received", "sent"]
    assert tap.stream("received") == request
    assert tap.stream("sent") == answer
    assert set(tap.times) == {5.0}


def test_connections_are_told_apart(live, tap) -> None:
    """By the name that logs and request ids show."""
    ids = []
    server = live(lambda request: Response(ids.append(request.id) or "Hello"), tap=tap)
    for _ in range(2):
        client = server.connect()
        client.get()
        close(server, client)
    assert tap.stream("received", 1) == tap.stream("received", 2) == make_request()
    names = list(dict.fromkeys(name for name, _, _ in tap.seen))
    assert [each.removesuffix("-1") for each in ids] == names


def test_pipelined_requests_are_shown_as_they_come_and_go(live, tap) -> None:
    server = live(tap=tap)
    client = server.connect()
    client.send(make_request() * 3)
    answers = b"".join(client.receive_until(HELLO) for _ in range(3))
    close(server, client)
    assert tap.stream("received") == make_request() * 3
    assert tap.stream("sent") == answers
    assert len([data for way, data in tap if way == "sent"]) == 2  # one write, and the end


def test_bodies_under_backpressure(live, tap) -> None:
    async def handler(request):
        async def chunks():
            async for piece in request.stream():
                yield piece

        return Response(chunks())

    server = live(handler, tap=tap)
    client = server.connect(receive_buffer=4096)
    body = b"0123456789abcdef" * 20_000
    client.send(make_request(method="POST", body=body[:5]).replace(b": 5\r", b": 320000\r"))
    sent = 5
    received = b""
    while sent < len(body):
        client.send(body[sent : sent + 20_000])
        sent += 20_000
        received += client.receive_until(b"\r\n")
    received += client.receive_until(b"\r\n0\r\n\r\n")
    close(server, client)
    assert tap.stream("received").endswith(body)
    assert tap.stream("sent") == received


def test_an_upgraded_stream(live, tap) -> None:
    async def session(stream) -> None:
        while data := await stream.receive():
            await stream.send(data.upper())

    server = live(lambda request: Upgrade("shout", session), tap=tap)
    client = server.connect()
    request = make_request("/", "Connection: upgrade", "Upgrade: shout")
    client.send(request)
    head = client.receive_until(b"\r\n\r\n")
    client.send(b"hello")
    assert client.receive_exactly(5) == b"HELLO"
    client.half_close()
    client.expect_end()
    server.until(lambda: server.server.counters.connections_open == 0)
    assert tap.stream("received") == request + b"hello"
    assert tap.stream("sent") == head + b"HELLO"


def test_refused_input_and_the_end_of_both_sides(live, tap) -> None:
    server = live(tap=tap)
    client = server.connect()
    client.send(b"nonsense\r\n\r\n")
    answer = client.receive_rest()
    client.half_close()
    server.until(lambda: server.server.counters.connections_open == 0)
    assert tap.stream("received") == b"nonsense\r\n\r\n"
    assert tap.stream("sent") == answer
    ends = [way for way, data in tap if not data]
    assert ends == ["sent", "received"]


def test_a_reset(live, tap) -> None:
    server = live(tap=tap)
    client = server.connect()
    client.send(b"GET / HT")
    server.until(lambda: tap.seen)
    client.reset()
    server.until(lambda: server.server.counters.connections_open == 0)
    assert tap.stream("received") == b"GET / HT"
    assert tap.stream("sent") == b""


def test_a_tap_that_fails_is_switched_off(live, caplog) -> None:
    calls: list[str] = []

    def tap(number, direction, data, now) -> None:
        calls.append(direction)
        if direction == "sent":
            raise ZeroDivisionError

    server = live(tap=tap)
    client, other = server.connect(), server.connect()
    server.until(lambda: server.server.counters.connections_open == 2)
    assert client.get().body == b"Hello"
    assert client.get().body == other.get().body == server.connect().get().body == b"Hello"
    assert calls == ["received", "sent"]
    assert server.server.tap is None
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage() == "the tap has failed and is switched off"
    assert record.exc_info[0] is ZeroDivisionError


def test_a_tap_for_connections_to_come(live, tap) -> None:
    """Nobody pays for it before: a connection that is open stays what it is."""
    server = live()
    old = server.connect()
    old.get()
    server.server.tap = tap
    old.get()
    assert tap.seen == []
    new = server.connect()
    new.get()
    close_all = [old, new]
    for client in close_all:
        client.close()
    server.until(lambda: server.server.counters.connections_open == 0)
    assert tap.stream("received", 2) == make_request()
    assert {name for name, _, _ in tap.seen} == {f"{server.server.instance}-2"}


def test_without_a_tap_a_connection_is_a_plain_one() -> None:
    from httpkit.server.config import Config
    from httpkit.transport.connection import Connection

    server = Server(Script(), Config())
    assert type(server.make_connection()) is Connection
