"""`ResponseCache`: a shared cache inside the server (RFC 9111).

Owns the way of a request through the cache. What may be stored and used is decided by
`httpkit.semantics.caching`, where it is kept by a `CacheStore`, and who runs the handler by
`Flights`. `cache_reading` makes answers of what is stored, `cache_forwarding` asks the handler, and
`cache_writing` stores what it says.

    request ──▶ find ──▶ fresh ───────────────────────▶ answer
                  │      stale, but that may be sent ─▶ answer, and revalidate behind it
                  └────▶ forward (once for all who ask) ──▶ store ──▶ answer
"""

import logging
import time
from collections.abc import Callable

from httpkit.errors import ConfigurationError, HTTPError
from httpkit.middleware.cache_entries import StoredResponse
from httpkit.middleware.cache_flights import MAX_LOSSES, FlightKey, Flights
from httpkit.middleware.cache_forwarding import STANDS_FOR, CacheForwarder, discard
from httpkit.middleware.cache_reading import (
    ANNOUNCING,
    MEANINGFUL,
    NO_DIRECTIVES,
    CacheReader,
    Found,
    Visit,
    is_for_the_handler,
)
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
from httpkit.request import Request
from httpkit.response import Response, Upgrade
from httpkit.semantics.cache_control import CacheControl
from httpkit.semantics.cache_status import Forward, format_cache_status
from httpkit.semantics.caching import Verdict, invalidated_targets
from httpkit.types import Next

__all__ = ["ResponseCache"]

logger = logging.getLogger("httpkit")


