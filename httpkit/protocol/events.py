"""The one event vocabulary of every version of HTTP.

Structs of msgspec: they are made for every request, in C. HTTP/1.1 numbers its requests as
streams, 1, 2, 3 …
"""

import msgspec

from httpkit.errors import ProtocolError
from httpkit.headers import RawHeaders
from httpkit.request import RequestHead

__all__ = [
    "ConnectionTerminated",
    "DataReceived",
    "Event",
    "PrefaceReceived",
    "RequestReceived",
    "StreamReset",
    "TrailersReceived",
]


class RequestReceived(msgspec.Struct, eq=False):
    """The head of a request is complete and passed every check.

    Attributes:
        stream_id: names the request in every later event and call.
        head: method, target, fields; may be shared with other requests.
        end_stream: no event of this request follows.
        content: the whole body, if it came in the same bytes as the head; it is `DataReceived`
            otherwise.
        upgrade: the protocols offered in `Upgrade`, or `None`.
        content_length: the announced length of the body that follows, or `None`.
    """

    stream_id: int
    head: RequestHead
    end_stream: bool = True
    content: bytes = b""
    upgrade: bytes | None = None
    content_length: int | None = None


class DataReceived(msgspec.Struct, eq=False):
    """A piece of a request body, or of the raw stream after an upgrade.

    Attributes:
        stream_id: of the request.
        data: decoded bytes; may be empty with `end_stream`.
        end_stream: nothing follows; trailers, if any, came before.
    """

    stream_id: int
    data: bytes
    end_stream: bool


class TrailersReceived(msgspec.Struct, eq=False):
    """The trailer section; the `DataReceived` that ends the stream follows."""

    stream_id: int
    headers: RawHeaders


class StreamReset(msgspec.Struct, eq=False):
    """The request can no longer be read or answered: its handler is to be cancelled."""

    stream_id: int
    error: ProtocolError | None = None


class PrefaceReceived(msgspec.Struct, eq=False):
    """The peer speaks HTTP/2 from the beginning (RFC 9113 §3.3): another engine has to take over.

    Attributes:
        data: everything it has sent.
    """

    data: bytes


class ConnectionTerminated(msgspec.Struct, eq=False):
    """The engine takes no more input. Output may still be waiting.

    Attributes:
        error: what the peer did wrong, for the log; `None` for an orderly end.
        status: the status the engine answered by itself, if it did.
    """

    error: ProtocolError | None = None
    status: int | None = None


Event = (
    RequestReceived
    | DataReceived
    | TrailersReceived
    | StreamReset
    | PrefaceReceived
    | ConnectionTerminated
)
