"""HTTP/1.1 as a state machine (RFC 9112), for both parsers; implements `protocol.engine.Engine`.

Theory of operation:

1. One request at a time. The receiving side (`Receive`) and the sending side (`Send`) advance
   independently; the next request begins when both are through, so pipelined answers are in order.
2. Bytes reach a parser only after a guard has found where the message ends: heads whole, bodies in
   framed pieces. A parser never sees the beginning of the next message.
3. The answer decides about the connection: it says `Connection: close` if and only if the
   connection closes after it. Only what happens behind its head can still end the connection
   unannounced: a shutdown, the end of input, or an unread body that proves too long to throw away.
4. After the engine has refused anything it takes no more input, and writes no second answer.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Protocol

from httpkit.errors import (
    ConnectRefused,
    LocalProtocolError,
    RemoteProtocolError,
    RequestTimeout,
    reason_phrase,
)
from httpkit.headers import RawHeaders
from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamReset,
    TrailersReceived,
)
from httpkit.protocol.http1.chunked import ChunkGuard
from httpkit.protocol.http1.head import (
    Framing,
    check_fields,
    check_lines,
    check_partial_head,
    check_request_line,
    check_size,
    classify_fields,
)
from httpkit.protocol.http1.memo import HeadMemo
from httpkit.protocol.http1.serialize import (
    CLOSE,
    PLAIN,
    Preamble,
    serialize_fields,
    serialize_head,
)
from httpkit.protocol.outgoing import (
    NO_CONTENT,
    OutgoingFields,
    check_informational,
    check_status,
    check_trailers,
    has_no_body,
    keep_trailers,
)
from httpkit.response import Response

__all__ = ["HTTP1Engine", "MessageParser"]


class MessageParser(Protocol):
    """What a parsing library has to do for the engine. Raises only `RemoteProtocolError`."""

    name: str
    #: The fast lane in front of it, if it has one.
    memo: HeadMemo | None

    def parse_head(self, head: bytes) -> RawHeaders:
        """The fields of the next request's head: lower case names, trimmed values."""
        ...

    def parse_body(self, raw: bytes) -> bytes:
        """Decode bytes of the body whose framing is whole."""
        ...

    def trailers(self) -> RawHeaders:
        """The trailer fields of the body that has just ended."""
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


_IDLE, _HEAD, _BODY, _COMPLETE = Receive.IDLE, Receive.HEAD, Receive.BODY, Receive.COMPLETE
_DRAIN, _RAW, _CLOSED = Receive.DRAIN, Receive.RAW, Receive.CLOSED
_WAITING, _DONE = Send.WAITING, Send.DONE

_DEADLINES = {
    _HEAD: Deadline.HEAD,
    _BODY: Deadline.BODY,
    _DRAIN: Deadline.BODY,
    _RAW: Deadline.NONE,
}
_NO_FRAMING = Framing(keep_alive=False)
_CUT_OFF = "The request ended before it was complete."

# How far the beginning of a head has been looked at.
_NOTHING = 0
_EMPTY_LINE = 1  # an empty line was skipped; a second is refused
_REQUEST_LINE = 2  # the request line is good


