"""The frame guard: what a frame must satisfy whatever library takes it (RFC 9113 §4, §6).

Each function checks the frames of one type by what they say themselves. What depends on the state
of streams is `receiving`'s business. All raise `ConnectionFault`.
"""

from collections.abc import Callable
from struct import Struct

from httpkit.protocol.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_FLAG,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Setting,
)
from httpkit.protocol.http2.session import ConnectionFault

__all__ = ["CHECKS", "content_size", "iterate_settings", "stream_number"]


_SETTING = Struct(">HI")


def _protocol(reason: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.PROTOCOL_ERROR, reason)


def _size(reason: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, reason)


def stream_number(payload: bytes) -> int:
    """The stream id that a payload begins with."""
    return int.from_bytes(payload[:4], "big") & MAX_STREAM_ID


def content_size(flags: int, payload: bytes) -> int:
    """Octets of content in a DATA frame, without its padding (§6.1)."""
    if not flags & PADDED:
        return len(payload)
    if not payload:
        raise _size("a padded frame without the length of its padding")
    size = len(payload) - 1 - payload[0]
    if size < 0:
        raise _protocol("padding that is longer than its frame")
    return size


#: Values of one SETTINGS frame; RFC 9113 and its extensions know of nine (nghttp2: 32).
_MAX_SETTINGS = 32
#: Settings that are 0 or 1 (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1).
_SWITCHES = frozenset(
    {Setting.ENABLE_PUSH, Setting.ENABLE_CONNECT_PROTOCOL, Setting.NO_RFC7540_PRIORITIES}
)


def iterate_settings(payload: bytes) -> list[tuple[int, int]]:
    """Identifiers and values of a SETTINGS frame."""
    return list(_SETTING.iter_unpack(payload))


def _check_data(flags: int, stream_id: int, payload: bytes) -> None:
    if not stream_id:
        raise _protocol("DATA on stream 0")
    content_size(flags, payload)


def _check_headers(flags: int, stream_id: int, payload: bytes) -> None:
    if not stream_id & 1:
        raise _protocol("HEADERS on a stream that clients do not open")
    start = 0
    if flags & PADDED:
        if content_size(flags, payload) < (5 if flags & PRIORITY_FLAG else 0):
            raise _protocol("padding that is longer than its frame")
        start = 1
    if flags & PRIORITY_FLAG:
        if len(payload) < start + 5:
            raise _size("HEADERS without the priority that they announce")
        if stream_number(payload[start:]) == stream_id:
            # A stream error (RFC 7540 §5.3.1). The field section would have to be decoded all
            # the same; nobody sends this by mistake.
            raise _protocol("a stream that depends on itself")


def _check_priority(flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG001
    if not stream_id:
        raise _protocol("PRIORITY on stream 0")


def _check_rst_stream(flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG001
    if not stream_id:
        raise _protocol("RST_STREAM on stream 0")
    if len(payload) != 4:
        raise _size("RST_STREAM has 4 octets")


def _check_settings(flags: int, stream_id: int, payload: bytes) -> None:
    if stream_id:
        raise _protocol("SETTINGS belong to stream 0")
    if flags & ACK:
        if payload:
            raise _size("an acknowledgement of SETTINGS has no payload")
        return
    if len(payload) % 6:
        raise _size("SETTINGS have 6 octets for each value")
    if len(payload) > 6 * _MAX_SETTINGS:
        raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many settings")
    for identifier, value in iterate_settings(payload):
        if identifier in _SWITCHES and value > 1:
            raise _protocol("a setting that is neither 0 nor 1")
        if identifier == Setting.INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "an initial window beyond 2^31-1")
        if identifier == Setting.MAX_FRAME_SIZE and not 16_384 <= value <= 16_777_215:
            raise _protocol("a maximum frame size out of range")


def _check_push_promise(flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG001
    raise _protocol("clients do not push")


def _check_ping(flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG001
    if stream_id:
        raise _protocol("PING belongs to stream 0")
    if len(payload) != 8:
        raise _size("PING has 8 octets")


def _check_goaway(flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG001
    if stream_id:
        raise _protocol("GOAWAY belongs to stream 0")
    if len(payload) < 8:
        raise _size("GOAWAY has at least 8 octets")


def _check_window_update(flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG001
    if len(payload) != 4:
        raise _size("WINDOW_UPDATE has 4 octets")
    if not stream_id and not int.from_bytes(payload, "big") & MAX_WINDOW:
        raise _protocol("an increment of 0")


def _check_continuation(flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG001
    raise _protocol("CONTINUATION without HEADERS")


def _check_priority_update(flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG001
    if stream_id:
        raise _protocol("PRIORITY_UPDATE belongs to stream 0")
    if len(payload) < 4:
        raise _size("PRIORITY_UPDATE names a stream")
    if not stream_number(payload):
        raise _protocol("PRIORITY_UPDATE for stream 0")


#: Checks by type; they get flags, stream id and payload. Unknown types have none.
CHECKS: dict[int, Callable[[int, int, bytes], None]] = {
    DATA: _check_data,
    HEADERS: _check_headers,
    PRIORITY: _check_priority,
    RST_STREAM: _check_rst_stream,
    SETTINGS: _check_settings,
    PUSH_PROMISE: _check_push_promise,
    PING: _check_ping,
    GOAWAY: _check_goaway,
    WINDOW_UPDATE: _check_window_update,
    CONTINUATION: _check_continuation,
    PRIORITY_UPDATE: _check_priority_update,
}
