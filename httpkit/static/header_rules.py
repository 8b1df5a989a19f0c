"""Header fields by path, as a file in the `_headers` shape says.

    # A comment
    /*
      X-Frame-Options: DENY
    /assets/*
      Cache-Control: public, max-age=31536000, immutable
    /embed/*
      ! X-Frame-Options

A rule begins at the left margin with a pattern, which has to match the whole path; its fields are
indented below it. `*` stands for any text, slashes included, and `:name` at the beginning of a
segment for one whole segment. Every rule that matches counts, in the order of the file: a later one
replaces the fields of an earlier one by their name, and `! Name` takes one away. Lines of one rule
with the same name are several values of that field (RFC 9110 §5.3).

Owns the shape of the file and the matching. Refuses, with the line and what to change, whatever
would be ignored otherwise, and the fields that are not for a file to say.
"""

import os
import re
from collections.abc import Mapping
from os import PathLike
from typing import NamedTuple, Self
from urllib.parse import unquote

from httpkit.errors import ConfigurationError, InvalidHeader
from httpkit.headers import encode_header

__all__ = ["HeaderRules"]

#: What the server says itself: framing and the connection (RFC 9112, RFC 9110 §7.6.1), and what
#: depends on the part, coding or version of the file that is sent.
_RESERVED = frozenset(
    "accept-ranges age connection content-encoding content-length content-range date etag "
    "keep-alive last-modified proxy-connection te trailer transfer-encoding upgrade".split()
)
#: What a browser reads once: two lines are an error to it, or the first one counts (RFC 9110 §5.3).
_SINGLE = frozenset(
    "access-control-allow-credentials access-control-allow-origin access-control-max-age "
    "content-disposition content-location content-type expires strict-transport-security".split()
)
_PLACEHOLDER = re.compile(r"(?<=/):[A-Za-z_][A-Za-z0-9_]*(?=/|$)")


class _Pattern:
    """A pattern of paths.

    The parts between its stars are looked for one after the other, each where it comes first, which
    is as good as anywhere later. So nothing is tried twice: paths are the client's, and a long one
    would take its time with an expression that goes back.
    """

    def __init__(self, pattern: str) -> None:
        self._first, *self._others = map(_compile, pattern.split("*"))
        if self._others:
            self._others[-1] = re.compile(self._others[-1].pattern + r"\Z")

    def matches(self, path: str) -> bool:
        """Whether the whole path is of this shape."""
        if not self._others:
            return self._first.fullmatch(path) is not None
        found = self._first.match(path)
        for part in self._others:
            if found is None:
                return False
            found = part.search(path, found.end())
        return found is not None


def _compile(part: str) -> re.Pattern[str]:
    """What stands between two stars: literal text, and names that stand for whole segments."""
    literals = [re.escape(unquote(text)) for text in _PLACEHOLDER.split(part)]
    return re.compile("[^/]++".join(literals))


class _Rule(NamedTuple):
    """What stands below one pattern."""

    where: str
    pattern: _Pattern
    #: Fields by their name in lower case: their lines, as written.
    fields: dict[str, list[tuple[str, str]]]
    removed: set[str]


