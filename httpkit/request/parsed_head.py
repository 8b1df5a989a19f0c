"""What the head of a request says, for handlers: path, query, host, header fields, cookies.

The base of `Request`, with the values that servers make one of. Everything is parsed on first use.
"""

from collections.abc import Mapping
from types import EllipsisType, MappingProxyType
from typing import Any

import msgspec

from httpkit.cookies import parse_cookies
from httpkit.errors import HTTPError
from httpkit.headers import Headers
from httpkit.request.head import RequestHead
from httpkit.types import MatchedRoute, RequestChannel
from httpkit.urls import QUESTION_MARK, SLASH, URL, Query, decode_path, split_target

__all__ = ["ParsedHead"]

#: Shared by all requests without any.
_NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class ParsedHead(msgspec.Struct, eq=False, weakref=True):
    """The head of a `Request`, whose attributes are described there."""

    _channel: RequestChannel
    _head: RequestHead
    method: str
    target: bytes
    scheme: str = "http"
    max_body: int | None = None
    path_params: Mapping[str, Any] = _NO_PARAMS
    route: MatchedRoute | None = None
    root_path: str = ""
    # What is parsed on first use.
    _segments: list[str] | EllipsisType | None = ...
    _headers: Headers | None = None
    _query: Query | None = None
    _cookies: dict[str, str] | None = None

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
        raw_path, query = split_target(self.target)
        path = "" if raw_path == b"*" else self.root_path + raw_path.decode("latin-1")
        return URL(
            self.scheme,
            self.authority,
            path,
            query.decode("latin-1"),
            empty_query=self.target.endswith(b"?"),
        )

    @property
    def base_url(self) -> URL:
        """The URL of the root of this application, as the client reaches it."""
        return URL(self.scheme, self.authority, f"{self.root_path}/")

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
