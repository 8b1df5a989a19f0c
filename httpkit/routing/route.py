"""What a request knows of the road it took: `Route`, and `Unmatched` where there was none.

Both are `httpkit.types.MatchedRoute`. Owns building URLs by name, and shortcuts to a route by raw
targets. Made by `compile.py` and `dispatch.py`.
"""

import copy
from collections.abc import Awaitable, Callable, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple

from httpkit.errors import HTTPError
from httpkit.request import Request
from httpkit.response import Response
from httpkit.routing.endpoint import Endpoint
from httpkit.routing.handlers import Source
from httpkit.routing.hosts import HostPattern
from httpkit.routing.pattern import Pattern

if TYPE_CHECKING:
    from httpkit.app import App

__all__ = ["Names", "Route", "RouteInfo", "Unmatched", "answer_unmatched"]


class RouteInfo(NamedTuple):
    """One line of `App.routes()`.

    Attributes:
        methods: as registered.
        host: the pattern of the host, or `None` for every other host.
        pattern: the whole pattern, prefixes included.
        name: with its namespace, e.g. `admin:user`.
        handler: module and qualified name.
        source: `file:line` of the handler.
        middleware: qualified names, the outermost first.
        max_body: bytes, `None` for no limit, `...` for the server's.
        min_body_rate: bytes a second, likewise.
        websocket: it is for WebSockets, which ask for it with GET.
    """

    methods: tuple[str, ...]
    host: str | None
    pattern: str
    name: str | None
    handler: str
    source: str
    middleware: tuple[str, ...]
    max_body: int | EllipsisType | None
    min_body_rate: int | EllipsisType | None
    websocket: bool = False


class Names:
    """The named routes of an app, by namespace and name."""

    __slots__ = ("_routes",)

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}

    def add(self, name: str, route: "Route") -> "Route":
        """Enter a route; return the one that has the name."""
        return self._routes.setdefault(name, route)

    def build(self, namespace: str, name: str, parameters: Mapping[str, Any]) -> str:
        """The URL of a name, looked for in this namespace and then in those around it.

        Raises:
            LookupError: no such name, or a parameter is missing.
            ValueError: a value that the route does not match.
        """
        while True:
            route = self._routes.get(f"{namespace}:{name}" if namespace else name)
            if route is not None:
                return route.build(parameters)
            if not namespace:
                raise LookupError(f"no route is named {name!r}; give one name={name!r}")
            namespace = namespace.rpartition(":")[0]


class Route:
    """A route as it is served.

    Attributes:
        endpoint: takes the request; set last, when everything around the handler is known.
        names: what the values that the tree collects are called, in their order.
        path: the whole pattern.
        host: the pattern of its host, or `None`.
        app: the innermost App it belongs to.
        shortcuts: the routes of its host by method and raw target.
    """

    __slots__ = (
        "app",
        "endpoint",
        "host",
        "names",
        "namespace",
        "path",
        "registry",
        "shortcuts",
        "source",
    )

    endpoint: Endpoint
    shortcuts: "dict[str, dict[bytes, Route]]"

    def __init__(
        self,
        path: Pattern,
        *,
        host: HostPattern | None,
        source: Source,
        app: "App",
        namespace: str,
        registry: Names,
    ) -> None:
        self.path = path
        self.host = host
        self.source = source
        self.app = app
        self.namespace = namespace
        self.registry = registry
        self.names = path.names

    @property
    def pattern(self) -> str:
        """The whole pattern, prefixes of mounts included, e.g. `/users/{id:int}`."""
        return self.path.text

    def url_path_for(self, name: str, /, **params: Any) -> str:
        """The URL of a named route, see `App.url_for`; names of its own namespace come first."""
        return self.registry.build(self.namespace, name, params)

    def build(self, parameters: Mapping[str, Any]) -> str:
        """The URL of this route: a path, or `//host/path` where it has a host of its own."""
        if self.host is None or not self.host.buildable:
            return self.path.build(parameters)
        rest = dict(parameters)
        host = self.host.build(rest)
        return f"//{host}{self.path.build(rest)}"

    def learn(self, request: Request) -> Callable[[], None] | None:
        """Let requests with the same raw target find this route without being decoded.

        For handlers that answer some targets very often, and bound how many those are.

        Returns:
            What makes the router forget it. `None` if nothing was learned: the target is not the
            one canonical spelling, or the host has parameters.
        """
        params, endpoint = request.path_params, self.endpoint
        if len(params) != len(self.names) or self.path.build(params).encode() != request.target:
            return None

        def go(request: Request) -> Response | Awaitable[Response]:
            request.path_params = dict(params)
            return endpoint(request)

        shortcut = copy.copy(self)
        shortcut.endpoint = go
        known, target = self.shortcuts[request.method], request.target
        known[target] = shortcut

        def forget() -> None:
            known.pop(target, None)

        return forget

    def __repr__(self) -> str:
        return f"<Route {self.pattern} {self.source}>"


class Unmatched:
    """Stands in for the route of a request that none takes.

    Attributes:
        answer: what the client gets, or the error that says so.
        app: the App that answers.
    """

    __slots__ = ("answer", "app", "namespace", "registry")

    #: Nothing matched.
    pattern = ""

    def __init__(
        self, answer: Response | HTTPError, *, app: "App", namespace: str, registry: Names
    ) -> None:
        self.answer = answer
        self.app = app
        self.namespace = namespace
        self.registry = registry

    def url_path_for(self, name: str, /, **params: Any) -> str:
        """As `Route.url_path_for`, so that an error page can have links."""
        return self.registry.build(self.namespace, name, params)

    def learn(self, request: Request) -> None:
        """As `Route.learn`; there is nothing to be learned."""


def answer_unmatched(request: Request) -> Response:
    """The handler behind everything that is not routed; runs inside the middleware."""
    route = request.route
    assert isinstance(route, Unmatched)
    answer = route.answer
    if isinstance(answer, HTTPError):
        # Another one: if the route had what is raised, whose traceback leads here and so to the
        # route, both would live until the garbage collector finds the circle.
        raise HTTPError(answer.status, answer.detail, answer.headers)
    return answer
