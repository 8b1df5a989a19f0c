"""The sending half of the HTTP/2 engine: answers to frames (RFC 9113 §8)."""

from collections.abc import Iterable

from httpkit.errors import LocalProtocolError, RemoteProtocolError
from httpkit.protocol.events import RequestReceived
from httpkit.protocol.http2.budget import CAPACITY, EARNED_BY_PIECE
from httpkit.protocol.http2.frames import ErrorCode
from httpkit.protocol.http2.priority import parse_priority
from httpkit.protocol.http2.serialize import content_length
from httpkit.protocol.http2.state import ConnectionState
from httpkit.protocol.http2.streams import (
    BODILESS,
    BODY,
    DONE,
    ENDED,
    RAW,
    RUNNING,
    WAITING,
    Send,
    StreamState,
)
from httpkit.protocol.outgoing import (
    NO_CONTENT,
    OutgoingFields,
    bodiless_length,
    check_informational,
    check_status,
    check_trailers,
    has_no_body,
    make_refusal,
)
from httpkit.request import RequestHead
from httpkit.response import Response

__all__ = ["SendingSide"]

#: PUSH_PROMISE frames of one request.
_MAX_PUSHES = 8


class SendingSide(ConnectionState):
    """Checks answers and gives them to the session."""

    __slots__ = ()

    def send_response(self, stream_id: int, response: Response) -> None:
        """A whole answer whose body is `bytes`."""
        state = self._streams.get(stream_id)
        if state is None or state.send is not WAITING or state.gone:
            self._check_ended(state)
            return
        body: bytes = response.body  # type: ignore[assignment]  # the contract says so
        fields = response.raw_headers
        if type(fields) is tuple and not state.head_request and state.upgrade is None:
            # The fast lane: the head is known.
            size = len(body)
            heads = self._fields.heads.get((response.status, fields))
            head = None if heads is None else heads.get(size)
            if head is None:
                head = self._fields.make_known(response, size)
            if head:
                state.sent = size
                self._session.send_answer(stream_id, head, body)
                self._answer_complete(stream_id, state)
                return
        self.send_headers(stream_id, response, len(body))
        self.send_data(stream_id, body)
        self.send_end(stream_id)

    def _check_ended(self, state: StreamState | None) -> None:
        """A call that comes too early or twice is a bug here; one on an ended stream is not.

        Raises:
            LocalProtocolError: the answer of the stream goes on.
        """
        if state is not None and not state.gone and state.send is not DONE:
            raise LocalProtocolError("an answer has one head, and its body comes after it")

    def send_headers(self, stream_id: int, response: Response, length: int | None) -> None:
        """The head of an answer; `length` is the size of the body, if it is known."""
        state = self._streams.get(stream_id)
        if state is None or state.send is not WAITING or state.gone:
            self._check_ended(state)
            return
        status = response.status
        check_status(status)
        if state.upgrade is not None and 200 <= status < 300:
            # To an extended CONNECT this would say that the tunnel is open (RFC 8441 §4).
            refusal = Response("There is nothing to upgrade to here.\n", 501)
            self.send_headers(stream_id, refusal, None)
            self.send_end(stream_id)
            return
        fields = OutgoingFields(response.raw_headers)
        mode, size = self._frame_answer(state, status, fields, length)
        head = self._fields.make(status, fields)
        if size is not None:
            head.append(content_length(size))
        if fields.priority is not None:
            urgency, incremental = parse_priority(fields.priority)
            self._session.set_priority(stream_id, urgency, incremental=incremental)
        if mode is BODILESS and (response.trailers is None or status in NO_CONTENT):
            mode = ENDED  # RFC 9110 §15.3.5, §15.4.5: neither content nor trailers
        state.send = mode
        self._session.send_head(stream_id, head, end_stream=mode is ENDED)

    def _frame_answer(
        self, state: StreamState, status: int, fields: OutgoingFields, length: int | None
    ) -> tuple[Send, int | None]:
        """How much body there is, and the Content-Length (RFC 9110 §8.6)."""
        announced = fields.content_length
        if has_no_body("HEAD" if state.head_request else "", status):
            return BODILESS, bodiless_length(status, announced, length)
        if announced is not None and length is not None and announced != length:
            raise LocalProtocolError(
                f"Content-Length says {announced} bytes but the body has {length}"
            )
        size = announced if length is None else length
        state.send_left = size
        return BODY, size

    def send_data(self, stream_id: int, data: bytes) -> None:
        """A piece of the body.

        Raises:
            LocalProtocolError: more than the announced length, or no head yet.
        """
        state = self._streams.get(stream_id)
        if state is None or state.gone:
            return
        mode = state.send
        if mode is WAITING:
            self._check_ended(state)
        if not data or (mode is not BODY and mode is not RAW):
            return
        if state.send_left is not None:
            if len(data) > state.send_left:
                raise LocalProtocolError("the body is longer than its Content-Length")
            state.send_left -= len(data)
        state.sent += len(data)
        if self._budget < CAPACITY:
            self._budget += EARNED_BY_PIECE
        self._session.send_data(stream_id, data, end_stream=False)

    def passthrough(self, stream_id: int, length: int) -> bool:  # noqa: ARG002
        """No: bodies travel in frames."""
        return False

    def send_end(self, stream_id: int, trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The end of the body, with trailer fields.

        Raises:
            LocalProtocolError: less than the announced length, no head yet, or a field that is
                no trailer.
        """
        state = self._streams.get(stream_id)
        if state is None or state.gone or state.send is DONE:
            return
        if state.send is WAITING:
            self._check_ended(state)
        if state.send is BODY and state.send_left:
            raise LocalProtocolError("the body is shorter than its Content-Length")
        checked = check_trailers(trailers)
        if state.send is not ENDED:
            self._session.send_end(stream_id, checked)
        self._answer_complete(stream_id, state)

    def send_informational(
        self, stream_id: int, status: int, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """An interim response."""
        state = self._streams.get(stream_id)
        if state is None or state.send is not WAITING or state.gone:
            self._check_ended(state)
            return
        check_informational(status)
        fields = OutgoingFields(headers)
        if status == 100:
            state.continue_wanted = False
        self._session.send_informational(stream_id, [(b":status", b"%d" % status), *fields.fields])

    def send_reset(self, stream_id: int) -> None:
        """The answer cannot be completed."""
        state = self._streams.get(stream_id)
        if state is not None and not state.gone:
            self._reset_stream(stream_id, ErrorCode.INTERNAL_ERROR)

    def accept_upgrade(self, stream_id: int, response: Response, protocol: bytes) -> None:
        """Answer an extended CONNECT with 200; from here on the stream carries raw bytes.

        Raises:
            LocalProtocolError: the client did not offer this protocol.
        """
        state = self._streams.get(stream_id)
        if state is None or state.send is not WAITING or state.gone:
            self._check_ended(state)
            return
        if protocol.lower() != state.upgrade:
            raise LocalProtocolError(f"the client did not offer to upgrade to {protocol!r}")
        fields = OutgoingFields(response.raw_headers)
        self._session.send_head(stream_id, self._fields.make(200, fields), end_stream=False)
        state.send = RAW

    def send_push(self, stream_id: int, head: RequestHead) -> RequestReceived | None:
        """Promise the answer to a request that the client has not sent (RFC 9113 §8.4).

        The result is that request, to be answered on its own stream; `None` if the peer takes no
        push, or this one has been promised enough.
        """
        state = self._streams.get(stream_id)
        if (
            state is None
            or state.gone
            or state.pushed
            or state.send is DONE
            or state.pushes >= _MAX_PUSHES
            or self._shutdown is not RUNNING
            or not self._peer_takes_push
            or self._pushed_streams() >= self._peer_max_streams
        ):
            return None
        fields = [
            (b":method", head.method.encode()),
            (b":scheme", head.scheme.encode()),
            (b":authority", head.authority),
            (b":path", head.target),
            *(field for field in head.headers if field[0] != b"host"),
        ]
        promised = self._session.send_push(stream_id, fields)
        if promised is None:
            return None
        state.pushes += 1
        self._last_pushed = promised
        self._streams[promised] = StreamState(True, False, announced=True, pushed=True)
        return RequestReceived(promised, head)

    def _pushed_streams(self) -> int:
        """Pushed streams that are open."""
        open_streams = (*self._streams.values(), *(state for _, state in self._finished))
        return sum(state.pushed and not state.gone for state in open_streams)

    def _send_refusal(self, stream_id: int, state: StreamState, error: RemoteProtocolError) -> None:
        """Answer a request that no application sees, or no longer."""
        state.upgrade = None
        state.announced = True
        self.send_response(stream_id, make_refusal(error))
        self.release(stream_id)
