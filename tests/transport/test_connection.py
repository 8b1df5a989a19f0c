"""A connection between a scripted engine and a recording transport: what no socket can show.

Everything that a socket can show stands in tests/server.
"""

import asyncio
import errno
from functools import partial
from typing import Any

import pytest

from httpkit.errors import ProtocolError, RemoteProtocolError
from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.events import (
    ConnectionTerminated,
    DataReceived,
    PrefaceReceived,
    RequestReceived,
    StreamReset,
    TrailersReceived,
)
from httpkit.request import RequestHead
from httpkit.transport.connection import Connection
from httpkit.types import Address


class Engine:
    """Gives the events it was told to, and the bytes."""

    def __init__(self) -> None:
        self.script: list[list[Any]] = []
        self.out = b""
        self.close = Close.OPEN
        self.deadline_kind = Deadline.NONE
        self.deadline_mark = 0
        self.waits: list[tuple[int, Deadline, int]] = []
        self.pushed: RequestReceived | None = None
        self.wants_input = True
        self.turn_is_over = False
        self.room = 1000
        self.calls: list[Any] = []

    @property
    def has_more_input(self) -> bool:
        return bool(self.script)

    @property
    def has_more_to_send(self) -> bool:
        return bool(self.out)

    def receive_data(self, data: bytes) -> list[Any]:
        return self.script.pop(0) if self.script else []

    def receive_eof(self) -> list[Any]:
        self.calls.append("eof")
        return self.receive_data(b"")

    def receive_timeout(self, stream_id: int = 0) -> list[Any]:
        self.calls.append("timeout" if not stream_id else ("timeout", stream_id))
        return self.receive_data(b"")

    def consume(self, stream_id: int, size: int) -> None:
        self.calls.append(("consume", stream_id, size))

    def stream_waits(self) -> list[tuple[int, Deadline, int]]:
        return self.waits

    def pass_time(self, seconds: float) -> None:
        self.calls.append(("time", seconds))

    def release(self, stream_id: int) -> None:
        self.calls.append(("release", stream_id))

    def send_push(self, stream_id: int, head: RequestHead) -> RequestReceived | None:
        self.calls.append(("push", stream_id, head.target))
        return self.pushed

    def begin_shutdown(self) -> None:
        self.calls.append("shutdown")

    def capacity(self, stream_id: int) -> int:
        return self.room

    def data_to_send(self, limit: int | None = None) -> bytes:
        self.calls.append(("data_to_send", limit))
        size = len(self.out) if limit is None else limit
        data, self.out = self.out[:size], self.out[size:]
        return data


class Transport:
    """Records; pauses its protocol when more than `high` bytes wait, as real ones do."""

    def __init__(self, *, can_write_eof: bool = True, **extra: Any) -> None:
        self.protocol: Connection
        self.extra = extra
        self.waiting = b""
        self.written: list[bytes] = []
        self.calls: list[str] = []
        self.closing = False
        self._can_write_eof = can_write_eof
        self._paused = False

    def get_extra_info(self, name: str) -> Any:
        return self.extra.get(name)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self.high, self.low = high, low

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.waiting += data
        if len(self.waiting) > self.high and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def take(self, size: int) -> None:
        """The peer takes bytes."""
        self.waiting = self.waiting[size:]
        if self._paused and len(self.waiting) <= self.low:
            self._paused = False
            self.protocol.resume_writing()

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return self._can_write_eof

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.calls.append("close")
        self.closing = True

    def abort(self) -> None:
        self.calls.append("abort")
        self.closing = True

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class Stream:
    """Notes what it is told."""

    def __init__(self, owner: "Owner", number: int) -> None:
        self._owner = owner
        self._number = number

    def __getattr__(self, name: str) -> Any:
        def note(*args: Any, **options: Any) -> None:
            self._owner.log.append((self._number, name, *args, *options.values()))

        return note


class Loop:
    """Keeps what is to be called soon."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, callback: Any, *arguments: Any) -> None:
        self.soon.append(partial(callback, *arguments))

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class Owner:
    """What a connection needs of a server."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.loop = Loop()
        self.log: list[Any] = []
        self.engines: list[Engine] = []

    def make_stream(self, connection: Connection, event: RequestReceived) -> Stream:
        return Stream(self, event.stream_id)

    def connection_opened(self, connection: Connection) -> None:
        self.log.append("opened")

    def connection_closed(self, connection: Connection) -> None:
        self.log.append("closed")

    def connection_refused(
        self, connection: Connection, error: ProtocolError, status: int | None
    ) -> None:
        self.log.append(("refused", str(error), status))

    def make_engine(self, protocol: str) -> Engine:
        self.log.append(("engine", protocol))
        return self.engines.pop()


