"""The WebSocket protocol (RFC 6455, RFC 7692) behind an accepted handshake: bytes in, events out.

The handshake is `httpkit.semantics.websocket`'s; who waits for whom, and how long, the server's.
"""

from httpkit.protocol.websocket.engine import Event, WebSocketEngine
from httpkit.protocol.websocket.events import (
    CloseReceived,
    PingReceived,
    PongReceived,
    ProtocolFailed,
)
from httpkit.protocol.websocket.masking import HAS_FAST_MASK, Mask, choose_mask

__all__ = [
    "HAS_FAST_MASK",
    "CloseReceived",
    "Event",
    "Mask",
    "PingReceived",
    "PongReceived",
    "ProtocolFailed",
    "WebSocketEngine",
    "choose_mask",
]
