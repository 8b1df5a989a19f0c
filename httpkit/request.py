"""What handlers get: `Request`. Everything is parsed on first use.

A request holds raw wire values and a `RequestChannel`, the server's side of it; whatever needs an
event loop is a method of that channel.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from types import EllipsisType, MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import msgspec

from httpkit.cookies import parse_cookies
from httpkit.decoding import DecodedBody, find_coding
from httpkit.errors import HTTPError
from httpkit.forms import FormData, FormLimits, Part, iterate_parts, parse_form
from httpkit.headers import HeaderFields, Headers, encode_fields
from httpkit.response import Response
from httpkit.semantics.conditional import ETag, Outcome, Validators, evaluate_preconditions
from httpkit.semantics.dates import format_http_date
from httpkit.semantics.media_types import find_codec, parse_media_type
from httpkit.tls import TLSInfo
from httpkit.types import Address, MatchedRoute, RequestChannel
from httpkit.urls import QUESTION_MARK, SLASH, URL, Query, decode_path, split_target

__all__ = ["Request", "RequestHead", "State"]

T = TypeVar("T")

_FORM_LIMITS = FormLimits()
_PUSHED = re.compile(rb"/[\x21\x22\x24-\x7e]*+")
#: Shared by all requests without any.
_NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class State:
    """A place for an application's own attributes."""

    def __repr__(self) -> str:
        return f"State({vars(self)!r})"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"state has no attribute {name!r}; nothing has set it yet")

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...


class RequestHead(msgspec.Struct, eq=False, gc=False):
    """What the head of a request says, checked by an engine. Never changed: requests share them.

    Attributes:
        method: registered method, upper case.
        target: request target: origin-form, absolute-form or `*`.
        authority: host and port as the client named them.
        scheme: `http` or `https`; empty if the connection decides.
        version: `1.0`, `1.1`, `2` or `3`.
        protocol: of an extended CONNECT (RFC 8441 §4), whose method is GET here; `None` otherwise.
    """

    method: str
    target: bytes
    authority: bytes = b""
    _headers: tuple[tuple[bytes, bytes], ...] | None = ()
    scheme: str = ""
    version: str = "1.1"
    protocol: str | None = None

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The fields: lower case names, values without surrounding whitespace."""
        if self._headers is None:
            self._headers = self._read_headers()
        return self._headers

    def _read_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The fields of an engine's head that keeps them as bytes until somebody asks."""
        return ()


