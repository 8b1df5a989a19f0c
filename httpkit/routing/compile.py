"""Compilation: from what was registered to what is served, once, when the app is frozen.

Owns the walk over the tree of routers and with it every check that needs the whole application:
unknown converters, handlers that do not take their parameters, conflicts, routers that contain
themselves. Raises `ConfigurationError` with the place of the handler. Called by `App.on_freeze`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from httpkit.errors import ConfigurationError
from httpkit.routing.definitions import Definitions, Inclusion, Lifespan, RouteDefinition
from httpkit.routing.dispatch import Dispatcher
from httpkit.routing.endpoint import Endpoint
from httpkit.routing.handlers import check_parameters, describe
from httpkit.routing.hosts import HostPattern, Hosts
from httpkit.routing.pattern import Pattern
from httpkit.routing.route import Names, Route, RouteInfo
from httpkit.routing.scope import Scope
from httpkit.routing.table import RouteTable
from httpkit.routing.websocket import WebSocketHandler

if TYPE_CHECKING:
    from httpkit.app import App

__all__ = ["Compiled", "compile_app"]


class Compiled:
    """A frozen app.

    Attributes:
        dispatcher: answers requests.
        static: the static routes by method and raw target, empty where the host decides first.
        routes: one entry for each registered route.
        lifespans: each with the app that it is called with, the outermost first.
        apps: every App that takes part, the outermost first.
    """

    __slots__ = ("apps", "dispatcher", "lifespans", "routes", "static")

    def __init__(self) -> None:
        self.dispatcher: Dispatcher
        self.static: dict[str, dict[bytes, Route]] = {}
        self.routes: list[RouteInfo] = []
        self.lifespans: list[tuple[Lifespan, App]] = []
        self.apps: list[App] = []


def compile_app(
    app: "App",
    *,
    redirect_slashes: bool,
    watch: Callable[[Endpoint], Endpoint] | None = None,
) -> Compiled:
    """Check and compose everything below an app; freezes each router on the way.

    Args:
        app: the outermost one.
        redirect_slashes: see `App`.
        watch: wraps every endpoint; the watchdog of debug mode.

    Raises:
        ConfigurationError: the first mistake, with its place and what to change.
    """
    return _Compiler(watch).compile(app, redirect_slashes=redirect_slashes)


class _Compiler:
    def __init__(self, watch: Callable[[Endpoint], Endpoint] | None) -> None:
        self._watch = watch
        self._names = Names()
        self._compiled = Compiled()
        #: The routers around the one that is being compiled.
        self._around: list[Definitions] = []
        self._seen: set[int] = set()

    def compile(self, app: "App", *, redirect_slashes: bool) -> Compiled:
        definitions = app.definitions
        root = Scope(definitions, None, "", "")
        table = RouteTable(root)
        self._add_router(definitions, root, table, None)
        hosts = Hosts(table)
        tables = [table]
        for host in definitions.hosts:
            pattern = HostPattern(host.pattern)
            namespace = root.inner_namespace(host.name)
            scope = Scope(host.router.definitions, root, "", namespace)
            own = RouteTable(scope)
            present = hosts.add(pattern, own)
            if present is not pattern:
                raise ConfigurationError(
                    f"hosts {present.text!r} and {pattern.text!r} match the same requests; "
                    "register the routes of both with one app"
                )
            tables.append(own)
            self._around.append(definitions)
            self._add_router(host.router.definitions, scope, own, pattern)
            self._around.pop()
        methods: set[str] = set()
        for each in tables:
            each.finish()
            methods.update(each.trees)
        self._compiled.dispatcher = Dispatcher(
            table, hosts, self._names, methods, redirect_slashes=redirect_slashes
        )
        if not hosts:
            self._compiled.static = table.static
        return self._compiled

    def _add_router(
        self, definitions: Definitions, scope: Scope, table: RouteTable, host: HostPattern | None
    ) -> None:
        if any(definitions is outer for outer in self._around):
            raise ConfigurationError(f"a router below {scope.prefix or '/'!r} contains itself")
        if self._around and definitions.hosts:
            raise ConfigurationError(
                f"the app at {scope.prefix or '/'!r} has hosts: a host is chosen before the path, "
                "so register them with the outermost app"
            )
        definitions.frozen = True
        self._note(definitions, scope)
        self._around.append(definitions)
        for route in definitions.routes:
            try:
                self._add_route(route, scope, table, host)
            except ConfigurationError as error:
                raise ConfigurationError(f"{route.source}: {error}") from None
        for inclusion in definitions.inclusions:
            self._add_inclusion(inclusion, scope, table, host)
        self._around.pop()

    def _note(self, definitions: Definitions, scope: Scope) -> None:
        """Remember what starts and ends with the app, once for each router."""
        if id(definitions) in self._seen:
            return
        self._seen.add(id(definitions))
        if definitions.app is not None:
            self._compiled.apps.append(definitions.app)
        if definitions.lifespan is not None:
            self._compiled.lifespans.append((definitions.lifespan, scope.app))

    def _add_inclusion(
        self, inclusion: Inclusion, outer: Scope, table: RouteTable, host: HostPattern | None
    ) -> None:
        definitions = inclusion.router.definitions
        prefix = outer.prefix + inclusion.prefix
        scope = Scope(definitions, outer, prefix, outer.inner_namespace(inclusion.name))
        if inclusion.mounted:
            segments = Pattern(prefix, outer.find_converter).segments if prefix else []
            table.add_mount(segments, scope)
        self._add_router(definitions, scope, table, host)

    def _add_route(
        self,
        definition: RouteDefinition,
        scope: Scope,
        table: RouteTable,
        host: HostPattern | None,
    ) -> None:
        path = Pattern(scope.prefix + definition.pattern, scope.find_converter)
        names = (*path.names, *(host.names if host is not None else ()))
        for name in path.names:
            if names.count(name) > 1:
                raise ConfigurationError(
                    f"parameter {name!r} stands in the host and in pattern {path.text!r}; rename "
                    "one"
                )
        check_parameters(definition.handler, path.text, names)
        route = Route(
            path,
            host=host,
            source=definition.source,
            app=scope.app,
            namespace=scope.namespace,
            registry=self._names,
        )
        endpoint = scope.build(
            definition.handler,
            parameters=bool(names),
            thread=definition.thread,
            middleware=definition.middleware,
            limits=definition.limits,
        )
        route.endpoint = endpoint if self._watch is None else self._watch(endpoint)
        table.add(route, definition.methods, scope)
        self._compiled.routes.append(_info(definition, route, scope, self._name(definition, route)))

    def _name(self, definition: RouteDefinition, route: Route) -> str | None:
        if definition.name is None:
            return None
        if ":" in definition.name or not definition.name:
            raise ConfigurationError(
                f"route name {definition.name!r}: a colon separates namespaces; choose another"
            )
        name = f"{route.namespace}:{definition.name}" if route.namespace else definition.name
        present = self._names.add(name, route)
        if present.pattern != route.pattern or present.host is not route.host:
            raise ConfigurationError(
                f"two routes are named {name!r}: {present.pattern} of {present.source} and "
                f"{route.pattern} of {route.source}; rename one, or include its router with name="
            )
        return name


def _info(definition: RouteDefinition, route: Route, scope: Scope, name: str | None) -> RouteInfo:
    around = [each for each, _ in scope.middleware] + list(definition.middleware)
    return RouteInfo(
        methods=definition.methods,
        host=None if route.host is None else route.host.text,
        pattern=route.pattern,
        name=name,
        handler=definition.source.name,
        source=definition.source.place,
        middleware=tuple(describe(each).name for each in around),
        max_body=definition.limits.max_body,
        min_body_rate=definition.limits.min_body_rate,
        websocket=isinstance(definition.handler, WebSocketHandler),
    )
