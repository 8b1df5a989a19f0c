"""The rules of a shared HTTP cache (RFC 9111, RFC 5861) as functions of fields and times.

Owns what may be stored, how long it is fresh, how old it is, what else a request must have in
common with it, and which requests make it invalid. Times are Unix timestamps, durations seconds.
Where an origin said something unreadable, the answer is stale or is not stored. Called by
`httpkit.middleware.ResponseCache`.
"""

import re
from enum import Enum
from urllib.parse import urldefrag, urljoin, urlsplit

from httpkit.headers import Headers
from httpkit.semantics.cache_control import MAX_DELTA, CacheControl, parse_delta
from httpkit.semantics.conditional import ETag
from httpkit.semantics.dates import parse_http_date
from httpkit.semantics.parameters import TOKEN, split_list
from httpkit.urls import has_empty_query, origin_of

__all__ = [
    "HEURISTIC_STATUSES",
    "NEVER_STORED",
    "Unstorable",
    "Verdict",
    "confirms",
    "current_age",
    "freshness_lifetime",
    "head_confirms",
    "invalidated_targets",
    "is_shareable",
    "judge",
    "own_field_names",
    "stored_field_names",
    "unstorable",
    "vary_names",
    "vary_values",
]


#: Statuses that are cacheable by default (RFC 9110 §15.1), without 206, which is not stored here.
HEURISTIC_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
#: Statuses that say something about other messages: a part, and what a client has (RFC 9111 §3).
_INCOMPLETE = frozenset({206, 304})
#: Statuses whose meaning this cache knows, for `must-understand` (RFC 9111 §5.2.2.3).
_UNDERSTOOD = HEURISTIC_STATUSES | {302, 303, 307, 400, 403, 451, 500, 502, 503, 504}
#: Headers that are never stored (RFC 9111 §3.1); those that are about one connection.
NEVER_STORED = frozenset(
    "connection keep-alive proxy-authenticate proxy-authentication-info proxy-authorization "
    "proxy-connection te trailer transfer-encoding upgrade age".split()
)
#: RFC 9111 §3.5: what lets an answer to a request with Authorization be shared.
_SHAREABLE = ("public", "must-revalidate", "s-maxage")
#: RFC 9111 §4.2.2: a tenth of the time since the last change, and at most a day.
_HEURISTIC_FRACTION = 0.1
_HEURISTIC_LIMIT = 86_400.0
_NAME = re.compile(TOKEN)
#: A member of an Accept-like field without parameters (RFC 9110 §12.4.2, §12.5).
_WEIGHTED = re.compile(
    rf"({TOKEN}(?:/{TOKEN})?)(?:[ \t]*+;[ \t]*+[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?"
)


class Unstorable(Enum):
    """Why an answer is not stored (RFC 9111 §3); the value is the text for `Cache-Status`."""

    METHOD = "method"
    STATUS = "status"
    NO_STORE = "no-store"
    PRIVATE = "private"
    AUTHORIZATION = "authorization"
    SET_COOKIE = "set-cookie"
    VARY = "vary"
    RANGE = "range"
    NO_LIFETIME = "no-lifetime"
    # What only the cache can know.
    STREAM = "stream"
    NOT_KEPT = "not-kept"
    INVALIDATED = "invalidated"


def unstorable(
    method: str,
    request: Headers,
    status: int,
    response: Headers,
    *,
    default: float | None = None,
    heuristic: bool = True,
) -> Unstorable | None:
    """Why a shared cache must not store an answer (RFC 9111 §3, §3.5); `None` if it may.

    Args:
        method: of the request. Only GET is stored.
        request: its fields.
        status: of the answer.
        response: its fields.
        default: seconds that the configuration says for answers that say nothing.
        heuristic: store what has a validator or `public`, but no lifetime (§4.2.2).
    """
    control = CacheControl.parse(response.getlist("cache-control"))
    asked = CacheControl.parse(request.getlist("cache-control"))
    # RFC 9111 §5.2.2.3: `no-store` is then for caches that do not know the status.
    understood = "must-understand" in control and status in _UNDERSTOOD
    forbidden = "no-store" in control and not understood
    lasts = _has_lifetime(control, response) or (
        status in HEURISTIC_STATUSES
        and (default is not None or (heuristic and _is_heuristic(control, response)))
    )
    rules = (
        (Unstorable.METHOD, method != "GET"),
        (Unstorable.RANGE, status == 206 or "content-range" in response),
        (Unstorable.STATUS, not _may_store(status, control)),
        (Unstorable.NO_STORE, forbidden or "no-store" in asked),
        (Unstorable.PRIVATE, control.forbids("private")),
        (
            Unstorable.AUTHORIZATION,
            "authorization" in request and not is_shareable(control),
        ),
        (Unstorable.SET_COOKIE, _sets_cookies(control, response)),
        (Unstorable.VARY, vary_names(response) is None),
        (Unstorable.NO_LIFETIME, not lasts),
    )
    return next((reason for reason, holds in rules if holds), None)


