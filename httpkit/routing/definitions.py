"""What has been registered, as plain data: written by `router.py`, read once by `compile.py`.

A definition is never changed by compiling it, so the same router can be included several times.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple

from httpkit.request import Request
from httpkit.response import Response
from httpkit.routing.converters import Converter
from httpkit.routing.handlers import Source
from httpkit.types import Handler, Middleware

if TYPE_CHECKING:
    from httpkit.app import App
    from httpkit.routing.router import Router

__all__ = [
    "SERVERS_LIMITS",
    "BodyLimit",
    "BodyLimits",
    "Definitions",
    "ExceptionHandler",
    "HostDefinition",
    "Inclusion",
    "Lifespan",
    "RouteDefinition",
]

#: Called with the app; what it gives is entered before the first request.
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
#: `(request, exception)` to anything that `to_response` takes, or an awaitable of it.
ExceptionHandler = Callable[[Request, Any], Awaitable[Any] | Any]


#: A number, `None` for no limit, `...` for the server's.
BodyLimit = int | EllipsisType | None


class BodyLimits(NamedTuple):
    """What a route says about the bodies of its requests.

    Attributes:
        max_body: bytes.
        min_body_rate: bytes a second, after the grace.
    """

    max_body: BodyLimit = ...
    min_body_rate: BodyLimit = ...


#: Those of a route that says nothing.
SERVERS_LIMITS = BodyLimits()


@dataclass(slots=True, frozen=True)
class RouteDefinition:
    """One call of `Router.route`.

    Attributes:
        limits: of the bodies of its requests.
        thread: run the handler in the thread pool.
    """

    pattern: str
    methods: tuple[str, ...]
    handler: Handler
    source: Source
    name: str | None
    middleware: tuple[Middleware, ...]
    limits: BodyLimits
    thread: bool


@dataclass(slots=True, frozen=True)
class Inclusion:
    """One call of `Router.include`, or of `Router.mount` where `mounted`."""

    prefix: str
    router: "Router"
    name: str | None
    mounted: bool


@dataclass(slots=True, frozen=True)
class HostDefinition:
    """One call of `App.host`."""

    pattern: str
    router: "Router"
    name: str | None


@dataclass(slots=True)
class Definitions:
    """Everything registered with one router.

    Attributes:
        app: the App that this router is, or `None` for a plain router.
        frozen: set by the first compilation; nothing may be registered afterwards.
        missing: asked for an answer to a GET or HEAD below a mount that no route takes; `None` from
            it means the ordinary 404.
    """

    prefix: str
    lifespan: Lifespan | None
    app: "App | None" = None
    frozen: bool = False
    routes: list[RouteDefinition] = field(default_factory=list)
    inclusions: list[Inclusion] = field(default_factory=list)
    hosts: list[HostDefinition] = field(default_factory=list)
    middleware: list[Middleware] = field(default_factory=list)
    converters: dict[str, Converter] = field(default_factory=dict)
    exception_handlers: dict[type[Exception] | int, ExceptionHandler] = field(default_factory=dict)
    missing: Callable[[Request], Awaitable[Response | None]] | None = None
