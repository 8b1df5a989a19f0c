"""Links between workers: `Link` is what one worker sends to another, `Incoming` what it receives.

They own bytes and what may wait, and know nothing of what records mean.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, cast

from httpkit.channels.records import Record, RecordReader

__all__ = ["MAX_WAITING", "Incoming", "Link", "LinkOwner"]

logger = logging.getLogger("httpkit")

#: Bytes that may wait for a worker.
MAX_WAITING = 4 * 1024 * 1024


class Link(asyncio.Protocol):
    """What this worker sends to another one.

    Attributes:
        lost: done when it has ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[], None]) -> None:
        self.lost: asyncio.Future[None] = loop.create_future()
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """The other worker has ended, or has closed it."""
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)
        self._on_lost()

    def send(self, data: bytes, *, essential: bool = False) -> bool:
        """Write; `False` if there is no room for it.

        Nothing is lost before the link is open: it then begins with a Hello.
        """
        transport = self._transport
        if transport is None:
            return True
        waiting = transport.get_write_buffer_size()
        if waiting > MAX_WAITING and not essential:
            return False
        if waiting > 2 * MAX_WAITING:
            transport.abort()
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
