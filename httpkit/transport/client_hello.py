"""What a ClientHello offers by ALPN, read on its way to OpenSSL.

Where client and server have no protocol in common the handshake has to fail (RFC 7301 §3.2).
Python's `ssl` goes on without one, and does not tell that case from a client that offers nothing; a
callback for SNI may end the handshake with an alert, once it knows the offer. Refuses nothing: what
is malformed offers nothing, and OpenSSL finds it. Called by `transport.handshake`.
"""

from collections.abc import Iterator

__all__ = ["ClientHello"]

#: Type, version and length of a record (RFC 8446 §5.1).
_RECORD_HEAD = 5
_HANDSHAKE_RECORD = 0x16
#: Type and length of a message (§4); then version and random (§4.1.2).
_MESSAGE_HEAD = 4
_FIXED = 34
_ALPN = 16


class ClientHello:
    """Collects the first message of a handshake, which may come in several records."""

    __slots__ = ("_message", "_records")

    def __init__(self) -> None:
        self._records = bytearray()
        self._message = bytearray()

    def receive_data(self, data: bytes) -> tuple[bytes, ...] | None:
        """Take what the client sends; what it offers once that is known, `None` before."""
        records, message = self._records, self._message
        records += data
        while len(records) >= _RECORD_HEAD:
            end = _RECORD_HEAD + int.from_bytes(records[3:5], "big")
            if records[0] != _HANDSHAKE_RECORD:
                return ()
            if len(records) < end:
                break
            message += records[_RECORD_HEAD:end]
            del records[:end]
            size = _MESSAGE_HEAD + int.from_bytes(message[1:_MESSAGE_HEAD], "big")
            if len(message) >= max(size, _MESSAGE_HEAD):
                return tuple(_read_offer(bytes(message[:size])))
        return None


def _read_offer(message: bytes) -> Iterator[bytes]:
    position = _MESSAGE_HEAD + _FIXED
    for width in (1, 2, 1):  # session, cipher suites, compression
        position += width + int.from_bytes(message[position : position + width], "big")
    position += 2
    while position < len(message):
        kind = int.from_bytes(message[position : position + 2], "big")
        start = position + 4
        position = start + int.from_bytes(message[position + 2 : start], "big")
        if kind == _ALPN:
            names = message[start + 2 : position]
            while names:
                end = 1 + names[0]
                yield names[1:end]
                names = names[end:]