class World:
    """All of them, connected."""

    def __init__(self, *, limits: dict[str, Any] | None = None, **transport: Any) -> None:
        self.owner = Owner(**(limits or {}))
        self.engine = Engine()
        self.transport = Transport(**transport)
        self.connection = Connection(self.owner, self.engine, 7)
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)
        self.log = self.owner.log
        self.log.clear()

    def receive(self, *batches: list[Any]) -> None:
        """Read something that means these batches of events."""
        self.engine.script = list(batches)
        self.connection.data_received(b"something")


def request(stream_id: int) -> RequestReceived:
    return RequestReceived(stream_id, RequestHead("GET", b"/"))


# --- dispatch ------------------------------------------------------------------------------------


def test_requests_of_one_read_begin_in_order_with_what_came_of_their_bodies() -> None:
    """As HTTP/2 will have it: several streams in one batch."""
    world = World()
    world.receive(
        [
            request(1),
            DataReceived(1, b"one", end_stream=False),
            request(3),
            DataReceived(3, b"three", end_stream=False),
            TrailersReceived(3, [(b"x", b"y")]),
            DataReceived(3, b"", end_stream=True),
        ]
    )
    assert world.log == [
        (1, "receive_data", b"one", False),
        (1, "begin"),
        (3, "receive_data", b"three", False),
        (3, "receive_trailers", [(b"x", b"y")]),
        (3, "receive_data", b"", True),
        (3, "begin"),
    ]


def test_events_of_streams_that_are_over_are_ignored() -> None:
    world = World()
    world.receive([DataReceived(1, b"late", end_stream=True), StreamReset(1)])
    assert world.log == []


def test_a_reset_of_one_stream() -> None:
    world = World()
    error = RemoteProtocolError("no")
    world.receive([request(1)], [StreamReset(1, error), ConnectionTerminated(error, 400)])
    assert world.log == [(1, "begin"), (1, "reset", error), ("refused", "no", 400)]


def test_a_request_that_no_application_sees_is_logged() -> None:
    world = World()
    world.receive([StreamReset(1, RemoteProtocolError("malformed"))])
    assert world.log == [("refused", "malformed", None)]


def test_a_preface_hands_the_connection_to_another_engine() -> None:
    """RFC 9113 §3.3: with prior knowledge."""
    world = World()
    second = Engine()
    second.script = [[request(1)]]
    second.out = b"frames"
    world.owner.engines = [second]
    world.receive([PrefaceReceived(b"PRI")])
    assert world.log == [("engine", "h2"), (1, "begin")]
    assert world.transport.written == [b"frames"]


def test_a_pushed_request_is_begun_in_a_turn_of_its_own() -> None:
    world = World()
    world.receive([request(1)])
    head = RequestHead("GET", b"/style.css")
    assert not world.connection.push(1, head)
    world.engine.pushed = request(2)
    assert world.connection.push(1, head)
    assert (2, "begin") not in world.log
    world.owner.loop.turn()
    assert world.log == [(1, "begin"), (2, "begin")]


def test_an_orderly_end_is_no_refusal() -> None:
    world = World()
    world.receive([ConnectionTerminated()])
    assert world.log == []


def test_one_flush_behind_all_batches() -> None:
    world = World()
    world.engine.out = b"answers"
    world.receive([request(1)], [request(2)], [request(3)])
    assert world.transport.written == [b"answers"]


def test_no_flush_inside_a_batch() -> None:
    world = World()
    world.engine.out = b"early"
    world.connection.busy = True
    world.connection.flush()
    world.connection.pump()
    assert world.transport.written == []


def test_what_a_batch_leaves_over_is_booked_once() -> None:
    world = World(limits={"pipeline_depth": 2})
    world.receive([request(1)], [request(2)], [request(3)])
    assert world.log == [(1, "begin"), (2, "begin")]
    world.receive([request(3)], [request(4)], [request(5)])
    assert world.log[2:] == [(3, "begin"), (4, "begin")]
    assert len(world.owner.loop.soon) == 1
    world.owner.loop.turn()
    assert world.log[4:] == [(5, "begin")]
    assert world.owner.loop.soon == []


def test_answers_that_fill_the_queue_end_a_batch() -> None:
    world = World()
    world.engine.room = 0
    world.receive([request(1)], [request(2)], [request(3)])
    assert world.log == [(1, "begin"), (2, "begin")]
    world.owner.loop.turn()
    assert world.log[2:] == [(3, "begin")]


