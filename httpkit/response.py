"""What handlers return: `Response`, its constructors, and the conversion of plain values.

A response does not know the wire. Engines check and write it; framing fields (Content-Length,
Transfer-Encoding, Connection) are theirs.
"""

import copy
import os
from collections.abc import AsyncIterable, Awaitable, Callable
from datetime import UTC, datetime
from os import PathLike
from typing import Any, Self
from urllib.parse import quote

import msgspec

from httpkit.body import FileBody, UnopenedFile, is_missing
from httpkit.cookies import SameSite, serialize_cookie
from httpkit.errors import HTTPError
from httpkit.headers import HeaderFields, MutableHeaders, RawHeaders, encode_fields, encode_header
from httpkit.semantics.disposition import content_disposition
from httpkit.semantics.media_types import guess_media_type
from httpkit.types import RawStream
from httpkit.urls import URL

__all__ = ["Content", "Response", "Trailers", "Upgrade", "open_file", "to_response"]

Content = (
    str
    | bytes
    | bytearray
    | memoryview
    | AsyncIterable[bytes | str]
    | FileBody
    | UnopenedFile
    | None
)
#: What a response holds of it.
Body = bytes | AsyncIterable[bytes | str] | FileBody | UnopenedFile
#: Trailer fields, or a callable asked for them when the body is out.
Trailers = HeaderFields | Callable[[], HeaderFields]

ConstantHeaders = tuple[tuple[bytes, bytes], ...]
#: Prepared bytes by the key of the engine that made them, which alone knows what they are.
Wire = dict[object, Any]

# Tuples, not lists: an engine memoises the bytes of a header section that cannot change.
_NONE: ConstantHeaders = ()
_TEXT: ConstantHeaders = ((b"content-type", b"text/plain; charset=utf-8"),)
_HTML: ConstantHeaders = ((b"content-type", b"text/html; charset=utf-8"),)
_JSON: ConstantHeaders = ((b"content-type", b"application/json"),)
_BINARY: ConstantHeaders = ((b"content-type", b"application/octet-stream"),)

_encode_json = msgspec.json.Encoder().encode
_new = object.__new__


