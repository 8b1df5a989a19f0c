"""The receiving half of the HTTP/1.1 engine: bytes to events (RFC 9112 §2 to §7)."""

from httpkit.errors import (
    RemoteProtocolError,
    RequestTimeout,
)
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.events import (
    DataReceived,
    Event,
    PrefaceReceived,
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
from httpkit.protocol.http1.serialize import (
    CLOSE,
    serialize_head,
)
from httpkit.protocol.http1.state import (
    BODY,
    CLOSED,
    COMPLETE,
    DRAIN,
    EMPTY_LINE,
    HEAD,
    IDLE,
    NOTHING,
    RAW,
    REQUEST_LINE,
    WAITING,
    ConnectionState,
    Send,
)
from httpkit.protocol.outgoing import (
    OutgoingFields,
    keep_trailers,
    make_refusal,
)
from httpkit.request import RequestHead

__all__ = ["ReceivingSide"]

#: An idle connection keeps its last head up to this size, so that ten thousand of them stay small.
_MAX_LAST_HEAD = 1024
#: The first line of the preface of HTTP/2, a request that no server may serve (RFC 9113 §3.4).
_PREFACE = b"PRI * HTTP/2.0\r\n"
_CUT_OFF = "The request ended before it was complete."


class ReceivingSide(ConnectionState):
    """Cuts the input into messages, has them checked and parsed, and answers what is wrong."""

    __slots__ = ()

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes; empty to go on with what was kept back."""
        if data:
            if data == self._last_raw and not self._buffer and self._receive is IDLE:
                # A client that polls sends the very same head each time.
                return self._begin_request(*self._last_known)
            if self._receive is RAW and not self._buffer and not self._eof:
                self._unconsumed += len(data)
                return [DataReceived(self.last_stream_id, data, False)]
            if self._position < len(self._buffer):
                data = self._buffer[self._position :] + data
                self._scanned -= self._position
            else:
                self._scanned = 0
            self._buffer = data
            self._position = 0
            self.has_more_input = True
        elif self._position == len(self._buffer):
            self._drop_input()  # nothing is left: an idle connection keeps no memory
            return self._end_raw() if self._eof and self._receive is RAW else []
        state = self._receive
        if state is IDLE or state is HEAD:
            return self._receive_head()
        if state is BODY or state is DRAIN:
            return self._receive_body()
        if state is RAW:
            return self._receive_raw()
        if state is CLOSED:
            self._drop_input()
        return []

    def receive_eof(self) -> list[Event]:
        """The peer has closed its sending side (RFC 9112 §8, §9.6)."""
        events: list[Event] = []
        while self.turn_is_over:
            events += self.receive_data(b"")
        return events + self._receive_eof() if events else self._receive_eof()

    def _receive_eof(self) -> list[Event]:
        self._eof = True
        state = self._receive
        if state is COMPLETE:
            return []
        if state is RAW:
            return self._end_raw()
        if state is HEAD or state is BODY:
            return self._refuse(RemoteProtocolError(_CUT_OFF))
        if state is CLOSED:
            self._end_linger()
            return []
        if state is IDLE and self._position < len(self._buffer):
            return self._receive_head()  # pipelined before the end
        return self._terminate()

    def receive_timeout(self, stream_id: int = 0) -> list[Event]:  # noqa: ARG002 - one at a time
        """The current deadline has passed."""
        kind = self.deadline_kind
        if kind is Deadline.NONE:
            return []
        if kind is Deadline.LINGER:
            self._end_linger()
            return []
        if kind is Deadline.HEAD or (kind is Deadline.BODY and self._receive is BODY):
            return self._refuse(RequestTimeout("The request did not arrive in time."))
        if kind is Deadline.HALF_CLOSED:
            return [StreamReset(self.last_stream_id), *self._terminate(self._cut_short())]
        return self._terminate()

    def consume(self, stream_id: int, size: int) -> None:
        """The handler took `size` bytes of the body."""
        if stream_id == self.last_stream_id:
            left = self._unconsumed - size
            self._unconsumed = max(0, left)

    def _receive_head(self) -> list[Event]:
        buffer, start = self._buffer, self._position
        last = self._last_raw
        if last and buffer.startswith(last, start):
            self._position = start + len(last)
            return self._begin_request(*self._last_known)
        if buffer[start] == 0x0D and self._looked_at == NOTHING:
            events = self._skip_empty_line(buffer, start)
            if events is not None:
                return events
            start = self._position
        if self._plain_heads is not None and self._scanned <= start:
            plain = self._plain_heads.match(buffer, start)
            if plain is not None:
                raw = plain[0].raw
                self._position = start + len(raw)
                if self._position == len(buffer):
                    self._drop_input()  # nobody has to come back to see that nothing is left
                if len(raw) <= _MAX_LAST_HEAD:
                    self._last_raw, self._last_known = raw, plain
                return self._begin_request(*plain)
        if self._knows_preface and not self.last_stream_id and buffer.startswith(_PREFACE, start):
            self._receive = CLOSED
            self._drop_input()
            return [PrefaceReceived(buffer[start:])]
        end = buffer.find(b"\r\n\r\n", max(start, self._scanned - 3)) + 4
        try:
            if end < 4:
                return self._receive_partial_head(buffer, start)
            known = self._parse_head(buffer[start:end])
        except RemoteProtocolError as error:
            return self._refuse(error)
        self._position = end
        return self._begin_request(*known)

    def _skip_empty_line(self, buffer: bytes, start: int) -> list[Event] | None:
        """One empty line before a request line is ignored, a second is refused (RFC 9112 §2.2).

        Returns:
            `None` if there is more to look at.
        """
        if len(buffer) - start == 1:
            self._receive = HEAD
            return self._refuse(RemoteProtocolError(_CUT_OFF)) if self._eof else []
        if buffer[start + 1] == 0x0A:
            self._looked_at = EMPTY_LINE
            self._position = start + 2
            if self._position == len(buffer):
                self._receive = IDLE
                return self._terminate() if self._eof else []
        return None

    def _parse_head(self, raw: bytes) -> tuple[RequestHead, Framing]:
        """The ordinary road: the guard, the parser, the guard."""
        method, target, minor = check_request_line(raw, self._limits)
        check_size(raw, target, self._limits)
        check_lines(raw)
        try:
            headers = self._parser.parse_head(raw)
        except RemoteProtocolError:
            raise classify_fields(raw, target, minor, self._limits) from None
        framing = check_fields(headers, target, minor, self._limits)
        version = "1.0" if minor == b"0" else "1.1"
        self._parser_reads = True
        return RequestHead(method, target, framing.authority, tuple(headers), "", version), framing

    def _receive_partial_head(self, buffer: bytes, start: int) -> list[Event]:
        line_checked = check_partial_head(
            buffer[start:],
            max(0, self._scanned - start),
            self._limits,
            line_checked=self._looked_at == REQUEST_LINE,
        )
        if line_checked:
            self._looked_at = REQUEST_LINE
        self._receive = HEAD
        self._scanned = len(buffer)
        if self._eof:
            raise RemoteProtocolError(_CUT_OFF)
        return []

    def _begin_request(self, head: RequestHead, framing: Framing) -> list[Event]:
        self.last_stream_id = stream_id = self.last_stream_id + 1
        self._looked_at = NOTHING
        self._head = head
        self._framing = framing
        self._send = WAITING
        event = RequestReceived(stream_id, head)
        if not framing.keep_alive or stream_id == self._limits.max_requests_per_connection:
            self._last_answer = True
        if framing.upgrade is not None:
            event.upgrade = framing.upgrade
        if not framing.chunked and not framing.content_length:
            self._receive = COMPLETE
            self._parser_reads = False
            return [event]
        event.content_length = length = framing.content_length
        if length and not self._parser_reads and self._position + length <= len(self._buffer):
            event.content = self._take_content(length)
            return [event]
        event.end_stream = False
        self._receive = BODY
        self._body_left = length or 0
        self._chunks = ChunkGuard(self._limits) if framing.chunked else None
        self._continued = False
        events: list[Event] = [event]
        if self._eof or self._position < len(self._buffer):
            events += self._receive_body()
        return events

    def _take_content(self, length: int) -> bytes:
        """The body of a plain head that came with it: nothing is left to decode or to wait for."""
        start, end = self._position, self._position + length
        content = self._buffer[start:end]
        if end == len(self._buffer):
            self._drop_input()
        else:
            self._position = end
        self.body_received += length
        self._receive = COMPLETE
        return content

    def _receive_body(self) -> list[Event]:
        """Find how much of the body is here, let the parser decode it."""
        self._continued = True  # who sends the body does not wait for 100 (RFC 9110 §10.1.1)
        raw, done, error = self._take_framed()
        try:
            data = self._parser.parse_body(raw) if raw and self._parser_reads else raw
        except RemoteProtocolError as parser_error:
            return self._refuse(parser_error)
        if done:
            self._parser_reads = False
        self.body_received += len(data)
        if self._receive is DRAIN:
            return self._drain(len(raw), error, done=done)
        events: list[Event] = []
        if done:
            self._receive = COMPLETE
            if self._chunks is not None:
                trailers = keep_trailers(self._parser.trailers())
                if trailers:
                    events.append(TrailersReceived(self.last_stream_id, trailers))
        if data or done:
            self._unconsumed += len(data)
            events.append(DataReceived(self.last_stream_id, data, end_stream=done))
        if error is None and self._eof and self._receive is BODY and not self.turn_is_over:
            error = RemoteProtocolError(_CUT_OFF)  # pipelined before the end of input
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
            self.turn_is_over = chunks is not None and chunks.stopped and not done
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
        self._receive = COMPLETE
        return [DataReceived(self.last_stream_id, b"", end_stream=True)]

    def _refuse(self, error: RemoteProtocolError) -> list[Event]:
        """Answer what the peer did wrong, once, and take no more of it."""
        events: list[Event] = []
        running = self._receive is BODY
        if running:
            events.append(StreamReset(self.last_stream_id, error))
        status = None
        if self._send is WAITING or (self._receive is not DRAIN and not running):
            status = error.status
            self._write_refusal(error)
        close = Close.NOW if self._eof else Close.LINGER
        if self._send is Send.UNTIL_CLOSE:
            close = Close.ABORT
        events += self._terminate(close, error, status)
        return events

    def _write_refusal(self, error: RemoteProtocolError) -> None:
        response = make_refusal(error)
        body = response.body
        assert isinstance(body, bytes)
        fields = OutgoingFields(response.raw_headers)
        head = serialize_head(self._preamble, error.status, fields, CLOSE)
        self._queue(b"%bcontent-length: %d\r\n\r\n" % (head, len(body)))
        # RFC 9110 §9.3.2: a client that asked with HEAD takes a body for its next answer.
        is_head = self._head.method == "HEAD"
        if self._receive is not BODY:
            is_head = self._buffer.startswith(b"HEAD ", self._position)
        if not is_head:
            self._queue(body)
