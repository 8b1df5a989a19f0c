"""Connections that ask for a WebSocket, many of them in one load, and the first that fails."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

from benchmarks.endpoint import HOST, Endpoint
from benchmarks.load.frames import CLOSE, MASK, serialize_frame
from benchmarks.load.result import LoadError
from benchmarks.messages import Request

HEAD_END = b"\r\n\r\n"
VERSION = b"HTTP/1.1 "
PATIENCE = 10.0
#: Connections that are opened before their answers are waited for: less than any backlog.
BATCH = 256


def has_head(received: bytes) -> bool:
    """Tell whether the head of an answer is complete.

    Raises:
        ValueError: This is no answer of HTTP/1.1.
    """
    if not received.startswith(VERSION[: len(received)]):
        raise ValueError(f"no answer but {shorten(received)}")
    return HEAD_END in received


def shorten(received: bytes) -> str:
    """Return what was received for people; it may be a body where a head should be."""
    return repr(received) if len(received) <= 200 else f"{received[:200]!r}..."


class Watch:
    """Where the first failure of any connection goes; made within a running loop."""

    def __init__(self) -> None:
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, reason: str) -> None:
        """End the load with a reason, unless there already is one."""
        if not self.failure.done():
            self.failure.set_exception(LoadError(reason))

    async def unless_failed(self, work: Awaitable[None]) -> None:
        """Wait for the work; a failure ends it at once and is raised."""
        task = asyncio.ensure_future(work)
        await asyncio.wait((task, self.failure), return_when=asyncio.FIRST_COMPLETED)
        if self.failure.done():
            task.cancel()
            await self.failure
        await task

    def end(self) -> None:
        """Take no failure from now on: what is closed at the end of a load is closed by us."""
        if not self.failure.cancel() and not self.failure.cancelled():
            self.failure.exception()  # the load has failed already; asyncio need not say so again


class UpgradedProtocol(asyncio.Protocol):
    """One connection that asks for a WebSocket as soon as it is there.

    ``receive`` is its state: what takes in the next bytes. A subclass says what comes after the
    head of the answer, and whether it may come with it (``greeted``). ``opened`` is set when the
    server has switched protocols, ``ended`` when it has closed the connection.
    """

    greeted = False

    def __init__(self, watch: Watch, handshake: bytes) -> None:
        self.watch = watch
        self.handshake = handshake
        self.receive: Callable[[bytes], None] = self.receive_head
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.handshake)

    def data_received(self, data: bytes) -> None:
        """Take in what comes next."""
        self.receive(data)

    def receive_head(self, data: bytes) -> None:
        """Take in the answer to the handshake."""
        self.head += data
        head, end, rest = self.head.partition(HEAD_END)
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 101 ") or (rest and not self.greeted):
            self.watch.fail(f"the handshake is answered with {shorten(self.head)}")
            return
        self.receive = self.receive_messages
        self.opened.set()
        if rest:
            self.receive(rest)

    def receive_messages(self, data: bytes) -> None:
        """Take in what comes on the WebSocket."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the WebSocket with 1000; the server answers, and closes the connection."""
        self.receive = self.ignore
        self.transport.write(serialize_frame(CLOSE, (1000).to_bytes(2, "big"), MASK))

    def ignore(self, data: bytes) -> None:
        """Ignore the Close frame; that the connection ends after it is what counts."""

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end, which comes too early unless we have asked for it."""
        self.ended.set()
        if self.receive != self.ignore:
            self.watch.fail(f"the server closed a connection: {error}")


P = TypeVar("P", bound=UpgradedProtocol)


def handshake(request: Request, endpoint: Endpoint) -> bytes:
    """Return the bytes that ask for a WebSocket."""
    return request.serialize(endpoint.authority)


async def connect_all(
    make: Callable[[], P], endpoint: Endpoint, count: int, clients: list[P]
) -> None:
    """Open ``count`` connections into ``clients``; all of them have switched protocols then."""
    loop = asyncio.get_running_loop()
    for number in range(count):
        _, client = await loop.create_connection(make, HOST, endpoint.port)
        clients.append(client)
        if len(clients) % BATCH == 0 or number == count - 1:
            await client.watch.unless_failed(all_set(each.opened for each in clients[-BATCH:]))


async def all_set(events: Iterable[asyncio.Event]) -> None:
    """Wait until all events have happened, but not for long."""
    async with asyncio.timeout(PATIENCE):
        for event in events:
            await event.wait()


async def all_ended(watch: Watch, clients: Sequence[P], end: Callable[[P], None]) -> None:
    """Do what ends each connection, to some at a time, and wait until the server has closed it."""
    for start in range(0, len(clients), BATCH):
        some = clients[start : start + BATCH]
        for client in some:
            end(client)
        await watch.unless_failed(all_set(client.ended for client in some))


@contextmanager
def closing(watch: Watch, clients: Sequence[UpgradedProtocol]) -> Iterator[None]:
    """Make errors of the network failures of the load, and close what is still open at the end.

    Raises:
        LoadError: There was no connection, or the server did not do its part in time.
    """
    try:
        yield
    except TimeoutError as error:
        raise LoadError(f"a connection did not open or end within {PATIENCE} s") from error
    except OSError as error:
        raise LoadError(f"no connection: {error}") from error
    finally:
        watch.end()
        for client in clients:
            client.transport.abort()
