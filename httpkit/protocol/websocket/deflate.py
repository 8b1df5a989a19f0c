"""permessage-deflate (RFC 7692) as an extension of wsproto: what wsproto's own leaves open.

Theory of operation:

1. Unless a route asks for it, neither side keeps a context between messages. A socket that is idle,
   or in the middle of an uncompressed message, then holds nothing of zlib. A message that is being
   received holds some 40 KB (window and state of inflate), one that is sent as much (16 KB of
   window, 16 KB of hash tables, state), and only while `compress` runs.
2. What a message inflates to is limited while it inflates: zlib is never asked for more than one
   byte beyond `max_message`.
3. A peer may end a deflate stream within a message (RFC 7692 §7.2.3.4); each costs a new inflater,
   so their number is limited too.
"""

import zlib
from typing import TYPE_CHECKING

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from httpkit.semantics.websocket import DeflateAgreement

if TYPE_CHECKING:
    from zlib import _Compress, _Decompress

__all__ = ["PermessageDeflate"]

#: What a sender leaves out at the end of each message (RFC 7692 §7.2.1).
_TAIL = b"\x00\x00\xff\xff"
_RSV1 = RsvBits(True, False, False)
_MAX_STREAMS = 64
#: Hash tables of 16 KB where zlib's default is 128: as with the window, little is lost by it.
_MEMORY_LEVEL = 5


class PermessageDeflate(Extension):
    """The server's side of an agreement.

    Args:
        agreement: of the handshake.
        max_message: bytes that a message may inflate to, `None` for any number.

    Attributes:
        keeps_context: what was compressed has to be sent.
    """

    name = "permessage-deflate"

    def __init__(self, agreement: DeflateAgreement, max_message: int | None) -> None:
        self.keeps_context = agreement.server_context_takeover
        self._window_bits = agreement.window_bits
        self._compressor: _Compress | None = None
        self._client_keeps_context = agreement.client_context_takeover
        # zlib makes a window of 512 bytes where it is told to make one of 256.
        self._client_window_bits = max(9, agreement.client_window_bits)
        self._max_message = max_message
        self._left = 0
        self._streams = 0
        self._inflater: _Decompress | None = None
        #: The message that is being received is compressed.
        self._compressed = False
        #: The frame that is being received belongs to it.
        self._inflating = False

    def enabled(self) -> bool:
        """Always: one is made for an agreement only."""
        return True

    def offer(self) -> bool | str:
        """Nothing: agreements are made by `httpkit.semantics.websocket`."""
        return False

    # --- receiving ---------------------------------------------------------------------------

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,  # noqa: ARG002
    ) -> CloseReason | RsvBits:
        """RSV1 stands on the first frame of a compressed message, and nowhere else (§6.1)."""
        if opcode.iscontrol() or opcode is Opcode.CONTINUATION:
            if rsv.rsv1:
                return CloseReason.PROTOCOL_ERROR
            self._inflating = self._compressed and not opcode.iscontrol()
            return _RSV1
        self._compressed = self._inflating = rsv.rsv1
        self._left = 0 if self._max_message is None else self._max_message
        self._streams = 0
        return _RSV1

    def frame_inbound_payload_data(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002
        data: bytes,
    ) -> bytes | CloseReason:
        """Inflate a piece of a frame."""
        return self._inflate(data) if self._inflating else data

    def frame_inbound_complete(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002
        fin: bool,  # noqa: FBT001
    ) -> bytes | CloseReason | None:
        """At the end of a message inflate what its sender left out."""
        if not (fin and self._inflating):
            return None
        data = self._inflate(_TAIL)
        if not self._client_keeps_context:
            self._inflater = None
        self._compressed = False
        return data

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        pieces = []
        while data:
            if self._inflater is None:
                self._streams += 1
                if self._streams > _MAX_STREAMS:
                    return CloseReason.POLICY_VIOLATION
                self._inflater = zlib.decompressobj(-self._client_window_bits)
            try:
                piece = self._inflater.decompress(
                    data, 0 if self._max_message is None else self._left + 1
                )
            except zlib.error:
                return CloseReason.INVALID_FRAME_PAYLOAD_DATA
            pieces.append(piece)
            if self._max_message is not None:
                self._left -= len(piece)
                if self._left < 0:
                    return CloseReason.MESSAGE_TOO_BIG
            data = b""
            if self._inflater.eof:
                data = self._inflater.unused_data
                self._inflater = None
        return b"".join(pieces)

    # --- sending -----------------------------------------------------------------------------

    def compress(self, payload: bytes) -> bytes:
        """The payload of a whole message, compressed (§7.2.1)."""
        compressor = self._compressor
        if compressor is None:
            compressor = zlib.compressobj(
                zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -self._window_bits, _MEMORY_LEVEL
            )
            if self.keeps_context:
                self._compressor = compressor
        return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
