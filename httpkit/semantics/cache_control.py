"""`Cache-Control` (RFC 9111 §5.2, RFC 5861, RFC 8246): reading and writing directives.

Refuses nothing that a peer sends: a directive that cannot be read counts as the stricter of what it
could have meant. Called by `httpkit.semantics.caching` and the middleware for caching.
"""

import re
from collections.abc import Iterable, Mapping

from httpkit.semantics.parameters import TOKEN, parse_parameters, split_list

__all__ = ["MAX_DELTA", "CacheControl", "parse_delta"]

#: The greatest number of seconds that counts (RFC 9111 §1.2.2).
MAX_DELTA = 2**31
#: Directives of answers that may be limited to fields (RFC 9111 §5.2.2.4, §5.2.2.7).
_QUALIFIED = ("no-cache", "private")
#: Directives that only take something away, so that one too many does no harm.
_RESTRICTIVE = frozenset(
    {"must-revalidate", "no-cache", "no-store", "no-transform", "private", "proxy-revalidate"}
)
_WORD = re.compile(TOKEN)


class CacheControl:
    """The directives of one message.

    Attributes:
        directives: names in lower case with their arguments, unquoted; `None` without one. Of a
            repeated name the first counts (RFC 9111 §4.2.1); the fields that repeated `no-cache`
            or `private` are limited to add up, and one that is not limited prevails.
    """

    __slots__ = ("directives",)

    def __init__(self, directives: Mapping[str, str | None] | None = None) -> None:
        self.directives: Mapping[str, str | None] = directives or {}

    @classmethod
    def parse(cls, lines: Iterable[str]) -> "CacheControl":
        """Read the lines of the field."""
        directives: dict[str, str | None] = {}
        for line in lines:
            for member in split_list(line):
                name, equals, _ = member.partition("=")
                # The grammar of a parameter, which unquotes.
                parsed = parse_parameters(f";{member}") if equals else None
                value = None if parsed is None else next(iter(parsed[1].values()), None)
                if equals and value is None:
                    value = ""
                if parsed is None and _WORD.fullmatch(member) is None:
                    # `private; max-age=60` has no comma, but its author has not meant everybody.
                    words = map(str.lower, _WORD.findall(member))
                    directives.update(dict.fromkeys(_RESTRICTIVE.intersection(words)))
                name = name.strip(" \t").lower()
                if name in _QUALIFIED and name in directives:
                    value = f"{directives[name]}, {value}" if directives[name] and value else None
                    directives[name] = value
                directives.setdefault(name, value)
        return cls(directives)

    def __contains__(self, name: object) -> bool:
        return name in self.directives

    def __str__(self) -> str:
        return ", ".join(
            name if value is None else f"{name}={value}" for name, value in self.directives.items()
        )

    def seconds(self, name: str) -> int | None:
        """The argument of a directive in seconds; `None` if the directive is not there.

        One that is no number is 0, so that an answer is stale rather than fresh (RFC 9111 §4.2.1).
        """
        if name not in self.directives:
            return None
        return parse_delta(self.directives[name] or "") or 0

    def field_names(self, name: str) -> frozenset[str] | None:
        """The fields that `no-cache` or `private` is limited to, in lower case.

        `None` if it is not limited: then it holds for the whole answer (RFC 9111 §5.2.2.4).
        """
        value = self.directives.get(name)
        if not value:
            return None
        return frozenset(each.lower() for each in split_list(value))

    def forbids(self, name: str) -> bool:
        """Whether `no-cache` or `private` is there and holds for the whole answer."""
        return name in self.directives and self.field_names(name) is None


def parse_delta(text: str) -> int | None:
    """Delta-seconds (RFC 9111 §1.2.2): digits, capped at `MAX_DELTA`; `None` if they are none."""
    if not text.isascii() or not text.isdigit():
        return None
    digits = text.lstrip("0")  # Python counts on where others would overflow, at a price
    return MAX_DELTA if len(digits) > 10 else min(int(digits or "0"), MAX_DELTA)
