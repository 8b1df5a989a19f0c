"""Hosts: which table of routes answers for the host that a request names.

Owns the grammar and the precedence of host patterns: an exact host first, then the pattern with
the fewest wildcard labels, then the app's own routes. `*` and `{name}` stand for one whole label
each and only in front, as in certificates (RFC 9525 §6.3). Ports do not take part.

Built by `compile.py`, asked by `dispatch.py` for requests of an app that has hosts.
"""

import re
from ipaddress import ip_address
from typing import Any, Generic, NamedTuple, TypeVar

from httpkit.errors import ConfigurationError
from httpkit.request import Request

__all__ = ["HostPattern", "Hosts"]

T = TypeVar("T")

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_WILDCARD = re.compile(r"\*|\{([^{}]+)\}")
#: Hosts whose table is remembered. Clients choose them, so the memory is thrown away when full.
_CACHE_SIZE = 1024
#: RFC 1035 §2.3.4. Longer ones are looked up, which fails, but not remembered.
_MAX_HOST = 255


class HostPattern:
    """`api.example.com`, `{tenant}.example.com` or `*.example.com`.

    Raises:
        ConfigurationError: says what to write instead.
    """

    __slots__ = ("names", "suffix", "text", "wildcards")

    def __init__(self, text: str) -> None:
        self.text = text
        labels = [text] if _is_address(text) else text.split(".")
        #: For each leading wildcard the parameter that takes its label, or `None` for `*`.
        self.wildcards: list[str | None] = []
        while labels and (found := _WILDCARD.fullmatch(labels[0])):
            self.wildcards.append(found.group(1))
            del labels[0]
        #: What follows the wildcards.
        self.suffix = ".".join(labels).lower()
        self.names = tuple(name for name in self.wildcards if name is not None)
        if not labels or not (
            _is_address(self.suffix)
            or all(_LABEL.fullmatch(label) for label in self.suffix.split("."))
        ):
            raise ConfigurationError(
                f"host {text!r}: write a name without scheme and port, in its ASCII form (xn--), "
                "with wildcards only in front: api.example.com, {tenant}.example.com, *.example.com"
            )
        for name in self.names:
            if not name.isidentifier() or self.names.count(name) > 1:
                raise ConfigurationError(
                    f"host {text!r}: parameter {name!r} must be an identifier and stand once"
                )

    @property
    def buildable(self) -> bool:
        """Whether a host can be made from parameters: not with `*`."""
        return None not in self.wildcards

    def build(self, parameters: dict[str, Any]) -> str:
        """The host as it stands in a URL; takes its parameters out of the dictionary.

        Raises:
            LookupError: a parameter is missing.
            ValueError: a value that is not one label of a host name.
        """
        labels: list[str] = []
        for name in self.names:
            if name not in parameters:
                raise LookupError(f"host {self.text} needs the parameter {name!r}")
            label = str(parameters.pop(name))
            if not _LABEL.fullmatch(label):
                raise ValueError(f"{label!r} is not a label of a host name")
            labels.append(label)
        if ":" in self.suffix:  # RFC 3986 §3.2.2
            return f"[{self.suffix}]"
        return ".".join([*labels, self.suffix])


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone means nothing to another machine, and is not sent


class _Entry(NamedTuple, Generic[T]):
    pattern: HostPattern
    target: T


class Hosts(Generic[T]):
    """Finds what belongs to a host in time independent of the number of hosts.

    Args:
        default: for every host that no pattern matches.
    """

    __slots__ = ("_cache", "_default", "_entries", "_most_wildcards")

    def __init__(self, default: T) -> None:
        self._default: tuple[T, dict[str, Any]] = (default, {})
        self._entries: dict[tuple[int, str], _Entry[T]] = {}
        self._most_wildcards = 0
        self._cache: dict[str, tuple[T, dict[str, Any]]] = {}

    def add(self, pattern: HostPattern, target: T) -> HostPattern:
        """Enter a pattern; return the one that matches the same hosts."""
        count = len(pattern.wildcards)
        self._most_wildcards = max(self._most_wildcards, count)
        entry = _Entry(pattern, target)
        return self._entries.setdefault((count, pattern.suffix), entry).pattern

    def __bool__(self) -> bool:
        return bool(self._entries)

    def select(self, request: Request) -> tuple[T, dict[str, Any]]:
        """What answers this request, and the parameters in its host (not to be changed)."""
        authority = request.authority
        found = self._cache.get(authority)
        if found is None:
            found = self._find(request.host)
            if len(authority) <= _MAX_HOST:
                if len(self._cache) >= _CACHE_SIZE:
                    self._cache.clear()
                self._cache[authority] = found
        return found

    def _find(self, host: str) -> tuple[T, dict[str, Any]]:
        suffix = host.removesuffix(".")
        labels: list[str] = []
        for count in range(self._most_wildcards + 1):
            entry = self._entries.get((count, suffix))
            if entry is not None:
                pairs = zip(entry.pattern.wildcards, labels, strict=True)
                return entry.target, {name: label for name, label in pairs if name is not None}
            label, dot, suffix = suffix.partition(".")
            if not dot or not _LABEL.fullmatch(label):
                break  # not a name that a wildcard stands for
            labels.append(label)
        return self._default
