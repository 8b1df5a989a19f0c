"""What a `ResponseCache` asks of the handler, and what becomes of the answer.

Owns the request that goes forward in the place of the client's, and what its answer means for the
store, for the client, and for those who wait (RFC 9111 §4.3). Decides nothing about who goes.
"""

import logging
from collections.abc import Callable
from inspect import isawaitable

from httpkit.body import FileBody
from httpkit.headers import Headers
from httpkit.middleware.cache_entries import StoredResponse
from httpkit.middleware.cache_flights import Flight, Flights, Forwarding
from httpkit.middleware.cache_reading import NO_DIRECTIVES, CacheReader, Found, Visit
from httpkit.middleware.cache_store import CacheStore
from httpkit.middleware.cache_writing import CacheWriter, make_conditional, with_status
from httpkit.request import Request
from httpkit.response import Response, Upgrade
from httpkit.semantics.cache_status import Forward, format_cache_status
from httpkit.semantics.caching import Unstorable, Verdict, confirms, head_confirms

__all__ = ["STANDS_FOR", "CacheForwarder", "discard"]

logger = logging.getLogger("httpkit")

#: Errors that a stale answer may stand for (RFC 5861 §4).
STANDS_FOR = frozenset({500, 502, 503, 504})


class CacheForwarder:
    """Asks handlers.

    Args:
        store: where answers are kept.
        reader: makes answers of them.
        writer: keeps them.
        flights: know what is invalidated meanwhile.
        name: of the cache in `Cache-Status`.
        clock: gives the Unix time.
    """

    def __init__(
        self,
        store: CacheStore,
        reader: CacheReader,
        writer: CacheWriter,
        flights: Flights,
        *,
        name: str,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._reader = reader
        self._writer = writer
        self._flights = flights
        self._name = name
        self._clock = clock

    async def invalidate(self, key: str) -> int:
        """Forget the answers of a URL, those that are being computed, too."""
        self._flights.invalidate(key)
        return await self._store.delete(key)

    async def forward(self, visit: Visit, found: Found, flight: Flight | None = None) -> Response:
        """Ask the handler, store what it says, answer."""
        entry, left = found.entry, self._clock()
        tolerant = found.verdict is Verdict.STALE_IF_ERROR
        with self._flights.forwarding(visit.key, left) as forwarding:
            try:
                asked, response, confirmed = await self._ask(visit, entry, left)
            except Exception:
                if entry is None or not tolerant:
                    raise
                logger.exception("request %s: a stale answer stands for an error", visit.request.id)
                return self._stand_in(visit, entry, 500, flight)
            if isinstance(response, Upgrade):
                return response
            if entry is not None and tolerant and response.status in STANDS_FOR:
                await discard(response)
                return self._stand_in(visit, entry, response.status, flight)
            status, now = response.status, self._clock()
            if entry is not None and confirmed:
                response, objection = await self._writer.confirm(
                    visit.request, entry, response, now, forwarding
                )
                response = self._told(response, found.reason, objection, fwd_status=304)
            else:
                if entry is not None and visit.request.method == "HEAD" and status == 200:
                    await self._heed_head(visit.request, entry, response, now, forwarding)
                response, objection = await self._writer.keep(
                    visit.request, asked, response, now, forwarding
                )
                self._note_passes(visit, response, objection, now)
                response = self._told(response, found.reason, objection)
        if flight is not None:
            lost = objection is Unstorable.INVALIDATED or (objection is not None and status >= 500)
            flight.end(status, landed=not lost)
        return self._reader.by_conditions(visit, response, now)

    async def _ask(
        self, visit: Visit, entry: StoredResponse | None, left: float
    ) -> tuple[Request, Response, bool]:
        """The request that the handler got, its answer, and whether that confirms the entry."""
        request = visit.request
        if entry is not None or not self._flights.passes(visit.key, left):
            request = make_conditional(request, entry, conditional=visit.conditional)
        response = await visit.next(request)
        if response.status != 304 or entry is None or not entry.has_validator:
            return request, response, False
        if confirms(Headers(response.raw_headers), entry.headers):
            return request, response, True
        # RFC 9111 §4.3.4: it must not change what is stored, and nobody has what it speaks of.
        await discard(response)
        request = make_conditional(visit.request, None, conditional=True)
        return request, await visit.next(request), False

    def _stand_in(
        self, visit: Visit, entry: StoredResponse, status: int, flight: Flight | None
    ) -> Response:
        """A stale answer in the place of an error, for those who wait, too."""
        if flight is not None:
            flight.end(status, landed=False)
        return self._reader.reuse_for_error(visit, entry, status, self._clock())

    async def _heed_head(
        self,
        request: Request,
        entry: StoredResponse,
        response: Response,
        now: float,
        forwarding: Forwarding,
    ) -> None:
        """RFC 9111 §4.3.5: what an answer to HEAD says about the stored one to GET."""
        headers = Headers(response.raw_headers)
        same = head_confirms(headers, entry.headers, len(entry.body))
        if same:
            await self._writer.confirm(request, entry, response, now, forwarding)
        elif same is False:
            await self.invalidate(forwarding.key)

    def _note_passes(
        self, visit: Visit, response: Response, objection: Unstorable | None, now: float
    ) -> None:
        """Whether others need not wait for the answers of this URL."""
        if objection is None:
            self._flights.stop_passing(visit.key)
        elif objection is not Unstorable.INVALIDATED and _speaks_for_others(visit, response):
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


def _speaks_for_others(visit: Visit, response: Response) -> bool:
    """Whether the next answers cannot be stored either, if this one cannot.

    Not if it is an error, or if that is because of what this client sent: a 304 says nothing about
    what a 200 would be.
    """
    return (
        visit.request.method == "GET"
        and not visit.authorized
        and visit.asked is NO_DIRECTIVES
        and response.status != 304
        and response.status < 500
    )


async def discard(response: Response) -> None:
    """An answer that nobody gets: what hangs on it is done all the same."""
    if isinstance(response.body, FileBody):
        response.body.close()
    for call in response.background or ():
        result = call()
        if isawaitable(result):
            await result
