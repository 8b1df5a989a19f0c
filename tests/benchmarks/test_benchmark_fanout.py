"""Fan-outs: verified, loaded through a real server, and judged message by message."""

import asyncio
import dataclasses
import re

import pytest
from benchmark_peers import make_load

from benchmarks.apps import httpkit_websocket_app
from benchmarks.cases import CASES
from benchmarks.clients import VerificationError
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.load import GENERATORS, LoadError
from benchmarks.load.fanout import GREETING, Member, Poster, Room, percentile, post_messages
from benchmarks.load.frames import TEXT, serialize_frame
from benchmarks.messages import JOINED, SENT
from benchmarks.verify import verify
from httpkit import App
from httpkit.testing import LiveServer

CASE = dataclasses.replace(CASES["ws-fanout-1000"], connections=2)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + SENT


@pytest.fixture(scope="module")
def endpoint():
    """The benchmark application itself."""
    with LiveServer(httpkit_websocket_app.app, host=HOST) as server:
        yield Endpoint(server.port)


def ticking():
    """Return a clock on which each look takes a second."""
    seconds = iter(range(1000))
    return lambda: float(next(seconds))


def test_the_case_has_a_thousand_members():
    case = CASES["ws-fanout-1000"]
    assert (case.connections, case.generator, case.depth) == (1000, "fanout", 1)


def test_the_application_is_verified(endpoint):
    verify(CASE, endpoint, canned=False)


def room_app(*, members=True, copies=1, answer=SENT, greeting=JOINED):
    """Make a room that does one thing otherwise."""
    app, room = App(), []

    @app.websocket("/room")
    async def join(websocket):
        await websocket.accept()
        await websocket.send(greeting)
        room.append(websocket)
        try:
            async for _ in websocket:
                pass
        finally:
            room.remove(websocket)

    @app.post("/room")
    async def post(request):
        message = await request.text()
        for member in room if members else room[:1]:
            for _ in range(copies):
                await member.send(message)
        return answer

    return app


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"copies": 2}, "the message is '☃', not 'again'"),
        ({"answer": b"done"}, "the post is answered with 200: b'done'"),
        ({"greeting": "hi"}, "the message is 'hi', not 'joined'"),
    ],
)
def test_a_room_that_is_wrong_is_found_out(wrong, reason):
    with (
        LiveServer(room_app(**wrong), host=HOST) as server,
        pytest.raises(VerificationError, match=reason),
    ):
        verify(CASE, Endpoint(server.port), canned=False)


def test_fanouts_are_counted_until_the_time_is_over(endpoint):
    case = dataclasses.replace(CASE, connections=20)
    load = make_load(case, endpoint, seconds=4, cpu=[1.0, 1.5])
    result = asyncio.run(post_messages(load, ticking()))
    # Each fan-out looks at the clock three times: when it is sent, when the last one has it, and
    # when it is over.
    assert result.requests == 2
    assert result.requests_per_second == pytest.approx(2 / 6)
    assert (result.latency_p50_ms, result.latency_p99_ms) == (1000.0, 1000.0)
    assert result.cpu_seconds == 0.5
    assert not httpkit_websocket_app.room  # everybody has left by the closing handshake


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"copies": 2}, "not the message that was posted"),
        ({"answer": b"done"}, "the post is answered with b'HTTP/1.1 200 OK"),
        ({"greeting": "hi"}, "the greeting is"),
    ],
)
def test_a_wrong_fanout_is_never_a_number(wrong, reason):
    with LiveServer(room_app(**wrong), host=HOST) as server:
        load = make_load(CASE, Endpoint(server.port), seconds=1000, cpu=[0.0, 0.0])
        with pytest.raises(LoadError, match=reason):
            asyncio.run(post_messages(load, ticking()))