def _may_store(status: int, control: CacheControl) -> bool:
    """RFC 9111 §3: any final answer that is whole, if the origin has said how long it is fresh."""
    if "must-understand" in control:
        return status in _UNDERSTOOD
    return status >= 200 and status not in _INCOMPLETE


def is_shareable(control: CacheControl) -> bool:
    """Whether an answer is for everybody, with credentials or without (RFC 9111 §3.5)."""
    return any(name in control for name in _SHAREABLE)


def stored_field_names(response: Headers) -> frozenset[str]:
    """Fields of an answer that are not stored with it (RFC 9111 §3.1, §5.2.2.4, §5.2.2.7).

    Besides those of `NEVER_STORED` they are those that `private` and `no-cache` name. RFC 9111
    would let a cache keep the latter and ask before it sends them; leaving them out is the same to
    a client, as they are absent until the origin has said them anew.
    """
    control = CacheControl.parse(response.getlist("cache-control"))
    listed = {each.strip().lower() for each in response.get("connection", "").split(",")}
    return NEVER_STORED.union(listed - {""}, own_field_names(control))


def own_field_names(control: CacheControl) -> frozenset[str]:
    """Fields that are for nobody but the client of this answer: named by `private`, `no-cache`."""
    named = (control.field_names(name) or frozenset() for name in ("private", "no-cache"))
    return frozenset[str]().union(*named)


def freshness_lifetime(
    status: int, response: Headers, *, date: float, default: float | None = None
) -> float:
    """How long an answer is fresh, from `date` on (RFC 9111 §4.2.1).

    The first of `s-maxage`, `max-age`, `Expires` less `Date`, what the configuration says, and a
    tenth of the time since `Last-Modified` (§4.2.2), that there is.

    Args:
        status: of the answer.
        response: its fields.
        date: when it was made, for answers without `Date`.
        default: seconds that the configuration says.
    """
    control = CacheControl.parse(response.getlist("cache-control"))
    for name in ("s-maxage", "max-age"):
        seconds = control.seconds(name)
        if seconds is not None:
            return float(seconds)
    expires = response.getlist("expires")
    if expires:
        # Several of them are as good as none that can be read: expired already (§4.2.1, §5.3).
        moment = parse_http_date(expires[0], now=date) if len(expires) == 1 else None
        made = parse_http_date(response.get("date", ""), now=date)
        return 0.0 if moment is None else max(0.0, moment - (date if made is None else made))
    if status not in HEURISTIC_STATUSES:
        return 0.0
    if default is not None:
        return default
    modified = parse_http_date(response.get("last-modified", ""), now=date)
    if modified is None:
        return 0.0
    return min(_HEURISTIC_LIMIT, max(0.0, (date - modified) * _HEURISTIC_FRACTION))


def current_age(response: Headers, *, requested: float, received: float, now: float) -> float:
    """How old a stored answer is (RFC 9111 §4.2.3).

    Args:
        response: its fields, as they were received.
        requested: when it was asked for.
        received: when it came.
        now: when it is to be used.
    """
    date = parse_http_date(response.get("date", ""), now=received)
    apparent = 0.0 if date is None else max(0.0, received - date)
    # RFC 9111 §5.1: of several members the first counts, and what is no number is ignored.
    age = parse_delta(response.get("age", "").partition(",")[0].strip(" \t")) or 0
    corrected = max(apparent, age + (received - requested))
    return min(float(MAX_DELTA), corrected + max(0.0, now - received))


class Verdict(Enum):
    """What a stored answer is good for; see `judge`."""

    #: Send it.
    FRESH = "fresh"
    #: Send it, and ask for a new one meanwhile (RFC 5861 §3).
    STALE_WHILE_REVALIDATE = "stale-while-revalidate"
    #: Ask; send it if the answer is an error (RFC 5861 §4).
    STALE_IF_ERROR = "stale-if-error"
    #: Ask; it may only be confirmed.
    STALE = "stale"
    #: Ask, since the client or the origin wants that (RFC 9111 §5.2.1.4, §5.2.2.4).
    REVALIDATE = "revalidate"


def judge(request: CacheControl, response: CacheControl, *, age: float, lifetime: float) -> Verdict:
    """Whether a stored answer may be used for a request (RFC 9111 §4.2, §4.2.4, §5.2.1).

    `s-maxage` forbids what a client permits (§5.2.2.10), but not what the same origin permits
    beside it by the directives of RFC 5861: that would make them void where they are used most.

    Args:
        request: directives of the client; give none to disregard them.
        response: those of the stored answer.
        age: of the stored answer.
        lifetime: its freshness lifetime.
    """
    if response.forbids("no-cache") or "no-cache" in request:
        return Verdict.REVALIDATE
    longest, least = request.seconds("max-age"), request.seconds("min-fresh") or 0
    if longest is not None and age >= longest:
        return Verdict.REVALIDATE
    staleness = age + least - lifetime
    if staleness < 0:
        return Verdict.FRESH
    if least or "must-revalidate" in response or "proxy-revalidate" in response:
        return Verdict.STALE
    if "max-stale" in request and "s-maxage" not in response:
        allowed = request.directives["max-stale"]
        if allowed is None or staleness <= (parse_delta(allowed) or 0):
            return Verdict.FRESH
    if staleness < (response.seconds("stale-while-revalidate") or 0):
        return Verdict.STALE_WHILE_REVALIDATE
    tolerated = max(response.seconds("stale-if-error") or 0, request.seconds("stale-if-error") or 0)
    return Verdict.STALE_IF_ERROR if staleness < tolerated else Verdict.STALE


