"""What a `ResponseCache` writes: keys, entries, and requests and answers that it changes."""

from functools import lru_cache
from urllib.parse import urlsplit

from httpkit.headers import Headers
from httpkit.middleware.cache_entries import StoredResponse, VaryBy
from httpkit.middleware.cache_flights import Forwarding
from httpkit.middleware.cache_store import CacheStore
from httpkit.representation import with_validators
from httpkit.request import Request
from httpkit.response import Response
from httpkit.semantics.caching import (
    Unstorable,
    current_age,
    freshness_lifetime,
    own_field_names,
    stored_field_names,
    unstorable,
    vary_names,
)
from httpkit.semantics.dates import format_http_date
from httpkit.urls import has_empty_query, origin_of, to_origin_form

__all__ = [
    "CONDITIONS",
    "CacheWriter",
    "key_of",
    "key_of_url",
    "make_conditional",
    "with_status",
]

#: Preconditions that a cache answers by what it has stored (RFC 9111 §4.3.2).
CONDITIONS = frozenset({b"if-modified-since", b"if-none-match"})
#: What the validators of a stored answer become when it is to be confirmed (RFC 9111 §4.3.1).
_ASKS_FOR = {b"etag": b"if-none-match", b"last-modified": b"if-modified-since"}
#: Fields that a 304 does not change: the stored content depends on them (RFC 9111 §3.2). Whoever
#: writes a 304 as text has said nothing about the type of the content.
_OF_THE_CONTENT = frozenset(
    b"content-digest content-encoding content-length content-md5 content-range content-type "
    b"digest repr-digest trailer".split()
)
#: How long the fields that select an answer are remembered, at least.
_VARY_SECONDS = 86_400.0


def key_of(request: Request) -> str:
    """The key of what a request asks for: the target first, so that a prefix is a path.

    It is that of `request.url`: where a proxy has mounted the application is part of it.
    """
    return _key(request.root_path, request.target, request.scheme, request.authority)


@lru_cache(256)
def _key(root_path: str, target: bytes, scheme: str, authority: str) -> str:
    if not target.startswith(b"/"):  # the absolute form
        target = to_origin_form(target)
    return f"{root_path}{target.decode('latin-1')} {origin_of(scheme, authority)}"


