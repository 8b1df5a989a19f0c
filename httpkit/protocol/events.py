"""The one event vocabulary of HTTP/1.1, HTTP/2 and HTTP/3.

Plain slotted classes: they are made for every request, and the machinery of dataclasses would
cost more than the parsing. HTTP/1.1 numbers its requests as streams, 1, 2, 3 …
"""

from httpkit.errors import ProtocolError
from httpkit.headers import RawHeaders
from httpkit.request import RequestHead

__all__ = [
    "ConnectionTerminated",
    "DataReceived",
    "Event",
    "RequestReceived",
    "StreamReset",
    "TrailersReceived",
]


class RequestReceived:
    """The head of a request is complete and passed every check.

    Attributes:
        stream_id: names the request in every later event and call.
        head: method, target, fields; may be shared with other requests.
        end_stream: no body follows.
        upgrade: the protocols offered in `Upgrade`, or `None`.
        content_length: the announced length of the body that follows, or `None`.
    """

    __slots__ = ("content_length", "end_stream", "head", "stream_id", "upgrade")

    def __init__(self, stream_id: int, head: RequestHead) -> None:
        self.stream_id = stream_id
        self.head = head
        # What most requests do not have; the engine sets it afterwards.
        self.end_stream = True
        self.upgrade: bytes | None = None
        self.content_length: int | None = None


class DataReceived:
    """A piece of a request body, or of the raw stream after an upgrade.

    Attributes:
        data: decoded bytes; may be empty with `end_stream`.
        end_stream: nothing follows; trailers, if any, came before.
    """

    __slots__ = ("data", "end_stream", "stream_id")

    def __init__(self, stream_id: int, data: bytes, *, end_stream: bool) -> None:
        self.stream_id = stream_id
        self.data = data
        self.end_stream = end_stream


class TrailersReceived:
    """The trailer section; the `DataReceived` that ends the stream follows."""

    __slots__ = ("headers", "stream_id")

    def __init__(self, stream_id: int, headers: RawHeaders) -> None:
        self.stream_id = stream_id
        self.headers = headers


class StreamReset:
    """The request can no longer be read or answered: its handler is to be cancelled."""

    __slots__ = ("error", "stream_id")

    def __init__(self, stream_id: int, error: ProtocolError | None = None) -> None:
        self.stream_id = stream_id
        self.error = error


class ConnectionTerminated:
    """The engine takes no more input. Output may still be waiting.

    Attributes:
        error: what the peer did wrong, for the log; `None` for an orderly end.
        status: the status the engine answered by itself, if it did.
    """

    __slots__ = ("error", "status")

    def __init__(self, error: ProtocolError | None = None, status: int | None = None) -> None:
        self.error = error
        self.status = status


Event = RequestReceived | DataReceived | TrailersReceived | StreamReset | ConnectionTerminated
