"""The one event vocabulary of HTTP/1.1, HTTP/2 and HTTP/3.

Plain slotted classes: they are made for every request, and the machinery of dataclasses would
cost more than the parsing. HTTP/1.1 numbers its requests as streams, 1, 2, 3 …
"""

from httpkit.errors import ProtocolError
from httpkit.headers import RawHeaders

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
        method: registered method, upper case.
        scheme: `http` or `https`; empty if the connection decides.
        authority: host and port as the client named them.
        target: request target, checked: origin-form, absolute-form or `*`.
        headers: lower case names, values without surrounding whitespace.
        end_stream: no body follows.
        upgrade: the protocols offered in `Upgrade`, or `None`.
        version: `1.0`, `1.1`, `2` or `3`.
        content_length: the announced length of the body that follows, or `None`.
    """

    __slots__ = (
        "authority",
        "content_length",
        "end_stream",
        "headers",
        "method",
        "scheme",
        "stream_id",
        "target",
        "upgrade",
        "version",
    )

    def __init__(
        self, stream_id: int, method: str, target: bytes, authority: bytes, headers: RawHeaders
    ) -> None:
        self.stream_id = stream_id
        self.method = method
        self.target = target
        self.authority = authority
        self.headers = headers
        # What most requests do not have; the engine sets it afterwards.
        self.scheme = ""
        self.end_stream = True
        self.upgrade: bytes | None = None
        self.version = "1.1"
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
