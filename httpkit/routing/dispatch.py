"""Dispatch: from a request to the endpoint of its route, or to the reason why there is none.

Owns what a client gets for a path that is not routed: 404, 405 with `Allow`, the automatic
OPTIONS, the redirect to the path with or without its last slash. These answers run through the
middleware and exception handlers of whoever owns the path. Made by `compile.py`, called by
`App.handle` for everything that is not a hit in the dictionary of static routes.
"""

from collections.abc import Awaitable
from typing import Any

from httpkit.errors import HTTPError
from httpkit.request import Request
from httpkit.response import Response
from httpkit.routing.hosts import Hosts
from httpkit.routing.pattern import quote_segments
from httpkit.routing.route import Names, Route, Unmatched
from httpkit.routing.scope import Scope
from httpkit.routing.table import RouteTable
from httpkit.routing.tree import find
from httpkit.urls import QUESTION_MARK, quote_query, split_target

__all__ = ["Dispatcher"]


class Dispatcher:
    """The routes of an app, ready to be served.

    Args:
        table: the routes for every host that has none of its own.
        hosts: the tables of hosts.
        names: the named routes.
        methods: every method that is routed somewhere.
        redirect_slashes: whether a missing or superfluous last slash is answered by a redirect.
    """

    __slots__ = ("_hosts", "_methods", "_names", "_redirect_slashes", "_table")

    def __init__(
        self,
        table: RouteTable,
        hosts: Hosts[RouteTable],
        names: Names,
        methods: set[str],
        *,
        redirect_slashes: bool,
    ) -> None:
        self._table = table
        self._hosts = hosts or None
        self._names = names
        self._methods = methods
        self._redirect_slashes = redirect_slashes

    def dispatch(self, request: Request) -> Response | Awaitable[Response]:
        """Find the endpoint of a request and call it."""
        table, host_params = self._table, None
        target = request.target
        if self._hosts is not None:
            table, host_params = self._hosts.select(request)
        if self._hosts is not None or QUESTION_MARK in target:
            # What `App.handle` could not look up by itself.
            static = table.static.get(request.method)
            if static is not None:
                route = static.get(target.partition(b"?")[0])
                if route is not None:
                    if host_params:
                        request.path_params = dict(host_params)
                    request.route = route
                    return route.endpoint(request)
        tree = table.trees.get(request.method)
        segments = request.segments
        if tree is not None and segments is not None:
            values: list[Any] = []
            try:
                found = find(tree, segments, values)
            except Exception as error:  # noqa: BLE001 - a converter of the application failed
                return self._fail(request, table.owner, error)
            if type(found) is Route:
                request.path_params = _pair(found.names, values)
                if host_params:
                    request.path_params |= host_params
                request.route = found
                return found.endpoint(request)
        return self._miss(request, table, segments)

    def url_for(self, name: str, parameters: dict[str, Any]) -> str:
        """See `App.url_for`."""
        return self._names.build("", name, parameters)

    # --- what is not routed ------------------------------------------------------------------

    def _miss(
        self, request: Request, table: RouteTable, segments: list[str] | None
    ) -> Response | Awaitable[Response]:
        if segments is None:
            if request.target == b"*" and request.method == "OPTIONS":
                return self._answer(request, table.owner, _options(self._methods))
            return self._answer(request, table.owner, HTTPError(404))
        try:
            scope, routed = table.scope_of(segments)
            if routed:
                return self._answer(request, scope, self._other_methods(request, table, segments))
            location = self._redirect(request, table, segments)
        except Exception as error:  # noqa: BLE001 - a converter of the application failed
            return self._fail(request, table.owner, error)
        if location is not None:
            # 307 keeps the method and the body, and no cache keeps it by itself.
            return self._answer(request, scope, Response.redirect(location, 307))
        return self._answer(request, scope, HTTPError(404))

    def _other_methods(
        self, request: Request, table: RouteTable, segments: list[str]
    ) -> Response | HTTPError:
        """The path is there, the method is not (RFC 9110 §15.5.6, §9.3.7)."""
        allowed = table.allowed(segments)
        if request.method == "OPTIONS":
            return _options(allowed)
        return HTTPError(405, headers={"allow": _allow(allowed)})

    def _redirect(self, request: Request, table: RouteTable, segments: list[str]) -> str | None:
        """Where the same path is with or without its last slash, if it is routed there.

        An absolute path made from the normalized segments: it has no scheme and no host. One that
        would begin with two slashes is none, since clients read `//evil` as another host; a
        backslash, which browsers read as a slash, is percent-encoded.
        """
        if not self._redirect_slashes or (tree := table.trees.get(request.method)) is None:
            return None
        other = segments[:-1] if segments[-1] == "" else [*segments, ""]
        if not other or type(find(tree, other, [])) is not Route:
            return None
        path = request.root_path + quote_segments(other)
        if path.startswith("//"):
            return None
        # An empty query stays one: `/a?` is another URL than `/a` (RFC 3986 §6.2.3).
        mark = "?" if b"?" in request.target else ""
        return path + mark + quote_query(split_target(request.target)[1])

    def _answer(
        self, request: Request, scope: Scope, answer: Response | HTTPError
    ) -> Response | Awaitable[Response]:
        request.route = self._unmatched(scope, answer)
        return scope.unmatched(request)

    def _fail(
        self, request: Request, scope: Scope, error: Exception
    ) -> Response | Awaitable[Response]:
        request.route = self._unmatched(scope, HTTPError(500))
        return scope.errors.conclude(request, error)

    def _unmatched(self, scope: Scope, answer: Response | HTTPError) -> Unmatched:
        return Unmatched(answer, app=scope.app, namespace=scope.namespace, registry=self._names)


def _pair(names: tuple[str, ...], values: list[Any]) -> dict[str, Any]:
    """The parameters by name; the tree has collected as many as the route has names."""
    if len(values) == 1:
        return {names[0]: values[0]}
    return dict(zip(names, values, strict=True))


def _options(methods: "set[str] | list[str]") -> Response:
    return Response(None, 204, {"allow": _allow(methods)})


def _allow(methods: "set[str] | list[str]") -> str:
    """The value of `Allow` (RFC 9110 §10.2.1); OPTIONS is always answered."""
    return ", ".join(sorted({*methods, "OPTIONS"}))
