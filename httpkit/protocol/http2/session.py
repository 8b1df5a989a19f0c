"""What an HTTP/2 library does for the engine: HPACK, frames, windows, and the order of output.

The engine owns everything else: what a peer may do (`receiving`), what an answer must be
(`sending`), and which streams exist. A session gets whole frames that passed the guard, and tells
of them through a `Sink`, in the order in which they came.
"""

from collections.abc import Sequence
from typing import Protocol

from httpkit.protocol.http2.frames import ErrorCode

__all__ = ["ConnectionFault", "Fields", "Session", "Sink"]

Fields = Sequence[tuple[bytes, bytes]]


class ConnectionFault(Exception):
    """The peer has done what ends the connection (RFC 9113 §5.4.1).

    Attributes:
        code: for GOAWAY.
        reason: a sentence for the log and the debug data.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Sink(Protocol):
    """The engine, as a session sees it."""

    def on_request(self, stream_id: int, fields: Fields, end_stream: bool) -> None:  # noqa: FBT001 - hot
        """The field section that opens a stream; nothing in it is checked."""

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:  # noqa: FBT001 - hot
        """Content, without padding. Padding is credited by the session."""

    def on_trailers(self, stream_id: int, fields: Fields) -> None:
        """The field section that ends a stream."""

    def on_reset(self, stream_id: int) -> None:
        """The peer has closed the stream."""

    def on_ping_ack(self) -> None:
        """A ping of this side came back."""


class Session(Protocol):
    """One connection of a library. SETTINGS of this side are written by the engine.

    Calls on streams that are closed, or unknown, do nothing.
    """

    name: str

    @property
    def has_more_to_send(self) -> bool:
        """Whether `data_to_send` would give something now."""
        ...

    def receive(self, data: bytes, sink: Sink) -> None:
        """Take whole frames, the preface before the first of them, and tell the sink.

        It is not kept: a circle of the two would wait for the garbage collector.

        Raises:
            ConnectionFault: what they say is forbidden. The session is of no more use then, except
                for `data_to_send`.
        """
        ...

    def credit(self, stream_id: int, size: int) -> None:
        """Content of this size is consumed: the peer may send as much again.

        Of a closed stream, the connection's window is meant.
        """
        ...

    def send_head(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """HEADERS, `:status` first."""
        ...

    def send_answer(self, stream_id: int, fields: Fields, body: bytes) -> None:
        """A whole answer: HEADERS, `:status` first, and content."""
        ...

    def send_informational(self, stream_id: int, fields: Fields) -> None:
        """HEADERS of an interim response."""
        ...

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool) -> None:
        """Queue content; it goes out as windows and priorities allow."""
        ...

    def send_end(self, stream_id: int, trailers: Fields) -> None:
        """The end of the stream, behind what is queued, with trailers if there are any."""
        ...

    def send_push(self, stream_id: int, fields: Fields) -> int | None:
        """PUSH_PROMISE; the promised stream, or `None` if the peer wants none now."""
        ...

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """RST_STREAM; what is queued for the stream is dropped."""
        ...

    def ping(self) -> None:
        """PING."""
        ...

    def send_goaway(self, last_stream_id: int) -> None:
        """GOAWAY without an error, at most twice (RFC 9113 §6.8)."""
        ...

    def set_priority(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        """How this side wants the stream to be ordered (RFC 9218 §8)."""
        ...

    def queued(self, stream_id: int) -> int:
        """Octets of content of a stream that wait here; of stream 0, those of all streams.

        An end that waits for a window counts as one octet.
        """
        ...

    def send_window(self, stream_id: int) -> int:
        """What the peer takes of a stream now, in octets; may be negative, and 0 if it is closed.

        Of stream 0: what it takes of all of them.
        """
        ...

    def data_to_send(self, limit: int | None = None) -> bytes:
        """Frames for the wire, at most `limit` octets of them; may end within a frame."""
        ...
