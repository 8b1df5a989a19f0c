"""A load of WebSocket messages: raw frames that are made once, and compared with the very echo.

The client parses nothing. It knows each byte that may come back, so a message costs it a write, a
comparison and a division.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.cases import Case
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.load.result import LoadError, LoadResult

MASK = bytes.fromhex("37fa213d")  # that of RFC 6455 §5.7; any will do here
TEXT, CLOSE = 0x81, 0x88  # FIN and the opcode (RFC 6455 §5.2)
HEAD_END = b"\r\n\r\n"
PATIENCE = 10.0


def serialize_frame(first: int, payload: bytes, mask: bytes = b"") -> bytes:
    """Serialize one whole frame (RFC 6455 §5.2), masked as a client has to if there is a mask."""
    masked = 0x80 if mask else 0
    length = len(payload)
    if length < 126:
        head = bytes((first, masked | length))
    elif length < 65536:
        head = bytes((first, masked | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + length.to_bytes(8, "big")
    if mask:
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return head + mask + payload


class Script:
    """What all connections of a load send and expect, and where the first failure goes."""

    def __init__(self, case: Case, endpoint: Endpoint, failure: asyncio.Future[None]) -> None:
        (request,) = case.requests()
        self.depth = case.depth
        self.handshake = request.serialize(endpoint.authority)
        self.frame = serialize_frame(TEXT, case.answer.body, MASK)
        self.length = len(serialize_frame(TEXT, case.answer.body))
        #: More than can be on its way: the rest of one echo, and one for each message in flight.
        self.echoes = serialize_frame(TEXT, case.answer.body) * (case.depth + 1)
        self.failure = failure

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


class EchoProtocol(asyncio.Protocol):
    """One connection that keeps as many messages in flight as the case says.

    ``receive`` is its state: what takes in the next bytes. ``opened`` is set when the server has
    switched protocols, ``ended`` when it has closed the connection.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.receive = self.receive_head
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()
        self.head = b""
        self.offset = 0
        self.in_flight = script.depth
        self.completed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.script.handshake)

    def data_received(self, data: bytes) -> None:
        """Take in what comes next."""
        self.receive(data)

    def receive_head(self, data: bytes) -> None:
        """Take in the answer to the handshake; nothing may follow it yet."""
        self.head += data
        if HEAD_END not in self.head:
            return
        if not self.head.startswith(b"HTTP/1.1 101 ") or not self.head.endswith(HEAD_END):
            self.script.fail(f"the handshake is answered with {self.head!r}")
            return
        self.receive = self.receive_echoes
        self.opened.set()

    def begin(self) -> None:
        """Send the first messages."""
        self.transport.write(self.script.frame * self.script.depth)

    def receive_echoes(self, data: bytes) -> None:
        """Count the whole echoes and send as many messages again."""
        if count := self.count_echoes(data):
            self.transport.write(self.script.frame * count)

    def receive_last_echoes(self, data: bytes) -> None:
        """Count the echoes of what is still in flight, then close the WebSocket."""
        self.in_flight -= self.count_echoes(data)
        if not self.in_flight:
            self.receive = self.ignore
            self.transport.write(serialize_frame(CLOSE, (1000).to_bytes(2, "big"), MASK))

    def ignore(self, data: bytes) -> None:
        """Ignore the Close frame; that the connection ends after it is what counts."""

    def count_echoes(self, data: bytes) -> int:
        """Compare what has come with what must come, and return how many echoes it completes."""
        script = self.script
        if not script.echoes.startswith(data, self.offset):
            script.fail(f"the echo differs from the message: {data[:40]!r}")
            return 0
        count, self.offset = divmod(self.offset + len(data), script.length)
        self.completed += count
        return count

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end, which comes too early unless we have asked for it."""
        self.ended.set()
        if self.receive != self.ignore:
            self.script.fail(f"the server closed a connection: {error}")

    def end(self) -> None:
        """Send no more messages; what is in flight comes back first (RFC 6455 §7.1.1)."""
        self.receive = self.receive_last_echoes


def version() -> str:
    """Return what this client runs on."""
    return f"uvloop {metadata.version('uvloop')}"


def run(case: Case, endpoint: Endpoint, seconds: int, directory: Path) -> LoadResult:  # noqa: ARG001  it needs no files
    """Send messages for some seconds."""

    async def wait() -> None:
        await asyncio.sleep(seconds)

    return uvloop.run(send_messages(case, endpoint, wait))


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
    script = Script(case, endpoint, loop.create_future())
    clients: list[EchoProtocol] = []
    try:
        for _ in range(case.connections):
            _, client = await loop.create_connection(
                lambda: EchoProtocol(script), HOST, endpoint.port
            )
            clients.append(client)
        await script.unless_failed(all_set(client.opened for client in clients))
        began = loop.time()
        for client in clients:
            client.begin()
        await script.unless_failed(wait())
        for client in clients:
            client.end()
        await script.unless_failed(all_set(client.ended for client in clients))
    except TimeoutError as error:
        raise LoadError(f"a connection did not open or end within {PATIENCE} s") from error
    except OSError as error:
        raise LoadError(f"no connection: {error}") from error
    finally:
        for client in clients:
            client.transport.abort()
    completed = sum(client.completed for client in clients)
    return LoadResult(completed, completed / (loop.time() - began))


async def all_set(events: Iterable[asyncio.Event]) -> None:
    """Wait until all events have happened, but not for long."""
    async with asyncio.timeout(PATIENCE):
        for event in events:
            await event.wait()
