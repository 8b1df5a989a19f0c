"""What a connection asks of those above it: who owns it, who listens to a request, who waits.

`server/` implements these; `connection.py` calls them and knows nothing else of it.
"""

import asyncio
from typing import TYPE_CHECKING, Protocol

from httpkit.errors import ProtocolError
from httpkit.limits import Limits
from httpkit.protocol.engine import Engine
from httpkit.protocol.events import RequestReceived

if TYPE_CHECKING:
    from httpkit.transport.connection import Connection

__all__ = ["BlockedWriter", "ConnectionOwner", "Stream", "WatchedSession"]


class Stream(Protocol):
    """What a connection tells about one request; `server.exchange.Exchange` listens."""

    def begin(self) -> None:
        """The request is there, and whatever of its body came with it."""

    def receive_data(self, data: bytes, *, end_stream: bool) -> None:
        """A piece of the body."""

    def receive_trailers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """The trailer section."""

    def reset(self, error: ProtocolError | None) -> None:
        """The peer is gone, or the stream is: stop working on it."""

    def check_deadline(self, now: float, timeout: float) -> None:
        """The reaper passes by; `timeout` is what a request may take in seconds."""

    def min_body_rate(self, default: int | None) -> int | None:
        """Bytes a second that its body must reach, `None` for any."""


class BlockedWriter(Protocol):
    """What waits in `Connection.blocked` for the capacity of a stream, and takes itself out."""

    def resume_writing(self) -> None:
        """There may be capacity again."""


class WatchedSession(Protocol):
    """What has taken over a stream and has deadlines of its own."""

    def check_deadline(self, now: float) -> None:
        """The reaper passes by."""

    def begin_shutdown(self) -> None:
        """The connection is to end."""


class ConnectionOwner(Protocol):
    """The server, as a connection sees it."""

    limits: Limits
    loop: asyncio.AbstractEventLoop

    def make_stream(self, connection: "Connection", event: RequestReceived) -> Stream:
        """An exchange for a new request."""

    def connection_opened(self, connection: "Connection") -> None:
        """Count it."""

    def connection_closed(self, connection: "Connection") -> None:
        """Forget it."""

    def connection_refused(
        self, connection: "Connection", error: ProtocolError, status: int | None
    ) -> None:
        """The engine has refused what the peer sent, perhaps with a status."""

    def make_engine(self, protocol: str) -> Engine:
        """An engine for a protocol as ALPN names it: `http/1.1` or `h2`."""
