"""The sending half of the HTTP/1.1 engine: answers to bytes (RFC 9112 §4 to §7, §9)."""

from collections.abc import Iterable

from httpkit.errors import (
    LocalProtocolError,
)
from httpkit.protocol.engine import Close
from httpkit.protocol.http1.serialize import (
    CLOSE,
    MAX_SIZE,
    PLAIN,
    SIZES,
    keep_wire,
    read_wire,
    serialize_fields,
    serialize_head,
)
from httpkit.protocol.http1.state import (
    BODY,
    COMPLETE,
    DONE,
    DRAIN,
    IDLE,
    RAW,
    SEND_RAW,
    WAITING,
    ConnectionState,
    Send,
)
from httpkit.protocol.outgoing import (
    OutgoingFields,
    bodiless_length,
    check_informational,
    check_status,
    check_trailers,
    has_no_body,
)
from httpkit.response import Response

__all__ = ["SendingSide"]


class SendingSide(ConnectionState):
    """Checks and frames answers, and decides what becomes of the connection after each."""

    __slots__ = ()

    def send_response(self, stream_id: int, response: Response) -> None:
        """A whole answer whose body is `bytes`."""
        if stream_id != self.last_stream_id or self._send is not WAITING:
            self._check_ended(stream_id)
            return
        body: bytes = response.body  # type: ignore[assignment]  # the contract says so
        fields = response.raw_headers
        wire = None
        if (
            self._receive is COMPLETE
            and not self._last_answer
            and not self._eof
            and self._head.method != "HEAD"
        ):
            # The fast lane: the connection goes on and, most often, the head is known. It is that
            # of `send_headers`, without its calls.
            preamble = self._preamble
            asked = self._framing.said_keep_alive
            data = b""
            head = None
            if type(fields) is tuple:
                if response.wire is not None and not asked:
                    wire = response.wire
                    data = read_wire(wire, preamble, response)
                if not data:
                    heads = preamble.asked_heads if asked else preamble.heads
                    head = heads.get((response.status, fields))
            if not data:
                if head is None:
                    head = preamble.make_head(response, asked=asked)
                if head:
                    size = len(body)
                    end = SIZES[size] if size < MAX_SIZE else b"%d\r\n\r\n" % size
                    data = head + end + body
                    if wire is not None:
                        keep_wire(wire, preamble, response, data)
            if data:
                self._out.append(data)
                self._queued += len(data)
                self._send = DONE
                self._receive = IDLE
                self._unconsumed = 0
                return
        queued = len(self._out)
        self.send_headers(stream_id, response, len(body))
        self.send_data(stream_id, body)
        self.send_end(stream_id)
        if wire is not None and not self._last_answer:
            keep_wire(wire, self._preamble, response, b"".join(self._out[queued:]))

    def _check_ended(self, stream_id: int) -> None:
        """A call that comes too early or twice is a bug here; one on an ended stream is not.

        Raises:
            LocalProtocolError: the stream is the current one and its answer goes on.
        """
        if stream_id == self.last_stream_id and self._send is not DONE:
            raise LocalProtocolError("an answer has one head, and its body comes after it")

    def send_headers(self, stream_id: int, response: Response, length: int | None) -> None:
        """The head of an answer; `length` is the size of the body, if it is known."""
        if stream_id != self.last_stream_id or self._send is not WAITING:
            self._check_ended(stream_id)
            return
        if (
            length is not None
            and type(response.raw_headers) is tuple
            and response.trailers is None
            and self._goes_on_after_body()
        ):
            head = self._preamble.find_head(response, asked=self._framing.said_keep_alive)
            if head:
                self._send = Send.SIZED
                self._send_left = length
                self._queue(b"%b%d\r\n\r\n" % (head, length))
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
        if status == 426 and fields.upgrade is not None:
            connection += b"connection: upgrade\r\nupgrade: %b\r\n" % fields.upgrade
        head = serialize_head(self._preamble, status, fields, connection)
        self._send = mode
        self._queue(b"%b%b\r\n" % (head, framing))

    def _goes_on_after_body(self) -> bool:
        """Whether there will be a body, and nothing is to be said about the connection."""
        return (
            self._receive is COMPLETE
            and not self._last_answer
            and not self._eof
            and self._head.method != "HEAD"
        )

    def _frame_answer(
        self, response: Response, fields: OutgoingFields, length: int | None
    ) -> tuple[Send, bytes]:
        """How the body is delimited (RFC 9112 §6), and the field that says so."""
        announced = fields.content_length
        status = response.status
        if has_no_body(self._head.method, status):
            size = bodiless_length(status, announced, length)
            return Send.BODILESS, b"" if size is None else b"content-length: %d\r\n" % size
        if announced is not None and length is not None and announced != length:
            raise LocalProtocolError(
                f"Content-Length says {announced} bytes but the body has {length}"
            )
        size = announced if length is None else length
        if self._head.version == "1.1" and (size is None or response.trailers is not None):
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
            or (self._receive is BODY and self._cannot_drain())
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
        if mode is SEND_RAW and data:
            self._out.append(data)
            self._queued += len(data)
            return
        if mode is WAITING:
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
        elif mode is Send.UNTIL_CLOSE:
            self._queue(data)

    def passthrough(self, stream_id: int, length: int) -> bool:
        """Whether the next `length` bytes of the body go to the socket as they are."""
        sized = stream_id == self.last_stream_id and self._send is Send.SIZED
        if not sized or length > self._send_left:
            return False
        self._send_left -= length
        return True

    def send_end(self, stream_id: int, trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The end of the body; trailer fields go out with the chunked coding only.

        Raises:
            LocalProtocolError: less than the announced length, no head yet, or a field that is
                no trailer.
        """
        mode = self._send
        if stream_id != self.last_stream_id or mode is DONE:
            return
        if mode is WAITING:
            self._check_ended(stream_id)
        if mode is Send.SIZED and self._send_left:
            raise LocalProtocolError("the body is shorter than its Content-Length")
        checked = check_trailers(trailers) if trailers else []
        if mode is Send.CHUNKED:
            self._queue(b"0\r\n%b\r\n" % serialize_fields(checked))
        if mode is SEND_RAW:
            self._terminate(Close.NOW if self._eof else Close.LINGER)
        else:
            self._finish_answer(close=not self._framing.keep_alive)

    def send_informational(
        self, stream_id: int, status: int, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """An interim response; HTTP/1.0 clients get none (RFC 9110 §15.2)."""
        if stream_id != self.last_stream_id or self._send is not WAITING:
            self._check_ended(stream_id)
            return
        check_informational(status)
        fields = OutgoingFields(headers)
        fields.has_date = fields.has_server = True  # the final answer carries them
        if status == 100:
            self._continued = True
        if self._head.version == "1.1":
            self._queue(serialize_head(self._preamble, status, fields, PLAIN) + b"\r\n")

    def send_reset(self, stream_id: int) -> None:
        """Cut the answer short: close, or reset where the end of the stream is the end of it."""
        if stream_id != self.last_stream_id or self._send is DONE:
            return
        self._terminate(self._cut_short())

    def accept_upgrade(self, stream_id: int, response: Response, protocol: bytes) -> None:
        """Answer 101; from here on the stream carries raw bytes (RFC 9110 §7.8).

        Raises:
            LocalProtocolError: the client did not offer this protocol.
        """
        if stream_id != self.last_stream_id or self._send is not WAITING:
            self._check_ended(stream_id)
            return
        offers = self._framing.upgrade  # there is none with a body, so the request is complete
        names = [] if offers is None else [name.strip() for name in offers.lower().split(b",")]
        if not protocol or protocol.lower() not in names:
            raise LocalProtocolError(f"the client did not offer to upgrade to {protocol!r}")
        fields = OutgoingFields(response.raw_headers)
        connection = b"connection: upgrade\r\nupgrade: %b\r\n" % protocol
        self._queue(serialize_head(self._preamble, 101, fields, connection) + b"\r\n")
        self._parser.forget()
        self._receive = RAW
        self._send = SEND_RAW
        self._last_raw = b""
        self._unconsumed = 0
        self.has_more_input = self.has_more_input or self._eof  # the end is news to the session

    def _finish_answer(self, *, close: bool) -> None:
        """The answer is complete: the next request, the rest of the body, or the end."""
        self._send = DONE
        if close or self._last_answer:
            self._terminate(Close.LINGER if self._may_lose_answer() else Close.NOW)
        elif self._receive is COMPLETE:
            self._next_request()
        else:
            self._receive = DRAIN
            self._drain_left = self._limits.drain_bytes

    def _may_lose_answer(self) -> bool:
        """Whether more input may come, which on a closed socket resets it (RFC 9112 §9.6).

        A client that asked for the end sends nothing more; one that did not may have sent its
        next request before it could read that there is none.
        """
        if self._eof:
            return False
        unread = self._receive is not COMPLETE or self._position < len(self._buffer)
        return unread or self._framing.keep_alive
