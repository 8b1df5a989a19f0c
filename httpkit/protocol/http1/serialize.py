"""Writing heads of answers (RFC 9112 §4, §5), with as little joining as possible.

A `Preamble` is shared by all connections of a server: it holds the fields the server adds and
memoises whole heads of answers whose fields are shared constants (tuples). The server renews it
once a second with the current date, which drops the memo.
"""

from collections.abc import Iterable

from httpkit.headers import encode_header
from httpkit.protocol.outgoing import OutgoingFields, check_status
from httpkit.response import Response
from httpkit.status import status_line

__all__ = ["CLOSE", "PLAIN", "SIZES", "Preamble", "serialize_fields", "serialize_head"]

#: Connection lines that an answer may need.
PLAIN = b""
CLOSE = b"connection: close\r\n"

#: Ends of heads whose last field is the Content-Length, by that length: formatting costs more.
SIZES = [b"%d\r\n\r\n" % size for size in range(4096)]

#: Distinct constant heads are few: status codes times constant tuples. More means that somebody
#: makes tuples for each request, and the memo starts anew rather than grow.
_MAX_MEMO = 512


class Preamble:
    """The fields this server adds to every answer, and prebuilt heads that contain them.

    Args:
        date: the current IMF-fixdate.
        server: the `Server` field's value; empty for none.
        keep_alive: seconds an idle connection is kept, for `Keep-Alive: timeout=`.
    """

    __slots__ = ("date", "keep_alive", "memo", "server")

    def __init__(self, date: bytes, server: bytes = b"httpkit", keep_alive: float = 75) -> None:
        self.server = b"%b: %b\r\n" % encode_header(b"server", server) if server else b""
        #: For clients that said `Connection: keep-alive`: how long they may count on it.
        self.keep_alive = b"connection: keep-alive\r\nkeep-alive: timeout=%d\r\n" % keep_alive
        self.date = b""
        self.memo: dict[tuple[int, tuple[tuple[bytes, bytes], ...], bytes], bytes] = {}
        self.refresh(date)

    def refresh(self, date: bytes) -> None:
        """Set the date; called once a second."""
        self.date = b"date: %b\r\n" % date
        self.memo.clear()

    def sized_head(self, response: Response, connection: bytes) -> bytes:
        """The head of an answer up to and including `content-length: `.

        Only for fields that are a constant tuple; checked when first made. Empty if the fields
        speak about framing or the connection, which is to be decided for each answer.
        """
        key = (response.status, response.raw_headers, connection)
        head = self.memo.get(key)  # type: ignore[arg-type]
        if head is None:
            check_status(response.status)
            fields = OutgoingFields(response.raw_headers)
            head = b""
            if not fields.close and fields.content_length is None:
                head = serialize_head(self, response.status, fields, connection)
                head += b"content-length: "
            if len(self.memo) >= _MAX_MEMO:
                self.memo.clear()
            self.memo[key] = head  # type: ignore[index]
        return head


def serialize_head(
    preamble: Preamble, status: int, fields: OutgoingFields, connection: bytes
) -> bytes:
    """Status line and fields, without the framing field and the empty line."""
    return b"".join(
        (
            status_line(status),
            b"" if fields.has_date else preamble.date,
            b"" if fields.has_server else preamble.server,
            connection,
            serialize_fields(fields.fields),
        )
    )


def serialize_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Field lines of checked fields."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])
