"""The native session: ngh2, which is libnghttp2, the library of curl, Apache and Node.js."""

from contextlib import suppress
from functools import lru_cache

import ngh2
from ngh2 import DataReceived, RequestReceived, StreamClosed

from httpkit.limits import Limits
from httpkit.protocol.http2.frames import (
    FRAME_HEAD,
    MAX_STREAM_ID,
    ErrorCode,
    Setting,
    local_settings,
)
from httpkit.protocol.http2.session import ConnectionFault, Fields, Sink

__all__ = ["Ngh2Session"]

#: Where the abuse budget of the engine judges, the library does not.
_NO_LIMIT = 2**31 - 1
#: Octets that are looked at for a GOAWAY, and kept: it may stand behind the rest of a frame.
_LOOK = 32_768
#: What is raised for streams and connections that the library has closed by itself.
_ENDED = (ngh2.StreamProtocolError, ngh2.ConnectionStateError)


@lru_cache(maxsize=16)
def _configuration(limits: Limits) -> ngh2.Configuration:
    return ngh2.Configuration(
        auto_window_update=False,
        max_settings=_MAX_SETTINGS,
        stream_reset_rate_limit=(_NO_LIMIT, _NO_LIMIT),
        glitch_rate_limit=(_NO_LIMIT, _NO_LIMIT),
        max_continuations=_NO_LIMIT,
        # Answers the engine gives are limited by its own check; this is for bombs.
        max_inbound_header_list_size=2 * (limits.max_header_bytes + limits.max_target),
        max_inbound_header_count=2 * limits.max_headers,
        max_send_header_block_length=2**24,
    )


#: Values of one SETTINGS frame: the guard takes fewer.
_MAX_SETTINGS = 1_000


