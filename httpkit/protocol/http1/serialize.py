"""Writing heads of answers (RFC 9112 §4, §5), with as little joining as possible.

A `Preamble` is shared by all connections of a server: it holds the fields the server adds and
memoizes whole heads of answers whose fields are shared constants (tuples). The server renews it
once a second with the current date, which drops the memo.
"""

from collections.abc import Iterable

from httpkit.headers import encode_header
from httpkit.protocol.outgoing import NO_CONTENT, OutgoingFields, check_status
from httpkit.response import Response, Wire
from httpkit.status import status_line

__all__ = [
    "CLOSE",
    "MAX_SIZE",
    "PLAIN",
    "SIZES",
    "Preamble",
    "keep_wire",
    "read_wire",
    "serialize_fields",
    "serialize_head",
]

#: Connection lines that an answer may need.
PLAIN = b""
CLOSE = b"connection: close\r\n"

#: Ends of heads whose last field is the Content-Length, by that length: formatting costs more.
MAX_SIZE = 4096
SIZES = [b"%d\r\n\r\n" % size for size in range(MAX_SIZE)]

#: Distinct constant heads are few: status codes times constant tuples. More means that somebody
#: makes tuples for each request, and the memo starts anew rather than grow.
_MAX_MEMO = 512


#: Prebuilt heads by status and fields, up to and including `content-length: `.
Heads = dict[tuple[int, tuple[tuple[bytes, bytes], ...]], bytes]


class Preamble:
    """The fields this server adds to every answer, and prebuilt heads that contain them.

    Args:
        date: the current IMF-fixdate.
        server: the `Server` field's value; empty for none.
        keep_alive: seconds an idle connection is kept, for `Keep-Alive: timeout=`.

    Attributes:
        heads: for connections that go on.
        asked_heads: the same for clients that said `Connection: keep-alive`, and are told how
            long they may count on it.
    """

    __slots__ = ("asked_heads", "date", "heads", "keep_alive", "server")

    def __init__(self, date: bytes, server: bytes = b"httpkit", keep_alive: float = 75) -> None:
        self.server = b"%b: %b\r\n" % encode_header(b"server", server) if server else b""
        #: For clients that said `Connection: keep-alive`: how long they may count on it.
        self.keep_alive = b"connection: keep-alive\r\nkeep-alive: timeout=%d\r\n" % keep_alive
        self.date = b""
        self.heads: Heads = {}
        self.asked_heads: Heads = {}
        self.refresh(date)

    def refresh(self, date: bytes) -> None:
        """Set the date; called once a second."""
        self.date = b"date: %b\r\n" % date
        self.heads.clear()
        self.asked_heads.clear()

    def find_head(self, response: Response, *, asked: bool) -> bytes:
        """The same as `make_head`, from memory if it is there."""
        heads = self.asked_heads if asked else self.heads
        head = heads.get((response.status, response.raw_headers))  # type: ignore[arg-type]
        return self.make_head(response, asked=asked) if head is None else head

    def make_head(self, response: Response, *, asked: bool) -> bytes:
        """Build the head of an answer, checked, up to and including `content-length: `.

        Where the fields are a constant tuple it is remembered. Empty if they speak about framing
        or the connection, or there is no content: that is to be decided for each answer.

        Args:
            response: the answer.
            asked: whether the client said `Connection: keep-alive`.
        """
        status, raw = response.status, response.raw_headers
        check_status(status)
        head = b""
        if status not in NO_CONTENT:
            fields = OutgoingFields(raw)
            if not fields.close and fields.content_length is None and fields.upgrade is None:
                head = serialize_head(self, status, fields, self.keep_alive if asked else PLAIN)
                head += b"content-length: "
        if type(raw) is tuple:
            heads = self.asked_heads if asked else self.heads
            if len(heads) >= _MAX_MEMO:
                heads.clear()
            heads[status, raw] = head
        return head


def read_wire(wire: Wire, preamble: Preamble, response: Response) -> bytes:
    """The whole message that `keep_wire` has left for this very answer in this second, or none.

    Whoever has changed the answer meanwhile has put other objects into it.
    """
    kept = wire.get(preamble)
    if kept is None:
        return b""
    date, status, fields, body, data = kept
    same = (
        date is preamble.date
        and body is response.body
        and fields is response.raw_headers
        and status == response.status
    )
    return data if same else b""


def keep_wire(wire: Wire, preamble: Preamble, response: Response, data: bytes) -> None:
    """Leave the bytes of an answer that may be sent again; one server makes them once a second."""
    wire[preamble] = preamble.date, response.status, response.raw_headers, response.body, data


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
    return b"\r\n".join([*map(b": ".join, fields), b""])