def test_a_member_that_gets_nothing_is_an_error(monkeypatch):
    monkeypatch.setattr("benchmarks.load.connections.PATIENCE", 0.3)
    with LiveServer(room_app(members=False), host=HOST) as server:
        load = make_load(CASE, Endpoint(server.port), seconds=1000, cpu=[0.0])
        with pytest.raises(LoadError, match=r"within 0\.3 s"):
            asyncio.run(post_messages(load, ticking()))


class Transport:
    """Keeps what is written."""

    def __init__(self):
        self.written = b""

    def write(self, data):
        self.written += data


def make_room(scenario):
    """Run a scenario with a room, one member that has joined, and its post."""

    async def run():
        room = Room(CASE, Endpoint(8000), ticking())
        member, poster = Member(room), Poster(room)
        member.connection_made(Transport())
        poster.connection_made(Transport())
        await scenario(room, member, poster)

    asyncio.run(run())


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_messages_are_taken_in_wherever_they_are_cut(size):
    async def scenario(room, member, poster):
        data = SWITCHED + GREETING
        for start in range(0, len(data), size):
            member.data_received(data[start : start + size])
        assert member.joined.is_set()
        for number in (1, 2):
            poster.post()
            message = b"%08d %b" % (number, CASE.answer.body)
            assert poster.transport.written.endswith(b"\r\n\r\n" + message)
            frame = serialize_frame(TEXT, message)
            for start in range(0, len(frame), size):
                member.data_received(frame[start : start + size])
            assert not room.delivered.is_set()
            room.deliver()
            assert room.delivered.is_set()
            for start in range(0, len(ANSWER), size):
                assert not poster.answered.is_set()
                poster.data_received(ANSWER[start : start + size])
            assert poster.answered.is_set()
        assert room.latencies == [1.0, 1.0]
        assert not room.failure.done()

    make_room(scenario)


def test_every_message_is_another_one():
    async def scenario(room, member, poster):
        posts = [room.next_post() for _ in range(3)]
        assert len(set(posts)) == 3
        assert {len(post) for post in posts} == {len(posts[0])}
        assert re.match(rb"POST /room HTTP/1.1\r\n", posts[0])

    make_room(scenario)


def fail_by_twice(room, member, poster):
    poster.post()
    member.data_received(room.frame)
    member.data_received(room.frame)


def fail_by_text(room, member, poster):
    poster.post()
    member.data_received(serialize_frame(TEXT, b"something else"))


def fail_by_talking(room, member, poster):
    member.data_received(serialize_frame(TEXT, b"hello"))


def fail_by_leaving(room, member, poster):
    member.connection_lost(None)


def fail_by_closing(room, member, poster):
    poster.connection_lost(None)


def fail_by_status(room, member, poster):
    poster.post()
    poster.data_received(ANSWER.replace(b"200 OK", b"500 No"))


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (fail_by_twice, "not the message that was posted"),
        (fail_by_text, "not the message that was posted"),
        (fail_by_talking, "not the message that was posted"),
        (fail_by_leaving, "the server closed a connection"),
        (fail_by_closing, "the server closed the connection that posts"),
        (fail_by_status, "the post is answered with b'HTTP/1.1 500"),
    ],
)
def test_what_nobody_asked_for_is_a_failure(act, reason):
    async def scenario(room, member, poster):
        member.data_received(SWITCHED + GREETING)
        act(room, member, poster)
        with pytest.raises(LoadError, match=reason):
            await room.failure

    make_room(scenario)


def test_percentiles_by_nearest_rank():
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99)) == (50.0, 99.0)
    assert (percentile([7.0], 50), percentile([7.0], 99)) == (7.0, 7.0)
    assert (percentile([1.0, 2.0, 3.0], 50), percentile([1.0, 2.0, 3.0], 99)) == (2.0, 3.0)


def test_the_load_of_fanouts_needs_no_program():
    generator = GENERATORS["fanout"]
    assert generator.installed
    assert not generator.holds
    assert generator.version().startswith("uvloop ")
