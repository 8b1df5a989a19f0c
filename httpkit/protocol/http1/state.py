"""What the two sides of an HTTP/1.1 connection share: where each of them is, and how it ends.

Owned by `engine.HTTP1Engine`; `receiving` and `sending` are its two halves.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Protocol

from httpkit.errors import (
    RemoteProtocolError,
)
from httpkit.headers import RawHeaders
from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.events import (
    ConnectionTerminated,
    Event,
)
from httpkit.protocol.http1.chunked import ChunkGuard
from httpkit.protocol.http1.head import (
    Framing,
)
from httpkit.protocol.http1.plain import plain_heads
from httpkit.protocol.http1.serialize import (
    Preamble,
)
from httpkit.request import RequestHead

__all__ = [
    "BODY",
    "CLOSED",
    "COMPLETE",
    "DONE",
    "DRAIN",
    "EMPTY_LINE",
    "HEAD",
    "IDLE",
    "NOTHING",
    "RAW",
    "REQUEST_LINE",
    "WAITING",
    "ConnectionState",
    "MessageParser",
    "Receive",
    "Send",
]


class MessageParser(Protocol):
    """What a parsing library has to do for the engine. Raises only `RemoteProtocolError`."""

    name: str
    #: Plain heads do not reach it.
    has_fast_lane: bool

    def parse_head(self, head: bytes) -> RawHeaders:
        """The fields of the next request's head: lower case names, trimmed values."""
        ...

    def parse_body(self, raw: bytes) -> bytes:
        """Decode bytes of the body whose framing is whole."""
        ...

    def trailers(self) -> RawHeaders:
        """The trailer fields of the body that has just ended."""
        ...

    def forget(self) -> None:
        """An upgrade was accepted: no message follows."""
        ...


class Receive(Enum):
    """Where the receiving side is."""

    IDLE = auto()  # between requests
    HEAD = auto()  # some of a head has come
    BODY = auto()  # some of a body is missing
    COMPLETE = auto()  # the request is complete, its answer is not
    DRAIN = auto()  # the answer is complete, the body is not: it is thrown away
    RAW = auto()  # upgraded
    CLOSED = auto()  # no more input is taken


class Send(Enum):
    """Where the sending side is."""

    WAITING = auto()  # no final head yet
    SIZED = auto()  # a body of known length
    CHUNKED = auto()
    UNTIL_CLOSE = auto()  # HTTP/1.0, length unknown
    BODILESS = auto()  # HEAD, 204, 205, 304: the body is swallowed
    RAW = auto()  # upgraded
    DONE = auto()


IDLE, HEAD, BODY, COMPLETE = Receive.IDLE, Receive.HEAD, Receive.BODY, Receive.COMPLETE
DRAIN, RAW, CLOSED = Receive.DRAIN, Receive.RAW, Receive.CLOSED
WAITING, DONE, SEND_RAW = Send.WAITING, Send.DONE, Send.RAW

_DEADLINES = {
    HEAD: Deadline.HEAD,
    BODY: Deadline.BODY,
    DRAIN: Deadline.BODY,
    RAW: Deadline.NONE,
}
_NO_FRAMING = Framing(keep_alive=False)
_NO_HEAD = RequestHead("", b"")

# How far the beginning of a head has been looked at.
NOTHING = 0
EMPTY_LINE = 1  # an empty line was skipped; a second is refused
REQUEST_LINE = 2  # the request line is good


