"""The reference parser: h11, readable Python that follows the RFC's grammar."""

import h11

from httpkit.errors import RemoteProtocolError
from httpkit.headers import RawHeaders
from httpkit.protocol.http1.head import split_fields

__all__ = ["H11Parser"]

#: The head guard has its own limits; h11's must never be the smaller one.
_NO_LIMIT = 1 << 30
#: h11 makes one Content-Length of `5, 5` and of two equal lines, and writes Transfer-Encoding in
#: lower case. The guard has to judge what was sent, not what h11 made of it.
_REWRITTEN = frozenset({b"content-length", b"transfer-encoding"})


class H11Parser:
    """Parses heads and bodies that the guards let through; see `engine.MessageParser`."""

    __slots__ = ("_connection", "_trailers")

    name = "reference"
    #: The reference has no fast lane: it is what the fast lane is compared with.
    has_fast_lane = False

    def __init__(self) -> None:
        self._trailers: RawHeaders = []
        self._connection: h11.Connection

    def parse_head(self, head: bytes) -> RawHeaders:
        """The fields of one complete head.

        h11's own state machine couples requests with answers. Ours does that for both parsers,
        so each message gets an h11 of its own.
        """
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_NO_LIMIT)
        self._trailers = []
        try:
            self._connection.receive_data(head)
            request = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise RemoteProtocolError("A header field is malformed.") from error
        if not isinstance(request, h11.Request):
            raise RemoteProtocolError("The head is incomplete.")
        fields: RawHeaders = list(request.headers)
        if any(name in _REWRITTEN for name, _ in fields):
            return split_fields(head)
        return fields

    def parse_body(self, raw: bytes) -> bytes:
        """Decode framed bytes of the body."""
        data: list[bytes] = []
        try:
            self._connection.receive_data(raw)
            while True:
                event = self._connection.next_event()
                if isinstance(event, h11.Data):
                    data.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self._trailers = list(event.headers)
                    break
                else:
                    break
        except h11.RemoteProtocolError as error:
            raise RemoteProtocolError("The body is malformed.") from error
        return b"".join(data)

    def forget(self) -> None:
        """There is nothing more to parse."""
        del self._connection

    def trailers(self) -> RawHeaders:
        """The trailer fields of the body that has just ended."""
        return self._trailers
