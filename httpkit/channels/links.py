"""Links between workers: `Link` is what one worker sends to another, `Incoming` what it receives.

They own bytes and what may wait, and know nothing of what records mean. A worker that has much to
read is waited for a moment; one that does not read on in that time is blocked, and no more waited
for until it does.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol, cast

from httpkit.channels.records import Record, RecordReader

__all__ = ["MAX_WAITING", "Incoming", "Link", "LinkOwner"]

logger = logging.getLogger("httpkit")

#: Bytes that may wait for a worker.
MAX_WAITING = 4 * 1024 * 1024
#: Seconds after which a worker that has not read on is blocked.
_PATIENCE = 0.1


class Link(asyncio.Protocol):
    """What this worker sends to another one.

    Args:
        loop: of the worker.
        greet: makes what is sent first, when the link is open.
        on_lost: is called when it has ended.

    Attributes:
        lost: done when it has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        greet: Callable[[], bytes],
        on_lost: Callable[[], None],
    ) -> None:
        self.lost: asyncio.Future[None] = loop.create_future()
        self._greet = greet
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        #: Set while not much waits.
        self._room = asyncio.Event()
        self._room.set()
        self._blocked = False
        #: Bytes of records that cannot be left out and have come since there was no room.
        self._essential = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.set_write_buffer_limits(MAX_WAITING // 4)
        # At once: whoever publishes may have its turn before the task that has connected.
        self._transport.write(self._greet())

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """The other worker has ended, or has closed it."""
        self._transport = None
        self.resume_writing()
        if not self.lost.done():
            self.lost.set_result(None)
        self._on_lost()

    def pause_writing(self) -> None:
        """Much waits."""
        self._room.clear()

    def resume_writing(self) -> None:
        """The other worker has read on."""
        self._blocked, self._essential = False, 0
        self._room.set()

    @property
    def is_behind(self) -> bool:
        """Much waits for a worker that is not blocked, as far as it is known."""
        return not self._room.is_set() and not self._blocked

    async def catch_up(self) -> None:
        """Wait until not much waits any more, for as long as the other worker may take."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._room.wait()
        except TimeoutError:
            self._blocked = not self._room.is_set()

    async def send_all(self, records: Iterable[bytes]) -> None:
        """Write what is too much for one moment, piece by piece, for as long as it takes."""
        for data in records:
            await self._room.wait()
            if self._transport is None:
                return
            self._transport.write(data)

    def send(self, data: bytes, *, essential: bool = False) -> bool:
        """Write; `False` if there is no room for it.

        Nothing is lost before the link is open: it then begins with a Hello.
        """
        transport = self._transport
        if transport is None:
            return True
        if essential:
            if not self._room.is_set():
                self._essential += len(data)
            if self._essential > MAX_WAITING:
                transport.abort()
                return False
        elif transport.get_write_buffer_size() > MAX_WAITING:
            return False
        transport.write(data)
        return True

    def close(self) -> None:
        """End it, once everything is written."""
        if self._transport is not None:
            self._transport.close()
        elif not self.lost.done():
            self.lost.set_result(None)


class LinkOwner(Protocol):
    """What an incoming link tells."""

    def accepted(self, incoming: "Incoming") -> None:
        """Somebody has connected."""
        ...

    def receive(self, incoming: "Incoming", record: Record) -> None:
        """Take a record.

        Raises:
            ValueError: it is none that may come now.
        """
        ...

    def ended(self, incoming: "Incoming") -> None:
        """It is closed."""
        ...


class Incoming(asyncio.Protocol):
    """What another worker sends.

    Attributes:
        name: of that worker; empty before its Hello.
    """

    def __init__(self, owner: LinkOwner) -> None:
        self.name = ""
        self._owner = owner
        self._reader = RecordReader()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._owner.accepted(self)

    def data_received(self, data: bytes) -> None:
        """Records, or a part of one."""
        try:
            for record in self._reader.receive_data(data):
                self._owner.receive(self, record)
        except ValueError as error:
            logger.warning("channels: a link of worker %s is broken: %s", self.name or "?", error)
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """It has ended."""
        self._owner.ended(self)

    def abort(self) -> None:
        """End it."""
        self._transport.abort()