class Response:
    """An answer: status, header fields and a body.

    Args:
        content: `str` (sent as UTF-8), bytes, an async iterable of either, a `FileBody`, or
            `None` for no content.
        status: 200 to 599; 1xx are sent with `request.send_informational`.
        headers: a mapping or pairs; checked at once.
        media_type: the Content-Type, which also replaces one in `headers`. Default:
            `text/plain; charset=utf-8` for `str`, `application/octet-stream` otherwise. A `text/*`
            type without a charset gets UTF-8.
        trailers: fields sent after the body, or a callable that gives them then (RFC 9110 §6.5).
            They travel where the version of HTTP can carry them, else they are dropped.
        background: called (and awaited) after the answer is out.

    Raises:
        InvalidHeader: a field that must not reach the wire.
        TypeError: content of another kind, or a `background` that is no function.
        ValueError: a status that cannot be a final one.
    """

    __slots__ = ("background", "body", "raw_headers", "status", "trailers", "wire")

    def __init__(
        self,
        content: Content = b"",
        status: int = 200,
        headers: HeaderFields | None = None,
        *,
        media_type: str | None = None,
        trailers: Trailers | None = None,
        background: Callable[[], Awaitable[object] | object] | None = None,
    ) -> None:
        self.status = status
        #: Fields as they go to the wire; a tuple is a shared constant, a list is this answer's.
        self.raw_headers: ConstantHeaders | RawHeaders
        #: What will be sent.
        self.body: Body
        self.trailers = trailers
        #: Where engines keep the bytes of an answer that is sent many times; see `share`.
        self.wire: Wire | None = None
        self.background: list[Callable[[], Awaitable[object] | object]] | None = None
        if type(content) is str:
            self.body = content.encode()
            self.raw_headers = _TEXT
        elif type(content) is bytes:
            self.body = content
            self.raw_headers = _BINARY if content else _NONE
        else:
            self.body, self.raw_headers = _encode_content(content)
        if status != 200 and not 200 <= status <= 599 and not isinstance(self, Upgrade):
            raise ValueError(f"status {status!r} cannot be a final answer: use 200 to 599")
        if headers is not None or media_type is not None:
            self._set_headers(headers, media_type)
        if background is not None:
            self.add_background(background)

    def _set_headers(self, headers: HeaderFields | None, media_type: str | None) -> None:
        fields = encode_fields(headers)
        if media_type is not None:
            lower = media_type.lower()
            if lower.startswith("text/") and "charset=" not in lower:
                media_type += "; charset=utf-8"
            fields = [field for field in fields if field[0] != b"content-type"]
            fields.insert(0, encode_header("content-type", media_type))
        elif not any(name == b"content-type" for name, _ in fields):
            fields[:0] = self.raw_headers
        self.raw_headers = fields

    @property
    def headers(self) -> MutableHeaders:
        """The header fields, to read and to change."""
        if type(self.raw_headers) is tuple:
            self.raw_headers = list(self.raw_headers)
        return MutableHeaders(self.raw_headers)

    @classmethod
    def text(cls, content: str, status: int = 200, headers: HeaderFields | None = None) -> Self:
        """A plain text answer."""
        return cls(content, status, headers)

    @classmethod
    def html(cls, content: str, status: int = 200, headers: HeaderFields | None = None) -> Self:
        """An HTML page."""
        response = cls(content, status)
        response.raw_headers = _HTML
        if headers is not None:
            response.headers.update(headers)
        return response

    @classmethod
    def json(cls, content: Any, status: int = 200, headers: HeaderFields | None = None) -> Self:
        """Anything msgspec can encode, as JSON: dicts, lists, dataclasses, Structs, dates …"""
        response = cls(_encode_json(content), status)
        response.raw_headers = _JSON
        if headers is not None:
            response.headers.update(headers)
        return response

    @classmethod
    def redirect(
        cls, location: str | URL, status: int = 303, headers: HeaderFields | None = None
    ) -> Self:
        """Send the client elsewhere: 303 by default, so that a POST is followed by a GET.

        Whatever a URI may not contain (RFC 3986 §2: non-ASCII and control characters, spaces,
        backslashes) is percent-encoded. Whether the target may be trusted is the caller's to
        decide: never pass on user input unchecked, and mind that `//host` is another site.

        Raises:
            ValueError: a status that does not redirect, or a location with half a character.
        """
        if status not in (301, 302, 303, 307, 308):
            raise ValueError(f"{status} does not redirect; use 301, 302, 303, 307 or 308")
        response = cls(b"", status, headers)
        response.headers["location"] = quote(str(location), safe="!#$%&'()*+,/:;=?@[]~")
        return response

    @classmethod
    def file(
        cls,
        path: str | PathLike[str],
        filename: str | None = None,
        *,
        media_type: str | None = None,
        inline: bool = False,
        status: int = 200,
        headers: HeaderFields | None = None,
    ) -> Self:
        """A file from disk, opened and read in pieces off the event loop.

        It is opened when the handler has returned the answer. If there is no such regular file,
        or it may not be read, that is an `HTTPError` 404 as if the handler had raised it. Where
        middleware or an exception handler answers, the server opens it, and answers 404 itself.

        Args:
            path: a regular file. The caller vouches for it: user input does not belong here.
            filename: the name a browser saves it under (RFC 6266, RFC 8187); makes the answer an
                attachment unless `inline`.
            media_type: by default a Content-Type among the headers, else guessed from the name.
            inline: ask the browser to show the file rather than to save it.
            status: 200 by default.
            headers: further fields.
        """
        fields = encode_fields(headers)
        if media_type is None and not any(name == b"content-type" for name, _ in fields):
            media_type = guess_media_type(filename or os.fspath(path))
        response = cls(UnopenedFile(path), status, fields, media_type=media_type)
        if filename is not None or inline:
            response.headers["content-disposition"] = content_disposition(filename, inline=inline)
        return response

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | None = None,
        expires: datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = True,
        samesite: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a `Set-Cookie` field (RFC 6265bis §4.1.1).

        Args:
            name: a token.
            value: without whitespace, quotes, commas, semicolons and backslashes.
            max_age: lifetime in seconds, which wins over `expires`; without both the cookie ends
                with the session of the browser.
            expires: end of life; a naive datetime is UTC.
            path: that it is sent to, and below; `None` leaves the choice to the browser.
            domain: that it is sent to, with its subdomains; `None` is this host alone.
            secure: send it over TLS only.
            httponly: hide it from scripts.
            samesite: which requests of other sites carry it.
            partitioned: keep one for each embedding site (CHIPS).

        Raises:
            InvalidHeader: what browsers would drop or the grammar forbids; says which.
        """
        line = serialize_cookie(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        self.headers.add("set-cookie", line)

    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        samesite: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Ask the browser to forget a cookie; give the attributes it was set with.

        Path, domain and partition say which cookie it is; `secure` and `samesite` whether the
        browser listens at all.
        """
        self.set_cookie(
            name,
            "",
            max_age=0,
            expires=datetime.fromtimestamp(0, UTC),
            path=path,
            domain=domain,
            secure=secure,
            samesite=samesite,
            partitioned=partitioned,
        )

    def add_background(
        self, function: Callable[..., Awaitable[object] | object], *args: Any, **kwargs: Any
    ) -> None:
        """Call `function(*args, **kwargs)` after the answer is out; awaited if it is a coroutine.

        Background calls run one after another, in the context of the handler. An exception is
        logged and does not reach the client.

        Raises:
            TypeError: not a function, but what a call of it has given.
        """
        if not callable(function):
            raise TypeError(
                "add_background calls a function later: give it and its arguments, "
                f"not {type(function).__name__}"
            )
        if self.background is None:
            self.background = []
        plain = not args and not kwargs
        self.background.append(function if plain else lambda: function(*args, **kwargs))

    def copy(self) -> Self:
        """The same answer, to be changed while the original stays as it is. Bodies are shared."""
        # Most answers are no more than this, and copy.copy takes nine times as long as all of it.
        response = _new(type(self)) if type(self) is Response else copy.copy(self)
        response.status = self.status
        response.raw_headers = list(self.raw_headers)
        response.body = self.body
        response.trailers = self.trailers
        response.background = None if self.background is None else list(self.background)
        response.wire = None
        return response

    def share(self) -> "Response":
        """An answer to send in the place of this one, which is kept to be sent again.

        It has the same status, fields and body, no background calls, and what engines have
        prepared for one of them serves all. Fields become constant: who changes those of the
        answer changes a list of its own.
        """
        if self.wire is None:
            self.wire = {}
            self.raw_headers = tuple(self.raw_headers)
        response = _new(Response)
        response.status = self.status
        response.raw_headers = self.raw_headers
        response.body = self.body
        response.trailers = self.trailers
        response.background = None
        response.wire = self.wire
        return response

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}>"


