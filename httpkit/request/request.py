"""What handlers get: `Request`. Everything is parsed on first use.

A request holds raw wire values and a `RequestChannel`, the server's side of it; whatever needs an
event loop is a method of that channel. It is one object in three files: `parsed_head.py`,
`body.py`, and here its conditions, its route and its connection.
"""

import re
from datetime import datetime
from typing import Any, Self

import msgspec

from httpkit.errors import HTTPError
from httpkit.headers import HeaderFields, encode_fields
from httpkit.request.body import RequestBody
from httpkit.request.head import RequestHead
from httpkit.request.kept_body import KeptBody
from httpkit.request.state import State
from httpkit.response import Response
from httpkit.semantics.conditional import ETag, Outcome, Validators, evaluate_preconditions
from httpkit.semantics.dates import format_http_date
from httpkit.tls import TLSInfo
from httpkit.types import Address, RequestChannel
from httpkit.urls import URL

__all__ = ["Request"]

_PUSHED = re.compile(rb"/[\x21\x22\x24-\x7e]*+")


class Request(RequestBody):
    """One request.

    A Struct of msgspec, since one is made for every request; servers make it.

    Attributes:
        method: upper case, e.g. `GET`.
        target: the request target as received.
        scheme: `http` or `https`.
        path_params: what the route's converters took from the path.
        route: the route that matched, `None` before the router has seen the request; its pattern
            is empty where none matched.
        root_path: where a proxy or another framework has mounted the application, percent-encoded
            and without a last slash. The target does not have it; the client's URL does.
        max_body: the limit for this request's body in bytes, `None` for none.
        min_body_rate: bytes a second that the body must reach, `None` for any, `...` for what the
            server says.
    """

    _state: State | None = None
    #: What `check` was told last, in a list that all copies of the request share.
    _told: list[Validators] | None = None

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
        """The same request for another target, as an application sees it that is mounted.

        It has the body, too, if that was kept.
        """
        channel = self._channel
        if self._body is not None:
            channel = KeptBody(channel, self._body).as_channel()
        head = self._head.replace(target=target, headers=self._head.fields_by_target())
        return Request.of(channel, head, self.scheme, self.max_body)

    def replace_headers(self, fields: HeaderFields) -> Self:
        """The same request with other header fields, for middleware to hand on.

        Both share the body, the state and all else.

        Raises:
            InvalidHeader: a field that cannot be one.
        """
        self.state  # noqa: B018 - made now, so that it is shared
        if self._told is None:
            self._told = []
        changed = self._head.replace(headers=tuple(encode_fields(fields)))
        return msgspec.structs.replace(self, _head=changed, _headers=None, _cookies=None)

    # --- the route ---------------------------------------------------------------------------

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
        return URL(self.scheme, authority, self.root_path + path, query)

    @property
    def app(self) -> Any:
        """The App that answers this request, the innermost one of mounted apps.

        Raises:
            LookupError: this request was not routed by an App.
        """
        if self.route is None:
            raise LookupError("this request was not routed by an App")
        return self.route.app

    # --- conditions --------------------------------------------------------------------------

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

    @property
    def validators(self) -> Validators | None:
        """What `check` was told of the current representation; for middleware.

        Whoever makes another representation of the answer says here what its validators are.
        """
        return self._told[-1] if self._told else None

    @validators.setter
    def validators(self, validators: Validators) -> None:
        if self._told is None:
            self._told = []
        self._told[:] = [validators]

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
        """The peer's address; `None` where another server hosts the app and does not say."""
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
        """Send 103 Early Hints (RFC 8297), so that a client can fetch what a page will need.

            await request.early_hints("</style.css>; rel=preload; as=style")

        Args:
            *links: values of `Link` (RFC 8288), a line for each. HTTP/1.0 gets none.

        Raises:
            InvalidHeader: a value that must not reach the wire.
        """
        await self.send_informational(103, [("link", link) for link in links])

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