def confirms(answer: Headers, stored: Headers) -> bool:
    """Whether a 304 is about a stored answer (RFC 9111 §4.3.4).

    A strong tag confirms the same strong one only, a weak one what is the same but for weakness,
    and a date counts where there is no tag. A 304 without validators is about what was asked for.
    """
    tag = answer.get("etag")
    if tag is None:
        modified = answer.get("last-modified")
        return modified is None or modified == stored.get("last-modified", modified)
    new, old = ETag.parse(tag), ETag.parse(stored.get("etag", ""))
    if new is None or old is None:  # no tags by the grammar: nothing is known but their bytes
        return tag == stored.get("etag")
    return new.matches_weakly(old) if new.weak else new.matches_strongly(old)


def head_confirms(answer: Headers, stored: Headers, length: int) -> bool | None:
    """What a 200 to HEAD says about a stored answer to GET (RFC 9111 §4.3.5).

    Args:
        answer: fields of the answer to HEAD.
        stored: those of the stored answer.
        length: of the stored content, in bytes.

    Returns:
        `True` if it is the same, `False` if it is another one, `None` if nothing is said.
    """
    pairs = [
        (answer[name], value)
        for name, value in (
            ("etag", stored.get("etag")),
            ("last-modified", stored.get("last-modified")),
            ("content-length", str(length)),
        )
        if name in answer
    ]
    if any(said != known for said, known in pairs):
        return False
    return True if "etag" in answer or "last-modified" in answer else None


def vary_names(response: Headers) -> tuple[str, ...] | None:
    """The request fields that select an answer, sorted, in lower case; `None` for `*` (§4.1).

    And for what cannot be a name, like `Accept Cookie`: no request could differ in it.
    """
    names = {name.strip(" \t").lower() for name in response.get("vary", "").split(",")} - {""}
    readable = all(map(_NAME.fullmatch, names))
    return tuple(sorted(names)) if readable and "*" not in names else None


def vary_values(names: tuple[str, ...], request: Headers) -> tuple[str | None, ...]:
    """What a request has in the fields that select an answer (RFC 9111 §4.1), to be compared.

    Normalised as far as their meaning is known: `gzip, br` and `br,gzip;q=1` ask for the same.
    """
    return tuple(
        _normalise(name, ", ".join(lines)) if (lines := request.getlist(name)) else None
        for name in names
    )


def invalidated_targets(method: str, status: int, url: str, response: Headers) -> list[str]:
    """URLs whose stored answers a request has made invalid (RFC 9111 §4.4).

    A successful answer to an unsafe method invalidates its own URL, and those of `Location` and
    `Content-Location` on the same host.
    """
    if method in ("GET", "HEAD", "OPTIONS", "TRACE", "QUERY") or not 200 <= status <= 399:
        return []
    targets = [url]
    origin = origin_of(*urlsplit(url)[:2])
    for name in ("location", "content-location"):
        try:
            reference = response.get(name, "")
            other = urljoin(url, reference)
            parts = urlsplit(other)
        except ValueError:  # no URL at all
            continue
        if has_empty_query(reference):
            # Another resource than without (RFC 3986 §6.2.3), and not that of the base (§5.2.2).
            other = f"{urldefrag(other).url.partition('?')[0]}?"
        if origin_of(*parts[:2]) == origin and other not in targets:
            targets.append(other)
    return targets


def _has_lifetime(control: CacheControl, response: Headers) -> bool:
    return "s-maxage" in control or "max-age" in control or "expires" in response


def _is_heuristic(control: CacheControl, response: Headers) -> bool:
    """Whether something is gained by storing an answer that says no lifetime."""
    return "last-modified" in response or "etag" in response or "public" in control


def _sets_cookies(control: CacheControl, response: Headers) -> bool:
    """RFC 9111 §7.3 leaves it to the origin; here it has to say that it means it, by name."""
    return "set-cookie" in response and "set-cookie" not in own_field_names(control)


def _normalise(name: str, value: str) -> str:
    """Only what is known to mean the same is the same (RFC 9111 §4.1).

    A field with anything but values and weights stays as it is: what one reader passes over, since
    it is malformed or comes after many others, decides for another one. Spaces of other fields may
    mean anything.
    """
    if name not in ("accept", "accept-encoding", "accept-language"):
        return value
    members: list[str] = []
    for member in split_list(value):
        match = _WEIGHTED.fullmatch(member)
        if match is None:
            return value
        members.append(f"{match[1].lower()};{float(match[2] or 1)}")
    return "\n".join(["", *sorted(members)])  # which no field as it is can be
