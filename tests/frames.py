"""Frames as a client writes and reads them, by RFC 6455 §5.2; no library involved."""

from collections.abc import Iterator

KEY = b"\x37\xfa\x21\x3d"
TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
#: Not final; a continuation, and the last one.
FIRST_TEXT, FIRST_BINARY, MORE, LAST = 0x01, 0x02, 0x00, 0x80


def masked(data: bytes, key: bytes = KEY) -> bytes:
    size = len(data)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data) ^ int.from_bytes(keys)).to_bytes(size)


def frame(first: int, payload: bytes = b"", *, key: bytes | None = KEY, size: int = 0) -> bytes:
    """A frame of a client.

    Args:
        first: FIN, RSV and opcode.
        payload: unmasked.
        key: `None` for no mask.
        size: 2 or 8 to write the length in so many bytes, whatever it is.
    """
    length = len(payload)
    size = size or (0 if length < 126 else 2 if length < 65_536 else 8)
    short = {0: length, 2: 126, 8: 127}[size]
    head = bytes((first, short | (0 if key is None else 0x80)))
    if size:
        head += length.to_bytes(size, "big")
    return head + payload if key is None else head + key + masked(payload, key)


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def read_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The unmasked frames of a server: first byte and payload."""
    while data:
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        assert len(data) >= start + length, "a frame is cut"
        yield data[0], data[start : start + length]
        data = data[start + length :]