class Upgrade(Response):
    """Leave HTTP on this stream, for raw bytes both ways: 101 on HTTP/1.1 (RFC 9110 §7.8).

    On HTTP/2 it is the 200 to an extended CONNECT (RFC 8441).

    Args:
        protocol: the token for the `Upgrade` field; the request must have offered it.
        session: run with the raw stream once the answer is out; the connection is closed when it
            returns.
        headers: further fields of that answer.

    Raises:
        InvalidHeader: a field that must not reach the wire.
    """

    __slots__ = ("protocol", "session")

    def __init__(
        self,
        protocol: str,
        session: Callable[[RawStream], Awaitable[None]],
        headers: HeaderFields | None = None,
    ) -> None:
        super().__init__(b"", 101, headers)
        #: Checked as a header value.
        self.protocol = encode_header("upgrade", protocol)[1]
        self.session = session


def _encode_content(
    content: Content,
) -> tuple[Body, ConstantHeaders]:
    """The rarer kinds of content, with the header fields they imply."""
    if content is None:
        return b"", _NONE
    if isinstance(content, str):
        return content.encode(), _TEXT
    if isinstance(content, bytes | bytearray | memoryview):
        data = bytes(content)
        return data, _BINARY if data else _NONE
    if isinstance(content, FileBody | UnopenedFile) or hasattr(content, "__aiter__"):
        return content, _BINARY
    raise TypeError(
        f"Response cannot send {type(content).__name__}: give str, bytes, an async iterable, "
        "or use Response.json"
    )


def open_file(response: Response) -> Response:
    """The same answer with its file open: a copy, since an application may keep the answer.

    Blocks: call it off the loop.

    Raises:
        HTTPError: 404, if there is no such regular file or it may not be read.
    """
    source = response.body
    assert isinstance(source, UnopenedFile)
    try:
        body = source.open()
    except OSError as error:
        if is_missing(error):
            raise HTTPError(404) from error
        raise
    except ValueError as error:  # A NUL in the path, or half a character.
        raise HTTPError(404) from error
    opened = response.copy()
    opened.body = body
    return opened


def to_response(value: object) -> Response:
    """Convert what a handler returned.

    `Response` as it is; `None` is 204; `str` text; bytes octets; an async iterable streams;
    anything else is JSON.

    Raises:
        TypeError: msgspec cannot encode the value either.
    """
    kind = type(value)
    if kind is str:
        body, fields = value.encode(), _TEXT  # type: ignore[attr-defined]
    elif kind is dict or kind is list:
        body, fields = _encode_json(value), _JSON
    elif isinstance(value, Response):
        return value
    else:
        return _convert(value)
    # What Response(body) makes, without asking again what it is given.
    response = _new(Response)
    response.status = 200
    response.raw_headers = fields
    response.body = body
    response.trailers = None
    response.background = None
    response.wire = None
    return response


def _convert(value: object) -> Response:
    """The rarer things that a handler may return."""
    if value is None:
        return Response(b"", 204)
    if isinstance(value, str | bytes | bytearray | memoryview | FileBody | AsyncIterable):
        return Response(value)
    try:
        return Response.json(value)
    except TypeError as error:
        raise TypeError(
            f"a handler has returned {type(value).__name__!r}, which makes no answer: return str, "
            f"bytes, an async iterable, a Response, or what can be written as JSON ({error})"
        ) from error
