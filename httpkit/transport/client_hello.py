"""What a ClientHello offers by ALPN, asks for by SNI and brings as keys, on its way to OpenSSL.

Where client and server have no protocol in common the handshake has to fail (RFC 7301 §3.2).
Python's `ssl` goes on without one, and does not tell that case from a client that offers nothing; a
callback for SNI may end the handshake with an alert, once it knows the offer. Before that callback
Python decodes the name; if that fails it prints a traceback, so whoever calls OpenSSL looks at the
name first. Groups of keys are read since Python cannot choose between them. Refuses nothing: what
is malformed offers nothing, and OpenSSL finds it. Called by `transport.handshake`.
"""

from collections.abc import Iterator

__all__ = ["ClientHello"]

#: Type, version and length of a record (RFC 8446 §5.1).
_RECORD_HEAD = 5
_HANDSHAKE_RECORD = 0x16
#: A change_cipher_spec may stand before a second ClientHello, and means nothing (§5).
_IGNORED_RECORD = 0x14
#: Type and length of a message (§4); then version and random (§4.1.2).
_MESSAGE_HEAD = 4
_FIXED = 34
_SNI = 0
_ALPN = 16
_KEY_SHARE = 51
#: Curves that every OpenSSL has (RFC 8446 §4.2.7).
_CURVES = frozenset({0x17, 0x18, 0x19, 0x1D})
#: Finite fields of 4096 bits and more (RFC 7919 §2): a key of 8192 takes OpenSSL 20 ms.
_LARGE_FIELDS = range(0x0102, 0x0200)
#: Length of the list, type and length of its first name (RFC 6066 §3).
_NAME_HEAD = 5


class ClientHello:
    """Collects the first message of a handshake, which may come in several records.

    Attributes:
        name: the host name that the client asks for, once the offer is known; empty without one.
        groups: those that its keys are of, once the offer is known (RFC 8446 §4.2.7).
    """

    __slots__ = ("_message", "_records", "groups", "name")

    def __init__(self) -> None:
        self.name = b""
        self.groups: tuple[int, ...] = ()
        self._records = bytearray()
        self._message = bytearray()

    def receive_data(self, data: bytes) -> tuple[bytes, ...] | None:
        """Take what the client sends; what it offers once that is known, `None` before."""
        records, message = self._records, self._message
        records += data
        while len(records) >= _RECORD_HEAD:
            end = _RECORD_HEAD + int.from_bytes(records[3:5], "big")
            kind = records[0]
            if kind not in {_HANDSHAKE_RECORD, _IGNORED_RECORD}:
                return ()
            if len(records) < end:
                break
            if kind == _HANDSHAKE_RECORD:
                message += records[_RECORD_HEAD:end]
            del records[:end]
            size = _MESSAGE_HEAD + int.from_bytes(message[1:_MESSAGE_HEAD], "big")
            if len(message) >= max(size, _MESSAGE_HEAD):
                return self._read(bytes(message[:size]))
        return None

    @property
    def has_costly_key(self) -> bool:
        """Whether the key that OpenSSL would take costs it much, and the client nothing.

        It takes the first one of a group that it knows.
        """
        for group in self.groups:
            if group in _CURVES or group in _LARGE_FIELDS:
                return group in _LARGE_FIELDS
        return False

    def _read(self, message: bytes) -> tuple[bytes, ...]:
        offer: tuple[bytes, ...] = ()
        for kind, data in _read_extensions(message):
            if kind == _SNI:
                self.name = data[_NAME_HEAD:]
            elif kind == _ALPN:
                offer += tuple(_read_protocols(data[2:]))
            elif kind == _KEY_SHARE:
                self.groups = tuple(_read_groups(data[2:]))
        return offer


def _read_extensions(message: bytes) -> Iterator[tuple[int, bytes]]:
    position = _MESSAGE_HEAD + _FIXED
    for width in (1, 2, 1):  # session, cipher suites, compression
        position += width + int.from_bytes(message[position : position + width], "big")
    position += 2
    while position < len(message):
        kind = int.from_bytes(message[position : position + 2], "big")
        start = position + 4
        position = start + int.from_bytes(message[position + 2 : start], "big")
        yield kind, message[start:position]


def _read_protocols(names: bytes) -> Iterator[bytes]:
    while names:
        end = 1 + names[0]
        yield names[1:end]
        names = names[end:]


def _read_groups(shares: bytes) -> Iterator[int]:
    while shares:
        yield int.from_bytes(shares[:2], "big")
        shares = shares[4 + int.from_bytes(shares[2:4], "big") :]
