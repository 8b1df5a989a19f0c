"""The WebSocket engine of a server: bytes in, messages and control frames out. No clock, no socket.

Theory of operation:

1. Two roads lead to the same events. The *fast lane* takes whole, final, uncompressed frames of
   text and binary between two messages, in a few steps. Whatever else comes (control frames,
   fragments, frames that are cut, compressed or wrong) goes to wsproto, the reference; the fast
   lane goes on when that message is through. A fuzz test feeds both and compares.
2. Events stand in the order of the bytes: messages before a protocol error are given before it.
3. `CloseReceived` and `ProtocolFailed` are the last events; later bytes are dropped.
4. Text is checked as it arrives: a byte that cannot be UTF-8 fails at once, also within a frame.
5. After this side's Close nothing is sent any more (RFC 6455 §5.5.1).
6. Frames of a server are not masked, so a message for many has the same bytes for all. Compressed
   without a context, it has for all with the same window. They stay with the message.
7. What one read inflates to may be a thousand times as much. Once it reaches `receive_buffer`, the
   bytes behind that message stay here as they are (`paused`) until `resume`.
"""

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Opcode, ParseFailed

from httpkit.errors import LocalProtocolError
from httpkit.limits import WebSocketLimits
from httpkit.protocol.websocket.deflate import PermessageDeflate
from httpkit.protocol.websocket.events import (
    CloseReceived,
    PingReceived,
    PongReceived,
    ProtocolFailed,
)
from httpkit.protocol.websocket.frames import (
    FrameReader,
    HeaderGuard,
    payload_size,
    serialize_frame,
)
from httpkit.protocol.websocket.masking import Mask, choose_mask
from httpkit.semantics.websocket import DeflateAgreement
from httpkit.websocket import SharedMessage

__all__ = ["Event", "WebSocketEngine", "check_close", "cut_reason"]

Event = str | bytes | PingReceived | PongReceived | CloseReceived | ProtocolFailed

_TEXT = 0x81
_BINARY = 0x82
_WHOLE = frozenset({_TEXT, _BINARY})
_RSV1 = 0x40
#: Where a message for many has its frame for peers that do not take compressed ones.
_PLAIN = ("websocket", 0)
_MASKED = 0x80
#: Control frames carry no more (RFC 6455 §5.5).
_MAX_CONTROL = 125
#: A payload whose size stands in the second byte of its frame (§5.2).
_MAX_SHORT = 125
_TEXT_HEADS = tuple(bytes((_TEXT, size)) for size in range(_MAX_SHORT + 1))
_BINARY_HEADS = tuple(bytes((_BINARY, size)) for size in range(_MAX_SHORT + 1))
#: Pieces of a message that are kept apart before they are joined.
_PIECES = 256

_REASONS = {
    CloseReason.MESSAGE_TOO_BIG: "the message is too big",
    CloseReason.POLICY_VIOLATION: "too many control frames or fragments",
    CloseReason.INVALID_FRAME_PAYLOAD_DATA: "the data is not what the message says it is",
}


