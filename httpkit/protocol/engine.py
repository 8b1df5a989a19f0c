"""The engine contract: what a transport and an Exchange may ask of any wire protocol.

Theory of operation:

1. An engine has no clock, no socket and calls nobody back. Input goes in by `receive_*`, which
   return events; answers go in by `send_*`; bytes for the wire come out of `data_to_send`.
2. `receive_*` never raise for anything a peer can do: the engine queues the answer that the
   protocol prescribes and says so with `ConnectionTerminated` or `StreamReset`.
3. `send_*` raise `LocalProtocolError` for what must not reach the wire, before any byte of it is
   queued: a second head and a body without one are such mistakes. A call on a stream that has
   ended does nothing, since the peer may end one at any time.
4. After an answer is complete, `receive_data(b"")` gives the events that waited for it.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Protocol

from httpkit.protocol.events import Event, RequestReceived
from httpkit.request import RequestHead
from httpkit.response import Response

__all__ = ["Close", "Deadline", "Engine"]


class Deadline(Enum):
    """What the connection waits for, and so which limit of time applies."""

    NONE = auto()
    #: The first byte of the first request.
    FIRST = auto()
    #: The next request.
    IDLE = auto()
    #: The rest of a head.
    HEAD = auto()
    #: More of the body of a stream.
    BODY = auto()
    #: The handler of a peer that has closed its sending side.
    HALF_CLOSED = auto()
    #: The end of input after the last answer.
    LINGER = auto()
    #: What the peer says to the announcement of an end.
    FAREWELL = auto()
    #: Any sign of life while requests run.
    QUIET = auto()
    #: The answer to a ping.
    PONG = auto()
    #: That the peer takes more of the answer of a stream.
    WINDOW = auto()


class Close(Enum):
    """What is to be done with the connection once everything queued is written."""

    OPEN = auto()
    #: Close it.
    NOW = auto()
    #: Close the sending side and read on for a while, so that the peer can read the answer.
    LINGER = auto()
    #: Reset it: the answer is cut short and the peer could not tell otherwise.
    ABORT = auto()


class Engine(Protocol):
    """One connection of one wire protocol."""

    @property
    def close(self) -> Close:
        """What to do after the flush."""
        ...

    @property
    def deadline_kind(self) -> Deadline:
        """Which deadline applies to the connection as a whole now."""
        ...

    @property
    def deadline_mark(self) -> int:
        """Tells one such wait from the next of the same kind."""
        ...

    def stream_waits(self) -> Iterable[tuple[int, Deadline, int]]:
        """What the peer owes single streams: the stream, `BODY` or `WINDOW`, and the progress.

        Progress is in bytes: of the body that have come, or of the answer that were taken.
        """
        ...

    @property
    def wants_input(self) -> bool:
        """Whether reading may go on; false while the bounded input buffers are full."""
        ...

    @property
    def has_more_input(self) -> bool:
        """Whether `receive_data(b"")` may give events that waited for an answer to end."""
        ...

    @property
    def turn_is_over(self) -> bool:
        """Whether `receive_data(b"")` should wait for the next turn of the loop.

        What has come is many pieces for few bytes, and others wait, too. Nothing is read until
        then.
        """
        ...

    @property
    def has_more_to_send(self) -> bool:
        """Whether `data_to_send` would give something."""
        ...

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the peer; empty to go on with what waited."""
        ...

    def receive_eof(self) -> list[Event]:
        """The peer has closed its sending side."""
        ...

    def receive_timeout(self, stream_id: int = 0) -> list[Event]:
        """The deadline named by `deadline_kind` has passed, or what a stream waits for is late.

        If neither waits any more, nothing happens.
        """
        ...

    def consume(self, stream_id: int, size: int) -> None:
        """The handler took `size` bytes of the body; reading may go on."""
        ...

    def release(self, stream_id: int) -> None:
        """Nobody reads the body of this request any more, nor asks for its stream.

        To be called for requests that have a body or were reset.
        """
        ...

    def pass_time(self, seconds: float) -> None:
        """So much time has passed; what a peer may do per time grows by it."""
        ...

    def expects_continue(self, stream_id: int) -> bool:
        """Whether the client waits for 100 (Continue) before it sends the body."""
        ...

    def send_response(self, stream_id: int, response: Response) -> None:
        """A whole answer whose body is `bytes`, without trailers."""
        ...

    def send_headers(self, stream_id: int, response: Response, length: int | None) -> None:
        """The head of an answer whose body of `length` bytes (`None`: unknown) follows."""
        ...

    def send_data(self, stream_id: int, data: bytes) -> None:
        """A piece of the body."""
        ...

    def send_end(self, stream_id: int, trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The end of the body, with trailer fields where the version can carry them."""
        ...

    def passthrough(self, stream_id: int, length: int) -> bool:
        """Whether the next `length` bytes of the body go to the socket as they are; 0 to ask only.

        If so they count as sent, and the caller writes them behind everything that is queued. They
        do not where the version frames them.
        """
        ...

    def send_informational(
        self, stream_id: int, status: int, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """An interim response."""
        ...

    def send_reset(self, stream_id: int) -> None:
        """The answer cannot be completed: make that visible to the peer."""
        ...

    def accept_upgrade(self, stream_id: int, response: Response, protocol: bytes) -> None:
        """Accept an upgrade; the stream carries raw bytes from here on."""
        ...

    def send_push(self, stream_id: int, head: RequestHead) -> RequestReceived | None:
        """Promise the peer the answer to a request that it has not sent.

        The result is that request, to be answered like any other; `None` if the peer takes none
        now, or cannot.
        """
        ...

    def begin_shutdown(self) -> None:
        """Finish what runs, take nothing new."""
        ...

    def data_to_send(self, limit: int | None = None) -> bytes:
        """Bytes for the wire, at most about `limit` of them."""
        ...

    def capacity(self, stream_id: int) -> int:
        """How many bytes of body the handler may send now without overfilling the queue."""
        ...
