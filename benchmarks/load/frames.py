"""Whole frames of WebSocket (RFC 6455 §5.2), as a load makes them once."""

MASK = bytes.fromhex("37fa213d")  # that of RFC 6455 §5.7; any will do here
TEXT, CLOSE, PING = 0x81, 0x88, 0x89  # FIN and the opcode


def serialize_frame(first: int, payload: bytes, mask: bytes = b"") -> bytes:
    """Serialize one whole frame, masked as a client has to if there is a mask."""
    masked = 0x80 if mask else 0
    length = len(payload)
    if length < 126:
        head = bytes((first, masked | length))
    elif length < 65536:
        head = bytes((first, masked | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + length.to_bytes(8, "big")
    if mask:
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return head + mask + payload
