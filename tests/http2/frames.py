"""HTTP/2 frames as bytes, good and bad: a test says exactly what goes over the wire.

Nothing here checks anything, and nothing of httpkit is used: the sections of RFC 9113 are the only
source. Header blocks are made by hpack; those that must be wrong are written by hand.
"""

import struct
from collections.abc import Iterable

from h2.errors import ErrorCodes as Code
from hpack import Encoder

__all__ = ["Code"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# --- types and flags (RFC 9113 §6) ---------------------------------------------------------------

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
#: RFC 9218 §7.1.
PRIORITY_UPDATE = 0x10
#: Reserved for experiments and greasing.
UNKNOWN = 0xF0

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20
COMPLETE = END_HEADERS | END_STREAM

# --- settings ------------------------------------------------------------------------------------

HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6
ENABLE_CONNECT_PROTOCOL = 8
NO_RFC7540_PRIORITIES = 9

Fields = Iterable[tuple[str | bytes, str | bytes]]


def frame(
    kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0, length: int | None = None
) -> bytes:
    """Any frame; `length` may lie, and `stream` may have its reserved bit set."""
    size = len(payload) if length is None else length
    return struct.pack("!I", size)[1:] + struct.pack("!BBI", kind, flags, stream) + payload


# --- header blocks -------------------------------------------------------------------------------


def request_fields(
    path: str = "/", *more: tuple[str | bytes, str | bytes], method: str = "GET"
) -> list[tuple[str | bytes, str | bytes]]:
    """A request's fields, pseudo-header fields first."""
    return [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "example.com"),
        *more,
    ]


def without(name: str, fields: Fields | None = None) -> list[tuple[str | bytes, str | bytes]]:
    """The same but for one field."""
    return [field for field in fields or request_fields() if field[0] != name]


def replaced(name: str, value: str | bytes) -> list[tuple[str | bytes, str | bytes]]:
    """A request with another value in one field."""
    return [(key, value if key == name else old) for key, old in request_fields()]


def block(fields: Fields) -> bytes:
    """A header block that leaves the dynamic table alone (literals that are never indexed)."""
    return Encoder().encode([(name, value, True) for name, value in fields], huffman=False)


def literal(name: bytes, value: bytes) -> bytes:
    """A literal with incremental indexing (RFC 7541 §6.2.1), lengths below 127."""
    return bytes([0x40, len(name)]) + name + bytes([len(value)]) + value


# --- one function for each type ------------------------------------------------------------------


def headers(
    fields: Fields | bytes, *, stream: int = 3, flags: int = COMPLETE, prefix: bytes = b""
) -> bytes:
    """HEADERS with a whole block; `prefix` is what PADDED and PRIORITIZED put in front of it."""
    fragment = fields if isinstance(fields, bytes) else block(fields)
    return frame(HEADERS, prefix + fragment, flags=flags, stream=stream)


def request(
    path: str = "/",
    *more: tuple[str | bytes, str | bytes],
    method: str = "GET",
    stream: int = 3,
    end: bool = True,
) -> bytes:
    """A request in one HEADERS frame."""
    flags = COMPLETE if end else END_HEADERS
    return headers(request_fields(path, *more, method=method), stream=stream, flags=flags)


def post(path: str = "/", *more: tuple[str | bytes, str | bytes], stream: int = 3) -> bytes:
    """The head of a request whose body is to come."""
    return request(path, *more, method="POST", stream=stream, end=False)


def continuation(fragment: bytes, *, stream: int = 3, end: bool = True) -> bytes:
    return frame(CONTINUATION, fragment, flags=END_HEADERS if end else 0, stream=stream)


def data(content: bytes = b"", *, stream: int = 3, end: bool = False) -> bytes:
    return frame(DATA, content, flags=END_STREAM if end else 0, stream=stream)


def reset(code: int = Code.CANCEL, *, stream: int = 3) -> bytes:
    return frame(RST_STREAM, struct.pack("!I", code), stream=stream)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, b"".join(struct.pack("!HI", *pair) for pair in pairs))


def settings_ack() -> bytes:
    return frame(SETTINGS, flags=ACK)


def ping(opaque: bytes = b"12345678") -> bytes:
    return frame(PING, opaque)


def goaway(code: int = Code.NO_ERROR, *, last: int = 0, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, struct.pack("!II", last, code) + debug)


def window_update(increment: int, *, stream: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, struct.pack("!I", increment), stream=stream)


def priority(depends_on: int = 0, weight: int = 15, *, stream: int = 3) -> bytes:
    return frame(PRIORITY, struct.pack("!IB", depends_on, weight), stream=stream)


def priority_update(value: bytes, *, prioritized: int = 3) -> bytes:
    return frame(PRIORITY_UPDATE, struct.pack("!I", prioritized) + value)
