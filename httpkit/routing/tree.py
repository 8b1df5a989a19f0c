"""The segment tree: finds the leaf of a path in time that does not grow with the number of routes.

Owns matching and its precedence. At each node, in this order: the literal child, the children of
converters (`int`, `uuid`, `float`, the application's own, `str`), the rest of the path (`path`).
A choice that leads nowhere is taken back and the next one tried, so `/a/{x}/c` and `/a/b/d` both
work for `/a/b/c`. Each node of the tree is visited at most once for a path, so a client can never
make the search longer than the tree.

A mount is a node that does not give back what it got: once the search has entered it, what lies
outside is out of reach, and a miss belongs to the innermost mount on the way.

Built by `compile.py`, asked by `dispatch.py`. Segments come decoded from `httpkit.urls`; it knows
nothing of methods: there is one tree for each.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from httpkit.routing.converters import BUILT_IN, Converter, PathConverter, join_path
from httpkit.routing.pattern import BoundParameter

__all__ = ["Mount", "Node", "find"]

Leaf = TypeVar("Leaf")

_STR = BUILT_IN["str"]
_RANKS = {id(BUILT_IN[name]): rank for rank, name in enumerate(("int", "uuid", "float"))}
_OWN_RANK = len(_RANKS)
_STR_RANK = _OWN_RANK + 1


class Mount:
    """Marks a node as the root of a mount; `owner` answers for what is not found below it."""

    __slots__ = ("owner",)

    def __init__(self, owner: Any) -> None:
        self.owner = owner


class Node(Generic[Leaf]):
    """One position in a path, reached over the same segments from the root.

    Attributes:
        children: nodes behind a literal segment.
        converters: nodes behind a parameter, in the order in which they are tried.
        leaf: what ends here.
        rest: what takes the rest of the path from here.
        mount: set where a mount begins.
    """

    __slots__ = ("children", "converters", "leaf", "mount", "rest")

    def __init__(self) -> None:
        self.children: dict[str, Node[Leaf]] = {}
        self.converters: list[tuple[Callable[[str], Any], Converter, Node[Leaf]]] = []
        self.leaf: Leaf | None = None
        self.rest: Leaf | None = None
        self.mount: Mount | None = None

    def insert(self, segments: Sequence[str | BoundParameter], leaf: Leaf) -> Leaf:
        """Put a leaf at the end of these segments, or return the one that is there already."""
        if segments and _takes_rest(segments[-1]):
            node = self.node_at(segments[:-1])
            if node.rest is None:
                node.rest = leaf
            return node.rest
        node = self.node_at(segments)
        if node.leaf is None:
            node.leaf = leaf
        return node.leaf

    def node_at(self, segments: Sequence[str | BoundParameter]) -> "Node[Leaf]":
        """The node at the end of these segments, made if need be."""
        node = self
        for segment in segments:
            if isinstance(segment, str):
                node = node.children.setdefault(segment, Node())
            else:
                node = node._node_behind(segment.converter)  # noqa: SLF001 - its own kind
        return node

    def _node_behind(self, converter: Converter) -> "Node[Leaf]":
        for _, present, node in self.converters:
            if present is converter:
                return node
        node = Node[Leaf]()
        self.converters.append((converter.convert, converter, node))
        self.converters.sort(key=lambda entry: _rank(entry[1]))
        return node


def find(
    node: Node[Leaf], segments: list[str], values: list[Any], start: int = 0
) -> Leaf | Mount | None:
    """Find what a path leads to.

    Walks down while there is one way to go and leaves it to `_choose` where there are several.

    Args:
        node: where to begin, the root of a tree.
        segments: the decoded path, as `Request.segments` gives it.
        values: gets the converted parameters, in the order of the path.
        start: index of the first segment below the node.

    Returns:
        The leaf; the innermost mount that was entered, if nothing is found there; or `None`.
    """
    missed = node.mount
    while start < len(segments):
        if node.converters or node.rest is not None:
            found = _choose(node, segments, values, start)
            return missed if found is None else found
        child = node.children.get(segments[start])
        if child is None:
            return missed
        node = child
        start += 1
        if node.mount is not None:
            missed = node.mount
    return missed if node.leaf is None else node.leaf


def _choose(
    node: Node[Leaf], segments: list[str], values: list[Any], index: int
) -> Leaf | Mount | None:
    """Try the literal child, then each converter, then the rest; the first that leads somewhere."""
    segment = segments[index]
    child = node.children.get(segment)
    if child is not None:
        found = find(child, segments, values, index + 1)
        if found is not None:
            return found
    if segment:  # an empty segment is a slash too many, never a value
        for convert, _, behind in node.converters:
            try:
                values.append(convert(segment))
            except ValueError:
                continue
            if index + 1 == len(segments) and behind.leaf is not None:
                return behind.leaf
            found = find(behind, segments, values, index + 1)
            if found is not None:
                return found
            values.pop()
    if node.rest is not None:
        rest = join_path(segments[index:])
        if rest is not None:
            values.append(rest)
            return node.rest
    return None


def _takes_rest(segment: str | BoundParameter) -> bool:
    return not isinstance(segment, str) and isinstance(segment.converter, PathConverter)


def _rank(converter: Converter) -> int:
    """The order of converters at a node; equal ranks stay in the order of registration."""
    if converter is _STR:
        return _STR_RANK
    return _RANKS.get(id(converter), _OWN_RANK)
