"""`Router`: where handlers, middleware, converters and exception handlers are registered.

Owns registration. What one call may register is checked in `checks.py`; what needs the whole
application (prefixes, converters, conflicts) when the app is frozen, in `compile.py`. A router
answers no request itself. `httpkit.App` is the outermost router.
"""

from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, TypedDict, TypeVar, Unpack

from httpkit.errors import ConfigurationError
from httpkit.routing.checks import (
    check_exception_kind,
    check_handler,
    check_lifespan,
    check_limits,
    check_methods,
    check_prefix,
)
from httpkit.routing.converters import BUILT_IN, Converter
from httpkit.routing.definitions import (
    SERVERS_LIMITS,
    BodyLimit,
    BodyLimits,
    Definitions,
    ExceptionHandler,
    Inclusion,
    Lifespan,
    RouteDefinition,
)
from httpkit.routing.handlers import (
    Source,
    check_exception_handler,
    check_middleware,
    describe,
    is_asynchronous,
    take_middleware,
)
from httpkit.routing.pattern import parse_pattern
from httpkit.routing.websocket import (
    Compression,
    WebSocketHandler,
    WebSocketOptions,
    make_settings,
)
from httpkit.static import StaticFiles, StaticOptions
from httpkit.types import Handler, Middleware

__all__ = ["RouteOptions", "Router"]

H = TypeVar("H", bound=Handler)
M = TypeVar("M", bound=Middleware)
E = TypeVar("E", bound=ExceptionHandler)


class RouteOptions(TypedDict, total=False):
    """What every route takes besides its pattern; see `Router.route`."""

    name: str | None
    middleware: Iterable[Middleware]
    max_body: BodyLimit
    min_body_rate: BodyLimit
    thread: bool


