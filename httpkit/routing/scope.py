"""`Scope`: one router at one place of the app, with everything that holds there.

Owns inheritance: prefixes, middleware, exception handlers, converters and namespaces of the
routers around, resolved from the outside in. A router that is included twice has two scopes.
Made and used by `compile.py`.
"""

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING

from httpkit.error_handlers import ErrorHandlers
from httpkit.errors import HTTPError
from httpkit.middleware.compose import Layer, Responder
from httpkit.request import Request
from httpkit.response import Response
from httpkit.routing.converters import BUILT_IN, Converter
from httpkit.routing.definitions import SERVERS_LIMITS, BodyLimits, Definitions
from httpkit.routing.endpoint import Endpoint, build_endpoint
from httpkit.routing.route import Unmatched, answer_unmatched
from httpkit.types import Handler, Middleware

if TYPE_CHECKING:
    from httpkit.app import App

__all__ = ["Scope"]


class Scope:
    """Where a route lives.

    Attributes:
        app: the innermost App.
        parent: the scope around, or `None` for the outermost app.
        prefix: of every pattern here.
        namespace: of every name here.
        errors: the exception handlers that hold here.
        middleware: the outermost first, each with the exception handlers of its own router.
        missing: see `Definitions`.
        unmatched: answers requests below a mount that no route takes, see `seal`.
    """

    __slots__ = (
        "app",
        "converters",
        "errors",
        "middleware",
        "missing",
        "namespace",
        "parent",
        "prefix",
        "unmatched",
    )

    app: "App"
    errors: ErrorHandlers
    middleware: tuple[tuple[Middleware, ErrorHandlers], ...]
    unmatched: Endpoint

    def __init__(
        self, definitions: Definitions, parent: "Scope | None", prefix: str, namespace: str
    ) -> None:
        app = definitions.app or (parent.app if parent is not None else None)
        assert app is not None, "the outermost router is an App"
        self.app = app
        self.parent = parent
        self.prefix = prefix + definitions.prefix
        self.namespace = namespace
        self.converters: dict[str, Converter] = definitions.converters
        self.missing = definitions.missing
        debug = app.debug if parent is None else parent.errors.debug
        outer = parent.errors.tables if parent is not None else ()
        self.errors = ErrorHandlers((definitions.exception_handlers, *outer), debug=debug)
        around = parent.middleware if parent is not None else ()
        own = tuple((each, self.errors) for each in definitions.middleware)
        self.middleware = around + own

    def find_converter(self, name: str) -> Converter | None:
        """The converter of a name: the innermost router's, at last a built-in one."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.converters:
                return scope.converters[name]
            scope = scope.parent
        return BUILT_IN.get(name)

    def inner_namespace(self, name: str | None) -> str:
        """The namespace of a router that is included here under a name."""
        return ":".join(part for part in (self.namespace, name) if part)

    def common(self, other: "Scope") -> "Scope":
        """The innermost scope around both."""
        mine = list(self._outwards())
        return next(scope for scope in other._outwards() if scope in mine)  # noqa: SLF001

    def _outwards(self) -> "Iterable[Scope]":
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def build(
        self,
        handler: Handler,
        *,
        parameters: bool = False,
        thread: bool = False,
        middleware: Iterable[Middleware] = (),
        limits: BodyLimits = SERVERS_LIMITS,
    ) -> Endpoint:
        """Compose a handler of this scope with everything around it."""
        wrappers = [*self.middleware, *((each, self.errors) for each in middleware)]
        layers = [Layer(each, errors.respond) for each, errors in wrappers]
        respond: Responder = self.errors.respond
        if layers:
            # Only the outermost layer answers what is unexpected.
            layers[0] = Layer(layers[0].middleware, _outermost(wrappers[0][1], self.errors))
        else:
            respond = self.errors.conclude
        return build_endpoint(
            handler,
            parameters=parameters,
            threads=self.app.threads if thread else None,
            layers=layers,
            respond=respond,
            limits=limits,
        )

    def seal(self) -> "Scope":
        """Make the endpoint for requests that no route takes."""
        if not hasattr(self, "unmatched"):
            self.unmatched = self.build(
                answer_unmatched if self.missing is None else self._answer_unmatched
            )
        return self

    async def _answer_unmatched(self, request: Request) -> Response:
        """As `answer_unmatched`, after whoever may have something for what is missing."""
        route = request.route
        assert isinstance(route, Unmatched)
        assert self.missing is not None
        error = route.answer
        if (
            isinstance(error, HTTPError)
            and error.status == 404
            and request.method in ("GET", "HEAD")
            and (found := await self.missing(request)) is not None
        ):
            return found
        return answer_unmatched(request)


def _outermost(outer: ErrorHandlers, inner: ErrorHandlers) -> Responder:
    """Expected exceptions by the layer's own handlers, unexpected ones by those of the route."""

    def respond(request: Request, error: Exception) -> Response | Awaitable[Response]:
        answer = outer.respond(request, error)
        return inner.fail(request, error) if answer is None else answer

    return respond