def key_of_url(url: str) -> str:
    """The same for an absolute URL.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc:
        raise ValueError(f"{url!r} is not an absolute URL")
    query = f"?{parts.query}" if parts.query or has_empty_query(url) else ""
    return f"{parts.path or '/'}{query} {origin_of(parts.scheme, parts.netloc)}"


def make_conditional(
    request: Request, entry: StoredResponse | None, *, conditional: bool
) -> Request:
    """What the handler gets: the preconditions of the cache instead of the client's.

    So what comes back can be stored, or confirms what is stored (RFC 9111 §4.3.1).
    """
    fields = [field for field in request.raw_headers if field[0] not in CONDITIONS]
    stored = () if entry is None else entry.headers.raw
    own = [(_ASKS_FOR[name], value) for name, value in stored if name in _ASKS_FOR]
    return request.replace_headers(fields + own) if own or conditional else request


def with_status(response: Response, cache_status: str) -> Response:
    """A copy that says how it came (RFC 9211), and nothing about its tags."""
    response = response.copy()
    response.headers.discard("cache-tag")
    response.headers.add("cache-status", cache_status)
    return response


class CacheWriter:
    """Puts answers into a store.

    Args:
        store: which.
        default: seconds that an answer without a lifetime is fresh; `None`: it is not stored.
        keep_stale: seconds that one with a validator is kept beyond its use.
        heed_clients: whether a `no-store` of the request counts.
    """

    def __init__(
        self,
        store: CacheStore,
        *,
        default: float | None,
        keep_stale: float,
        heed_clients: bool,
    ) -> None:
        self._store = store
        self._default = default
        self._keep_stale = keep_stale
        self._heed_clients = heed_clients

    async def keep(
        self,
        asked: Request,
        forwarded: Request,
        response: Response,
        received: float,
        forwarding: Forwarding,
    ) -> tuple[Response, Unstorable | None]:
        """Store an answer if that may be.

        Args:
            asked: what the client sent.
            forwarded: what the handler got.
            response: what it said.
            received: Unix time when it had answered.
            forwarding: knows the key, when it was asked, and what was invalidated meanwhile.

        Returns:
            The answer, with a validator if it is stored, and why it is not.
        """
        if not isinstance(response.body, bytes) or response.trailers is not None:
            return response, Unstorable.STREAM
        headers = Headers(response.raw_headers)
        reason = self._objection(asked.method, asked.headers, response.status, headers)
        if reason is not None:
            return response, reason
        if response.status == 200:
            response = with_validators(forwarded, response, received)
        headers, body = Headers(response.raw_headers), response.body
        assert isinstance(body, bytes)
        entry = self._make_entry(response.status, headers, body, forwarding.since, received)
        return response, await self._write(asked.headers, entry, forwarding)

    async def confirm(
        self,
        asked: Request,
        entry: StoredResponse,
        response: Response,
        received: float,
        forwarding: Forwarding,
    ) -> tuple[Response, Unstorable | None]:
        """Store anew what a 304 has confirmed (RFC 9111 §3.2, §4.3.4), if that may be.

        The fields of the 304 count as those of a whole answer do: it may set a cookie, which is
        for one client, or withdraw the permission to store. What is stored then stays as it is,
        stale.

        Returns:
            The answer for this client, and why it is not stored.
        """
        new = [field for field in response.raw_headers if field[0] not in _OF_THE_CONTENT]
        replaced = {name for name, _ in new} | {b"date"}
        old = [field for field in entry.headers.raw if field[0] not in replaced]
        headers = Headers(old + new)
        confirmed = self._make_entry(
            entry.status, headers, entry.body, forwarding.since, received, entry.tags
        )
        reason = self._objection("GET", asked.headers, entry.status, headers)
        if reason is None:
            reason = await self._write(asked.headers, confirmed, forwarding)
        answer = confirmed.answer(confirmed.age(received))
        names = own_field_names(confirmed.control)
        own = [field for field in new if field[0].decode("latin-1") in names]
        answer.raw_headers = [*answer.raw_headers, *own]
        return answer, reason

    def _objection(
        self, method: str, asked: Headers, status: int, headers: Headers
    ) -> Unstorable | None:
        if not self._heed_clients:
            asked = _without_directives(asked)
        return unstorable(method, asked, status, headers, default=self._default, heuristic=False)

    async def _write(
        self, asked: Headers, entry: StoredResponse, forwarding: Forwarding
    ) -> Unstorable | None:
        """Put an entry where requests like this one find it, unless it is invalid already."""
        if not forwarding.is_valid(entry.tags):
            return Unstorable.INVALIDATED
        key, seconds, variant = forwarding.key, self._seconds(entry), ""
        names = vary_names(entry.headers)
        if names:
            marker = VaryBy(names)
            variant = marker.variant(asked)
            await self._store.set(key, "", marker, max(_VARY_SECONDS, seconds))
        stored = await self._store.set(key, variant, entry, seconds)
        if not forwarding.is_valid(entry.tags):  # while the store was busy
            await self._store.delete(key)
            return Unstorable.INVALIDATED
        return None if stored else Unstorable.NOT_KEPT

    def _make_entry(
        self,
        status: int,
        headers: Headers,
        body: bytes,
        requested: float,
        received: float,
        tags: tuple[str, ...] = (),
    ) -> StoredResponse:
        """An entry with the fields that may be stored, and a date (RFC 9110 §6.6.1)."""
        tagged = [tag.strip() for tag in headers.get("cache-tag", "").split(",")]
        dropped = {name.encode("latin-1") for name in stored_field_names(headers)}
        dropped.add(b"cache-tag")
        fields = [field for field in headers.raw if field[0] not in dropped]
        if "date" not in headers:
            fields.append((b"date", format_http_date(received).encode()))
        return StoredResponse(
            status,
            Headers(fields),
            body,
            received=received,
            initial_age=current_age(headers, requested=requested, received=received, now=received),
            lifetime=freshness_lifetime(status, headers, date=received, default=self._default),
            tags=tuple(tag for tag in tagged if tag) or tags,
        )

    def _seconds(self, entry: StoredResponse) -> float:
        """How long an entry may be of use."""
        stale = max(
            entry.control.seconds("stale-while-revalidate") or 0,
            entry.control.seconds("stale-if-error") or 0,
        )
        if entry.has_validator:
            stale = max(stale, int(self._keep_stale))
        return entry.lifetime - entry.age(entry.received) + stale


def _without_directives(headers: Headers) -> Headers:
    return Headers([field for field in headers.raw if field[0] != b"cache-control"])
