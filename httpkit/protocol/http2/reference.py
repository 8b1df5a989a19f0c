"""The reference session: h2 and hpack, in pure Python.

h2 does frames, windows and the states of streams. These things are done here instead:

- It gets to see no fields: it would judge them, and end the connection for a malformed request.
- It has no queue: content waits in a `Scheduler` until windows and priorities let it go.
- It answers no open stream after a GOAWAY of its own: those are written by themselves.
- It resets a stream again for each frame that was on its way: that is taken out of its output.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamReset,
    TrailersReceived,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hyperframe.frame import ExtensionFrame, GoAwayFrame

from httpkit.limits import Limits
from httpkit.protocol.http2.frames import (
    FRAME_HEAD,
    HEADERS,
    INITIAL_WINDOW,
    MAX_STREAM_ID,
    PADDED,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Setting,
    local_settings,
    serialize_frame,
)
from httpkit.protocol.http2.guard import stream_number
from httpkit.protocol.http2.priority import parse_priority
from httpkit.protocol.http2.scheduler import Scheduler
from httpkit.protocol.http2.session import ConnectionFault, Fields, Sink

__all__ = ["H2Session"]

_CONFIGURATION = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
_PING = bytes(8)
#: Settings of a client that mean something to h2.
_HEEDED = frozenset(
    {
        Setting.HEADER_TABLE_SIZE,
        Setting.ENABLE_PUSH,
        Setting.MAX_CONCURRENT_STREAMS,
        Setting.INITIAL_WINDOW_SIZE,
        Setting.MAX_FRAME_SIZE,
    }
)
#: How RST_STREAM begins, and its size.
_RESET = bytes([0, 0, 4, RST_STREAM])
_RESET_SIZE = FRAME_HEAD + 4
#: Octets of the table of the encoder, however much a peer offers: it is this side's memory.
_MAX_TABLE = 4_096


class _HidingDecoder(Decoder):
    """Decodes field sections for the session, and shows none to h2."""

    def __init__(self, limits: Limits) -> None:
        # Answers the engine gives are limited by its own check; this is for bombs.
        super().__init__(2 * (limits.max_header_bytes + limits.max_target))
        self._max_count = 2 * limits.max_headers
        self.fields: list[tuple[bytes, bytes]] = []

    def decode(self, data: bytes, raw: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002
        """Keep the fields.

        Raises:
            ConnectionFault: they cannot be decoded, or are a bomb.
        """
        try:
            self.fields = [(name, value) for name, value in super().decode(data, raw=True)]
        except OversizedHeaderListError:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM, "a field section beyond all limits"
            ) from None
        except HPACKError as error:
            # What hpack says of it may show addresses in memory, and the peer would read that.
            raise ConnectionFault(
                ErrorCode.COMPRESSION_ERROR, "a field section that cannot be decoded"
            ) from error
        if len(self.fields) > self._max_count:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many fields")
        return []


class _BoundedEncoder(Encoder):
    """Takes no larger table than `_MAX_TABLE`; h2 would take 4 GiB."""

    @property
    def header_table_size(self) -> int:
        """Octets, as RFC 7541 §4.1 counts them."""
        return self.header_table.maxsize

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        size = min(value, _MAX_TABLE)
        if size == self.header_table.maxsize:
            return
        self.header_table.maxsize = size
        smallest = min([size, *self.table_size_changes])
        # RFC 7541 §4.2: the smallest and the last are told, however often it has changed.
        self.table_size_changes = [smallest, size] if smallest < size else [size]


class H2Session:
    """One connection of h2; see `session.Session`."""

    __slots__ = ("_connection", "_dead", "_decoder", "_out", "_scheduler")

    name = "reference"

    def __init__(self, limits: Limits) -> None:
        self._dead = False
        self._out = b""
        self._scheduler = Scheduler()
        self._decoder = _HidingDecoder(limits)
        self._connection = connection = H2Connection(_CONFIGURATION)
        settings = {
            SettingCodes(identifier): value
            for identifier, value in local_settings(limits).items()
            if identifier in (Setting.ENABLE_CONNECT_PROTOCOL, Setting.MAX_CONCURRENT_STREAMS)
        }
        # The engine refuses streams, each by itself: the library would end the connection.
        settings[SettingCodes.MAX_CONCURRENT_STREAMS] = MAX_STREAM_ID
        connection.local_settings = Settings(client=False, initial_values=settings)
        connection.decoder = self._decoder
        connection.encoder = _BoundedEncoder()
        connection.initiate_connection()
        # Until the peer has acknowledged it, it may send as much as it was allowed before (§6.9.3).
        connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: limits.body_buffer})
        if limits.connection_window > INITIAL_WINDOW:
            connection.increment_flow_control_window(limits.connection_window - INITIAL_WINDOW)
        connection.data_to_send()  # the engine writes these frames

    # --- input -------------------------------------------------------------------------------

    def receive(self, data: bytes, sink: Sink) -> None:
        """Take whole frames, one after the other: h2 forgets what it has found before a fault."""
        try:
            for frame in _split(data):
                events = self._connection.receive_data(frame)
                self._out += _without_reset(self._connection.data_to_send())
                for event in events:
                    self._tell(event, sink)
        except ProtocolError as error:
            self._dead = True
            raise ConnectionFault(ErrorCode(error.error_code), str(error)) from error
        except ConnectionFault:
            self._dead = True
            raise

    def _tell(self, event: Event, sink: Sink) -> None:
        if isinstance(event, RequestReceived):
            stream_id, fields = event.stream_id, self._decoder.fields
            for name, value in fields:
                if name == b"priority":
                    self._prioritize(stream_id, value)
            sink.on_request(stream_id, fields, event.stream_ended is not None)
        elif isinstance(event, DataReceived):
            stream_id, content = event.stream_id, event.data
            padding = event.flow_controlled_length - len(content)
            if padding:
                self.credit(stream_id, padding)
            sink.on_data(stream_id, content, event.stream_ended is not None)
        elif isinstance(event, TrailersReceived):
            sink.on_trailers(event.stream_id, self._decoder.fields)
        elif isinstance(event, StreamReset):
            self._scheduler.drop(event.stream_id)
            sink.on_reset(event.stream_id)
        elif isinstance(event, PingAckReceived):
            sink.on_ping_ack()
        else:
            self._heed(event)

    def _heed(self, event: Event) -> None:
        """What concerns the order of output alone."""
        if isinstance(event, WindowUpdated):
            if event.stream_id:
                self._scheduler.unpark(event.stream_id)
            else:
                self._scheduler.held = False
        elif isinstance(event, RemoteSettingsChanged):
            self._scheduler.unpark_all()
        elif isinstance(event, UnknownFrameReceived):
            # PRIORITY_UPDATE (RFC 9218 §7.1): the guard lets no others pass.
            assert isinstance(event.frame, ExtensionFrame)
            payload = event.frame.body
            self._prioritize(stream_number(payload), bytes(payload[4:]))

    def _prioritize(self, stream_id: int, value: bytes) -> None:
        urgency, incremental = parse_priority(value)
        self._scheduler.prioritize(stream_id, urgency, incremental=incremental)

    def credit(self, stream_id: int, size: int) -> None:
        """Content is consumed."""
        if not self._dead:
            self._connection.acknowledge_received_data(size, stream_id)
            self._collect()

    # --- answers -----------------------------------------------------------------------------

    def send_answer(self, stream_id: int, fields: Fields, body: bytes) -> None:
        """A whole answer."""
        self.send_head(stream_id, fields, end_stream=not body)
        if body:
            self.send_data(stream_id, body, end_stream=True)

    def send_head(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """HEADERS."""
        with suppress(ProtocolError):  # the stream, or the connection, is closed
            self._connection.send_headers(stream_id, fields, end_stream)
            self._collect()

    def send_informational(self, stream_id: int, fields: Fields) -> None:
        """HEADERS of an interim response."""
        self.send_head(stream_id, fields, end_stream=False)

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool) -> None:
        """Queue content."""
        self._scheduler.push(stream_id, data)
        if end_stream:
            self._scheduler.end(stream_id)

    def send_end(self, stream_id: int, trailers: Fields) -> None:
        """The end of the stream."""
        self._scheduler.end(stream_id, trailers)

    def send_push(self, stream_id: int, fields: Fields) -> int | None:
        """PUSH_PROMISE."""
        connection = self._connection
        if self._dead:
            return None
        try:
            promised = connection.get_next_available_stream_id()
            connection.push_stream(stream_id, promised, fields)
        except ProtocolError:
            return None
        self._collect()
        return promised

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """RST_STREAM."""
        self._scheduler.drop(stream_id)
        with suppress(ProtocolError):
            self._connection.reset_stream(stream_id, code)
            self._collect()

    def ping(self) -> None:
        """PING."""
        if not self._dead:
            self._connection.ping(_PING)
            self._collect()

    def send_goaway(self, last_stream_id: int) -> None:
        """GOAWAY without an error."""
        if not self._dead:
            self._out += GoAwayFrame(0, last_stream_id, int(ErrorCode.NO_ERROR)).serialize()

    def set_priority(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        """How this side wants the stream to be ordered."""
        self._scheduler.prioritize(stream_id, urgency, incremental=incremental, by_server=True)

    # --- output ------------------------------------------------------------------------------

    @property
    def has_more_to_send(self) -> bool:
        """Whether `data_to_send` would give something now."""
        return bool(self._out) or (not self._dead and self._scheduler.has_ready)

    def queued(self, stream_id: int) -> int:
        """Octets of content that wait here."""
        return self._scheduler.queued(stream_id) if stream_id else self._scheduler.size

    def send_window(self, stream_id: int) -> int:
        """What the peer takes of a stream now."""
        if not stream_id:
            return self._connection.outbound_flow_control_window
        stream = self._connection.streams.get(stream_id)
        return 0 if stream is None else int(stream.outbound_flow_control_window)

    def data_to_send(self, limit: int | None = None) -> bytes:
        """Frames for the wire."""
        out, self._out = [self._out], b""
        size = len(out[0])
        scheduler = self._scheduler
        while not self._dead and (limit is None or size < limit):
            stream_id = scheduler.next_stream()
            if stream_id is None:
                break
            frames = self._send_piece(stream_id)
            out.append(frames)
            size += len(frames)
        return b"".join(out)

    def _send_piece(self, stream_id: int) -> bytes:
        """The next frame of a stream, or nothing if its window is closed."""
        connection, scheduler = self._connection, self._scheduler
        try:
            window = connection.local_flow_control_window(stream_id)
            if window <= 0 and scheduler.queued(stream_id):
                if connection.outbound_flow_control_window <= 0:
                    scheduler.held = True
                else:
                    scheduler.park(stream_id)
                return b""
            limit = max(0, min(window, connection.max_outbound_frame_size))
            piece = scheduler.take(stream_id, limit)
            ends_here = piece.end and not piece.trailers
            if piece.data or ends_here:
                connection.send_data(stream_id, piece.data, ends_here)
            if piece.trailers:
                connection.send_headers(stream_id, piece.trailers, end_stream=True)
        except ProtocolError:  # the stream is closed
            scheduler.drop(stream_id)
        return connection.data_to_send()

    def _collect(self) -> None:
        """Take what h2 has written."""
        self._out += self._connection.data_to_send()


def _without_reset(frames: bytes) -> bytes:
    """What h2 says to one frame, but for the RST_STREAM at its end.

    The engine resets streams. h2 would do it once more for each frame that was on its way when
    that happened: SHOULD NOT (§5.4.2), and two octets for one to who does it on purpose.
    """
    return frames[:-_RESET_SIZE] if frames[-_RESET_SIZE:].startswith(_RESET) else frames


def _split(data: bytes) -> Iterator[bytes]:
    """Cut whole frames apart; the preface is one."""
    position = 0
    if data.startswith(PREFACE):
        yield PREFACE
        position = len(PREFACE)
    while position < len(data):
        end = position + FRAME_HEAD + int.from_bytes(data[position : position + 3], "big")
        yield _adapt(data[position:end])
        position = end


def _adapt(frame: bytes) -> bytes:
    """Leave out what is to be ignored, where h2 does not ignore it."""
    if frame[3] == WINDOW_UPDATE and frame[FRAME_HEAD] & 0x80:
        # hyperframe refuses the reserved bit (§6.9).
        return frame[:FRAME_HEAD] + bytes([frame[FRAME_HEAD] & 0x7F]) + frame[10:]
    if frame[3] == SETTINGS and len(frame) > FRAME_HEAD:
        # h2 keeps settings that nobody knows (§6.5.2), and looks at all of them each time.
        pairs = [frame[at : at + 6] for at in range(FRAME_HEAD, len(frame), 6)]
        known = b"".join(pair for pair in pairs if int.from_bytes(pair[:2], "big") in _HEEDED)
        return serialize_frame(SETTINGS, 0, 0, known)
    if frame[3] == HEADERS and frame[4] & PADDED:
        # hyperframe refuses padding around an empty fragment, which CONTINUATION may fill (§6.2).
        fragment = frame[FRAME_HEAD + 1 : len(frame) - frame[FRAME_HEAD]]
        return serialize_frame(HEADERS, frame[4] & ~PADDED, stream_number(frame[5:]), fragment)
    return frame