def test_a_booked_turn_on_a_connection_that_is_gone() -> None:
    world = World(limits={"pipeline_depth": 2})
    world.receive([request(1)], [request(2)], [request(3)])
    world.connection.connection_lost(None)
    world.log.clear()
    world.owner.loop.turn()
    assert world.log == []


@pytest.mark.parametrize("full", [False, True])
def test_many_small_pieces_are_taken_in_turns(full) -> None:
    """A flood of them on one connection must not hold up the others; nor wait for the socket."""
    world = World(limits={"write_buffer": 100})
    if full:
        world.transport.write(bytes(200))
    world.engine.turn_is_over, world.engine.wants_input = True, False
    world.receive([request(1)], [DataReceived(1, b"a", False)], [])
    assert world.log == [(1, "begin")]
    assert world.transport.calls == ["pause"]
    assert len(world.owner.loop.soon) == 1
    world.owner.loop.turn()
    assert world.log[1:] == [(1, "receive_data", b"a", False)]
    world.engine.turn_is_over, world.engine.wants_input = False, True
    world.owner.loop.turn()
    assert world.transport.calls == ["pause", "resume"]
    assert world.owner.loop.soon == []


# --- writing -------------------------------------------------------------------------------------


def test_a_full_socket_is_given_low_water_portions() -> None:
    world = World(limits={"write_buffer": 100})
    assert (world.transport.high, world.transport.low) == (100, 25)
    world.engine.out = b"a" * 150
    world.connection.flush()
    assert world.transport.written == [b"a" * 150]  # nothing was known of a full socket
    world.engine.out = b"b" * 300
    world.connection.flush()
    assert len(world.transport.written) == 1
    world.transport.take(130)
    # From 20 bytes that wait to more than 100, in portions of 25.
    assert [len(data) for data in world.transport.written[1:]] == [25] * 4
    assert world.transport.get_write_buffer_size() == 120
    world.transport.take(120)
    assert len(world.engine.out) == 300 - 4 * 25 - 5 * 25
    world.engine.out = b""
    world.transport.take(1000)
    world.engine.out = b"c" * 90
    world.connection.flush()
    assert world.transport.written[-1] == b"c" * 90  # whole again


def test_a_full_socket_serves_no_further_requests() -> None:
    world = World(limits={"write_buffer": 100})
    world.engine.out = b"a" * 150
    world.connection.flush()
    world.engine.script = [[request(1)]]
    world.connection.pump()
    assert world.log == []
    world.transport.take(150)
    assert world.log == [(1, "begin")]


def test_streams_that_wait_are_woken_by_every_flush() -> None:
    world = World()
    world.receive([request(1)])
    world.connection.blocked.add(world.connection.streams[1])
    world.connection.flush()
    assert world.log[-1] == (1, "resume_writing")


def test_those_who_wait_are_not_woken_within_each_other() -> None:
    """A thousand WebSockets of one connection have room in the same moment, and in the next."""

    class Writer:
        def resume_writing(self) -> None:
            world.engine.out += b"a"
            world.connection.flush()

    world = World()
    world.connection.blocked.update(Writer() for _ in range(1000))
    world.connection.flush()
    assert world.transport.written == []
    for turn in range(1, 100):
        world.owner.loop.turn()
        assert world.transport.written == [b"a" * 1000] * turn
        world.transport.take(1000)


def test_reading_follows_the_engine() -> None:
    world = World()
    world.receive([request(1)])
    world.engine.wants_input = False
    world.connection.flush()
    world.connection.flush()
    assert world.transport.calls == ["pause"]
    world.connection.consume(1, 10)
    assert world.transport.calls == ["pause"]
    world.engine.wants_input = True
    world.connection.consume(1, 10)
    assert world.transport.calls == ["pause", "resume"]
    assert ("consume", 1, 10) in world.engine.calls


def test_a_closing_transport_is_left_alone() -> None:
    world = World()
    world.receive([request(1)])
    world.transport.closing = True
    world.engine.wants_input = False
    world.connection.flush()
    assert world.transport.calls == []


# --- ends ----------------------------------------------------------------------------------------


def test_lingering() -> None:
    world = World()
    world.engine.close = Close.LINGER
    world.connection.flush()
    world.connection.flush()
    assert world.transport.calls == ["write_eof"]


def test_lingering_on_a_transport_that_cannot_half_close() -> None:
    """As TLS."""
    world = World(can_write_eof=False)
    world.engine.close = Close.LINGER
    world.connection.flush()
    assert world.transport.calls == ["close"]


