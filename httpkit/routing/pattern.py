"""Patterns of paths: `/users/{id:int}` parsed, checked, and turned back into URLs.

Owns the grammar of patterns. A pattern is written decoded (a space, not `%20`); a parameter fills
a whole segment. Refuses with `ConfigurationError` whatever could never match a request, since
requests are normalized before (`httpkit.urls.decode_path`). Called by `router.py` when a route is
registered and by `compile.py` when it is frozen.
"""

import keyword
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from httpkit.errors import ConfigurationError
from httpkit.routing.converters import Converter, PathConverter
from httpkit.urls import decode_path

__all__ = ["BoundParameter", "Parameter", "Pattern", "Segment", "parse_pattern", "quote_segments"]

#: RFC 3986 §3.3 pchar without the percent sign; here a slash is data and gets encoded.
_SEGMENT_SAFE = "!$&'()*+,;=:@~"
_PARAMETER = re.compile(r"\{([^{}:]*)(?::([^{}:]*))?\}")
_ENCODED = re.compile(r"%[0-9a-fA-F]{2}")


class Parameter(NamedTuple):
    """`{name}` or `{name:converter}` as written."""

    name: str
    converter: str


#: A literal text or a parameter.
Segment = str | Parameter


class BoundParameter(NamedTuple):
    """A parameter with the converter that its name stands for where the route lives."""

    name: str
    converter: Converter


def parse_pattern(text: str) -> list[Segment]:
    """Split a pattern into segments: `/a/{id:int}/` is `["a", Parameter("id", "int"), ""]`.

    The empty pattern has no segments: it stands for the prefix of its router.

    Raises:
        ConfigurationError: says what is wrong with the pattern and what to write instead.
    """
    if not isinstance(text, str):
        raise ConfigurationError(
            f'{text!r} is no pattern, which is a str: write it as in @app.get("/")'
        )
    if text == "":
        return []
    if not text.startswith("/"):
        raise ConfigurationError(f"pattern {text!r} must start with a slash: write {'/' + text!r}")
    segments = [_parse_segment(text, part) for part in text[1:].split("/")]
    names = [segment.name for segment in segments if isinstance(segment, Parameter)]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"pattern {text!r} has parameter {name!r} twice; rename one")
    for segment in segments[:-1]:
        if segment == "":
            raise ConfigurationError(f"pattern {text!r} has an empty segment; remove a slash")
        if isinstance(segment, Parameter) and segment.converter == "path":
            raise ConfigurationError(
                f"pattern {text!r}: a path parameter takes the rest, so it must stand last"
            )
    return segments


def _parse_segment(pattern: str, text: str) -> Segment:
    if "{" in text or "}" in text:
        return _parse_parameter(pattern, text)
    if text in (".", "..") or "\0" in text or "\\" in text:
        raise ConfigurationError(
            f"pattern {pattern!r}: no request reaches segment {text!r}, paths are normalized first"
        )
    if "?" in text or "#" in text:
        raise ConfigurationError(
            f"pattern {pattern!r}: a query or fragment is not part of a path; use request.query"
        )
    if _ENCODED.search(text):
        raise ConfigurationError(
            f"pattern {pattern!r}: patterns are written decoded, e.g. a space instead of %20"
        )
    return text


def _parse_parameter(pattern: str, text: str) -> Parameter:
    found = _PARAMETER.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            f"pattern {pattern!r}: a parameter fills a whole segment, as in /{{name:int}}; "
            f"{text!r} does not"
        )
    name, converter = found.group(1), found.group(2)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigurationError(
            f"pattern {pattern!r}: parameter {name!r} is passed by keyword, so it must be an "
            "identifier"
        )
    return Parameter(name, "str" if converter is None else converter)


class Pattern:
    """A whole pattern, prefixes included, with its converters found.

    Args:
        text: the pattern as written, prefixes of mounts and routers in front.
        find_converter: gives the converter of a name, or `None`.

    Raises:
        ConfigurationError: the pattern is wrong, empty, or names an unknown converter.
    """

    __slots__ = ("names", "segments", "text")

    def __init__(self, text: str, find_converter: Callable[[str], Converter | None]) -> None:
        if text == "":
            raise ConfigurationError('an empty pattern needs a prefix in front of it: write "/"')
        self.text = text
        #: Literals and parameters.
        self.segments: list[str | BoundParameter] = []
        for segment in parse_pattern(text):
            if isinstance(segment, str):
                self.segments.append(segment)
                continue
            converter = find_converter(segment.converter)
            if converter is None:
                raise ConfigurationError(
                    f"pattern {text!r} uses the unknown converter {segment.converter!r}; "
                    f"register it with app.converter({segment.converter!r}, ...)"
                )
            self.segments.append(BoundParameter(segment.name, converter))
        #: Names of the parameters, in the order of the path.
        self.names = tuple(s.name for s in self.segments if isinstance(s, BoundParameter))

    @property
    def static_target(self) -> bytes | None:
        """The target of the canonical request, if there are no parameters."""
        if self.names:
            return None
        return quote_segments([s for s in self.segments if isinstance(s, str)]).encode()

    def build(self, parameters: Mapping[str, Any]) -> str:
        """The encoded path for these parameters; those that the pattern lacks become the query.

        What is built always matches this pattern again with the same values.

        Raises:
            LookupError: a parameter is missing.
            ValueError: a value that its converter, or any path, cannot carry.
        """
        rest = dict(parameters)
        decoded: list[str] = []
        for segment in self.segments:
            if isinstance(segment, str):
                decoded.append(segment)
                continue
            if segment.name not in rest:
                raise LookupError(f"{self.text} needs the parameter {segment.name!r}")
            decoded += _texts(segment, rest.pop(segment.name))
        path = quote_segments(decoded)
        # Dot segments and NUL cannot be quoted, and a path that begins with two slashes would
        # name another host in a Location or a link.
        if decode_path(path.encode()) != decoded or path.startswith("//"):
            raise ValueError(f"{self.text} cannot carry {dict(parameters)!r}")
        return f"{path}?{urlencode(rest, doseq=True)}" if rest else path


def _texts(parameter: BoundParameter, value: object) -> list[str]:
    """The decoded segments of one value: one, or several for a path."""
    text = parameter.converter.to_string(value)
    parameter.converter.convert(text)
    if isinstance(parameter.converter, PathConverter):
        return text.split("/")
    if not text:
        raise ValueError(f"parameter {parameter.name!r} is empty, which no segment can be")
    return [text]


def quote_segments(segments: list[str]) -> str:
    """The encoded path of decoded segments; a slash inside one is encoded."""
    return "/" + "/".join([quote(segment, safe=_SEGMENT_SAFE) for segment in segments])
