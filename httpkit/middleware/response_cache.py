"""`ResponseCache`: a shared cache inside the server (RFC 9111).

Owns the way of a request through the cache. What may be stored and used is decided by
`httpkit.semantics.caching`, where it is kept by a `CacheStore`, and who runs the handler by
`Flights`; what is written into the store, and what becomes of an answer, by `cache_writing`.

    request ──▶ find ──▶ fresh ───────────────────────▶ answer
                  │      stale, but that may be sent ─▶ answer, and revalidate behind it
                  └────▶ forward (once for all who ask) ──▶ store ──▶ answer
"""

import logging
import time
from collections.abc import Callable
from inspect import isawaitable
from typing import NamedTuple

from httpkit.body import FileBody
from httpkit.errors import ConfigurationError, HTTPError
from httpkit.middleware.cache_entries import StoredResponse, VaryBy
from httpkit.middleware.cache_flights import FlightKey, Flights
from httpkit.middleware.cache_store import CacheStore, MemoryStore
from httpkit.middleware.cache_writing import (
    CONDITIONS,
    CacheWriter,
    key_of,
    key_of_url,
    make_conditional,
    with_status,
)
from httpkit.middleware.detached import detach
from httpkit.representation import answer_conditionally
from httpkit.request import Request
from httpkit.response import Response, Upgrade
from httpkit.semantics.cache_control import CacheControl
from httpkit.semantics.cache_status import Forward, format_cache_status
from httpkit.semantics.caching import Unstorable, Verdict, invalidated_targets, is_shareable, judge
from httpkit.types import Next

__all__ = ["ResponseCache"]

logger = logging.getLogger("httpkit")

#: Request fields that mean anything to this cache; a request without them takes the short way.
_MEANINGFUL = CONDITIONS | {b"authorization", b"cache-control"}
#: Those that only the handler can answer. `If-Match` and `If-Unmodified-Since` ask for the state of
#: the resource, and a cache must not judge by what it has stored (RFC 9111 §4.3.2).
_FOR_THE_HANDLER = frozenset({b"if-match", b"if-unmodified-since", b"range", b"upgrade"})
#: Errors that a stale answer may stand for (RFC 5861 §4).
_ERRORS = frozenset({500, 502, 503, 504})
_NO_DIRECTIVES = CacheControl()


class _Found(NamedTuple):
    """What the store has for a request; `miss` is the reason where it has nothing."""

    entry: StoredResponse | None
    variant: str
    miss: Forward


class _Visit(NamedTuple):
    """One request, as the cache sees it."""

    request: Request
    next: Next
    key: str
    asked: CacheControl
    #: Has preconditions.
    conditional: bool
    #: Carries credentials, so others do not wait for its answer.
    authorized: bool


