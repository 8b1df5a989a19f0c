"""What comes out of the WebSocket engine besides messages, which are plain `str` and `bytes`."""

import msgspec

__all__ = ["CloseReceived", "PingReceived", "PongReceived", "ProtocolFailed"]


class PingReceived(msgspec.Struct):
    """A Ping (RFC 6455 §5.5.2); wants a Pong with the same payload."""

    payload: bytes


class PongReceived(msgspec.Struct):
    """A Pong (RFC 6455 §5.5.3), asked for or not."""

    payload: bytes


class CloseReceived(msgspec.Struct):
    """The peer's Close (RFC 6455 §5.5.1); the last event.

    Attributes:
        code: as sent; 1005 if there was none.
        reason: as sent.
    """

    code: int
    reason: str


class ProtocolFailed(msgspec.Struct):
    """The peer broke the protocol or a limit (RFC 6455 §7.1.7); the last event.

    Attributes:
        code: for the Close: 1002, 1007, 1008 or 1009.
        reason: says what was wrong.
    """

    code: int
    reason: str
