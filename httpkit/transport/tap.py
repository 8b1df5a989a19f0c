"""A connection that shows its bytes to a tap.

Made in place of a `Connection` where the server has a tap, so that all others pay nothing for the
possibility. Owns that a tap never harms a connection: what it raises is logged once, and no
connection of this server calls it again.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol, cast

from httpkit.protocol.engine import Engine
from httpkit.transport.connection import Connection
from httpkit.transport.contracts import ConnectionOwner
from httpkit.types import Direction, Tap

__all__ = ["TappedConnection"]

logger = logging.getLogger("httpkit")


class TapOwner(ConnectionOwner, Protocol):
    """A server that has a tap."""

    tap: Tap | None
    clock: Callable[[], float]


class TappedConnection(Connection):
    """A `Connection` that shows what it receives and sends."""

    def __init__(self, owner: TapOwner, engine: Engine, name: str, scheme: str = "http") -> None:
        super().__init__(owner, engine, name, scheme)
        self._tapped = owner
        self._ended: set[Direction] = set()

    def show(self, direction: Direction, data: bytes) -> None:
        """Call the tap."""
        tap = self._tapped.tap
        if tap is None:
            return
        try:
            tap(self.name, direction, data, self._tapped.clock())
        except Exception:
            self._tapped.tap = None
            logger.exception("the tap has failed and is switched off")

    def show_end(self, direction: Direction) -> None:
        """Call the tap with the end of a direction, unless it knows."""
        if direction not in self._ended:
            self._ended.add(direction)
            self.show(direction, b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        super().connection_made(cast("asyncio.Transport", _TappedTransport(transport, self)))

    @property
    def can_bypass(self) -> bool:
        """No: everything is to be seen."""
        return False

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        self.show("received", bytes(data))
        super().data_received(data)

    def eof_received(self) -> bool:
        """The peer has closed its sending side."""
        self.show_end("received")
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whichever side."""
        super().connection_lost(exc)
        self.show_end("received")
        self.show_end("sent")


class _TappedTransport:
    """A transport as a `Connection` uses it; shows what is written."""

    def __init__(self, transport: asyncio.BaseTransport, connection: TappedConnection) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connection = connection

    def write(self, data: bytes) -> None:
        """Show and write."""
        self._connection.show("sent", bytes(data))
        self._transport.write(data)

    def write_eof(self) -> None:
        """Show the end and write it."""
        self._connection.show_end("sent")
        self._transport.write_eof()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
