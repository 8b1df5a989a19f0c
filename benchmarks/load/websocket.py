"""A load of WebSocket messages: raw frames that are made once, and compared with the very echo.

The client parses nothing. It knows each byte that may come back, so a message costs it a write, a
comparison and a division.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import metadata

import uvloop

from benchmarks.cases import Case
from benchmarks.endpoint import Endpoint
from benchmarks.load.connections import (
    UpgradedProtocol,
    Watch,
    all_set,
    closing,
    connect_all,
    handshake,
)
from benchmarks.load.frames import MASK, PING, TEXT, serialize_frame
from benchmarks.load.result import Load, LoadResult


class Script(Watch):
    """What all connections of a load send and expect."""

    def __init__(self, case: Case, endpoint: Endpoint) -> None:
        super().__init__()
        (request,) = case.requests()
        self.depth = case.depth
        self.handshake = handshake(request, endpoint)
        self.frame = serialize_frame(TEXT, case.answer.body, MASK)
        self.length = len(serialize_frame(TEXT, case.answer.body))
        #: More than can be on its way: the rest of one echo, and one for each message in flight.
        self.echoes = serialize_frame(TEXT, case.answer.body) * (case.depth + 1)


class EchoProtocol(UpgradedProtocol):
    """One connection that keeps as many messages in flight as the case says."""

    def __init__(self, script: Script) -> None:
        super().__init__(script, script.handshake)
        self.script = script
        self.offset = 0
        self.in_flight = script.depth
        self.completed = 0

    def begin(self) -> None:
        """Send the first messages."""
        self.transport.write(self.script.frame * self.script.depth)

    def receive_messages(self, data: bytes) -> None:
        """Count the whole echoes and send as many messages again."""
        if count := self.count_echoes(data):
            self.transport.write(self.script.frame * count)

    def receive_last_echoes(self, data: bytes) -> None:
        """Count the echoes of what is still in flight, then close the WebSocket."""
        self.in_flight -= self.count_echoes(data)
        if not self.in_flight:
            self.close()

    def receive_pings(self, data: bytes) -> None:
        """Let the server ask whether we are there; nothing else may come on an idle connection."""
        if data[0] != PING:
            self.script.fail(f"the server sent {data[:40]!r} for nothing")

    def count_echoes(self, data: bytes) -> int:
        """Compare what has come with what must come, and return how many echoes it completes."""
        script = self.script
        if not script.echoes.startswith(data, self.offset):
            script.fail(f"the echo differs from the message: {data[:40]!r}")
            return 0
        count, self.offset = divmod(self.offset + len(data), script.length)
        self.completed += count
        return count

    def hold(self) -> None:
        """Send nothing, and expect nothing, until it ends."""
        self.receive = self.receive_pings

    def end(self) -> None:
        """Send no more messages; what is in flight comes back first (RFC 6455 §7.1.1)."""
        self.receive = self.receive_last_echoes


def version() -> str:
    """Return what this client runs on."""
    return f"uvloop {metadata.version('uvloop')}"


def run(load: Load) -> LoadResult:
    """Send messages for some seconds."""

    async def wait() -> None:
        await asyncio.sleep(load.seconds)

    return uvloop.run(send_messages(load.case, load.endpoint, wait))


async def send_messages(
    case: Case, endpoint: Endpoint, wait: Callable[[], Awaitable[None]]
) -> LoadResult:
    """Keep messages in flight on all connections until ``wait`` is over.

    The messages begin when all connections are open.

    Raises:
        LoadError: A handshake was refused, an echo is not the very message in one frame, a
            connection was closed too early, or does not end.
    """
    loop = asyncio.get_running_loop()
    script = Script(case, endpoint)
    clients: list[EchoProtocol] = []
    with closing(script, clients):
        await connect_all(lambda: EchoProtocol(script), endpoint, case.connections, clients)
        began = loop.time()
        for client in clients:
            client.begin()
        await script.unless_failed(wait())
        for client in clients:
            client.end()
        await script.unless_failed(all_set(client.ended for client in clients))
    completed = sum(client.completed for client in clients)
    return LoadResult(completed, completed / (loop.time() - began))