def test_lingering_on_a_connection_that_was_just_reset(monkeypatch) -> None:
    """asyncio calls `shutdown` at once, before it has read of the reset."""

    def write_eof() -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    world = World()
    monkeypatch.setattr(world.transport, "write_eof", write_eof)
    world.engine.close = Close.LINGER
    world.connection.flush()
    assert world.transport.calls == ["abort"]


def test_lingering_reads_on() -> None:
    world = World()
    world.receive([request(1)])
    world.engine.wants_input = False
    world.connection.flush()
    world.engine.wants_input = True
    world.connection.streams.clear()
    world.engine.close = Close.LINGER
    world.connection.flush()
    assert world.transport.calls == ["pause", "resume", "write_eof"]


def test_the_end_waits_for_what_is_queued() -> None:
    world = World(limits={"write_buffer": 100})
    world.engine.out = b"a" * 150
    world.connection.flush()
    world.engine.out = b"b" * 10
    world.engine.close = Close.NOW
    world.connection.flush()
    assert world.transport.calls == []
    assert world.connection.eof_received() is True  # else the transport would close itself
    world.transport.take(150)
    assert world.transport.written[-1] == b"b" * 10
    # Not from inside `resume_writing`: asyncio's transport would call `connection_lost` twice.
    assert world.transport.calls == []
    world.owner.loop.turn()
    assert set(world.transport.calls) == {"close"}
    assert world.connection.eof_received() is False


def test_a_reset_without_a_socket() -> None:
    """A transport in memory has none to set an option on."""
    world = World()
    world.engine.close = Close.ABORT
    world.connection.flush()
    assert world.transport.calls == ["abort"]


def test_after_the_end_nothing_happens() -> None:
    world = World()
    world.receive([request(1)])
    world.connection.connection_lost(None)
    assert world.log == [(1, "begin"), (1, "reset", None), "closed"]
    world.engine.out = b"nobody reads this"
    world.connection.flush()
    world.connection.pump()
    world.connection.abort()
    world.connection.check_deadlines(1e9)
    assert world.transport.written == []
    assert world.transport.calls == []


def test_begin_shutdown() -> None:
    world = World()
    world.connection.begin_shutdown()
    assert "shutdown" in world.engine.calls


# --- deadlines -----------------------------------------------------------------------------------


def test_a_deadline_goes_to_the_engine() -> None:
    world = World()
    world.engine.deadline_kind = Deadline.HEAD
    world.connection.check_deadlines(0.0)
    world.connection.check_deadlines(9.0)
    assert "timeout" not in world.engine.calls
    world.connection.check_deadlines(11.0)
    assert "timeout" in world.engine.calls


def test_requests_are_asked_only_where_they_have_a_deadline() -> None:
    world = World()
    world.receive([request(1)])
    world.connection.check_deadlines(5.0)
    assert world.log == [(1, "begin")]
    world = World(limits={"request_timeout": 10})
    world.receive([request(1)])
    world.connection.check_deadlines(5.0)
    assert world.log == [(1, "begin"), (1, "check_deadline", 5.0, 10)]


def test_a_peer_that_takes_nothing_is_aborted() -> None:
    world = World(limits={"write_stall": 60})
    world.engine.out = b"a" * 10
    world.connection.flush()
    world.connection.check_deadlines(0.0)
    world.connection.check_deadlines(59.0)
    world.transport.take(1)
    world.connection.check_deadlines(61.0)
    world.connection.check_deadlines(120.0)
    assert world.transport.calls == []
    world.connection.check_deadlines(122.0)
    assert world.transport.calls == ["abort"]


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (("192.0.2.1", 80), Address("192.0.2.1", 80)),
        (("::1", 80, 0, 0), Address("::1", 80)),
        ("/run/socket", Address("/run/socket", 0)),
        (b"/run/socket", Address("/run/socket", 0)),
        ("", Address("", 0)),
        ("/evil\nline", Address("/evil\\nline", 0)),
        ("\0abstract", Address("\\x00abstract", 0)),
        (b"/not utf-8 \xff", Address("/not utf-8 \\udcff", 0)),
        (None, None),
        (5, None),
    ],
)
def test_addresses(name, address) -> None:
    world = World(peername=name, sockname=("127.0.0.1", 8000))
    assert world.connection.peer == address
    assert world.connection.local == Address("127.0.0.1", 8000)


def test_it_is_a_protocol() -> None:
    assert isinstance(World().connection, asyncio.Protocol)
