"""Frames as numbers and bytes (RFC 9113 §4, §6, §7), and the few that the engine writes itself."""

from enum import IntEnum

from httpkit.limits import Limits

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "FRAME_HEAD",
    "GOAWAY",
    "HEADERS",
    "INITIAL_WINDOW",
    "MAX_FRAME_SIZE",
    "MAX_STREAM_ID",
    "MAX_WINDOW",
    "PADDED",
    "PING",
    "PREFACE",
    "PRIORITY",
    "PRIORITY_FLAG",
    "PRIORITY_UPDATE",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "WINDOW_UPDATE",
    "ErrorCode",
    "Setting",
    "goaway_frame",
    "greeting",
    "local_settings",
    "serialize_frame",
]

#: What a client sends first (RFC 9113 §3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Octets of a frame's head.
FRAME_HEAD = 9
#: The largest payload this side accepts: the initial value, which is the smallest there is.
MAX_FRAME_SIZE = 16_384
#: The windows of streams and connection before anything is said about them (RFC 9113 §6.9.2).
INITIAL_WINDOW = 65_535
MAX_STREAM_ID = 0x7FFF_FFFF
MAX_WINDOW = 0x7FFF_FFFF

# Types. Plain numbers: looking up a member of an Enum takes longer than what is done with it.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
PRIORITY_UPDATE = 16  # RFC 9218 §7.1

# Flags.
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY_FLAG = 0x20


class ErrorCode(IntEnum):
    """Why a stream or a connection ends (RFC 9113 §7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Setting(IntEnum):
    """Identifiers of settings (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1)."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8
    NO_RFC7540_PRIORITIES = 0x9


def serialize_frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big")
    return head + payload


def goaway_frame(last_stream_id: int, code: int, reason: str = "") -> bytes:
    """GOAWAY; the reason is debug data, for people who look at captures (§6.8)."""
    payload = last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + reason.encode()
    return serialize_frame(GOAWAY, 0, 0, payload)


def local_settings(limits: Limits) -> dict[int, int]:
    """What this side says about itself (RFC 9113 §6.5.2)."""
    return {
        Setting.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
        Setting.INITIAL_WINDOW_SIZE: limits.body_buffer,
        Setting.MAX_HEADER_LIST_SIZE: limits.max_header_bytes,
        Setting.ENABLE_CONNECT_PROTOCOL: 1,
        Setting.NO_RFC7540_PRIORITIES: 1,
    }


def greeting(limits: Limits) -> bytes:
    """The server's preface (RFC 9113 §3.4): SETTINGS, and the window of the connection."""
    settings = b"".join(
        identifier.to_bytes(2, "big") + value.to_bytes(4, "big")
        for identifier, value in local_settings(limits).items()
    )
    frames = serialize_frame(SETTINGS, 0, 0, settings)
    grown = limits.connection_window - INITIAL_WINDOW
    if grown:
        frames += serialize_frame(WINDOW_UPDATE, 0, 0, grown.to_bytes(4, "big"))
    return frames