class HTTP1Engine:
    """One HTTP/1.1 connection.

    Args:
        parser: the library behind it.
        limits: of the server.
        preamble: the fields the server adds, shared by its connections.
    """

    __slots__ = (
        "_body_left",
        "_buffer",
        "_chunks",
        "_continued",
        "_cut",
        "_drain_left",
        "_eof",
        "_fast_limit",
        "_framing",
        "_last_answer",
        "_limits",
        "_looked_at",
        "_method",
        "_out",
        "_parser",
        "_position",
        "_preamble",
        "_queued",
        "_receive",
        "_scanned",
        "_send",
        "_send_left",
        "_unconsumed",
        "_version",
        "body_received",
        "close",
        "last_stream_id",
    )

    def __init__(self, parser: MessageParser, limits: Limits, preamble: Preamble) -> None:
        self._parser = parser
        self._limits = limits
        # Heads up to this size exceed none of the limits of size.
        self._fast_limit = min(limits.max_target, limits.max_header_bytes)
        self._preamble = preamble
        self.close = Close.OPEN
        self.last_stream_id = 0
        self.body_received = 0
        # Input that is not parsed yet is _buffer[_position:]; of it, all before _scanned has no
        # end of a head.
        self._buffer = b""
        self._position = 0
        self._scanned = 0
        self._looked_at = _NOTHING
        self._receive = _IDLE
        self._eof = False
        # This side wants the current answer, or the next one, to be the last.
        self._last_answer = False
        # The current request.
        self._method = ""
        self._version = "1.1"
        self._framing = _NO_FRAMING
        self._chunks: ChunkGuard | None = None
        self._body_left = 0
        self._drain_left = 0
        self._unconsumed = 0
        self._continued = False
        # Its answer.
        self._send = _DONE
        self._send_left = 0
        # The queue of output; of its first piece, _cut bytes are gone already.
        self._out: list[bytes] = []
        self._cut = 0
        self._queued = 0

    # --- queries -----------------------------------------------------------------------------

    @property
    def parser_name(self) -> str:
        """`native` or `reference`."""
        return self._parser.name

    @property
    def deadline_kind(self) -> Deadline:
        """Which deadline applies now."""
        state = self._receive
        if state is _COMPLETE:
            return Deadline.HALF_CLOSED if self._eof else Deadline.NONE
        if state is _CLOSED:
            return Deadline.LINGER if self.close is Close.LINGER else Deadline.NONE
        if not self.wants_input or self.expects_continue(self.last_stream_id):
            return Deadline.NONE  # it is this side that makes the peer wait
        if state is _IDLE:
            return Deadline.IDLE if self.last_stream_id else Deadline.FIRST
        return _DEADLINES[state]

    @property
    def wants_input(self) -> bool:
        """Whether reading may go on."""
        state = self._receive
        if state is _BODY or state is _RAW:
            return self._unconsumed < self._limits.body_buffer
        left = len(self._buffer) - self._position
        if state is _COMPLETE:
            return left < self._limits.input_buffer
        if state is _IDLE or state is _HEAD:
            # Pipelined requests wait for room for their answers; a head has limits of its own.
            has_room = self._queued < self._limits.write_buffer
            return has_room and (state is _HEAD or not left or left < self._limits.input_buffer)
        return True

    @property
    def has_more_to_send(self) -> bool:
        """Whether anything is queued."""
        return bool(self._out)

    def capacity(self, stream_id: int) -> int:  # noqa: ARG002 - one stream at a time
        """How many bytes the handler may send now."""
        return max(0, self._limits.write_buffer - self._queued)

    def expects_continue(self, stream_id: int) -> bool:
        """Whether the client waits for 100 (Continue) (RFC 9110 §10.1.1)."""
        return (
            stream_id == self.last_stream_id
            and self._framing.expect_continue
            and not self._continued
            and self._receive is _BODY
            and self._send is _WAITING
        )

    # --- receiving ---------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes; empty to go on with what was kept back."""
        if data:
            if (
                not self._buffer
                and self._receive is _IDLE
                and len(data) <= self._fast_limit
                and data.endswith(b"\r\n\r\n")
            ):
                # The fast lane: a read that is just one head, each line of which is known.
                memo = self._parser.memo
                known = None if memo is None else memo.recall(data)
                if known is not None and len(known[3]) <= self._limits.max_headers:
                    return self._begin_request(*known)
            if self._position < len(self._buffer):
                data = self._buffer[self._position :] + data
                self._scanned -= self._position
            else:
                self._scanned = 0
            self._buffer = data
            self._position = 0
        elif self._position == len(self._buffer):
            self._buffer = b""  # nothing is left: an idle connection keeps no memory
            self._position = self._scanned = 0
            return self._end_raw() if self._eof and self._receive is _RAW else []
        state = self._receive
        if state is _IDLE or state is _HEAD:
            return self._receive_head()
        if state is _BODY or state is _DRAIN:
            return self._receive_body()
        if state is _RAW:
            return self._receive_raw()
        if state is _CLOSED:
            self._drop_input()
        return []

    def receive_eof(self) -> list[Event]:
        """The peer has closed its sending side (RFC 9112 §8, §9.6)."""
        self._eof = True
        state = self._receive
        if state is _COMPLETE:
            return []
        if state is _RAW:
            return self._end_raw()
        if state is _HEAD or state is _BODY:
            return self._refuse(RemoteProtocolError(_CUT_OFF))
        if state is _CLOSED:
            self._end_linger()
            return []
        if state is _IDLE and self._position < len(self._buffer):
            return self._receive_head()  # pipelined before the end
        return self._terminate()

    def receive_timeout(self) -> list[Event]:
        """The current deadline has passed."""
        kind = self.deadline_kind
        if kind is Deadline.NONE:
            return []
        if kind is Deadline.LINGER:
            self._end_linger()
            return []
        if kind is Deadline.HEAD or (kind is Deadline.BODY and self._receive is _BODY):
            return self._refuse(RequestTimeout("The request did not arrive in time."))
        if kind is Deadline.HALF_CLOSED:
            return [StreamReset(self.last_stream_id), *self._terminate(self._cut_short())]
        return self._terminate()

    def consume(self, stream_id: int, size: int) -> None:
        """The handler took `size` bytes of the body."""
        if stream_id == self.last_stream_id:
            self._unconsumed = max(0, self._unconsumed - size)

    def _receive_head(self) -> list[Event]:
        buffer, start = self._buffer, self._position
        if buffer[start] == 0x0D and self._looked_at == _NOTHING:
            # RFC 9112 §2.2: one empty line before a request line is ignored; a second is refused.
            if len(buffer) - start == 1:
                self._receive = _HEAD
                return []
            if buffer[start + 1] == 0x0A:
                self._looked_at = _EMPTY_LINE
                self._position = start = start + 2
                if start == len(buffer):
                    self._receive = _IDLE
                    return []
        end = buffer.find(b"\r\n\r\n", max(start, self._scanned - 3)) + 4
        try:
            if end < 4:
                return self._receive_partial_head(buffer, start)
            head = buffer[start:end]
            memo = self._parser.memo
            if memo is not None and end - start <= self._fast_limit:
                known = memo.recall(head)
                if known is not None and len(known[3]) <= self._limits.max_headers:
                    self._position = end
                    return self._begin_request(*known)
            method, target, minor = check_request_line(head, self._limits)
            check_size(head, target, self._limits)
            check_lines(head)
            try:
                headers = self._parser.parse_head(head)
            except RemoteProtocolError:
                raise classify_fields(head, target, minor, self._limits) from None
            framing = check_fields(headers, target, minor, self._limits)
        except RemoteProtocolError as error:
            return self._refuse(error)
        self._position = end
        if minor == b"0":
            self._version = "1.0"  # such a connection is closed after its first answer
        elif memo is not None:
            memo.learn(head, method, target, headers, framing)
        return self._begin_request(method, target, framing.authority, headers, framing)

    def _receive_partial_head(self, buffer: bytes, start: int) -> list[Event]:
        line_checked = check_partial_head(
            buffer[start:],
            max(0, self._scanned - start),
            self._limits,
            line_checked=self._looked_at == _REQUEST_LINE,
        )
        if line_checked:
            self._looked_at = _REQUEST_LINE
        self._receive = _HEAD
        self._scanned = len(buffer)
        if self._eof:
            raise RemoteProtocolError(_CUT_OFF)
        return []

    def _begin_request(
        self, method: str, target: bytes, authority: bytes, headers: RawHeaders, framing: Framing
    ) -> list[Event]:
        self.last_stream_id = stream_id = self.last_stream_id + 1
        self._looked_at = _NOTHING
        self._method = method
        self._framing = framing
        self._send = _WAITING
        event = RequestReceived(stream_id, method, target, authority, headers)
        if not framing.keep_alive or stream_id == self._limits.max_requests_per_connection:
            self._last_answer = True
            event.version = self._version
        if framing.upgrade is not None:
            event.upgrade = framing.upgrade
        if not framing.chunked and not framing.content_length:
            self._receive = _COMPLETE
            return [event]
        event.end_stream = False
        event.content_length = framing.content_length
        self._receive = _BODY
        self._body_left = framing.content_length or 0
        self._chunks = ChunkGuard(self._limits) if framing.chunked else None
        self._continued = False
        events: list[Event] = [event]
        if self._position < len(self._buffer):
            events += self._receive_body()
        if self._eof and self._receive is _BODY:  # pipelined before the end of input
            events += self._refuse(RemoteProtocolError(_CUT_OFF))
        return events

    def _receive_body(self) -> list[Event]:
        """Find how much of the body is here, let the parser decode it."""
        self._continued = True  # who sends the body does not wait for 100 (RFC 9110 §10.1.1)
        raw, done, error = self._take_framed()
        try:
            data = self._parser.parse_body(raw) if raw else b""
        except RemoteProtocolError as parser_error:
            return self._refuse(parser_error)
        self.body_received += len(data)
        if self._receive is _DRAIN:
            return self._drain(len(raw), error, done=done)
        events: list[Event] = []
        if done:
            self._receive = _COMPLETE
            if self._chunks is not None:
                trailers = keep_trailers(self._parser.trailers())
                if trailers:
                    events.append(TrailersReceived(self.last_stream_id, trailers))
        if data or done:
            self._unconsumed += len(data)
            events.append(DataReceived(self.last_stream_id, data, end_stream=done))
        if error is not None:
            events += self._refuse(error)
        return events

    def _take_framed(self) -> tuple[bytes, bool, RemoteProtocolError | None]:
        """Cut from the input what belongs to the body; its end or an error may stand behind."""
        buffer, start, chunks = self._buffer, self._position, self._chunks
        if chunks is None:
            end = min(start + self._body_left, len(buffer))
            self._body_left -= end - start
            done, error = self._body_left == 0, None
        else:
            end = chunks.walk(buffer, start)
            done, error = chunks.done, chunks.error
        raw = buffer[start:end]
        if end == len(buffer):
            self._drop_input()  # an idle connection does not keep the last piece of an upload
        else:
            self._position = end
        return raw, done, error

    def _drain(self, size: int, error: RemoteProtocolError | None, *, done: bool) -> list[Event]:
        self._drain_left -= size
        if error is not None:
            return self._refuse(error)
        if self._drain_left < 0:
            return self._terminate(Close.LINGER)
        if done:
            self._next_request()
            return self.receive_data(b"")
        return []

    def _receive_raw(self) -> list[Event]:
        data = self._buffer[self._position :]
        self._drop_input()
        self._unconsumed += len(data)
        events: list[Event] = [DataReceived(self.last_stream_id, data, end_stream=False)]
        if self._eof:
            events += self._end_raw()
        return events

    def _end_raw(self) -> list[Event]:
        """The peer has ended its side of an upgraded stream; this side may go on."""
        self._receive = _COMPLETE
        return [DataReceived(self.last_stream_id, b"", end_stream=True)]

    def _drop_input(self) -> None:
        self._buffer = b""
        self._position = self._scanned = 0

    # --- ends --------------------------------------------------------------------------------

    def _refuse(self, error: RemoteProtocolError) -> list[Event]:
        """Answer what the peer did wrong, once, and take no more of it."""
        events: list[Event] = []
        running = self._receive is _BODY
        if running:
            events.append(StreamReset(self.last_stream_id, error))
        status = None
        if self._send is _WAITING or (self._receive is not _DRAIN and not running):
            status = error.status
            self._write_refusal(error)
        close = Close.NOW if self._eof else Close.LINGER
        if self._send is Send.UNTIL_CLOSE:
            close = Close.ABORT
        events += self._terminate(close, error, status)
        return events

    def _write_refusal(self, error: RemoteProtocolError) -> None:
        status = error.status
        headers = {"allow": ""} if isinstance(error, ConnectRefused) else None
        response = Response(f"{status} {reason_phrase(status)}: {error}\n", status, headers)
        body = response.body
        assert isinstance(body, bytes)
        fields = OutgoingFields(response.raw_headers)
        head = serialize_head(self._preamble, status, fields, CLOSE)
        self._queue(b"%bcontent-length: %d\r\n\r\n" % (head, len(body)))
        # RFC 9110 §9.3.2: a client that asked with HEAD takes a body for its next answer.
        is_head = self._method == "HEAD"
        if self._receive is not _BODY:
            is_head = self._buffer.startswith(b"HEAD ", self._position)
        if not is_head:
            self._queue(body)

    def _terminate(
        self,
        close: Close = Close.NOW,
        error: RemoteProtocolError | None = None,
        status: int | None = None,
    ) -> list[Event]:
        self._receive = _CLOSED
        self._send = _DONE
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

    def begin_shutdown(self) -> None:
        """Close now if no request waits for an answer, else after the answer."""
        self._last_answer = True
        if self._receive is _DRAIN:
            self._terminate(Close.LINGER)
        elif self._receive is _IDLE and self._position == len(self._buffer):
            self._terminate()

    def _finish_answer(self, *, close: bool) -> None:
        """The answer is complete: the next request, the rest of the body, or the end."""
        self._send = _DONE
        if close or self._last_answer:
            self._terminate(Close.LINGER if self._may_lose_answer() else Close.NOW)
        elif self._receive is _COMPLETE:
            self._next_request()
        else:
            self._receive = _DRAIN
            self._drain_left = self._limits.drain_bytes

    def _may_lose_answer(self) -> bool:
        """Whether more input may come, which on a closed socket resets it (RFC 9112 §9.6).

        A client that asked for the end sends nothing more; one that did not may have sent its
        next request before it could read that there is none.
        """
        if self._eof:
            return False
        unread = self._receive is not _COMPLETE or self._position < len(self._buffer)
        return unread or self._framing.keep_alive

    def _next_request(self) -> None:
        self._receive = _IDLE
        self._unconsumed = 0
        if self._eof and self._position == len(self._buffer):
            self._terminate()

    # --- sending -----------------------------------------------------------------------------

    def send_response(self, stream_id: int, response: Response) -> None:
        """A whole answer whose body is `bytes`."""
        if stream_id != self.last_stream_id or self._send is not _WAITING:
            self._check_ended(stream_id)
            return
        body = response.body
        assert type(body) is bytes
        if (
            type(response.raw_headers) is tuple
            and self._method != "HEAD"
            and response.status not in NO_CONTENT
        ):
            preamble = self._preamble
            if self._last_answer or self._eof or self._receive is not _COMPLETE:
                connection = self._connection_line()
            else:
                connection = preamble.keep_alive if self._framing.said_keep_alive else PLAIN
            key = (response.status, response.raw_headers, connection)
            head = preamble.memo.get(key) or preamble.sized_head(response, connection)
            if head:
                data = b"%b%d\r\n\r\n%b" % (head, len(body), body)
                self._out.append(data)
                self._queued += len(data)
                if self._receive is _COMPLETE and connection is not CLOSE and not self._eof:
                    self._send = _DONE
                    self._receive = _IDLE
                    self._unconsumed = 0
                else:
                    self._finish_answer(close=connection is CLOSE)
                return
        self.send_headers(stream_id, response, len(body))
        self.send_data(stream_id, body)
        self.send_end(stream_id)

    def _check_ended(self, stream_id: int) -> None:
        """A call that comes too early or twice is a bug here; one on an ended stream is not.

        Raises:
            LocalProtocolError: the stream is the current one and its answer goes on.
        """
        if stream_id == self.last_stream_id and self._send is not _DONE:
            raise LocalProtocolError("an answer has one head, and its body comes after it")

    def send_headers(self, stream_id: int, response: Response, length: int | None) -> None:
        """The head of an answer; `length` is the size of the body, if it is known."""
        if stream_id != self.last_stream_id or self._send is not _WAITING:
            self._check_ended(stream_id)
            return
        status = response.status
        check_status(status)
        fields = OutgoingFields(response.raw_headers)
        mode, framing = self._frame_answer(response, fields, length)
        connection = self._connection_line()
        if fields.close or mode is Send.UNTIL_CLOSE:
            connection = CLOSE
        if connection is CLOSE:
            self._last_answer = True
        head = serialize_head(self._preamble, status, fields, connection)
        self._send = mode
        self._queue(b"%b%b\r\n" % (head, framing))

    def _frame_answer(
        self, response: Response, fields: OutgoingFields, length: int | None
    ) -> tuple[Send, bytes]:
        """How the body is delimited (RFC 9112 §6), and the field that says so."""
        announced = fields.content_length
        status = response.status
        if has_no_body(self._method, status):
            size = announced if announced is not None else length
            if status == 205:
                size = 0
            if status == 204 or size is None or (status == 304 and announced is None):
                return Send.BODILESS, b""
            return Send.BODILESS, b"content-length: %d\r\n" % size
        if announced is not None and length is not None and announced != length:
            raise LocalProtocolError(
                f"Content-Length says {announced} bytes but the body has {length}"
            )
        size = announced if length is None else length
        if self._version == "1.1" and (size is None or response.trailers is not None):
            return Send.CHUNKED, b"transfer-encoding: chunked\r\n"
        if size is None:
            return Send.UNTIL_CLOSE, b""
        self._send_left = size
        return Send.SIZED, b"content-length: %d\r\n" % size

    def _connection_line(self) -> bytes:
        """What the answer says about the connection; see rule 3."""
        if (
            self._last_answer
            or (self._eof and self._position == len(self._buffer))
            or (self._receive is _BODY and self._cannot_drain())
        ):
            return CLOSE
        return self._preamble.keep_alive if self._framing.said_keep_alive else PLAIN

    def _cannot_drain(self) -> bool:
        """Whether reading the rest of the body would cost more than a new connection.

        A client that waits for 100 (Continue) may send the body or not after a final answer
        (RFC 9110 §10.1.1); only closing makes the two alike.
        """
        waits = self._framing.expect_continue and not self._continued
        return waits or self._body_left > self._limits.drain_bytes

    def send_data(self, stream_id: int, data: bytes) -> None:
        """A piece of the body.

        Raises:
            LocalProtocolError: more than the announced length, or no head yet.
        """
        if stream_id != self.last_stream_id:
            return
        mode = self._send
        if mode is _WAITING:
            self._check_ended(stream_id)
        if not data:
            return  # an empty chunk would end the body
        if mode is Send.CHUNKED:
            self._queue(b"%x\r\n%b\r\n" % (len(data), data))
        elif mode is Send.SIZED:
            if len(data) > self._send_left:
                raise LocalProtocolError("the body is longer than its Content-Length")
            self._send_left -= len(data)
            self._queue(data)
        elif mode is Send.UNTIL_CLOSE or mode is Send.RAW:
            self._queue(data)

    def send_end(self, stream_id: int, trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The end of the body; trailer fields go out with the chunked coding only.

        Raises:
            LocalProtocolError: less than the announced length, no head yet, or a field that is
                no trailer.
        """
        mode = self._send
        if stream_id != self.last_stream_id or mode is _DONE:
            return
        if mode is _WAITING:
            self._check_ended(stream_id)
        if mode is Send.SIZED and self._send_left:
            raise LocalProtocolError("the body is shorter than its Content-Length")
        checked = check_trailers(trailers)
        if mode is Send.CHUNKED:
            self._queue(b"0\r\n%b\r\n" % serialize_fields(checked))
        if mode is Send.RAW:
            self._terminate(Close.NOW if self._eof else Close.LINGER)
        else:
            self._finish_answer(close=not self._framing.keep_alive)

    def send_informational(
        self, stream_id: int, status: int, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """An interim response; HTTP/1.0 clients get none (RFC 9110 §15.2)."""
        if stream_id != self.last_stream_id or self._send is not _WAITING:
            self._check_ended(stream_id)
            return
        check_informational(status)
        fields = OutgoingFields(headers)
        fields.has_date = fields.has_server = True  # the final answer carries them
        if status == 100:
            self._continued = True
        if self._version == "1.1":
            self._queue(serialize_head(self._preamble, status, fields, PLAIN) + b"\r\n")

    def send_reset(self, stream_id: int) -> None:
        """Cut the answer short: close, or reset where the end of the stream is the end of it."""
        if stream_id != self.last_stream_id or self._send is _DONE:
            return
        self._terminate(self._cut_short())

    def accept_upgrade(self, stream_id: int, response: Response, protocol: bytes) -> None:
        """Answer 101; from here on the stream carries raw bytes (RFC 9110 §7.8).

        Raises:
            LocalProtocolError: the client did not offer this protocol.
        """
        if stream_id != self.last_stream_id or self._send is not _WAITING:
            self._check_ended(stream_id)
            return
        offers = self._framing.upgrade  # there is none with a body, so the request is complete
        names = [] if offers is None else [name.strip() for name in offers.lower().split(b",")]
        if not protocol or protocol.lower() not in names:
            raise LocalProtocolError(f"the client did not offer to upgrade to {protocol!r}")
        fields = OutgoingFields(response.raw_headers)
        connection = b"connection: upgrade\r\nupgrade: %b\r\n" % protocol
        self._queue(serialize_head(self._preamble, 101, fields, connection) + b"\r\n")
        self._receive = _RAW
        self._send = Send.RAW
        self._unconsumed = 0

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