class ResponseCache:
    """Middleware: a shared cache in front of the handlers (RFC 9111).

    Stores answers to GET that say how long they are fresh, with `cache(...)` for example, and
    answers GET and HEAD of them; the handler runs once for all who ask at the same time. Heeds
    `Vary`, `no-store`, `private`, `no-cache`, `must-revalidate`, `Authorization`, RFC 5861 and
    the wishes of clients. Never stores what sets a cookie, nor streams, files and parts.

    A successful PUT, POST, PATCH or DELETE invalidates its URL (§4.4). Answers that have a field
    `Cache-Tag: a, b` can be invalidated by these names; it is not sent to clients.

    Args:
        store: where answers are kept; 64 MiB of memory by default.
        name: of this cache in `Cache-Status` (RFC 9211); a token.
        default_max_age: seconds that an answer without a lifetime is fresh; by default it is not
            stored. Set it where everything behind the cache is the same for everybody.
        heed_clients: follow `Cache-Control` of requests. Without it nobody can make the handler
            run by asking for it, which is beside the RFC (§5.2.1 lets caches decide, though).
        keep_stale: seconds that a stale answer with a validator is kept, to be confirmed.
        clock: gives the Unix time.

    Raises:
        ConfigurationError: a negative number, or a name that is no token.
    """

    def __init__(
        self,
        store: CacheStore | None = None,
        *,
        name: str = "httpkit",
        default_max_age: float | None = None,
        heed_clients: bool = True,
        keep_stale: float = 3600,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if keep_stale < 0 or (default_max_age is not None and default_max_age < 0):
            raise ConfigurationError("ResponseCache: give seconds, 0 or more")
        if not name.replace("-", "").replace(".", "").isalnum() or not name[0].isalpha():
            raise ConfigurationError(f"ResponseCache: the name {name!r} is no token")
        self.store: CacheStore = MemoryStore(clock=clock) if store is None else store
        self._name = name
        self._heed_clients = heed_clients
        self._clock = clock
        self._flights = Flights()
        self._writer = CacheWriter(
            self.store,
            default=default_max_age,
            keep_stale=keep_stale,
            heed_clients=heed_clients,
        )

    # --- invalidation ------------------------------------------------------------------------

    async def invalidate_url(self, url: str) -> int:
        """Forget the answers of one URL, `https://example.com/notes?page=1`; 1 if there were any.

        Answers that are being computed meanwhile are not stored either, here and below.

        Raises:
            ValueError: it is not an absolute URL.
        """
        return await self._invalidate(key_of_url(url))

    async def invalidate_prefix(self, path: str) -> int:
        """Forget all answers below a path, whatever the host; how many URLs there were.

        Args:
            path: percent-encoded, from `/` on. `/notes` is `/notesbook`, too; `/notes/` is not.

        Raises:
            ValueError: it does not begin with a slash.
        """
        if not path.startswith("/"):
            raise ValueError(f"a path begins with a slash: {path!r}")
        self._flights.invalidate_prefix(path)
        return await self.store.delete_prefix(path)

    async def invalidate_tag(self, tag: str) -> int:
        """Forget all answers with a name in `Cache-Tag`; how many URLs there were."""
        self._flights.invalidate_tag(tag)
        return await self.store.delete_tag(tag)

    async def _invalidate(self, key: str) -> int:
        self._flights.invalidate(key)
        return await self.store.delete(key)

    # --- the way of a request ----------------------------------------------------------------

    async def __call__(self, request: Request, next: Next) -> Response:
        """Answer from the store, or by the handler."""
        if request.method not in ("GET", "HEAD"):
            return await self._pass_unsafe(request, next)
        names = {name for name, _ in request.raw_headers}
        asked, plain = _NO_DIRECTIVES, _MEANINGFUL.isdisjoint(names)
        if not plain and self._heed_clients and b"cache-control" in names:
            asked = CacheControl.parse(request.headers.getlist("cache-control"))
        if request.protocol is not None or not _FOR_THE_HANDLER.isdisjoint(names):
            self._refuse_if_only_cached(asked)
            return self._passed(await next(request), "bypass")
        return await self._answer(
            _Visit(
                request,
                next,
                key_of(request),
                asked,
                not plain and not CONDITIONS.isdisjoint(names),
                b"authorization" in names,
            )
        )

    async def _pass_unsafe(self, request: Request, next: Next) -> Response:
        """RFC 9111 §4.4. Also what is safe, but not stored: OPTIONS, QUERY."""
        response = await next(request)
        targets = invalidated_targets(
            request.method, response.status, str(request.url), response.headers
        )
        keys = [key_of(request), *map(key_of_url, targets[1:])] if targets else []
        for key in keys:
            try:
                await self._invalidate(key)
            except Exception:  # what was asked for is done, and that is what the client gets
                logger.exception("request %s: %s could not be invalidated", request.id, key)
        return self._passed(response, "method")

    async def _answer(self, visit: _Visit) -> Response:
        waited: set[FlightKey] = set()
        collapsed: Forward | None = None
        while True:
            found = await self._find(visit)
            entry, now = found.entry, self._clock()
            if entry is not None and visit.authorized and not is_shareable(entry.control):
                # RFC 9111 §3.5 speaks of the other way round. But who answers differently to
                # credentials, and says no more than a lifetime, has forgotten Vary.
                entry, found = None, found._replace(entry=None)
            verdict = Verdict.STALE
            if entry is not None:
                age = entry.age(now)
                verdict = judge(visit.asked, entry.control, age=age, lifetime=entry.lifetime)
                if verdict is Verdict.FRESH:
                    return self._reuse(visit, entry, age, now, collapsed)
                if verdict is Verdict.STALE_WHILE_REVALIDATE:
                    return self._reuse_stale(visit, entry, found, now)
            self._refuse_if_only_cached(visit.asked)
            flight_key = (visit.key, found.variant)
            if (
                visit.authorized
                or visit.request.method == "HEAD"
                or "no-store" in visit.asked  # nobody could use its answer
                or flight_key in waited
                or self._flights.passes(visit.key, now)
            ):
                return await self._forward(visit, found, verdict)
            flight = self._flights.find(flight_key)
            if flight is None:
                with self._flights.lead(flight_key):
                    return await self._forward(visit, found, verdict)
            collapsed = collapsed or _reason(found, verdict)
            if await flight.wait():
                waited.add(flight_key)

    def _refuse_if_only_cached(self, asked: CacheControl) -> None:
        """RFC 9111 §5.2.1.7: the request is not to go forward."""
        if "only-if-cached" in asked:
            status = format_cache_status(self._name, detail="only-if-cached")
            raise HTTPError(504, headers={"cache-status": status})

    async def _find(self, visit: _Visit) -> _Found:
        entry = await self.store.get(visit.key, "")
        if not isinstance(entry, VaryBy):
            return _Found(entry, "", "uri-miss")
        variant = entry.variant(visit.request.headers)
        chosen = await self.store.get(visit.key, variant)
        return _Found(chosen if isinstance(chosen, StoredResponse) else None, variant, "vary-miss")

    # --- answers from the store --------------------------------------------------------------

    def _reuse(
        self,
        visit: _Visit,
        entry: StoredResponse,
        age: float,
        now: float,
        collapsed: Forward | None = None,
    ) -> Response:
        """A stored answer that is fresh."""
        if collapsed is None:
            response = entry.hit(age, self._name)
        else:
            status = format_cache_status(self._name, fwd=collapsed, collapsed=True)
            response = entry.answer(age, status)
        return self._by_conditions(visit, response, now) if visit.conditional else response

    def _reuse_stale(
        self, visit: _Visit, entry: StoredResponse, found: _Found, now: float
    ) -> Response:
        """One that is sent while a new one is fetched (RFC 5861 §3), by the first who gets it."""
        response = self._reuse(visit, entry, entry.age(now), now)
        flight_key = (visit.key, found.variant)
        # The answer to a HEAD could not be stored, nor one that the client does not want stored.
        storable = visit.request.method == "GET" and "no-store" not in visit.asked
        if storable and self._flights.begin_revalidation(flight_key, now):
            request = make_conditional(visit.request, None, conditional=visit.conditional)
            request = detach(request)
            behind = visit._replace(request=request, conditional=False, asked=_NO_DIRECTIVES)

            async def revalidate() -> None:
                try:
                    answer = await self._forward(behind, found, Verdict.STALE)
                finally:
                    self._flights.end_revalidation(flight_key)
                await _discard(answer)

            response.add_background(revalidate)
        return response

    def _reuse_for_error(self, visit: _Visit, entry: StoredResponse, status: int) -> Response:
        """One that is sent since a new one could not be had (RFC 5861 §4)."""
        now = self._clock()
        text = format_cache_status(self._name, fwd="stale", fwd_status=status)
        return self._by_conditions(visit, entry.answer(entry.age(now), text), now)

    def _by_conditions(self, visit: _Visit, response: Response, now: float) -> Response:
        """A 200, or what the preconditions of the client make of it (RFC 9111 §4.3.2)."""
        if not visit.conditional or response.status != 200:
            return response
        return answer_conditionally(visit.request, response, now)

    # --- answers of the handler --------------------------------------------------------------

    async def _forward(self, visit: _Visit, found: _Found, verdict: Verdict) -> Response:
        """Ask the handler, store what it says, answer."""
        entry, left = found.entry, self._clock()
        request = visit.request
        if entry is not None or not self._flights.passes(visit.key, left):
            request = make_conditional(visit.request, entry, conditional=visit.conditional)
        with self._flights.forwarding(visit.key, left) as forwarding:
            try:
                response = await visit.next(request)
            except Exception:
                if entry is None or verdict is not Verdict.STALE_IF_ERROR:
                    raise
                logger.exception("request %s: a stale answer stands for an error", request.id)
                return self._reuse_for_error(visit, entry, 500)
            if isinstance(response, Upgrade):
                return response
            tolerated = verdict is Verdict.STALE_IF_ERROR and response.status in _ERRORS
            if entry is not None and tolerated:
                await _discard(response)
                return self._reuse_for_error(visit, entry, response.status)
            fwd, now = _reason(found, verdict), self._clock()
            if entry is not None and response.status == 304 and request is not visit.request:
                entry, objection = await self._writer.confirm(
                    visit.request, entry, response, now, forwarding
                )
                response = self._told(entry.answer(entry.age(now)), fwd, objection, fwd_status=304)
            else:
                response, objection = await self._writer.keep(
                    visit.request, request, response, now, forwarding
                )
                self._note_passes(visit, response, objection, now)
                response = self._told(response, fwd, objection)
        return self._by_conditions(visit, response, now)

    def _note_passes(
        self, visit: _Visit, response: Response, objection: Unstorable | None, now: float
    ) -> None:
        """Whether others need not wait for the answers of this URL."""
        if objection is None:
            self._flights.stop_passing(visit.key)
        elif _speaks_for_others(visit, response):
            self._flights.let_pass(visit.key, now)

    def _told(
        self,
        response: Response,
        fwd: Forward,
        objection: Unstorable | None,
        *,
        fwd_status: int | None = None,
    ) -> Response:
        """An answer of the handler, and whether it is stored."""
        text = format_cache_status(
            self._name,
            fwd=fwd,
            fwd_status=fwd_status,
            stored=objection is None,
            detail=None if objection is None else objection.value,
        )
        return with_status(response, text)

    def _passed(self, response: Response, fwd: Forward) -> Response:
        """An answer that the cache has nothing to do with."""
        if isinstance(response, Upgrade):
            return response
        return with_status(response, format_cache_status(self._name, fwd=fwd))


def _speaks_for_others(visit: _Visit, response: Response) -> bool:
    """Whether the next answers cannot be stored either, if this one cannot.

    Not if it is an error, or if that is because of what this client sent: a 304 says nothing about
    what a 200 would be.
    """
    return (
        visit.request.method == "GET"
        and not visit.authorized
        and visit.asked is _NO_DIRECTIVES
        and response.status != 304
        and response.status < 500
    )


def _reason(found: _Found, verdict: Verdict) -> Forward:
    """Why a request goes forward."""
    if found.entry is None:
        return found.miss
    return "request" if verdict is Verdict.REVALIDATE else "stale"


async def _discard(response: Response) -> None:
    """An answer that nobody gets: what hangs on it is done all the same."""
    if isinstance(response.body, FileBody):
        response.body.close()
    for call in response.background or ():
        result = call()
        if isawaitable(result):
            await result
