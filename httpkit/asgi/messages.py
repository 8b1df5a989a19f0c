"""What ASGI's messages mean: their types, their errors, and answers made of them.

Owns the check of what an application gives as status and header fields. What it has checked once
it knows again: applications send the same few sets of fields over and over.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple

from httpkit.errors import ClientDisconnected, InvalidHeader, LocalProtocolError
from httpkit.headers import encode_header
from httpkit.response import Response

__all__ = [
    "ASGIApp",
    "ASGIProtocolError",
    "ClientGone",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "check_bytes",
    "check_fields",
    "make_answer",
    "make_disconnect",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[Any]]

RawFields = tuple[tuple[bytes, bytes], ...]

#: Sets of fields that have been checked. More of them means that an application makes another set
#: for each request; then the memo starts anew rather than grow.
_MAX_MEMO = 512


class ASGIProtocolError(LocalProtocolError, RuntimeError):
    """The application has sent a message that ASGI does not allow, or not here."""


class ClientGone(ClientDisconnected, OSError):
    """The peer is gone; an `OSError`, as the specification wants it (HTTP, version 2.4)."""


class Fields(NamedTuple):
    """Checked fields.

    Attributes:
        fields: without `Content-Length`, where that is `length`.
        length: what the application announced, in bytes.
    """

    fields: RawFields
    length: int | None


def make_disconnect() -> dict[str, Any]:
    """The message that says that there is nobody to answer any more."""
    return {"type": "http.disconnect"}


def check_bytes(message: Message, key: str) -> bytes:
    """An optional member of a message that has to be bytes; `b""` without it.

    Raises:
        ASGIProtocolError: it is something else.
    """
    value = message.get(key, b"")
    if type(value) is bytes:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise ASGIProtocolError(
        f"{key!r} of {message['type']} is {type(value).__name__}: ASGI wants bytes"
    )


def check_fields(fields: Iterable[Iterable[bytes]]) -> RawFields:
    """Header or trailer fields as applications give them: pairs of bytes.

    Raises:
        ASGIProtocolError: they are not pairs of bytes.
        InvalidHeader: a name or value that must not reach the wire.
    """
    checked = []
    for field in fields:
        try:
            name, value = field
        except (TypeError, ValueError):
            raise ASGIProtocolError(f"header field {field!r} is no pair of bytes") from None
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise ASGIProtocolError(f"header field {name!r}: {value!r}: ASGI wants bytes")
        try:
            checked.append(encode_header(name, value))
        except InvalidHeader:
            # Servers trim what stands around a value (RFC 9110 §5.5); frameworks count on that.
            checked.append(encode_header(name, value.strip(b" \t")))
    return tuple(checked)


class _Memo(dict[RawFields, Fields]):
    def __missing__(self, given: RawFields) -> Fields:
        fields = check_fields(given)
        lengths = [value for name, value in fields if name == b"content-length"]
        length = None
        if len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) <= 18:
            length = int(lengths[0])
            fields = tuple(field for field in fields if field[0] != b"content-length")
        if len(self) >= _MAX_MEMO:
            self.clear()
        self[given] = known = Fields(fields, length)
        return known


_known = _Memo()
_new = object.__new__


def make_answer(message: Message) -> tuple[Response, int | None]:
    """The answer that `http.response.start` begins, and the length of its body as announced.

    Raises:
        ASGIProtocolError: no such status, or fields that are not pairs of bytes.
        InvalidHeader: a field that must not reach the wire.
    """
    status = message.get("status")
    if type(status) is not int:
        status = int(status) if isinstance(status, int) else 0
    if not 200 <= status <= 599:
        raise ASGIProtocolError(
            f"status {message.get('status')!r} of http.response.start is none from 200 to 599"
        )
    headers = message.get("headers", ())
    try:
        known = _known[tuple(map(tuple, headers))]
    except TypeError:  # no pairs, or what cannot be looked up since it is no bytes
        known = Fields(check_fields(headers), None)
    # What Response(b"", status) makes, without checking again.
    response = _new(Response)
    response.status = status
    response.raw_headers = known[0]
    response.body = b""
    response.trailers = None
    response.background = None
    response.wire = None
    return response, known[1]
