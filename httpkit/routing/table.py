"""The routes of one host, by method: what `dispatch.py` looks up and `compile.py` fills.

Owns the two ways to find a route (a dictionary of canonical targets, a segment tree) and makes
sure that they agree, the automatic HEAD, and the detection of conflicts.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from httpkit.errors import ConfigurationError
from httpkit.routing.pattern import BoundParameter
from httpkit.routing.route import Route
from httpkit.routing.scope import Scope
from httpkit.routing.tree import Mount, Node, find

__all__ = ["RouteTable"]


class _Leaf:
    """A pattern, whatever the method: knows the scope that answers 405 and OPTIONS for it."""

    __slots__ = ("scope",)

    def __init__(self, scope: Scope) -> None:
        self.scope = scope


class RouteTable:
    """All routes of one host.

    Args:
        owner: answers what lies below no mount.

    Attributes:
        static: for each method the routes without parameters, by the raw target of the canonical
            request, and what routes have learned. A hit is what the tree would have found, without
            decoding anything.
        trees: for each method all of its routes.
        any_method: all patterns, to tell 404 from 405.
    """

    __slots__ = ("any_method", "mounts", "owner", "static", "trees")

    def __init__(self, owner: Scope) -> None:
        self.owner = owner.seal()
        self.static: dict[str, dict[bytes, Route]] = {}
        self.trees: dict[str, Node[Route]] = {}
        self.any_method: Node[_Leaf] = Node()
        self.mounts: list[tuple[Sequence[str | BoundParameter], Scope]] = []

    # --- building ----------------------------------------------------------------------------

    def add(self, route: Route, methods: Iterable[str], scope: Scope) -> None:
        """Enter a route.

        Raises:
            ConfigurationError: another route answers the same requests; names both.
        """
        for method in methods:
            present = self._insert(method, route)
            if present is not route:
                raise ConfigurationError(
                    f"two handlers for {method} {route.pattern}: {present.source} registered for "
                    f"{present.pattern}, and {route.source} for {route.pattern}; change a pattern "
                    "or remove one"
                )
        leaf = self.any_method.insert(route.path.segments, _Leaf(scope))
        leaf.scope = leaf.scope.common(scope).seal()

    def add_mount(self, segments: Sequence[str | BoundParameter], scope: Scope) -> None:
        """Note where a mount begins; what it does not have is answered by the innermost one.

        Raises:
            ConfigurationError: another one begins there, and is not around this one.
        """
        node = self.any_method.node_at(segments)
        present = node.mount
        if present is not None and scope.common(present.owner) is not present.owner:
            raise ConfigurationError(
                f"two mounts at {scope.prefix or '/'!r}: use include for one of them"
            )
        node.mount = Mount(scope.seal())
        self.mounts.append((segments, scope))

    def finish(self) -> None:
        """Add what follows from the routes: HEAD for each GET, the borders of the mounts."""
        for route in _walk(self.trees.get("GET", Node())):
            self._insert("HEAD", route)
        for tree in self.trees.values():
            for segments, scope in self.mounts:
                tree.node_at(segments).mount = Mount(scope)

    def _insert(self, method: str, route: Route) -> Route:
        tree = self.trees.setdefault(method, Node())
        present = tree.insert(route.path.segments, route)
        known = self.static.setdefault(method, {})
        route.shortcuts = self.static
        target = route.path.static_target
        if target is not None:
            known.setdefault(target, route)
        return present

    # --- asking ------------------------------------------------------------------------------

    def allowed(self, segments: list[str]) -> list[str]:
        """The methods that this path is routed for, without the automatic OPTIONS."""
        methods = []
        for method, tree in self.trees.items():
            found = find(tree, segments, [])
            if isinstance(found, Route):
                methods.append(method)
        return methods

    def scope_of(self, segments: list[str]) -> tuple[Scope, bool]:
        """What answers for a path that its method does not have, and whether others have it."""
        values: list[Any] = []
        found = find(self.any_method, segments, values)
        if isinstance(found, _Leaf):
            return found.scope, True
        return (self.owner if found is None else found.owner), False


def _walk(node: Node[Route]) -> Iterable[Route]:
    """Every leaf below a node."""
    for leaf in (node.leaf, node.rest):
        if leaf is not None:
            yield leaf
    for child in [*node.children.values(), *(behind for _, _, behind in node.converters)]:
        yield from _walk(child)