class Ngh2Session:
    """One connection of ngh2; see `session.Session`."""

    __slots__ = ("_closing", "_connection", "_dead", "_fault", "_held", "_out")

    name = "native"

    def __init__(self, limits: Limits) -> None:
        self._dead = False
        self._out = b""
        self._closing = False
        # Why the library has ended the connection.
        self._fault: ConnectionFault | None = None
        # Streams whose end waits for a window, although it needs none (RFC 9113 §6.9): the library
        # says nothing about it.
        self._held: set[int] = set()
        self._connection = connection = ngh2.Connection(ngh2.Role.SERVER, _configuration(limits))
        # The engine refuses streams, each by itself: the library would end the connection.
        settings: dict[int, int] = {
            **local_settings(limits),
            Setting.MAX_CONCURRENT_STREAMS: _NO_LIMIT,
        }
        connection.initiate_connection(settings)
        connection.set_local_window_size(limits.connection_window)
        connection.data_to_send()  # the engine writes these frames

    @property
    def has_more_to_send(self) -> bool:
        """Whether `data_to_send` would give something now."""
        return bool(self._out) or (not self._dead and self._connection.want_write)

    def receive(self, data: bytes, sink: Sink) -> None:
        """Take whole frames, and tell the sink."""
        if self._fault is None:
            self._read(data, sink)
        if self._fault is not None:
            self._dead = True
            raise self._fault

    def _read(self, data: bytes, sink: Sink) -> None:
        connection = self._connection
        try:
            connection.receive_data(data)
        except ngh2.DenialOfServiceError as error:
            self._fault = ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, str(error))
        except ngh2.NGH2Error as error:
            self._fault = ConnectionFault(ErrorCode.PROTOCOL_ERROR, str(error))
        self._tell(sink)
        # Perhaps there is a GOAWAY: the library says that it is through only once that is written.
        # Where the peer does not read, that comes later: nothing may pile up here.
        room = _LOOK - len(self._out)
        if self._fault is None and room > 0 and connection.want_write:
            self._out += self._pull(room)

    def _tell(self, sink: Sink) -> None:
        for event in self._connection.events():
            if type(event) is StreamClosed:
                continue  # after a reset, which was told of, or in order
            if type(event) is RequestReceived:
                sink.on_request(event.stream_id, event.headers, event.end_stream)
            elif type(event) is DataReceived:
                sink.on_data(event.stream_id, event.data, event.end_stream)
            elif isinstance(event, ngh2.TrailersReceived):
                sink.on_trailers(event.stream_id, event.headers)
            elif isinstance(event, ngh2.StreamReset):
                self._held.discard(event.stream_id)
                sink.on_reset(event.stream_id)
            elif isinstance(event, ngh2.PingAcknowledged):
                sink.on_ping_ack()

    def _pull(self, limit: int | None) -> bytes:
        """Frames of the library, without the GOAWAY of a fault: the engine writes that itself."""
        connection = self._connection
        data = connection.data_to_send(limit)
        if not connection.want_read and not self._closing:
            data += connection.data_to_send()  # the rest of it
            closed = next(
                event for event in connection.events() if isinstance(event, ngh2.ConnectionClosed)
            )
            reason = closed.debug_data.decode("latin-1") or "refused by nghttp2"
            self._fault = ConnectionFault(ErrorCode(closed.error_code), reason)
            self._dead = True
            data = data[: -(FRAME_HEAD + 8 + len(closed.debug_data))]
        return data

    def credit(self, stream_id: int, size: int) -> None:
        """Content is consumed."""
        if not self._dead:
            with suppress(*_ENDED):  # both sides are through: no window is of use
                self._connection.acknowledge_received_data(size, stream_id)

    def send_answer(self, stream_id: int, fields: Fields, body: bytes) -> None:
        """A whole answer."""
        connection = self._connection
        try:
            connection.send_response(stream_id, fields, end_stream=not body)
            if body:
                connection.send_data(stream_id, body, end_stream=True)
        except _ENDED:  # `suppress` would cost as much as the call
            pass

    def send_head(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """HEADERS."""
        with suppress(*_ENDED):
            self._connection.send_response(stream_id, fields, end_stream=end_stream)

    def send_informational(self, stream_id: int, fields: Fields) -> None:
        """HEADERS of an interim response."""
        with suppress(*_ENDED):
            self._connection.send_informational_response(stream_id, fields)

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool) -> None:
        """DATA."""
        with suppress(*_ENDED):
            self._connection.send_data(stream_id, data, end_stream=end_stream)

    def send_end(self, stream_id: int, trailers: Fields) -> None:
        """The end of the stream."""
        with suppress(*_ENDED):
            if trailers:
                self._connection.send_trailers(stream_id, trailers)
            else:
                self._connection.end_stream(stream_id)
            if self._is_held(stream_id):
                self._held.add(stream_id)

    def _is_held(self, stream_id: int) -> bool:
        """Whether nothing is left of the stream but its end, and that cannot go out now."""
        connection = self._connection
        with suppress(*_ENDED):  # it is out, or was reset
            window = connection.stream_remote_window_size(stream_id)
            window = min(window, connection.remote_window_size)
            return window <= 0 and not connection.queued_body_size(stream_id)
        return False

    def send_push(self, stream_id: int, fields: Fields) -> int | None:
        """PUSH_PROMISE."""
        try:
            return self._connection.send_push_promise(stream_id, fields)
        except ngh2.NGH2Error:
            return None

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """RST_STREAM."""
        self._held.discard(stream_id)
        if not self._dead:
            self._connection.reset_stream(stream_id, code)

    def ping(self) -> None:
        """PING."""
        if not self._dead:
            self._connection.ping()

    def send_goaway(self, last_stream_id: int) -> None:
        """GOAWAY without an error."""
        if self._dead:
            return
        if last_stream_id == MAX_STREAM_ID:
            self._connection.send_shutdown_notice()
        else:
            self._connection.send_goaway(0, last_stream_id=last_stream_id)
            self._closing = True

    def set_priority(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        """How this side wants the stream to be ordered."""
        self._connection.set_stream_priority(
            stream_id, ngh2.Priority(urgency, incremental), ignore_client_signal=True
        )

    def queued(self, stream_id: int) -> int:
        """Octets of content that wait here."""
        if self._dead:
            return 0
        held = len(self._held) if not stream_id else stream_id in self._held
        return self._connection.queued_body_size(stream_id or None) + held

    def send_window(self, stream_id: int) -> int:
        """What the peer takes of a stream now."""
        try:
            if not stream_id:
                return self._connection.remote_window_size
            return self._connection.stream_remote_window_size(stream_id)
        except _ENDED:  # the stream is closed, or the connection is through
            return 0

    def data_to_send(self, limit: int | None = None) -> bytes:
        """Frames for the wire."""
        out, self._out = self._out, b""
        if not self._dead and (limit is None or len(out) < limit):
            data = self._pull(None if limit is None else limit - len(out))
            out = out + data if out else data
            if self._held and not self._dead and not self._connection.want_write:
                self._held = set(filter(self._is_held, self._held))
        return out