class HeaderRules:
    """Which header fields the answers below a path get.

        app.static("/", "dist", headers=HeaderRules({"/*": {"X-Frame-Options": "DENY"}}))

    What `Router.static` takes: a function of the path.

    Args:
        rules: fields by pattern, in the order in which they count.

    Raises:
        ConfigurationError: a malformed pattern, or a field that must not be sent.
    """

    def __init__(self, rules: Mapping[str, Mapping[str, str]]) -> None:
        self._rules: list[_Rule] = []
        for pattern, fields in rules.items():
            rule = _begin_rule(pattern, f"pattern {pattern!r}")
            for name, value in fields.items():
                _add_field(rule, name, value, f"pattern {pattern!r}")
            self._rules.append(rule)

    @classmethod
    def parse(cls, text: str, name: str = "_headers") -> Self:
        """Read the text of a file.

        Args:
            text: see above; lines end with LF or CRLF.
            name: of the file, for messages.

        Raises:
            ConfigurationError: what is wrong in which line, and what to change.
        """
        read = cls({})
        rules = read._rules
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            _read_line(rules, line.rstrip(), f"{name}:{number}")
        for rule in rules:
            if not rule.fields and not rule.removed:
                raise ConfigurationError(
                    f"{rule.where}: the pattern has no fields: indent them below it, or remove it"
                )
        return read

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a file.

        Raises:
            ConfigurationError: it cannot be read, is not UTF-8, or is wrong in a line.
        """
        name = os.fspath(path)
        try:
            with open(path, encoding="utf-8") as file:
                return cls.parse(file.read(), name)
        except OSError as error:
            raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{name} is not UTF-8: convert it") from None

    def match(self, path: str) -> tuple[tuple[str, str], ...]:
        """The fields for a path.

        Args:
            path: decoded, with the slash in front.

        Returns:
            Names as they are written in the rules, and values, both checked; a name more than
            once only if one rule says so.
        """
        found: dict[str, list[tuple[str, str]]] = {}
        for rule in self._rules:
            if rule.pattern.matches(path):
                for name in rule.removed:
                    found.pop(name, None)
                found |= rule.fields
        return tuple(field for lines in found.values() for field in lines)

    __call__ = match


def _read_line(rules: list[_Rule], line: str, where: str) -> None:
    """One line, without whitespace at its end."""
    text = line.lstrip()
    if not text or text.startswith("#"):
        return
    if text == line:
        rules.append(_begin_rule(text, where))
        return
    if not rules:
        raise ConfigurationError(f"{where}: a field without a pattern above it: write /* there")
    if text.startswith("!"):
        _remove_field(rules[-1], text[1:].strip(), where)
        return
    name, colon, value = text.partition(":")
    if not colon or text.startswith("/"):
        hint = "begin patterns at the left margin" if text.startswith("/") else "write Name: value"
        raise ConfigurationError(f"{where}: {text!r} is no field: {hint}")
    _add_field(rules[-1], name.rstrip(), value.strip(), where)


def _begin_rule(pattern: str, where: str) -> _Rule:
    if not pattern.startswith("/"):
        hint = "indent it" if ":" in pattern and "://" not in pattern else "begin it with a slash"
        raise ConfigurationError(f"{where}: {pattern!r} is no pattern of a path: {hint}")
    if "?" in pattern:
        raise ConfigurationError(f"{where}: {pattern!r} has a query, which plays no part: cut it")
    return _Rule(where, _Pattern(pattern), {}, set())


def _add_field(rule: _Rule, name: str, value: str, where: str) -> None:
    if _check_field(name, value, where) in rule.removed:
        raise ConfigurationError(f"{where}: {name} is both set and removed: keep one of them")
    if name.lower() in _SINGLE and name.lower() in rule.fields:
        raise ConfigurationError(
            f"{where}: {name} stands here twice, and can have one value: cut it"
        )
    if not value:
        raise ConfigurationError(f"{where}: {name} has no value: write one, or ! {name}")
    rule.fields.setdefault(name.lower(), []).append((name, value))


def _remove_field(rule: _Rule, name: str, where: str) -> None:
    lower = _check_field(name, "", where)
    if lower in rule.fields:
        raise ConfigurationError(f"{where}: {name} is both set and removed: keep one of them")
    rule.removed.add(lower)


def _check_field(name: str, value: str, where: str) -> str:
    """The name in lower case, if such a field may be sent, and is for a file to say."""
    try:
        encode_header(name, value)
    except InvalidHeader as error:
        raise ConfigurationError(f"{where}: {error}") from None
    if name.lower() in _RESERVED:
        raise ConfigurationError(
            f"{where}: {name} is for the server to say, since it knows what it sends: remove it"
        )
    return name.lower()