class WebSocketEngine:
    """One WebSocket, after its handshake.

    Args:
        limits: of what the peer may send.
        deflate: what the handshake has agreed on.
        mask: removes the mask of frames in the fast lane.
        fast: without, every byte goes to wsproto.

    Attributes:
        close_sent: this side has sent its Close.
        ended: the peer's Close or its error has been seen.
        paused: there are bytes that wait for `resume`.
    """

    __slots__ = (
        "_compressor",
        "_fast",
        "_guard",
        "_joined",
        "_mask",
        "_max_whole",
        "_pieces",
        "_reader",
        "_room",
        "_shared",
        "_threshold",
        "_waiting",
        "close_sent",
        "ended",
        "paused",
    )

    def __init__(
        self,
        limits: WebSocketLimits,
        deflate: DeflateAgreement | None = None,
        *,
        mask: Mask | None = None,
        fast: bool = True,
    ) -> None:
        self._guard = HeaderGuard(limits)
        self._compressor: PermessageDeflate | None = None
        if deflate is not None:
            self._compressor = PermessageDeflate(deflate, limits.max_message)
        self._room = limits.receive_buffer
        # wsproto's; only while it is needed: most WebSockets are silent most of the time.
        self._reader: FrameReader | None = None
        self._threshold = limits.compress_from
        #: Where a message for many has its compressed frame; `None` if that depends on the context.
        self._shared: tuple[str, int] | None = None
        if deflate is not None and not deflate.server_context_takeover:
            self._shared = "websocket", deflate.window_bits
        self._mask = mask or choose_mask()
        self._fast = fast
        sizes = [size for size in (limits.max_message, limits.max_frame) if size is not None]
        #: Beyond that a frame is not taken by the fast lane, so that wsproto refuses it.
        self._max_whole = min(sizes) if sizes else 2**63
        #: wsproto is in the middle of something.
        self._waiting = not fast
        self._pieces: list[str | bytes] = []
        self._joined: list[str | bytes] = []
        self.close_sent = False
        self.ended = False
        self.paused = False

    # --- receiving ---------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the peer; never raises for them."""
        if self.ended:
            return []
        if not self._waiting:
            # What comes most of the time: a frame that is not long, and nothing else.
            size = len(data) - 6
            start = 0
            if size > _MAX_SHORT:
                size -= 2
                if data[1] == _MASKED | 126 and data[2] << 8 | data[3] == size > _MAX_SHORT:
                    start = 8
            elif size >= 0 and data[1] == _MASKED | size:
                start = 6
            if start and size <= self._max_whole and data[0] in _WHOLE:
                payload = self._mask(data[start:], data[start - 4 : start])
                if data[0] == _BINARY:
                    return [payload]
                try:
                    return [payload.decode()]
                except UnicodeDecodeError:
                    pass  # wsproto finds the first bad byte
        events: list[Event] = []
        if self._waiting:
            if self.paused:
                assert self._reader is not None
                self._reader.receive_bytes(data)
                return events
            data = self._read(data, events)
        position = self._take_whole_frames(data, events)
        if position < len(data):
            self._read(data[position:], events, everything=True)
        return events

    def resume(self) -> list[Event]:
        """What was held back, or some of it."""
        self.paused = False
        return self.receive_data(b"")

    def _take_whole_frames(self, data: bytes, events: list[Event]) -> int:
        """The fast lane: takes what it can; the position of the first frame that it does not."""
        position, end = 0, len(data)
        mask, max_whole = self._mask, self._max_whole
        while position < end - 5:  # the shortest masked frame has six bytes
            first, size = data[position], data[position + 1] ^ _MASKED
            if first not in _WHOLE:
                break
            # RFC 6455 §5.2: a length takes the minimal number of bytes.
            if size < 126:
                start, least = position + 6, 0
            elif size == 126:
                start, least = position + 8, 126
                size = data[position + 2] << 8 | data[position + 3]
            elif size == 127:
                start, least = position + 14, 65_536
                size = int.from_bytes(data[position + 2 : position + 10], "big")
            else:
                break  # not masked
            stop = start + size
            if stop > end or not least <= size <= max_whole:
                break
            payload = mask(data[start:stop], data[start - 4 : start])
            if first == _TEXT:
                try:
                    events.append(payload.decode())
                except UnicodeDecodeError:
                    break
            else:
                events.append(payload)
            position = stop
        return position

    def _read(self, data: bytes, events: list[Event], *, everything: bool = False) -> bytes:
        """Let wsproto read; what it has not needed to complete a message, unless `everything`."""
        reader = self._reader
        if reader is None:
            extensions: list[Extension] = [self._guard]
            if self._compressor is not None:
                extensions.append(self._compressor)
            reader = self._reader = FrameReader(extensions)
        reader.receive_bytes(data)
        size = 0
        try:
            for frame in reader.received_frames():
                payload = frame.payload
                if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
                    assert not isinstance(payload, tuple)
                    self._collect(payload, events, finished=frame.message_finished)
                    if frame.message_finished:
                        size += len(events[-1])  # type: ignore[arg-type]
                        if self._must_pause(size):
                            return b""
                        if self._fast and not everything:
                            self._waiting = False
                            return reader.take_rest()
                    else:
                        reader.check_pending_text()
                elif isinstance(payload, tuple):
                    self.ended = True
                    code, reason = payload
                    events.append(CloseReceived(int(code), reason))
                else:
                    assert isinstance(payload, bytes)
                    kind = PingReceived if frame.opcode is Opcode.PING else PongReceived
                    events.append(kind(payload))
        except ParseFailed as error:
            self._fail(error, events)
        # With nothing of wsproto's pending but the first bytes of a head, the fast lane could go
        # on; they would have to be copied back and forth for every chunk, so they stay.
        self._waiting = not (self._fast and reader.between_messages and not reader.has_rest)
        return b""

    def _must_pause(self, size: int) -> bool:
        """Whether enough has been inflated, and there is more; see rule 7."""
        if self._compressor is None or size < self._room:
            return False
        assert self._reader is not None
        self.paused = self._waiting = self._reader.has_rest
        return self.paused

    def _collect(self, payload: str | bytes, events: list[Event], *, finished: bool) -> None:
        """Keep a piece of a message; with the last one it is an event.

        Pieces are joined by the hundreds, so that a message that comes byte by byte takes little
        more memory than its size.
        """
        pieces, joined = self._pieces, self._joined
        pieces.append(payload)
        if not finished:
            if len(pieces) == _PIECES:
                joined.append(_join(pieces))
                pieces.clear()
            return
        if joined:
            pieces[:0] = joined
            joined.clear()
        events.append(pieces[0] if len(pieces) == 1 else _join(pieces))
        pieces.clear()

    def _fail(self, error: ParseFailed, events: list[Event]) -> None:
        self.ended = True
        self._pieces.clear()
        self._joined.clear()
        events.append(ProtocolFailed(int(error.code), _REASONS.get(error.code, str(error))))

    def pass_time(self, seconds: float) -> None:
        """So much time has passed: the peer may send more control frames."""
        self._guard.refill(seconds)
        if not self._waiting:
            self._reader = None  # it stands between two messages

    # --- sending -----------------------------------------------------------------------------

    def send_message(
        self, message: str | bytes | SharedMessage, *, compress: bool | None = None
    ) -> bytes:
        """The bytes of a message.

        Args:
            message: text or binary, or what has it.
            compress: `None` leaves it to the size. Without an agreement nothing is compressed.

        Raises:
            LocalProtocolError: after the Close, or text that has no UTF-8.
        """
        if self.close_sent:
            raise LocalProtocolError("the WebSocket is closed")
        if type(message) is str:
            first = _TEXT
            try:
                payload = message.encode()
            except UnicodeEncodeError:
                raise LocalProtocolError("half a surrogate pair cannot be sent as text") from None
        elif isinstance(message, SharedMessage):
            return self._send_shared(message, compress)
        else:
            first, payload = _BINARY, message  # type: ignore[assignment]
        compressor = self._compressor
        if compressor is not None and (
            len(payload) >= self._threshold if compress is None else compress
        ):
            compressed = compressor.compress(payload)
            if len(compressed) < len(payload) or compressor.keeps_context:
                return serialize_frame(first | _RSV1, compressed)
        size = len(payload)
        if size <= _MAX_SHORT:
            return (_TEXT_HEADS if first == _TEXT else _BINARY_HEADS)[size] + payload
        return serialize_frame(first, payload)

    def _send_shared(self, message: SharedMessage, compress: bool | None) -> bytes:  # noqa: FBT001
        """The bytes that another engine has left with the message, or that others will find."""
        wire, data = message.wire, message.data
        plain: bytes | None = wire.get(_PLAIN)
        if plain is None:
            plain = wire[_PLAIN] = self.send_message(data, compress=False)
        if self._compressor is None or not (
            payload_size(plain) >= self._threshold if compress is None else compress
        ):
            return plain
        if self._shared is None:
            return self.send_message(data, compress=True)
        compressed: bytes | None = wire.get(self._shared)
        if compressed is None:
            compressed = wire[self._shared] = self.send_message(data, compress=True)
        return compressed

    def send_ping(self, payload: bytes = b"") -> bytes:
        """The bytes of a Ping; none after the Close.

        Raises:
            LocalProtocolError: more than 125 bytes.
        """
        return self._send_control(Opcode.PING, payload)

    def send_pong(self, payload: bytes) -> bytes:
        """The bytes of a Pong, as `send_ping`."""
        return self._send_control(Opcode.PONG, payload)

    def send_close(self, code: int | None, reason: str = "") -> bytes:
        """The bytes of the Close; none for a second one. `None` sends it without a code.

        Args:
            code: 1000 to 1014 but for those that are never sent, or 3000 to 4999.
            reason: cut to what fits, at a character.

        Raises:
            LocalProtocolError: a code that must not be sent (RFC 6455 §7.4).
        """
        payload = b""
        if code is not None:
            check_close(code)
            payload = code.to_bytes(2, "big") + cut_reason(reason).encode()
        data = self._send_control(Opcode.CLOSE, payload)
        self.close_sent = True
        return data

    def _send_control(self, opcode: Opcode, payload: bytes) -> bytes:
        if len(payload) > _MAX_CONTROL:
            raise LocalProtocolError(f"a control frame carries {_MAX_CONTROL} bytes at most")
        return b"" if self.close_sent else serialize_frame(0x80 | opcode, payload)


def check_close(code: int) -> None:
    """Check a code for a Close (RFC 6455 §7.4.2, and the registry that it founds).

    Raises:
        LocalProtocolError: it is reserved, or out of range.
    """
    if not (3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))):
        raise LocalProtocolError(
            f"{code} is no close code to send: 1000 to 1003, 1007 to 1014, or 3000 to 4999"
        )


def cut_reason(reason: str) -> str:
    """As much of a reason as fits into a Close (RFC 6455 §5.5.1), cut at a character."""
    return reason.encode("utf-8", "replace")[: _MAX_CONTROL - 2].decode("utf-8", "ignore")


def _join(pieces: list[str | bytes]) -> str | bytes:
    """All pieces of one message are of one type."""
    return type(pieces[0])().join(pieces)  # type: ignore[arg-type]
