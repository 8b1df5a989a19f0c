"""What the session finds in frames, as events: requests, content, trailers (RFC 9113 §8).

Of a stream that was refused, or that its exchange has released, nothing is told any more. It may
live on for a moment, until its answer is on the wire: what a read brings for it must not depend on
where the read ends.
"""

from httpkit.errors import ConnectRefused, RemoteProtocolError
from httpkit.protocol.events import DataReceived, RequestReceived, StreamReset, TrailersReceived
from httpkit.protocol.http2.budget import COST
from httpkit.protocol.http2.frames import ErrorCode
from httpkit.protocol.http2.head import check_trailers, read_request
from httpkit.protocol.http2.sending import SendingSide
from httpkit.protocol.http2.session import Fields
from httpkit.protocol.http2.streams import ANNOUNCED, FINAL, WAITING, StreamState
from httpkit.protocol.outgoing import keep_trailers

__all__ = ["MessageSide"]

_TOO_SHORT = "The content is shorter than its Content-Length."


class MessageSide(SendingSide):
    """Checks messages and tells of them; implements `session.Sink`."""

    __slots__ = ()

    # --- called by the session ---------------------------------------------------------------

    def on_request(self, stream_id: int, fields: Fields, end_stream: bool) -> None:  # noqa: FBT001 - hot
        """The field section that opens a stream."""
        self._pending -= 1
        state = self._streams[stream_id]
        state.pending = False
        if state.refused or self._shutdown is FINAL:
            self._turn_away(stream_id, fields, end_stream=end_stream)
            return
        if fields == self._last_fields:
            received = self._last_received
        else:
            try:
                received = read_request(fields, self._limits)
            except RemoteProtocolError as error:
                # A refusal of HEAD has no content either (RFC 9110 §9.3.2).
                state.head_request = (b":method", b"HEAD") in fields
                self._refuse(stream_id, state, _worst(error, fields, end_stream=end_stream))
                return
            self._last_fields = fields
            self._last_received = received
        head = received.head
        state.announced = True
        state.head_request = head.method == "HEAD"
        event = RequestReceived(stream_id, head, end_stream)
        if not end_stream or received.content_length:
            state.content_left = event.content_length = received.content_length
            state.upgrade = event.upgrade = received.upgrade
            state.continue_wanted = received.expect_continue
            if end_stream:
                state.announced = False
                self._refuse_malformed(stream_id, _TOO_SHORT)
                return
        elif received.upgrade is not None:
            state.announced = False
            self._refuse_malformed(stream_id, "An extended CONNECT has ended with its head.")
            return
        self._events.append(event)
        self._requests += 1
        if self._requests == self._limits.max_requests_per_connection:
            self.begin_shutdown()

    def _turn_away(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """A stream too many, or too late: it may be tried again (§8.7), unless it is malformed.

        A library that looks at fields has reset that by itself before it could be asked for this.
        """
        error: RemoteProtocolError | None = None
        try:
            received = read_request(fields, self._limits)
        except RemoteProtocolError as found:
            error = _worst(found, fields, end_stream=end_stream)
        else:
            if end_stream and received.content_length:
                error = RemoteProtocolError(_TOO_SHORT)
        if type(error) is RemoteProtocolError:
            self._refuse_malformed(stream_id, str(error))
            return
        self._spend(COST.RESET)
        self._reset_stream(stream_id, ErrorCode.REFUSED_STREAM)

    def _refuse(self, stream_id: int, state: StreamState, error: RemoteProtocolError) -> None:
        """Answer a request that no application sees, or reset it if it is malformed."""
        if type(error) is RemoteProtocolError:
            self._refuse_malformed(stream_id, str(error))
            return
        self._events.append(StreamReset(stream_id, error))
        self._send_refusal(stream_id, state, error)

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:  # noqa: FBT001 - hot
        """Content."""
        state = self._streams.get(stream_id)
        size = len(data)
        if state is None:
            self._session.credit(stream_id, size)
            return
        state.received += size
        state.unconsumed += size
        self._unconsumed += size
        state.continue_wanted = False
        if state.content_left is not None:
            state.content_left -= size
        if state.gone or not state.announced:
            self._credit(stream_id, state, size)
            return
        last = self._events[-1] if self._events else None
        if (
            end_stream
            and type(last) is RequestReceived
            and last.stream_id == stream_id
            and state.send is WAITING
            and size
            and last.upgrade is None
        ):
            last.content = data
        else:
            self._events.append(DataReceived(stream_id, data, end_stream))

    def on_trailers(self, stream_id: int, fields: Fields) -> None:
        """The field section that ends a stream."""
        self._pending -= 1
        state = self._streams.get(stream_id)
        if state is None or not state.pending:
            return
        state.pending = False
        if state.gone or not state.announced:
            return
        if state.content_left:
            self._refuse_malformed(stream_id, _TOO_SHORT)
            return
        if state.upgrade is not None:  # §8.5
            self._refuse_malformed(stream_id, "A tunnel carries DATA alone.")
            return
        try:
            check_trailers(fields)
        except RemoteProtocolError as error:
            self._refuse_malformed(stream_id, str(error))
            return
        self._events.append(TrailersReceived(stream_id, keep_trailers(list(fields))))
        self._events.append(DataReceived(stream_id, b"", end_stream=True))

    def on_reset(self, stream_id: int) -> None:
        """The peer has closed the stream."""
        state = self._streams.get(stream_id)
        if state is None:
            self._finished = [each for each in self._finished if each[0] != stream_id]
        elif not state.gone:
            if state.announced:
                self._events.append(StreamReset(stream_id))
            self._end_stream(stream_id, state)
        self._spend(COST.RESET)

    def on_ping_ack(self) -> None:
        """A ping of this side came back."""
        if self._shutdown is ANNOUNCED:
            self._finish_shutdown()

    # --- faults of single streams ---------------------------------------------------------------

    def _reset_by(self, stream_id: int, code: ErrorCode) -> None:
        """Reset a stream because of what the peer did on it (CVE-2025-8671)."""
        self._spend(COST.RESET)
        state = self._streams.get(stream_id)
        if state is not None and not state.gone and state.announced:
            self._events.append(StreamReset(stream_id, RemoteProtocolError(f"stream {code.name}")))
        self._reset_stream(stream_id, code)

    def _refuse_malformed(self, stream_id: int, reason: str) -> None:
        """A malformed message is a stream error of type PROTOCOL_ERROR (§8.1.1)."""
        self._spend(COST.RESET)
        self._events.append(StreamReset(stream_id, RemoteProtocolError(reason)))
        self._reset_stream(stream_id, ErrorCode.PROTOCOL_ERROR)


def _worst(error: RemoteProtocolError, fields: Fields, *, end_stream: bool) -> RemoteProtocolError:
    """The fault of a request: what is malformed is not refused with a status (§8.1.1).

    Its head alone does not tell that it ends before its content, which CONNECT never has.
    """
    if end_stream and not isinstance(error, ConnectRefused):
        for name, value in fields:
            if name == b"content-length" and value.strip(b"0"):
                return RemoteProtocolError(_TOO_SHORT)
    return error