class Request(msgspec.Struct, eq=False, weakref=True):
    """One request.

    A Struct of msgspec, since one is made for every request; servers make it.

    Attributes:
        method: upper case, e.g. `GET`.
        target: the request target as received.
        scheme: `http` or `https`.
        path_params: what the route's converters took from the path.
        route: the route that matched, `None` before the router has seen the request; its pattern
            is empty where none matched.
        max_body: the limit for this request's body in bytes, `None` for none.
        min_body_rate: bytes a second that the body must reach, `None` for any, `...` for what the
            server says.
        validators: what `check` was told of the current representation; for middleware.
    """

    _channel: RequestChannel
    _head: RequestHead
    method: str
    target: bytes
    scheme: str = "http"
    max_body: int | None = None
    path_params: Mapping[str, Any] = _NO_PARAMS
    route: MatchedRoute | None = None
    min_body_rate: int | EllipsisType | None = ...
    validators: Validators | None = None
    # What is parsed on first use.
    _segments: list[str] | EllipsisType | None = ...
    _headers: Headers | None = None
    _query: Query | None = None
    _cookies: dict[str, str] | None = None
    _state: State | None = None
    _body: bytes | None = None
    _form: FormData | None = None
    #: The body is read, or is being read.
    _streamed: bool = False

    @classmethod
    def of(
        cls,
        channel: RequestChannel,
        head: RequestHead,
        scheme: str = "http",
        max_body: int | None = None,
    ) -> Self:
        """A request with this head."""
        return cls(channel, head, head.method, head.target, scheme, max_body)

    def with_target(self, target: bytes) -> "Request":
        """The same request for another target, as an application sees it that is mounted."""
        head = self._head
        moved = RequestHead(
            head.method,
            target,
            head.authority,
            head.headers,
            head.scheme,
            head.version,
            head.protocol,
        )
        return Request.of(self._channel, moved, self.scheme, self.max_body)

    # --- the target --------------------------------------------------------------------------

    @property
    def segments(self) -> list[str] | None:
        """The decoded, normalised segments of the path; `None` if it cannot name anything here.

        What the router matches and what handlers see (`httpkit.urls.decode_path`).
        """
        segments = self._segments
        if segments is ...:
            path = self.target
            if QUESTION_MARK in path or path[0] != SLASH:
                path = split_target(path)[0]
            segments = self._segments = decode_path(path) if path[0] == SLASH else None
        return segments

    @property
    def path(self) -> str:
        """The decoded, normalised path. `*` for `OPTIONS *`."""
        if self.target == b"*":
            return "*"
        segments = self.segments
        return "/" if segments is None else "/" + "/".join(segments)

    @property
    def query_string(self) -> bytes:
        """The raw query, without the question mark."""
        return split_target(self.target)[1]

    @property
    def query(self) -> Query:
        """The parsed query.

        Raises:
            HTTPError: 400 with more than 1000 fields.
        """
        if self._query is None:
            try:
                self._query = Query.parse(self.query_string)
            except ValueError:
                raise HTTPError(400, "The query has too many fields.") from None
        return self._query

    @property
    def host(self) -> str:
        """The host the client asked for, lower case, without a port."""
        return URL(self.scheme, self.authority, "").host

    @property
    def authority(self) -> str:
        """Host and port as the client named them."""
        return self._head.authority.decode("latin-1")

    @property
    def http_version(self) -> str:
        """`1.0`, `1.1`, `2` or `3`."""
        return self._head.version

    @property
    def protocol(self) -> str | None:
        """What an extended CONNECT asks for (RFC 8441 §4), as `websocket`; `None` otherwise.

        On HTTP/1.1 the same is asked for by `Upgrade`, among the headers.
        """
        return self._head.protocol

    @property
    def url(self) -> URL:
        """The effective URL of the request (RFC 9110 §7.1); that of `*` has no path."""
        path, query = split_target(self.target)
        if path == b"*":
            path = b""
        return URL(self.scheme, self.authority, path.decode("latin-1"), query.decode("latin-1"))

    @property
    def base_url(self) -> URL:
        """The URL of the root of this server, as the client reaches it."""
        return URL(self.scheme, self.authority, "/")

    def url_for(self, name: str, /, **params: Any) -> URL:
        """The absolute URL of a named route.

        Raises:
            LookupError: there is no route of that name, or a parameter is missing.
            ValueError: a value that the route would not match.
        """
        if self.route is None:
            raise LookupError("this request was not routed by an App, so it cannot build URLs")
        path, _, query = self.route.url_path_for(name, **params).partition("?")
        authority = self.authority
        if path.startswith("//"):  # the route belongs to a host; the port stays the client's
            port = authority.rpartition("]")[2].rpartition(":")
            host, _, rest = path[2:].partition("/")
            authority, path = host + "".join(port[1:] if port[1] else ()), f"/{rest}"
        return URL(self.scheme, authority, path, query)

    @property
    def app(self) -> Any:
        """The App that answers this request, the innermost one of mounted apps.

        Raises:
            LookupError: this request was not routed by an App.
        """
        if self.route is None:
            raise LookupError("this request was not routed by an App")
        return self.route.app

    # --- header fields -----------------------------------------------------------------------

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The fields as lower case names and values in bytes."""
        return self._head.headers

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if self._headers is None:
            self._headers = Headers(self._head.headers)
        return self._headers

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies (RFC 6265bis §5.7)."""
        if self._cookies is None:
            self._cookies = parse_cookies(self.headers.getlist("cookie"))
        return self._cookies

    @property
    def content_type(self) -> str:
        """The media type of the body, lower case, without parameters; empty if not given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def check(
        self,
        *,
        etag: str | None = None,
        last_modified: float | datetime | None = None,
        exists: bool = True,
    ) -> Response | None:
        """Compare the conditions of this request with what there is now (RFC 9110 §13).

        Call it as soon as the validators are known: before the content is computed, and before
        anything is changed.

            if (answer := request.check(etag=str(note.version))) is not None:
                return answer

        Args:
            etag: the current entity tag, with its quotes or without them; `W/"..."` is a weak one.
            last_modified: when it was changed, as a Unix timestamp or an aware datetime.
            exists: whether there is anything at this place; `If-None-Match: *` asks for that.

        Returns:
            304 if the client has it already; `None` to go on. Middleware `Conditional` then writes
            the validators into the answer.

        Raises:
            HTTPError: 412, what a condition asks for does not hold.
            ValueError: a character that no tag may have, or a datetime without a time zone.
        """
        if isinstance(last_modified, datetime):
            if last_modified.tzinfo is None:
                raise ValueError("last_modified needs a time zone: datetime.now(UTC)")
            last_modified = last_modified.timestamp()
        tag = None if etag is None else ETag.of(etag)
        validators = Validators(tag, last_modified)
        outcome = evaluate_preconditions(self.method, self.headers, validators, exists=exists)
        if outcome is Outcome.FAILED:
            raise HTTPError(412)
        if self.method in ("GET", "HEAD"):
            self.validators = validators
        return _not_modified(validators) if outcome is Outcome.NOT_MODIFIED else None

    def replace_headers(self, fields: HeaderFields) -> Self:
        """The same request with other header fields, for middleware to hand on.

        Both share the body, the state and all else.

        Raises:
            InvalidHeader: a field that cannot be one.
        """
        self.state  # noqa: B018 - made now, so that it is shared
        head = self._head
        changed = RequestHead(
            head.method,
            head.target,
            head.authority,
            tuple(encode_fields(fields)),
            head.scheme,
            head.version,
            head.protocol,
        )
        return msgspec.structs.replace(self, _head=changed, _headers=None, _cookies=None)

    # --- the connection ----------------------------------------------------------------------

    @property
    def id(self) -> str:
        """A short id, the one that stands in the logs and in 500 answers."""
        return self._channel.request_id

    @property
    def channel(self) -> RequestChannel:
        """The server's side of this request, for middleware that stands in its place."""
        return self._channel

    @property
    def client(self) -> Address | None:
        """The peer's address."""
        return self._channel.client

    @property
    def server(self) -> Address | None:
        """The local address."""
        return self._channel.server

    @property
    def tls(self) -> TLSInfo | None:
        """The TLS session that the request came through; `None` on a plain connection.

        It is that of the server's own port. What a proxy in front has agreed on with the client is
        not known here.
        """
        return self._channel.tls

    @property
    def shutting_down(self) -> bool:
        """Whether the server is stopping; a long stream should end soon."""
        return self._channel.shutting_down

    def is_disconnected(self) -> bool:
        """Whether the client is known to be gone. A handler is also cancelled then."""
        return self._channel.is_disconnected()

    @property
    def state(self) -> State:
        """Attributes of your own, for middleware and handlers of this request."""
        if self._state is None:
            self._state = State()
        return self._state

    async def send_informational(self, status: int, headers: HeaderFields | None = None) -> None:
        """Write an interim response, e.g. 102 or 103 (RFC 9110 §15.2); HTTP/1.0 gets none.

        Raises:
            ValueError: not an informational status, or one that has a meaning of its own
                (100 is sent when the body is read, 101 by `Upgrade`).
        """
        if not 102 <= status <= 199:
            raise ValueError(f"{status} is not an interim status an application may send")
        await self._channel.send_informational(status, encode_fields(headers))

    async def early_hints(self, *links: str) -> None:
        """Send 103 Early Hints with these `Link` values (RFC 8297).

        await request.early_hints("</style.css>; rel=preload; as=style")
        """
        await self.send_informational(103, [("link", link) for link in links])

    # --- the body ----------------------------------------------------------------------------

    def push(self, path: str, headers: HeaderFields | None = None) -> bool:
        """Send the answer to a GET of a path along, before the client asks (RFC 9113 §8.4).

        The path runs through the application like a request of its own, of the same authority.
        Clients that do not take it are not bothered: browsers have given it up for `early_hints`.

        Args:
            path: with its query, percent-encoded, from `/` on.
            headers: of the promised request, as far as the answer depends on them.

        Returns:
            Whether the client was told. It is not on HTTP/1.1, if it has said that it takes no
            pushes, from within a pushed request, and after eight pushes for one request.

        Raises:
            ValueError: the path is none.
        """
        target = path.encode("ascii", "strict")
        if not _PUSHED.fullmatch(target):
            raise ValueError(f"a path to push begins with / and is percent-encoded: {path!r}")
        return self._channel.push(target, encode_fields(headers))

    def decode_body(self, max_size: int | None = None) -> None:
        """From here on, give the body without its `Content-Encoding` (RFC 9110 §8.4).

        Without this call the body is what was sent. With it `body`, `text`, `json`, `form`,
        `multipart` and `stream` read a body that came as gzip or deflate as if it had come plain;
        one without a coding stays as it is. Inflating happens while reading, and `max_body` still
        holds for the bytes that were sent.

        Args:
            max_size: bytes that the decoded body may have (413 beyond); by default `max_body`.

        Raises:
            HTTPError: 415 with `Accept-Encoding` for another coding; while reading, 400 for a
                body that is malformed or cut short.
            RuntimeError: the body has been read.
            ValueError: `max_body` is `None` for this request and `max_size` is missing.
        """
        if self._streamed:
            raise RuntimeError("the body has to be decoded before it is read")
        if max_size is None:
            max_size = self.max_body
        if max_size is None:
            raise ValueError("this route has no max_body: give decode_body a max_size")
        if isinstance(self._channel, DecodedBody):
            self._channel.max_size = max_size
            return
        coding = find_coding(", ".join(self.headers.getlist("content-encoding")))
        if coding is not None:
            self._channel = DecodedBody(self._channel, coding, max_size).as_channel()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in chunks as they arrive; the client is slowed down to the reader's pace.

        Raises:
            BodyTooLarge: beyond `max_body`; answered 413 unless caught.
            RuntimeError: the body was consumed before.
        """
        if self._body is not None:
            if self._body:
                yield self._body
            return
        if self._streamed:
            raise RuntimeError("the body of this request has been consumed by stream() already")
        self._streamed = True
        receive = self._channel.receive_body
        while chunk := await receive():
            yield chunk

    async def body(self) -> bytes:
        """The whole body; kept, so that it can be asked for again."""
        if self._body is not None:
            return self._body
        if self._streamed:
            raise RuntimeError("the body of this request has been consumed by stream() already")
        self._streamed = True
        whole = self._channel.take_body()
        if whole is not None:
            self._body = whole
            return whole
        receive = self._channel.receive_body
        chunk = await receive()
        if chunk:
            chunks = [chunk]
            while chunk := await receive():
                chunks.append(chunk)
            chunk = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._body = chunk
        return chunk

    async def text(self) -> str:
        """The body as text in the charset of its Content-Type, UTF-8 by default.

        Raises:
            HTTPError: 400 for bytes that are not in that charset, 415 for a charset that is not
                among those of `httpkit.semantics.media_types` or a malformed Content-Type.
        """
        media_type = parse_media_type(self.headers.get("content-type", ""))
        if media_type is None:
            raise HTTPError(415, "The Content-Type of the body is malformed.")
        codec = find_codec(media_type.parameters.get("charset", "utf-8"))
        if codec is None:
            raise HTTPError(415, "The charset of the body is unknown.")
        try:
            return (await self.body()).decode(codec)
        except UnicodeDecodeError:
            raise HTTPError(400, f"The body is not valid {codec}.") from None

    @overload
    async def json(self) -> Any: ...
    @overload
    async def json(self, type: type[T]) -> T: ...
    async def json(self, type: type[T] | None = None) -> Any:
        """The body as JSON, validated into `type` where one is given (msgspec).

        Raises:
            HTTPError: 400 that names the field and the reason.
        """
        body = await self.body()
        try:
            return (
                msgspec.json.decode(body) if type is None else msgspec.json.decode(body, type=type)
            )
        except msgspec.ValidationError as error:
            raise HTTPError(400, f"Invalid JSON body: {error}.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HTTPError(400, f"The body is not JSON: {error}.") from None

    def multipart(self, limits: FormLimits | None = None) -> AsyncGenerator[Part, None]:
        """The parts of a `multipart/form-data` body as they arrive (RFC 7578).

        A part can be read until the next one is asked for; what is not read is skipped. Nothing
        is kept beyond a chunk, and the client is slowed down to the reader's pace.

            async for part in request.multipart():
                if part.filename is not None:
                    await part.save(directory / part.filename)

        Args:
            limits: other limits than the default ones.

        Raises:
            HTTPError: while iterating; 415 for another media type, 400 for a malformed body, 413
                beyond a limit.
            RuntimeError: while iterating; the body was consumed before.
        """
        return iterate_parts(self, self._channel.run_blocking, limits or _FORM_LIMITS)

    async def form(self, limits: FormLimits | None = None) -> FormData:
        """The body as a form, urlencoded or multipart; kept, so that it can be asked for again.

        Args:
            limits: other limits than the default ones; only the first call can set them.

        Raises:
            HTTPError: 415 for another media type, 400 for a malformed form, 413 beyond a limit.
        """
        if self._form is None:
            self._form = await parse_form(self, self._channel.run_blocking, limits or _FORM_LIMITS)
        return self._form

    async def trailers(self) -> Headers:
        """The trailer fields; reads what is left of the body first (RFC 9110 §6.5)."""
        if self._body is None:
            while await self._channel.receive_body():
                pass
            self._streamed = True
        return self._channel.trailers()

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target.decode('latin-1')}>"


def _not_modified(validators: Validators) -> Response:
    """RFC 9110 §15.4.5: the date of a change helps only where there is no tag."""
    response = Response(b"", 304)
    if validators.etag is not None:
        response.headers["etag"] = str(validators.etag)
    elif validators.last_modified is not None:
        response.headers["last-modified"] = format_http_date(validators.last_modified)
    return response
