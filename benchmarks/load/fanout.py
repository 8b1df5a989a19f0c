"""A load of fan-outs: one message is posted, and all WebSockets of a room get it.

Each message is another one, so nobody can send prepared frames, and the next one is posted when
everybody has the one before and the post is answered. The latency is the time from the post to the
last WebSocket. Opening the WebSockets is not part of the figures.
"""

import asyncio
import time
from collections.abc import Callable
from typing import cast

import uvloop

from benchmarks.cases import Case
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.load import websocket
from benchmarks.load.connections import (
    HEAD_END,
    UpgradedProtocol,
    Watch,
    all_ended,
    all_set,
    closing,
    connect_all,
    handshake,
    shorten,
)
from benchmarks.load.frames import TEXT, serialize_frame
from benchmarks.load.result import Load, LoadResult
from benchmarks.messages import JOINED, SENT, Request

GREETING = serialize_frame(TEXT, JOINED.encode("ascii"))

version = websocket.version


class Room(Watch):
    """Who is in the room, which message is on its way, and who does not have it yet."""

    def __init__(self, case: Case, endpoint: Endpoint, now: Callable[[], float]) -> None:
        super().__init__()
        (request,) = case.requests()
        self.target = request.target
        self.authority = endpoint.authority
        self.handshake = handshake(request, endpoint)
        self.text = case.answer.body
        self.members = case.connections
        self.number = 0
        self.frame = b""
        self.missing = 0
        self.sent_at = 0.0
        self.latencies: list[float] = []
        self.now = now
        self.delivered = asyncio.Event()

    def next_post(self) -> bytes:
        """Return the request that posts the next message."""
        self.number += 1
        message = b"%08d %b" % (self.number, self.text)
        self.frame = serialize_frame(TEXT, message)
        self.missing = self.members
        self.delivered.clear()
        self.sent_at = self.now()
        return Request("POST", self.target, body=message).serialize(self.authority)

    def deliver(self) -> None:
        """Note that one more member has the message."""
        self.missing -= 1
        if not self.missing:
            self.latencies.append(self.now() - self.sent_at)
            self.delivered.set()


class Member(UpgradedProtocol):
    """One WebSocket in the room; ``joined`` is set when the server says that it is."""

    greeted = True

    def __init__(self, room: Room) -> None:
        super().__init__(room, room.handshake)
        self.room = room
        self.joined = asyncio.Event()
        self.received = 0
        self.rest = b""

    def receive_messages(self, data: bytes) -> None:
        """Take in the greeting."""
        self.rest += data
        if not GREETING.startswith(self.rest):
            self.room.fail(f"the greeting is {shorten(self.rest)}")
        elif self.rest == GREETING:
            self.rest = b""
            self.receive = self.receive_fanout
            self.joined.set()

    def receive_fanout(self, data: bytes) -> None:
        """Take in the message that is on its way, which comes once and in one frame."""
        room = self.room
        data = self.rest + data
        if self.received == room.number or not room.frame.startswith(data):
            room.fail(f"not the message that was posted: {shorten(data)}")
        elif data == room.frame:
            self.rest = b""
            self.received += 1
            room.deliver()
        else:
            self.rest = data


class Poster(asyncio.Protocol):
    """The connection that posts; ``answered`` is set when the post on its way is answered."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.answered = asyncio.Event()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def post(self) -> None:
        """Post the next message."""
        self.answered.clear()
        self.transport.write(self.room.next_post())

    def data_received(self, data: bytes) -> None:
        """Take in the answer."""
        self.received += data
        head, end, body = self.received.partition(HEAD_END)
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 200 ") or not SENT.startswith(body):
            self.room.fail(f"the post is answered with {shorten(self.received)}")
        elif body == SENT:
            self.received = b""
            self.answered.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Note an end that nobody has asked for."""
        self.room.fail(f"the server closed the connection that posts: {error}")


def run(load: Load) -> LoadResult:
    """Post messages for some seconds."""
    return uvloop.run(post_messages(load, time.perf_counter))


async def post_messages(load: Load, now: Callable[[], float]) -> LoadResult:
    """Post one message after another until the time is over, at least one.

    Raises:
        LoadError: A WebSocket was refused or closed, a message is not the one that was posted,
            somebody did not get it in time, or a post was not answered well.
    """
    room = Room(load.case, load.endpoint, now)
    members: list[Member] = []
    with closing(room, members):
        await connect_all(lambda: Member(room), load.endpoint, room.members, members)
        await room.unless_failed(all_set(member.joined for member in members))
        loop = asyncio.get_running_loop()
        _, poster = await loop.create_connection(lambda: Poster(room), HOST, load.endpoint.port)
        try:
            cpu, began = load.cpu_seconds(), now()
            elapsed = 0.0
            while not elapsed or elapsed < load.seconds:
                poster.post()
                await room.unless_failed(all_set((room.delivered, poster.answered)))
                elapsed = now() - began
            cpu = load.cpu_seconds() - cpu
            await all_ended(room, members, Member.close)
        finally:
            poster.transport.abort()
    latencies = sorted(room.latencies)
    return LoadResult(
        requests=len(latencies),
        requests_per_second=len(latencies) / elapsed,
        latency_p50_ms=percentile(latencies, 50) * 1000,
        latency_p99_ms=percentile(latencies, 99) * 1000,
        cpu_seconds=cpu,
    )


def percentile(ordered: list[float], percent: int) -> float:
    """Return the value that so many percent do not exceed (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
