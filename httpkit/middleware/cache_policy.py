"""`cache(...)`: what an answer says about being stored (RFC 9111 §5.2.2, RFC 5861, RFC 8246).

Owns the writing of `Cache-Control` and `Expires`; stores nothing itself, see `ResponseCache`.
"""

import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from httpkit.errors import ConfigurationError
from httpkit.request import Request
from httpkit.response import Response, to_response
from httpkit.semantics.cache_control import CacheControl
from httpkit.semantics.dates import format_http_date
from httpkit.types import Next

__all__ = ["CachePolicy", "cache"]

H = TypeVar("H", bound=Callable[..., Any])


def cache(
    max_age: int | None = None,
    *,
    public: bool = False,
    private: bool = False,
    s_maxage: int | None = None,
    stale_while_revalidate: int | None = None,
    stale_if_error: int | None = None,
    must_revalidate: bool = False,
    no_cache: bool = False,
    no_store: bool = False,
    no_transform: bool = False,
    immutable: bool = False,
    clock: Callable[[], float] = time.time,
) -> "CachePolicy":
    """Say how long answers may be stored, and by whom: `Cache-Control` and `Expires`.

    Decorates a handler, below the route, or is the middleware of a route, a router or an app:

        @app.get("/prices")
        @cache(max_age=60, public=True, stale_while_revalidate=30)
        async def prices(request: Request) -> dict[str, int]: ...

        app.mount("/docs", Router(middleware=[cache(max_age=3600)]))

    Holds for answers to GET and HEAD below 400 that have no `Cache-Control` of their own: the
    handler's word counts first, then the innermost policy. An answer that sets a cookie becomes
    `private`, whatever the policy: nobody else's browser may get that cookie from a cache.

    Args:
        max_age: seconds that an answer is fresh (RFC 9111 §5.2.2.1). Makes `Expires`, too.
        public: anybody may store it, even if the request had Authorization (§5.2.2.9).
        private: only the client itself may (§5.2.2.7).
        s_maxage: seconds for caches that serve many, `ResponseCache` among them (§5.2.2.10).
        stale_while_revalidate: seconds that a stale answer may be sent while a new one is fetched
            (RFC 5861 §3).
        stale_if_error: seconds that it may be sent if that fails (RFC 5861 §4).
        must_revalidate: never send it stale (§5.2.2.2).
        no_cache: ask before each use (§5.2.2.4).
        no_store: store nothing of it (§5.2.2.5).
        no_transform: leave it as it is: `Compress` does (§5.2.2.6).
        immutable: do not even ask when a page is loaded anew (RFC 8246).
        clock: gives the Unix time, for `Expires`.

    Raises:
        ConfigurationError: directives that contradict each other, or what is no number of seconds.
    """
    seconds = {
        "max-age": max_age,
        "s-maxage": s_maxage,
        "stale-while-revalidate": stale_while_revalidate,
        "stale-if-error": stale_if_error,
    }
    flags = {
        "public": public,
        "private": private,
        "no-cache": no_cache,
        "no-store": no_store,
        "no-transform": no_transform,
        "must-revalidate": must_revalidate,
        "immutable": immutable,
    }
    directives: dict[str, str | None] = {name: None for name, given in flags.items() if given}
    for name, value in seconds.items():
        # RFC 9111 §1.2.2: digits only. Who reads `max-age=30.0` takes it for nothing, or for 0.
        if value is not None and (not isinstance(value, int) or value < 0):
            raise ConfigurationError(f"cache: {name} is {value!r}: give whole seconds, 0 or more")
        if value is not None:
            directives[name] = str(value)
    _check(directives)
    return CachePolicy(CacheControl(directives), max_age, clock)


class CachePolicy:
    """What `cache` makes: a middleware, and a decorator of handlers."""

    def __init__(
        self, control: CacheControl, max_age: int | None, clock: Callable[[], float]
    ) -> None:
        self._max_age = max_age
        self._clock = clock
        self._shared = str(control)
        # What holds for an answer that sets a cookie.
        own = {
            name: value
            for name, value in control.directives.items()
            if name not in ("public", "s-maxage")
        }
        self._private = str(CacheControl({"private": None} | own))

    @overload
    def __call__(self, handler: H, /) -> H: ...
    @overload
    def __call__(self, request: Request, next: Next, /) -> Awaitable[Response]: ...
    def __call__(self, subject: Any, next: Next | None = None, /) -> Any:
        """Answer as a middleware, or decorate a handler."""
        return self._decorate(subject) if next is None else self._answer(subject, next)

    async def _answer(self, request: Request, next: Next) -> Response:
        return self._apply(request, await next(request))

    def _decorate(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        async def finish(request: Request, value: Awaitable[Any]) -> Response:
            return self._apply(request, to_response(await value))

        if inspect.iscoroutinefunction(handler):

            @functools.wraps(handler)
            async def asynchronous(request: Request, /, *args: Any, **kwargs: Any) -> Response:
                return await finish(request, handler(request, *args, **kwargs))

            return asynchronous

        @functools.wraps(handler)
        def decorated(request: Request, /, *args: Any, **kwargs: Any) -> Any:
            value = handler(request, *args, **kwargs)
            if hasattr(value, "__await__"):  # an object with `async def __call__`
                return finish(request, value)
            return self._apply(request, to_response(value))

        return decorated

    def _apply(self, request: Request, response: Response) -> Response:
        if request.method not in ("GET", "HEAD") or not 200 <= response.status < 400:
            return response
        names = {name for name, _ in response.raw_headers}
        if b"cache-control" in names:
            return response
        response = response.copy()
        headers = response.headers
        headers["cache-control"] = self._private if b"set-cookie" in names else self._shared
        if self._max_age is not None and b"expires" not in names:
            headers["expires"] = format_http_date(self._clock() + self._max_age)
        return response


def _check(directives: dict[str, str | None]) -> None:
    if not directives:
        raise ConfigurationError("cache() says nothing: give max_age, no_cache or no_store")
    contradictions = (
        ("public", "private"),
        ("private", "s-maxage"),
        ("no-store", "public"),
        ("no-store", "max-age"),
        ("no-store", "s-maxage"),
        ("no-store", "immutable"),
        ("no-cache", "immutable"),
        ("must-revalidate", "stale-while-revalidate"),
        ("must-revalidate", "stale-if-error"),
    )
    for one, other in contradictions:
        if one in directives and other in directives:
            raise ConfigurationError(f"cache: {one} and {other} contradict each other")
