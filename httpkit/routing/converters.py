"""Converters: from the text of one path segment to a value, and back.

Owns the five built-in converters and the contract for an application's own. A converter never
sees a percent sign that the client wrote: segments are decoded before (`httpkit.urls`). Called by
`tree.py` while matching and by `pattern.py` while building URLs; refuses by raising `ValueError`,
which means "no match" there and "no such URL" here.
"""

import math
import re
import uuid
from typing import Any, Protocol, runtime_checkable

__all__ = [
    "BUILT_IN",
    "Converter",
    "FloatConverter",
    "IntConverter",
    "PathConverter",
    "StrConverter",
    "UUIDConverter",
    "join_path",
]

#: An integer of 64 bits has at most 19 digits; converting 10^6 of them would take seconds.
_INTEGER = re.compile(r"-?[0-9]{1,19}")
#: What `repr` of a finite float looks like, and the usual ways to write one. It has at most 17
#: significant digits, behind up to four zeros where it does without an exponent.
_FLOAT = re.compile(r"-?[0-9]{1,19}(?:\.[0-9]{1,21})?(?:[eE][+-]?[0-9]{1,3})?")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


@runtime_checkable
class Converter(Protocol):
    """What `App.converter` takes: the two directions of one kind of parameter."""

    def convert(self, text: str, /) -> Any:
        """The value of a decoded, non-empty segment.

        Raises:
            ValueError: this converter does not match the text.
        """
        ...

    def to_string(self, value: Any, /) -> str:
        """The text of a value, not percent-encoded.

        Raises:
            ValueError: the value has no text.
        """
        ...


class StrConverter:
    """One segment as it is, never empty. An encoded slash in it stays part of the value."""

    def convert(self, text: str, /) -> str:
        """The segment itself."""
        return text

    def to_string(self, value: object, /) -> str:
        """`str(value)`."""
        return str(value)


class IntConverter:
    """`-?[0-9]+` in ASCII with at most 19 digits, as `int`."""

    def convert(self, text: str, /) -> int:
        """The integer."""
        # The usual number first: asking the string takes half the time of the pattern.
        usual = len(text) <= 19 and text.isdecimal() and text.isascii()
        if not usual and _INTEGER.fullmatch(text) is None:
            raise ValueError(text)
        return int(text)

    def to_string(self, value: Any, /) -> str:
        """The decimal digits; refuses what is not an integer, `bool` among it."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{value!r} is not an int")  # noqa: TRY004 - as every no
        return str(value)


class FloatConverter:
    """A decimal number, with an exponent if need be, as a finite `float`."""

    def convert(self, text: str, /) -> float:
        """The number; `inf`, `nan` and what overflows into them do not match."""
        if _FLOAT.fullmatch(text) is None:
            raise ValueError(text)
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        return value

    def to_string(self, value: Any, /) -> str:
        """The shortest text that gives the same float back."""
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{value!r} is not finite")
        return repr(number)


class UUIDConverter:
    """The canonical form of RFC 9562 §4 only (no braces, no URN, hyphens in place)."""

    def convert(self, text: str, /) -> uuid.UUID:
        """The UUID; hexadecimal digits of either case, as the RFC demands of readers."""
        if _UUID.fullmatch(text) is None:
            raise ValueError(text)
        return uuid.UUID(text)

    def to_string(self, value: Any, /) -> str:
        """The canonical form in lower case, of a `UUID` or of a text of one."""
        return str(value if isinstance(value, uuid.UUID) else self.convert(value))


class PathConverter:
    """The rest of the path, slashes included; stands last in a pattern and may be empty.

    Safe to read as a relative path: neither does it begin with a slash nor can one of its slashes
    have been encoded, see `join_path`.
    """

    def convert(self, text: str, /) -> str:
        """The joined rest, as `join_path` made it."""
        if text[:1] == "/":
            raise ValueError(f"{text!r} begins with a slash")
        return text

    def to_string(self, value: object, /) -> str:
        """`str(value)`; its slashes stay slashes."""
        return str(value)


def join_path(segments: list[str]) -> str | None:
    """Join the segments that a `path` parameter takes; `None` where it must not match.

    Two rests are refused: one with a slash inside a segment (`a%2Fb`), since the joined text
    could not be told from `a/b`; and one that begins with an empty segment (`//etc/passwd`),
    since a handler that joins it to a directory would get an absolute path.
    """
    if len(segments) > 1 and not segments[0]:
        return None
    for segment in segments:
        if "/" in segment:
            return None
    return "/".join(segments)


#: The built-in converters by name, in the order in which a node of the tree tries them; an
#: application's own come after `float` and before `str`.
BUILT_IN: dict[str, Converter] = {
    "int": IntConverter(),
    "uuid": UUIDConverter(),
    "float": FloatConverter(),
    "str": StrConverter(),
    "path": PathConverter(),
}