class ResponseCache:
    """Middleware: a shared cache in front of the handlers (RFC 9111).

    Stores answers to GET that say how long they are fresh, with `cache(...)` for example, and
    answers GET and HEAD of them; the handler runs once for all who ask at the same time. Heeds
    `Vary`, `no-store`, `private`, `no-cache`, `must-revalidate`, `Authorization`, RFC 5861 and
    the wishes of clients. Never stores what sets a cookie, nor streams, files and parts; ranges are
    cut from what is stored and fresh. Requests with content pass.

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
        self._reader = CacheReader(self.store, name)
        writer = CacheWriter(
            self.store,
            default=default_max_age,
            keep_stale=keep_stale,
            heed_clients=heed_clients,
        )
        self._forwarder = CacheForwarder(
            self.store, self._reader, writer, self._flights, name=name, clock=clock
        )

    # --- invalidation ------------------------------------------------------------------------

    async def invalidate_url(self, url: str) -> int:
        """Forget the answers of one URL, `https://example.com/notes?page=1`; 1 if there were any.

        Answers that are being computed meanwhile are not stored either, here and below.

        Raises:
            ValueError: it is not an absolute URL.
        """
        return await self._forwarder.invalidate(key_of_url(url))

    async def invalidate_prefix(self, path: str) -> int:
        """Forget all answers below a path, whatever the host; how many URLs there were.

        Args:
            path: percent-encoded, from `/` on, as clients know it. `/notes` is `/notesbook`, too;
                `/notes/` is not.

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

    # --- the way of a request ----------------------------------------------------------------

    def answer_at_once(self, request: Request) -> Response | None:
        """What most requests get that find something fresh, without a coroutine: see `compose`."""
        if request.method not in ("GET", "HEAD") or request.http_version not in ANNOUNCING:
            return None
        for name, _ in request.raw_headers:
            if name in MEANINGFUL:
                return None
        return self._reader.hit(key_of(request), self._clock())

    async def __call__(self, request: Request, next: Next) -> Response:
        """Answer from the store, or by the handler."""
        if request.method not in ("GET", "HEAD"):
            return await self._pass_unsafe(request, next)
        names = {name for name, _ in request.raw_headers}
        plain = MEANINGFUL.isdisjoint(names) and request.http_version in ANNOUNCING
        asked = NO_DIRECTIVES
        if not plain:
            if self._heed_clients and b"cache-control" in names:
                asked = CacheControl.parse(request.headers.getlist("cache-control"))
            if await is_for_the_handler(request, names):
                self._refuse_if_only_cached(asked)
                return self._passed(await next(request), "bypass")
        visit = Visit(
            request,
            next,
            key_of(request),
            asked,
            not plain and not CONDITIONS.isdisjoint(names),
            b"authorization" in names,
        )
        return await (self._answer_part(visit) if b"range" in names else self._answer(visit))

    async def _pass_unsafe(self, request: Request, next: Next) -> Response:
        """RFC 9111 §4.4. Also what is safe, but not stored: OPTIONS, QUERY."""
        response = await next(request)
        targets = invalidated_targets(
            request.method, response.status, str(request.url), response.headers
        )
        keys = [key_of(request), *map(key_of_url, targets[1:])] if targets else []
        for key in keys:
            try:
                await self._forwarder.invalidate(key)
            except Exception:  # what was asked for is done, and that is what the client gets
                logger.exception("request %s: %s could not be invalidated", request.id, key)
        return self._passed(response, "method")

    async def _answer_part(self, visit: Visit) -> Response:
        """Parts of what is stored and fresh; of all else the handler cuts them, if it does."""
        found = await self._reader.find(visit, self._clock())
        if found.entry is not None and found.verdict is Verdict.FRESH:
            return self._reader.cut(visit, found.entry, found)
        self._refuse_if_only_cached(visit.asked)
        return self._passed(await visit.next(visit.request), "bypass")

    async def _answer(self, visit: Visit) -> Response:
        waited: set[FlightKey] = set()
        losses = 0
        collapsed: Forward | None = None
        failure: int | None = None
        while True:
            found = await self._reader.find(visit, self._clock())
            entry = found.entry
            if entry is not None and found.verdict is Verdict.FRESH:
                return self._reader.reuse(visit, entry, found, collapsed)
            if entry is not None and found.verdict is Verdict.STALE_WHILE_REVALIDATE:
                return self._reuse_stale(visit, entry, found)
            if entry is not None and found.verdict is Verdict.STALE_IF_ERROR and failure:
                return self._reader.reuse_for_error(visit, entry, failure, found.now)
            self._refuse_if_only_cached(visit.asked)
            flight_key = (visit.key, found.variant)
            if flight_key in waited or losses == MAX_LOSSES or self._goes_alone(visit, found):
                return await self._forwarder.forward(visit, found)
            flight = self._flights.find(flight_key)
            if flight is None:
                with self._flights.lead(flight_key) as flight:
                    return await self._forwarder.forward(visit, found, flight)
            collapsed = collapsed or found.reason
            await flight.wait()
            if flight.landed:
                waited.add(flight_key)
            elif flight.status is not None:
                losses += 1
                failure = flight.status if flight.status in STANDS_FOR else None

    def _goes_alone(self, visit: Visit, found: Found) -> bool:
        """Whether nobody could use the answer to this request, or no other one is of use to it."""
        return (
            visit.authorized
            or visit.request.method == "HEAD"
            or "no-store" in visit.asked
            or self._flights.passes(visit.key, found.now)
        )

    def _refuse_if_only_cached(self, asked: CacheControl) -> None:
        """RFC 9111 §5.2.1.7: the request is not to go forward."""
        if "only-if-cached" in asked:
            status = format_cache_status(self._name, detail="only-if-cached")
            raise HTTPError(504, headers={"cache-status": status})

    def _reuse_stale(self, visit: Visit, entry: StoredResponse, found: Found) -> Response:
        """One that is sent while a new one is fetched (RFC 5861 §3), by the first who gets it."""
        response = self._reader.reuse(visit, entry, found)
        flight_key = (visit.key, found.variant)
        # The answer to a HEAD could not be stored, nor one that the client does not want stored.
        storable = visit.request.method == "GET" and "no-store" not in visit.asked
        if storable and self._flights.begin_revalidation(flight_key, found.now):
            request = make_conditional(visit.request, None, conditional=visit.conditional)
            request = detach(request)
            behind = visit._replace(request=request, conditional=False, asked=NO_DIRECTIVES)

            async def revalidate() -> None:
                try:
                    answer = await self._forwarder.forward(
                        behind, found._replace(verdict=Verdict.STALE)
                    )
                finally:
                    self._flights.end_revalidation(flight_key)
                await discard(answer)

            response.add_background(revalidate)
        return response

    def _passed(self, response: Response, fwd: Forward) -> Response:
        """An answer that the cache has nothing to do with."""
        if isinstance(response, Upgrade):
            return response
        return with_status(response, format_cache_status(self._name, fwd=fwd))