class Router:
    """A group of routes with a prefix, middleware, converters and exception handlers of its own.

    Args:
        prefix: stands in front of every pattern, e.g. `/api`; may have parameters.
        middleware: wraps every route of this router; the first is the outermost.
        lifespan: called with the app around; an async context manager entered at start.

    Raises:
        ConfigurationError: a malformed prefix, middleware that cannot be called, or a lifespan
            that is no context manager.
    """

    def __init__(
        self,
        prefix: str = "",
        *,
        middleware: Iterable[Middleware] = (),
        lifespan: Lifespan | None = None,
    ) -> None:
        check_lifespan(lifespan)
        #: What has been registered here; for the compiler.
        self.definitions = Definitions(check_prefix(prefix), lifespan)
        self.definitions.middleware.extend(take_middleware(middleware))

    # --- routes ------------------------------------------------------------------------------

    def route(
        self,
        pattern: str,
        methods: Iterable[str] = ("GET",),
        *,
        name: str | None = None,
        middleware: Iterable[Middleware] = (),
        max_body: BodyLimit = ...,
        min_body_rate: BodyLimit = ...,
        thread: bool = False,
    ) -> Callable[[H], H]:
        """Decorate a handler: `handler(request, **parameters)` answers `pattern`.

        `def` handlers run on the event loop and must not block; `thread=True` runs one in the
        app's bounded pool, with the context variables of the request. A GET route answers HEAD
        too; OPTIONS is answered from the routes. Both can be routed explicitly.

        Args:
            pattern: `/users/{id:int}`; converters are `str` (the default), `int`, `float`,
                `uuid`, `path` and those of `converter`. May be empty behind a prefix.
            methods: names of methods, in upper case.
            name: for `url_for`; unique, except for one pattern with several methods.
            middleware: for this route only, inside that of the router.
            max_body: limit for the request body in bytes, `None` for none; by default the
                server's limit holds.
            min_body_rate: bytes a second that the request body must reach on average after the
                server's grace, `None` for any; by default the server's limit holds.
            thread: run a `def` handler in a thread.

        Raises:
            ConfigurationError: at once or when the app is frozen; says what to change.
        """
        self._check_open()
        parse_pattern(pattern)
        checked = check_methods(methods)
        wrappers = take_middleware(middleware)
        limits = BodyLimits(max_body, min_body_rate)
        check_limits(pattern, limits)

        def register(handler: H) -> H:
            self._check_open()
            check_handler(pattern, handler, thread=thread)
            definition = RouteDefinition(
                pattern, checked, handler, describe(handler), name, wrappers, limits, thread
            )
            self.definitions.routes.append(definition)
            return handler

        return register

    def get(self, pattern: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """`route` with GET (RFC 9110 §9.3.1), and HEAD with it."""
        return self.route(pattern, ("GET",), **options)

    def head(self, pattern: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """`route` with HEAD (RFC 9110 §9.3.2); takes precedence over the one that GET brings."""
        return self.route(pattern, ("HEAD",), **options)

    def post(self, pattern: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """`route` with POST (RFC 9110 §9.3.3)."""
        return self.route(pattern, ("POST",), **options)

    def put(self, pattern: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """`route` with PUT (RFC 9110 §9.3.4)."""
        return self.route(pattern, ("PUT",), **options)

    def delete(self, pattern: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """`route` with DELETE (RFC 9110 §9.3.5)."""
        return self.route(pattern, ("DELETE",), **options)

    def options(self, pattern: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """`route` with OPTIONS (RFC 9110 §9.3.7); replaces the automatic answer."""
        return self.route(pattern, ("OPTIONS",), **options)

    def patch(self, pattern: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """`route` with PATCH (RFC 5789)."""
        return self.route(pattern, ("PATCH",), **options)

    def query(self, pattern: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """`route` with QUERY (a safe method with a body, draft-ietf-httpbis-safe-method-w-body)."""
        return self.route(pattern, ("QUERY",), **options)

    def websocket(
        self,
        pattern: str,
        *,
        name: str | None = None,
        middleware: Iterable[Middleware] = (),
        subprotocols: Iterable[str] = (),
        origins: Iterable[str] = (),
        compression: Compression | None = None,
        **limits: Unpack[WebSocketOptions],
    ) -> Callable[[H], H]:
        """Decorate a WebSocket handler: `async def handler(ws, **parameters)`; see `WebSocket`.

        A WebSocket route is a GET route that checks the handshake, behind the same middleware.

        Args:
            pattern: as for `route`.
            name: for `url_for`.
            middleware: for this route only.
            subprotocols: that the handler speaks, the favorite first; `accept` takes the first
                one that the client offers.
            origins: pages that may open it in a browser besides those of the same host, such as
                `https://example.com`; `*` for all. Others are refused with 403.
            compression: whether permessage-deflate is taken where the client offers it, or how:
                `DeflateOptions`. Without, the app says it.
            **limits: `max_message`, `slow_client` and so on, instead of the server's.

        Raises:
            ConfigurationError: at once or when the app is frozen; says what to change.
        """
        self._check_open()
        parse_pattern(pattern)
        wrappers = take_middleware(middleware)
        settings = make_settings(pattern, subprotocols, origins, limits, compression=compression)

        def register(handler: H) -> H:
            self._check_open()
            check_handler(pattern, handler, thread=False)
            if not is_asynchronous(handler):
                raise ConfigurationError(f"{describe(handler)} is not async: write async def")
            definition = RouteDefinition(
                pattern,
                ("GET",),
                WebSocketHandler(handler, settings),
                describe(handler),
                name,
                wrappers,
                SERVERS_LIMITS,
                thread=False,
            )
            self.definitions.routes.append(definition)
            return handler

        return register

    # --- other routers -----------------------------------------------------------------------

    def include(self, router: "Router", *, prefix: str = "", name: str | None = None) -> None:
        """Take in the routes of another router, behind `prefix` and the router's own prefix.

        Its routes stand beside the ones here, with equal rights; its middleware wraps only them.

        Args:
            router: a Router or App; the same one may be included again elsewhere.
            prefix: stands in front of the router's prefix.
            name: puts its route names into a namespace: `url_for("name:user")`.

        Raises:
            ConfigurationError: a malformed prefix, or not a Router.
        """
        self._add(Inclusion(check_prefix(prefix), _check_router(router), name, mounted=False))

    def mount(self, prefix: str, router: Any, *, name: str | None = None) -> None:
        """Hand everything below `prefix` to another router or app, or to an ASGI or WSGI app.

        As `include`, but the prefix belongs to the mounted router: what is not found below it is
        answered 404 or 405 through its middleware and exception handlers, and no parameter of a
        route outside reaches into it. The longest prefix wins; `/` takes all that is left.

        An application of another framework gets every request below the prefix, whatever its
        method, inside the middleware here; its lifespan is entered with those of routers. It finds
        the prefix as `root_path` of its scope, or as `SCRIPT_NAME`.

        Args:
            prefix: where it begins, e.g. `/admin`, or `/`.
            router: a Router or App, or an ASGI (version 3) or WSGI application.
            name: puts its route names into a namespace: `url_for("name:user")`.

        Raises:
            ConfigurationError: a malformed prefix, or nothing that answers requests.
        """
        if not prefix:
            raise ConfigurationError('mount needs a prefix: write "/" to mount at the root')
        checked = check_prefix("" if prefix == "/" else prefix)
        if not isinstance(router, Router):
            from httpkit.hosting import make_router  # noqa: PLC0415 - a door to layer 4

            router = make_router(router)
        self._add(Inclusion(checked, router, name, mounted=True))

    def static(
        self,
        prefix: str,
        directory: str | PathLike[str],
        *,
        name: str | None = None,
        middleware: Iterable[Middleware] = (),
        **options: Unpack[StaticOptions],
    ) -> StaticFiles:
        """Serve the files of a directory below `prefix`, as a mount.

        Nothing outside of the directory is served, whatever the path and whatever links there are.
        What is not served is 404, with this router's middleware around. Answers have `ETag` and
        `Last-Modified`; conditions and ranges of requests are answered by them (RFC 9110 §13, §14).
        Small files are kept in memory.

        Args:
            prefix: where it begins, e.g. `/static`, or `/`.
            directory: of the files; a relative one begins at the current directory. It may be a
                link that is switched to another one while it is served.
            name: for `url_for(name, path="app.css")`.
            middleware: around these files only.
            **options: see `StaticOptions`.

        Returns:
            The handler, which knows how often it has read the disk.

        Raises:
            ConfigurationError: a malformed prefix, no such directory, or an option that makes no
                sense.
        """
        handler = StaticFiles(directory, **options)
        source = Source("httpkit.static.StaticFiles", handler.directory, 0)
        router = Router(middleware=middleware)
        router.definitions.missing = handler.answer_unrouted
        router.definitions.routes.append(
            RouteDefinition(
                "/{path:path}", ("GET",), handler, source, name, (), SERVERS_LIMITS, thread=False
            )
        )
        self.mount(prefix, router)
        return handler

    def _add(self, inclusion: Inclusion) -> None:
        self._check_open()
        self.definitions.inclusions.append(inclusion)

    # --- what wraps routes -------------------------------------------------------------------

    def middleware(self, function: M) -> M:
        """Decorate a middleware: `async def name(request, next)` around every route of this router.

        The first one added is the outermost. It must return a Response: that of
        `await next(request)`, changed or not, or one of its own. A handler that is cancelled
        because its client went away raises `asyncio.CancelledError` through it.

        Raises:
            ConfigurationError: it does not take `(request, next)`, or the app is frozen.
        """
        self.add_middleware(function)
        return function

    def add_middleware(self, function: Middleware) -> None:
        """`middleware`, not as a decorator."""
        self._check_open()
        check_middleware(function)
        self.definitions.middleware.append(function)

    def exception_handler(self, kind: type[Exception] | int) -> Callable[[E], E]:
        """Decorate `handler(request, exception)`: answers an exception of this router's routes.

        Handlers are `def` or `async def` and return what a route's handler may; a value that is
        not a Response gets the status of the error. The closest class wins, then a status (404),
        then `HTTPError`. The handlers of the inner router come before those around it. `Exception`
        and 500 stand for everything unexpected: logged first, and in debug mode answered with a
        traceback instead.

        Args:
            kind: a class of exceptions, or a status from 400 to 599.

        Raises:
            ConfigurationError: not such a kind, a handler that takes other arguments, a second one
                for this kind, or the app is frozen.
        """
        self._check_open()
        check_exception_kind(kind)

        def register(handler: E) -> E:
            self._check_open()
            check_exception_handler(handler)
            present = self.definitions.exception_handlers.setdefault(kind, handler)
            if present is not handler:
                raise ConfigurationError(
                    f"{kind!r} has two exception handlers: {describe(present)} and "
                    f"{describe(handler)}; remove one"
                )
            return handler

        return register

    def converter(self, name: str, converter: Converter | type[Converter]) -> None:
        """Register a converter for `{parameter:name}` in the patterns of this router and below.

        Args:
            name: an identifier, not that of a built-in converter.
            converter: an object with `convert(text) -> value`, where `ValueError` means that it
                does not match, and `to_string(value) -> str`; or a class of such objects.

        Raises:
            ConfigurationError: the name is taken or malformed, or a method is missing.
        """
        self._check_open()
        if name in BUILT_IN or name in self.definitions.converters or not name.isidentifier():
            raise ConfigurationError(
                f"converter {name!r}: the name must be an identifier that is not taken"
            )
        instance: Any = converter() if isinstance(converter, type) else converter
        if not isinstance(instance, Converter):
            raise ConfigurationError(
                f"converter {name!r} needs the methods convert(text) and to_string(value)"
            )
        self.definitions.converters[name] = instance

    def _check_open(self) -> None:
        if self.definitions.frozen:
            raise ConfigurationError(
                "the app is frozen: register routes, middleware and handlers before it serves"
            )


def _check_router(router: object) -> "Router":
    if not isinstance(router, Router):
        raise ConfigurationError(f"{router!r} is not an httpkit Router or App")
    return router
