"""Loads that hold connections: how much a server grows by them, and that it serves them all.

What is measured is the most that the server has in memory while they are held, less what it had
before the first of them.
"""

import asyncio
import resource
import socket
from collections.abc import Awaitable, Callable

import uvloop

from benchmarks.cases import Answer
from benchmarks.endpoint import HOST
from benchmarks.load.connections import (
    HEAD_END,
    PATIENCE,
    Watch,
    all_ended,
    all_set,
    closing,
    connect_all,
    has_head,
    shorten,
)
from benchmarks.load.result import Load, LoadError, LoadResult
from benchmarks.load.websocket import EchoProtocol, Script

#: Seconds between two looks at the memory, and between two reads of a slow reader.
INTERVAL = 0.25
#: What a slow reader reads at a time: 64 KiB a second.
READ_SIZE = 16 * 1024
#: The receive buffer of a slow reader: the kernel must not read for it.
RECEIVE_BUFFER = 64 * 1024
#: Descriptors that are left for everything but the connections, here and in the server.
RESERVED_DESCRIPTORS = 200

Wait = Callable[[], Awaitable[None]]


def affordable(connections: int) -> int:
    """Return how many of the connections the limit of open files allows a process."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(connections, limit - RESERVED_DESCRIPTORS)


async def find_highest(resident: Callable[[], float], wait: Wait) -> float:
    """Return the most that ``resident`` says until ``wait`` is over, at both ends, too."""
    waiting = asyncio.ensure_future(wait())
    highest = resident()
    while not waiting.done():
        await asyncio.wait((waiting,), timeout=INTERVAL)
        highest = max(highest, resident())
    await waiting
    return highest


def hold_websockets(load: Load) -> LoadResult:
    """Hold idle WebSockets for some seconds, as many as the limit of descriptors allows."""
    return uvloop.run(hold_until(load, lambda: asyncio.sleep(load.seconds)))


async def hold_until(load: Load, wait: Wait) -> LoadResult:
    """Hold idle WebSockets until ``wait`` is over; each then has to echo, and to close.

    Raises:
        LoadError: One was refused or closed too early, or does not echo or end.
    """
    script = Script(load.case, load.endpoint)
    clients: list[EchoProtocol] = []
    before = load.resident()
    highest = before

    async def watch() -> None:
        nonlocal highest
        highest = await find_highest(load.resident, wait)

    with closing(script, clients):
        await connect_all(
            lambda: EchoProtocol(script),
            load.endpoint,
            affordable(load.case.connections),
            clients,
        )
        for client in clients:
            client.hold()
        await script.unless_failed(watch())
        await all_ended(script, clients, echo_and_close)
    return LoadResult(len(clients), None, growth_mib=highest - before)


def echo_and_close(client: EchoProtocol) -> None:
    """Let a connection that was idle show that it still works, and close it then."""
    client.end()
    client.begin()


def read_slowly(load: Load) -> LoadResult:
    """Let clients read slowly for some seconds."""
    return uvloop.run(
        read_until(load, lambda: asyncio.sleep(load.seconds), lambda: asyncio.sleep(INTERVAL))
    )


async def read_until(load: Load, wait: Wait, pause: Wait) -> LoadResult:
    """Let clients read an answer, with a ``pause`` after each read, until ``wait`` is over.

    Raises:
        LoadError: An answer is not the right one as far as it was read, or ends.
    """
    watch = Watch()
    before = load.resident()
    highest = before
    readers = [SlowReader(load, pause) for _ in range(load.case.connections)]

    async def follow(reader: SlowReader) -> None:
        try:
            await reader.read()
        except (OSError, ValueError) as error:
            watch.fail(f"a slow reader failed: {error}")

    async def hold() -> None:
        nonlocal highest
        await all_set(reader.started for reader in readers)
        highest = await find_highest(load.resident, wait)

    tasks = [asyncio.ensure_future(follow(reader)) for reader in readers]
    try:
        await watch.unless_failed(hold())
    except TimeoutError as error:
        raise LoadError(f"an answer did not begin within {PATIENCE} s") from error
    finally:
        watch.end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return LoadResult(len(readers), None, growth_mib=highest - before)


class SlowReader:
    """One client that reads its answer slowly; ``started`` is set when the body has begun."""

    def __init__(self, load: Load, pause: Wait) -> None:
        (request,) = load.case.requests()
        self.request = request.serialize(load.endpoint.authority)
        self.port = load.endpoint.port
        self.answer = load.case.answer
        self.pause = pause
        self.started = asyncio.Event()

    async def read(self) -> None:
        """Read until it is cancelled.

        Raises:
            OSError: There is no connection, or it is reset.
            ValueError: The answer is not the right one.
        """
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            await loop.sock_connect(connection, (HOST, self.port))
            await loop.sock_sendall(connection, self.request)
            received = b""
            while not has_head(received):
                if not (data := await loop.sock_recv(connection, READ_SIZE)):
                    raise ValueError(f"no answer but {shorten(received)}")
                received += data
            body = BodyCheck(self.answer, received)
            while True:
                self.started.set()
                await self.pause()
                if not (data := await loop.sock_recv(connection, READ_SIZE)):
                    raise ValueError(f"the answer ends after {body.length} bytes")
                body.take(data)


class BodyCheck:
    """Compares a body that comes in pieces with the right one, which is a block over and over."""

    def __init__(self, answer: Answer, beginning: bytes) -> None:
        head, _, data = beginning.partition(HEAD_END)
        if not head.startswith(b"HTTP/1.1 %d " % answer.status):
            raise ValueError(f"the answer is {shorten(head)}")
        self.block = answer.block
        self.length = 0
        self.take(data)

    def take(self, data: bytes) -> None:
        """Compare the next piece.

        Raises:
            ValueError: It is another one.
        """
        start = self.length % len(self.block)
        times = (start + len(data)) // len(self.block) + 1
        if not (self.block * times).startswith(data, start):
            raise ValueError(f"the body differs after {self.length} bytes: {data[:40]!r}")
        self.length += len(data)
