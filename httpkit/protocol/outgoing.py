"""The check of outgoing messages, for every version of HTTP: the libraries do not do it.

What an application gives as status and header fields is checked once here before a byte of it
reaches a wire. Framing belongs to the engines: `Content-Length` is compared with the body,
hop-by-hop fields that an application sets are dropped, except that `Connection: close` is heard.
"""

import re
from collections.abc import Iterable

from httpkit.errors import (
    ConnectRefused,
    LocalProtocolError,
    RemoteProtocolError,
    reason_phrase,
)
from httpkit.headers import RawHeaders, encode_pairs
from httpkit.response import Response
from httpkit.status import BODILESS

__all__ = [
    "NO_CONTENT",
    "OutgoingFields",
    "bodiless_length",
    "check_informational",
    "check_status",
    "check_trailers",
    "has_no_body",
    "keep_trailers",
    "make_refusal",
]

#: Statuses without content: 205 has a body on the wire, of length 0 (RFC 9110 §15.3.6).
NO_CONTENT = BODILESS | {205}

_CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")

#: Fields about one connection (RFC 9110 §7.6.1): the engine's business, never an application's.
_CONNECTION_FIELDS = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)
#: Fields that would mean something else in a trailer section (RFC 9110 §6.5.1).
_NOT_IN_TRAILERS = _CONNECTION_FIELDS | frozenset(
    # framing and routing
    b"content-length host trailer max-forwards expect "
    # requests: conditions, credentials
    b"if-match if-none-match if-modified-since if-unmodified-since if-range range pragma "
    b"authorization proxy-authorization cookie "
    # answers: what to do with them
    b"age cache-control expires date location retry-after vary warning set-cookie "
    b"www-authenticate proxy-authenticate "
    # how the content is read
    b"content-encoding content-range content-type".split()
)


class OutgoingFields:
    """The checked fields of one answer.

    Attributes:
        fields: what may be written as it is; without framing fields.
        content_length: what the application announced, or `None`.
        close: the application asked for `Connection: close`.
        dropped: names of fields about the connection that are not in `fields`.
        has_date: the application set `Date` itself.
        has_server: the application set `Server` itself.
        priority: the value of `Priority` (RFC 9218 §8), or `None`.
        upgrade: the value of `Upgrade`, which only a 426 has (RFC 9110 §15.5.22), or `None`.
    """

    __slots__ = (
        "close",
        "content_length",
        "dropped",
        "fields",
        "has_date",
        "has_server",
        "priority",
        "upgrade",
    )

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self.fields: RawHeaders = []
        self.content_length: int | None = None
        self.close = False
        self.has_date = False
        self.has_server = False
        self.dropped: list[bytes] = []
        self.priority: bytes | None = None
        self.upgrade: bytes | None = None
        for field in encode_pairs(raw):
            name, value = field
            if name == b"content-length":
                self._set_content_length(value)
                continue
            if name in _CONNECTION_FIELDS:
                if name == b"connection":
                    options = value.lower().split(b",")
                    self.close = self.close or b"close" in [option.strip() for option in options]
                elif name == b"upgrade":
                    self.upgrade = value
                self.dropped.append(name)
                continue
            if name == b"date":
                self.has_date = True
            elif name == b"server":
                self.has_server = True
            elif name == b"priority":
                self.priority = value
            self.fields.append(field)

    def _set_content_length(self, value: bytes) -> None:
        if not _CONTENT_LENGTH.fullmatch(value) or self.content_length is not None:
            raise LocalProtocolError(f"Content-Length {value!r} is malformed or repeated")
        self.content_length = int(value)


def check_status(status: int) -> None:
    """A final status has three digits from 200 on."""
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise LocalProtocolError(f"{status!r} is not a final status code")


def check_informational(status: int) -> None:
    """An interim status is 1xx; 101 ends the protocol and is not sent in passing."""
    if not isinstance(status, int) or not 100 <= status <= 199 or status == 101:
        raise LocalProtocolError(f"{status!r} is not an interim status code")


def has_no_body(method: str, status: int) -> bool:
    """Whether an answer has no content, whatever it says (RFC 9110 §6.4.1)."""
    return method == "HEAD" or status in NO_CONTENT


def bodiless_length(status: int, announced: int | None, length: int | None) -> int | None:
    """The Content-Length of an answer without content; `None` for none (RFC 9110 §8.6).

    For HEAD it has to be that of the answer to GET. An application that leaves the content out by
    itself, as those for ASGI and WSGI may, says nothing about that by an empty body.

    Args:
        status: of the answer.
        announced: what the application says.
        length: of the body that is not sent, if it is known.
    """
    if status == 205:
        return 0
    if status == 204:
        return None
    if announced is not None or status == 304:
        return announced
    return length or None


def make_refusal(error: RemoteProtocolError) -> Response:
    """What the peer of an engine gets for a request that no application sees."""
    status = error.status
    headers = {"allow": ""} if isinstance(error, ConnectRefused) else None
    return Response(f"{status} {reason_phrase(status)}: {error}\n", status, headers)


def keep_trailers(received: RawHeaders) -> RawHeaders:
    """Of received trailer fields, those that may be one; framing smuggled in there is dropped."""
    return [field for field in received if field[0] not in _NOT_IN_TRAILERS]


def check_trailers(raw: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Check trailer fields (RFC 9110 §6.5.1).

    Raises:
        LocalProtocolError: a field that must not stand there.
    """
    trailers = encode_pairs(raw)
    for name, _ in trailers:
        if name in _NOT_IN_TRAILERS:
            raise LocalProtocolError(f"{name.decode()} must not be sent as a trailer field")
    return trailers