class ConnectionState:
    """State, queries and the output queue of one connection."""

    __slots__ = (
        "_body_left",
        "_buffer",
        "_chunks",
        "_continued",
        "_cut",
        "_drain_left",
        "_eof",
        "_framing",
        "_head",
        "_knows_preface",
        "_last_answer",
        "_last_known",
        "_last_raw",
        "_limits",
        "_looked_at",
        "_out",
        "_parser",
        "_parser_reads",
        "_plain_heads",
        "_position",
        "_preamble",
        "_queued",
        "_receive",
        "_scanned",
        "_send",
        "_send_left",
        "_unconsumed",
        "body_received",
        "close",
        "has_more_input",
        "last_stream_id",
        "turn_is_over",
    )

    def __init__(
        self,
        parser: MessageParser,
        limits: Limits,
        preamble: Preamble,
        *,
        knows_preface: bool = False,
    ) -> None:
        self._knows_preface = knows_preface
        self._parser = parser
        self._limits = limits
        self._plain_heads = plain_heads(limits) if parser.has_fast_lane else None
        # The last head that may come again just so, and what it means.
        self._last_raw = b""
        self._last_known: tuple[RequestHead, Framing] = (_NO_HEAD, _NO_FRAMING)
        self._preamble = preamble
        self.close = Close.OPEN
        self.has_more_input = False
        self.turn_is_over = False
        self.last_stream_id = 0
        self.body_received = 0
        # Input that is not parsed yet is _buffer[_position:]; of it, all before _scanned has no
        # end of a head.
        self._buffer = b""
        self._position = 0
        self._scanned = 0
        self._looked_at = NOTHING
        self._receive = IDLE
        self._eof = False
        # This side wants the current answer, or the next one, to be the last.
        self._last_answer = False
        # The current request.
        self._head = _NO_HEAD
        self._framing = _NO_FRAMING
        # The parser has seen its head, so it has to see its body.
        self._parser_reads = False
        self._chunks: ChunkGuard | None = None
        self._body_left = 0
        self._drain_left = 0
        self._unconsumed = 0
        self._continued = False
        # Its answer.
        self._send = DONE
        self._send_left = 0
        # The queue of output; of its first piece, _cut bytes are gone already.
        self._out: list[bytes] = []
        self._cut = 0
        self._queued = 0

    @property
    def deadline_kind(self) -> Deadline:
        """Which deadline applies now."""
        state = self._receive
        if state is COMPLETE:
            return Deadline.HALF_CLOSED if self._eof else Deadline.NONE
        if state is CLOSED:
            return Deadline.LINGER if self.close is Close.LINGER else Deadline.NONE
        if not self.wants_input or self.expects_continue(self.last_stream_id):
            return Deadline.NONE  # it is this side that makes the peer wait
        if state is IDLE:
            return Deadline.IDLE if self.last_stream_id else Deadline.FIRST
        return _DEADLINES[state]

    @property
    def deadline_mark(self) -> int:
        """Tells one wait from the next of the same kind."""
        return self.last_stream_id

    def stream_waits(self) -> Iterable[tuple[int, Deadline, int]]:
        """The body, unless it is this side that makes the peer wait."""
        if self.deadline_kind is Deadline.BODY:
            yield self.last_stream_id, Deadline.BODY, self.body_received

    @property
    def wants_input(self) -> bool:
        """Whether reading may go on."""
        if self.turn_is_over:
            return False
        state = self._receive
        if state is BODY or state is RAW:
            return self._unconsumed < self._limits.body_buffer
        left = len(self._buffer) - self._position
        if state is COMPLETE:
            return left < self._limits.input_buffer
        if state is IDLE or state is HEAD:
            # Pipelined requests wait for room for their answers; a head has limits of its own.
            has_room = self._queued < self._limits.write_buffer
            return has_room and (state is HEAD or not left or left < self._limits.input_buffer)
        return True

    @property
    def has_more_to_send(self) -> bool:
        """Whether anything is queued."""
        return bool(self._out)

    def capacity(self, stream_id: int) -> int:  # noqa: ARG002 - one stream at a time
        """How many bytes the handler may send now."""
        room = self._limits.write_buffer - self._queued
        return max(0, room)

    def expects_continue(self, stream_id: int) -> bool:
        """Whether the client waits for 100 (Continue) (RFC 9110 §10.1.1)."""
        return (
            stream_id == self.last_stream_id
            and self._framing.expect_continue
            and not self._continued
            and self._receive is BODY
            and self._send is WAITING
        )

    def release(self, stream_id: int) -> None:
        """Nothing is kept for a request beyond its answer."""

    def pass_time(self, seconds: float) -> None:
        """Nothing grows with time."""

    def send_push(self, stream_id: int, head: RequestHead) -> None:
        """There is no push in HTTP/1.1."""

    def begin_shutdown(self) -> None:
        """Close now if no request waits for an answer, else after the answer."""
        self._last_answer = True
        if self._receive is DRAIN:
            self._terminate(Close.LINGER)
        elif self._receive is IDLE and self._position == len(self._buffer):
            self._terminate()

    def _terminate(
        self,
        close: Close = Close.NOW,
        error: RemoteProtocolError | None = None,
        status: int | None = None,
    ) -> list[Event]:
        self._receive = CLOSED
        self._send = DONE
        self._drop_input()
        self.close = close
        return [ConnectionTerminated(error, status)]

    def _cut_short(self) -> Close:
        """How an unfinished answer ends: reset where the peer would take the end for its end."""
        return Close.ABORT if self._send in (Send.UNTIL_CLOSE, Send.RAW) else Close.NOW

    def _end_linger(self) -> None:
        """The peer has read the last answer or had the time to."""
        if self.close is Close.LINGER:
            self.close = Close.NOW

    def _next_request(self) -> None:
        self._receive = IDLE
        self._unconsumed = 0
        if self._eof and self._position == len(self._buffer):
            self._terminate()

    def _drop_input(self) -> None:
        self.has_more_input = self.turn_is_over = False
        self._buffer = b""
        self._position = self._scanned = 0

    def _queue(self, data: bytes) -> None:
        self._out.append(data)
        self._queued += len(data)

    def data_to_send(self, limit: int | None = None) -> bytes:
        """Bytes for the wire, at most `limit`."""
        if self._cut or (limit is not None and self._queued > limit):
            return self._cut_output(self._queued if limit is None else limit)
        out = self._out
        data = out[0] if len(out) == 1 else b"".join(out)
        self._out = []
        self._queued = 0
        return data

    def _cut_output(self, limit: int) -> bytes:
        """The first bytes of the queue; a large body stays in one piece, only the mark moves."""
        parts: list[memoryview] = []
        gone = 0
        for piece in self._out:
            part = memoryview(piece)[self._cut : self._cut + limit]
            parts.append(part)
            limit -= len(part)
            self._queued -= len(part)
            if self._cut + len(part) < len(piece):
                self._cut += len(part)
                break
            self._cut = 0
            gone += 1
        del self._out[:gone]
        return b"".join(parts)
