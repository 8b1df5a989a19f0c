"""Frames (RFC 6455 §5): writing them, and wsproto's reader with our limits in front of payloads."""

from struct import Struct

from wsproto.extensions import Extension
from wsproto.frame_protocol import (
    CloseReason,
    Frame,
    FrameDecoder,
    FrameProtocol,
    Opcode,
    ParseFailed,
    RsvBits,
)

from httpkit.limits import WebSocketLimits

__all__ = ["FrameReader", "HeaderGuard", "payload_size", "serialize_frame"]

_NO_BITS = RsvBits(False, False, False)
#: 1014 (RFC 6455 §11.7, IANA's registry), and a code that wsproto knows.
_BAD_GATEWAY = (1014).to_bytes(2, "big")
_NORMAL = (1000).to_bytes(2, "big")
_HEAD_7 = Struct("!BB").pack
_HEAD_16 = Struct("!BBH").pack
_HEAD_64 = Struct("!BBQ").pack


def serialize_frame(first: int, payload: bytes) -> bytes:
    """An unmasked frame: `first` is FIN, the reserved bits and the opcode in one byte (§5.2)."""
    size = len(payload)
    if size < 126:
        return _HEAD_7(first, size) + payload
    if size < 65_536:
        return _HEAD_16(first, 126, size) + payload
    return _HEAD_64(first, 127, size) + payload


def payload_size(frame: bytes) -> int:
    """Of an unmasked frame (§5.2)."""
    short = frame[1]
    return len(frame) - (2 if short < 126 else 4 if short == 126 else 10)


class HeaderGuard(Extension):
    """Sees every head of a frame before its payload: sizes and counts, before anything is kept.

    Attributes:
        control_budget: control frames that the peer may still send; time adds to it.
    """

    name = "limits"

    def __init__(self, limits: WebSocketLimits) -> None:
        self._limits = limits
        self._size = 0
        self._fragments = 0
        self._next_size = 0
        self._next_fragments = 0
        self._is_control = False
        self.control_budget: float = limits.control_rate

    def refill(self, seconds: float) -> None:
        """So much time has passed."""
        rate = self._limits.control_rate
        self.control_budget = min(self.control_budget + seconds * rate, rate)

    def enabled(self) -> bool:
        """Always."""
        return True

    def offer(self) -> bool | str:
        """Nothing: this is no extension of the protocol."""
        return False

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        opcode: Opcode,
        rsv: RsvBits,  # noqa: ARG002
        payload_length: int,
    ) -> CloseReason | RsvBits:
        """Refuse what exceeds a limit.

        wsproto asks anew while the head is not complete, so nothing is counted here.
        """
        limits = self._limits
        self._is_control = opcode.iscontrol()
        if opcode is Opcode.CLOSE:
            return _NO_BITS  # the last one is never one too many
        if self._is_control:
            return CloseReason.POLICY_VIOLATION if self.control_budget < 1 else _NO_BITS
        begins = opcode is not Opcode.CONTINUATION
        self._next_size = payload_length + (0 if begins else self._size)
        self._next_fragments = 1 + (0 if begins else self._fragments)
        if limits.max_message is not None and self._next_size > limits.max_message:
            return CloseReason.MESSAGE_TOO_BIG
        if limits.max_frame is not None and payload_length > limits.max_frame:
            return CloseReason.MESSAGE_TOO_BIG
        if self._next_fragments > limits.max_fragments:
            return CloseReason.POLICY_VIOLATION
        return _NO_BITS

    def frame_inbound_complete(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002
        fin: bool,  # noqa: FBT001
    ) -> bytes | CloseReason | None:
        """Count a frame once it is here."""
        if self._is_control:
            self.control_budget -= 1
        else:
            # Nothing of a message is left at its end: a continuation may follow by mistake.
            self._size = 0 if fin else self._next_size
            self._fragments = 0 if fin else self._next_fragments
        return None


class FrameReader(FrameProtocol):
    """wsproto's frame protocol of a server, which can be left between two messages."""

    def __init__(self, extensions: list[Extension]) -> None:
        super().__init__(client=False, extensions=extensions)

    @property
    def between_messages(self) -> bool:
        """Whether no frame has begun, as far as its head was complete, and no message."""
        return self._frame_decoder.header is None and self._message_decoder.opcode is None

    @property
    def has_rest(self) -> bool:
        """Whether there are bytes that no frame has taken yet."""
        return len(self._frame_decoder.buffer) > 0

    def check_pending_text(self) -> None:
        """Check that the text does not end in two bytes of a surrogate (RFC 3629 §3).

        No third byte can make that UTF-8, but Python's decoder waits for one.

        Raises:
            ParseFailed: it does.
        """
        decoder = self._message_decoder.decoder
        if decoder is not None:
            pending, _ = decoder.getstate()
            if len(pending) == 2 and pending[0] == 0xED and pending[1] >= 0xA0:
                raise ParseFailed("a surrogate", CloseReason.INVALID_FRAME_PAYLOAD_DATA)

    def _process_close(self, frame: Frame) -> Frame:
        """Read a Close; wsproto does not know the youngest of the registered codes."""
        payload = frame.payload
        assert isinstance(payload, bytes)
        if payload[:2] != _BAD_GATEWAY:
            return super()._process_close(frame)
        frame = super()._process_close(frame._replace(payload=_NORMAL + payload[2:]))
        assert isinstance(frame.payload, tuple)
        return frame._replace(payload=(1014, frame.payload[1]))

    def take_rest(self) -> bytes:
        """The bytes that no frame has taken yet; they are gone from here."""
        buffer = self._frame_decoder.buffer
        rest = bytes(buffer.buffer)
        buffer.buffer.clear()
        return rest
