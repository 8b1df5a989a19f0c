"""What a `ResponseCache` reads: requests as it sees them, and answers made of what is stored.

Owns the search for a stored answer and what a client gets of it by its conditions and ranges. Runs
no handler and writes nothing; the other half is `cache_writing`.
"""

from collections.abc import Callable
from typing import NamedTuple

from httpkit.errors import HTTPError
from httpkit.middleware.cache_entries import Entry, StoredResponse, VaryBy
from httpkit.middleware.cache_store import CacheStore
from httpkit.middleware.cache_writing import CONDITIONS
from httpkit.representation import answer_conditionally, answer_range, read_validators
from httpkit.request import Request
from httpkit.response import Response
from httpkit.semantics.cache_control import CacheControl
from httpkit.semantics.cache_status import Forward, format_cache_status
from httpkit.semantics.caching import Verdict, is_shareable, judge
from httpkit.semantics.dates import parse_http_date
from httpkit.types import Next

__all__ = [
    "ANNOUNCING",
    "MEANINGFUL",
    "NO_DIRECTIVES",
    "CacheReader",
    "Found",
    "Visit",
    "is_for_the_handler",
]

#: Fields of requests that only the handler can answer. `If-Match` and `If-Unmodified-Since` ask for
#: the state of the resource, and a cache must not judge by what it has stored (RFC 9111 §4.3.2).
_FOR_THE_HANDLER = frozenset({b"if-match", b"if-unmodified-since", b"upgrade"})
#: Request fields that mean anything to a cache; a request without them takes the short way.
MEANINGFUL = (
    _FOR_THE_HANDLER
    | CONDITIONS
    | {b"authorization", b"cache-control", b"content-length", b"range", b"transfer-encoding"}
)
#: Versions whose fields say whether there is content (RFC 9112 §6.3; not so RFC 9113 §8.1.1).
ANNOUNCING = ("1.1", "1.0")
NO_DIRECTIVES = CacheControl()
_GetAtOnce = Callable[[str, str], Entry | None]


class Visit(NamedTuple):
    """One request, as the cache sees it."""

    request: Request
    next: Next
    key: str
    asked: CacheControl
    #: Has preconditions.
    conditional: bool
    #: Carries credentials, so others do not wait for its answer.
    authorized: bool


class Found(NamedTuple):
    """What the store has for a request, at the time it was looked at."""

    entry: StoredResponse | None
    variant: str
    #: The reason to go forward where there is nothing.
    miss: Forward
    #: What the entry is good for; `STALE` where there is none.
    verdict: Verdict
    now: float
    #: Of the entry, in seconds.
    age: float = 0.0

    @property
    def reason(self) -> Forward:
        """Why a request goes forward (RFC 9211 §2.2).

        What the origin wants to be asked about each time is as good as stale; what is fresh is not
        used since the client does not want it.
        """
        entry = self.entry
        if entry is None:
            return self.miss
        fresh = self.age < entry.lifetime and not entry.control.forbids("no-cache")
        return "request" if fresh else "stale"


async def is_for_the_handler(request: Request, names: set[bytes]) -> bool:
    """Whether a cache has nothing to say to a request, nor to learn from its answer.

    Content is not part of the key of a GET (RFC 9111 §2, RFC 9110 §9.3.1): handlers that let it
    decide could be made to fill the cache with what others have not asked for.
    """
    if request.protocol is not None or not _FOR_THE_HANDLER.isdisjoint(names):
        return True
    if b"content-length" in names:
        return request.headers["content-length"].strip("0") != ""
    if b"transfer-encoding" in names:
        return True
    return request.http_version not in ANNOUNCING and bool(await request.body())


class CacheReader:
    """Finds stored answers and makes answers of them.

    Args:
        store: where they are.
        name: of the cache in `Cache-Status`.
    """

    def __init__(self, store: CacheStore, name: str) -> None:
        self._store = store
        self._get_at_once: _GetAtOnce | None = getattr(store, "get_at_once", None)
        self._name = name

    def hit(self, key: str, now: float) -> Response | None:
        """The answer to a request that asks for nothing special, if the store has it at hand."""
        entry = None if self._get_at_once is None else self._get_at_once(key, "")
        if type(entry) is StoredResponse and now < entry.fresh_until:
            return entry.hit(now, self._name)
        return None

    async def find(self, visit: Visit, now: float) -> Found:
        """The stored answer for a request, and what it is good for."""
        entry, variant = await self._store.get(visit.key, ""), ""
        miss: Forward = "uri-miss"
        if isinstance(entry, VaryBy):
            variant, miss = entry.variant(visit.request.headers), "vary-miss"
            entry = await self._store.get(visit.key, variant)
        if not isinstance(entry, StoredResponse):
            return Found(None, variant, miss, Verdict.STALE, now)
        if visit.authorized and not is_shareable(entry.control):
            # RFC 9111 §3.5 speaks of the other way round. But who answers differently to
            # credentials, and says no more than a lifetime, has forgotten Vary.
            return Found(None, variant, miss, Verdict.STALE, now)
        age = entry.age(now)
        verdict = judge(visit.asked, entry.control, age=age, lifetime=entry.lifetime)
        return Found(entry, variant, miss, verdict, now, age)

    def reuse(
        self, visit: Visit, entry: StoredResponse, found: Found, collapsed: Forward | None = None
    ) -> Response:
        """A stored answer that may be sent; `collapsed`: for which reason its request waited."""
        if collapsed is None:
            response = entry.hit(found.now, self._name)
        else:
            status = format_cache_status(self._name, fwd=collapsed, collapsed=True)
            response = entry.answer(found.age, status)
        return self.by_conditions(visit, response, found.now) if visit.conditional else response

    def reuse_for_error(
        self, visit: Visit, entry: StoredResponse, status: int, now: float
    ) -> Response:
        """One that is sent since a new one could not be had (RFC 5861 §4)."""
        text = format_cache_status(self._name, fwd="stale", fwd_status=status)
        response = entry.answer(entry.age(now), text)
        # Not those that the handler may have told before it failed.
        visit.request.validators = read_validators(response, now)
        return self.by_conditions(visit, response, now)

    def cut(self, visit: Visit, entry: StoredResponse, found: Found) -> Response:
        """The parts of a stored answer that a client asks for (RFC 9111 §3.3, RFC 9110 §14.2).

        Raises:
            HTTPError: 412, or 416.
        """
        response = self.reuse(visit, entry, found)
        if response.status != 200:
            return response
        try:
            return answer_range(visit.request, response, found.now)
        except HTTPError as error:
            # RFC 9211 §2: a refusal is made of the stored answer, too, and says so.
            fields = {**dict(error.headers or ()), "cache-status": response.headers["cache-status"]}
            raise HTTPError(error.status, error.detail, fields) from None

    def by_conditions(self, visit: Visit, response: Response, now: float) -> Response:
        """A 200, or what the preconditions of the client make of it (RFC 9111 §4.3.2)."""
        if not visit.conditional or response.status != 200:
            return response
        validators = read_validators(response, now)
        if validators.last_modified is None:
            # §4.3.2: `Date` then stands for it, but only where the request has a date itself.
            date = parse_http_date(response.headers.get("date", ""), now=now)
            validators = validators._replace(last_modified=date)
        return answer_conditionally(visit.request, response, now, validators)
