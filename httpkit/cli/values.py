"""How the values of options are written as text, and read again.

There is a kind for each sort of type that a field may have; `kind_of` finds it. The command line
and the environment are read by it, and what `httpkit config`, the help and the reference page show
is written by it, so that it can be entered again.

A kind knows the form of a text, not the range of a value: ranges are msgspec's, `Setting.parse`
applies them. A text of another form is refused with ValueError.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

__all__ = ["OFF_WORDS", "Kind", "kind_of", "quote"]

#: What is understood as `None`; the first is how it is written.
OFF_WORDS = ("off", "none")
#: The same for booleans.
_TRUE_WORDS = ("true", "yes", "on", "1")
_FALSE_WORDS = ("false", "no", "off", "0")
_WHOLE = re.compile(r"[+-]?[0-9]+(_[0-9]+)*")
#: From here on digits are grouped: no port, mode or process count is so large, but sizes are.
_GROUPED_FROM = 100_000
_NO_META = msgspec.Meta()


@dataclass(frozen=True)
class Kind:
    """One way to write values."""

    #: What stands for the value in a help text.
    metavar: str
    #: What is expected, with the range, to follow `is not`.
    expected: str
    #: The value that a text stands for; ValueError for a text of another form.
    parse: Callable[[str], object]
    #: The text of a value; `parse` gives the value back.
    show: Callable[[Any], str]
    #: Whether a value of a struct is of this kind.
    holds: Callable[[object], bool]
    #: Whether values stand in quotes in TOML, which has no word for some of them.
    quoted: bool = True
    #: The texts that there are, if they can be counted.
    words: tuple[str, ...] = ()
    #: What stands between the commas.
    items: "tuple[Kind, ...]" = ()
    #: The kinds that a value may be of, if it may be of several.
    alternatives: "tuple[Kind, ...]" = ()

    def select(self, value: object) -> "Kind":
        """The alternative that a value is of."""
        return next((kind for kind in self.alternatives if kind.holds(value)), self)

    def show_toml(self, value: Any) -> str:
        """A value as a configuration file has it."""
        kind = self.select(value)
        if kind.items:
            items = kind.items * len(value) if len(kind.items) == 1 else kind.items
            pairs = zip(items, value, strict=True)
            return f"[{', '.join(item.show_toml(each) for item, each in pairs)}]"
        return quote(kind.show(value)) if kind.quoted else kind.show(value)


def kind_of(annotation: Any, meta: msgspec.Meta = _NO_META) -> Kind:
    """The kind for the type of a field.

    Args:
        annotation: what the field may hold.
        meta: its range, and in `extra` what a type does not say: `octal` for permission bits,
            `path` for a path.

    Raises:
        TypeError: no option can have this type.
    """
    arguments = get_args(annotation)
    origin = get_origin(annotation) or annotation
    extra = meta.extra or {}
    makers: dict[object, Callable[[], Kind]] = {
        Annotated: lambda: kind_of(arguments[0], arguments[1]),
        Union: lambda: _alternatives(arguments),
        UnionType: lambda: _alternatives(arguments),
        Literal: lambda: _word(arguments),
        tuple: lambda: _sequence(arguments),
        int: lambda: _octal(meta) if extra.get("octal") else _whole(meta),
        float: lambda: _seconds(meta),
        bool: _truth,
        str: lambda: _text(is_path=bool(extra.get("path"))),
    }
    if origin not in makers:
        raise TypeError(f"no option can have the type {annotation}")
    return makers[origin]()


def quote(value: object) -> str:
    """A text in quotes; any other TOML value as it stands in a file, nearly."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _nothing(*, or_empty: bool) -> Kind:
    """`None`. For a text that may be off, an empty one means the same."""

    def parse(text: str) -> object:
        if text.lower() not in OFF_WORDS and not (or_empty and not text):
            raise ValueError
        return None

    off = OFF_WORDS[0]
    return Kind(off, repr(off), parse, lambda _: off, lambda value: value is None)


def _truth() -> Kind:
    def parse(text: str) -> object:
        word = text.lower()
        if word not in _TRUE_WORDS + _FALSE_WORDS:
            raise ValueError
        return word in _TRUE_WORDS

    def show(value: bool) -> str:  # noqa: FBT001
        return "true" if value else "false"

    return Kind("true|false", "true or false", parse, show, _instance_of(bool), quoted=False)


def _whole(meta: msgspec.Meta) -> Kind:
    """A whole number; digits may be grouped with underscores."""

    def parse(text: str) -> object:
        if not _WHOLE.fullmatch(text):
            raise ValueError
        return int(text)

    expected = f"a whole number{_range(meta, _show_whole)}"
    return Kind("N", expected, parse, _show_whole, _is_whole, quoted=False)


def _octal(meta: msgspec.Meta) -> Kind:
    """Permission bits, as chmod takes them. In quotes: a plain 440 is another number in TOML."""
    show = "{:o}".format
    expected = f"an octal number{_range(meta, show)}"
    return Kind("OCTAL", expected, lambda text: int(text, 8), show, _is_whole)


def _seconds(meta: msgspec.Meta) -> Kind:
    """A number that may have a fraction; all of them are times so far."""

    def show(value: float) -> str:
        return _show_whole(int(value)) if float(value).is_integer() else repr(value)

    expected = f"a number of seconds{_range(meta, show)}"
    return Kind("SECONDS", expected, float, show, _instance_of(float), quoted=False)


def _word(words: tuple[str, ...]) -> Kind:
    """One of some words, in any case: LOG_LEVEL=INFO is what everybody writes somewhere."""

    def parse(text: str) -> object:
        matching = [word for word in words if word.lower() == text.lower()]
        if not matching:
            raise ValueError
        return matching[0]

    *others, last = map(repr, words)
    expected = f"{', '.join(others)} or {last}" if others else last
    return Kind("|".join(words), expected, parse, str, words.__contains__, words=words)


def _text(*, is_path: bool) -> Kind:
    return Kind(
        "PATH" if is_path else "TEXT",
        "a path" if is_path else "a text",
        str,
        str,
        _instance_of(str),
    )


def _sequence(arguments: tuple[Any, ...]) -> Kind:
    """Values with commas between: one of each type, or any number if an ellipsis follows it."""
    repeated = arguments[-1] is ...
    kinds = tuple(kind_of(each) for each in arguments if each is not ...)

    def parse(text: str) -> object:
        # Spaces behind a comma are how people write lists, and no part of a name.
        parts = [part.strip() for part in text.split(",")] if text else []
        each = kinds * len(parts) if repeated else kinds
        return [kind.parse(part) for kind, part in zip(each, parts, strict=True)]

    def show(values: Any) -> str:
        each = kinds * len(values) if repeated else kinds
        return ",".join(kind.show(value) for kind, value in zip(each, values, strict=True))

    metavar = ",".join(kind.metavar for kind in kinds) + (",..." if repeated else "")
    inner = "; ".join(kind.expected for kind in kinds)
    count = "values" if repeated else f"{len(kinds)} values"
    expected = f"{count} with commas between ({inner})"
    return Kind(metavar, expected, parse, show, _instance_of(tuple), quoted=False, items=kinds)


def _alternatives(arguments: tuple[Any, ...]) -> Kind:
    or_empty = any(each is str or get_args(each)[:1] == (str,) for each in arguments)
    kinds = tuple(
        _nothing(or_empty=or_empty) if each is NoneType else kind_of(each) for each in arguments
    )
    # Any text is a text, so that comes last; `None` comes first.
    order = sorted(kinds, key=lambda kind: (not kind.holds(None), kind.holds("")))

    def parse(text: str) -> object:
        for kind in order:
            try:
                return kind.parse(text)
            except ValueError:
                continue
        raise ValueError

    def show(value: Any) -> str:
        return next(kind for kind in kinds if kind.holds(value)).show(value)

    return Kind(
        "|".join(kind.metavar for kind in kinds),
        ", or ".join(kind.expected for kind in kinds),
        parse,
        show,
        lambda value: any(kind.holds(value) for kind in kinds),
        quoted=False,
        words=tuple(word for kind in kinds for word in kind.words),
        alternatives=kinds,
    )


def _instance_of(type_: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, type_)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _show_whole(value: int) -> str:
    return f"{value:_}" if abs(value) >= _GROUPED_FROM else str(value)


def _range(meta: msgspec.Meta, show: Callable[[Any], str]) -> str:
    """The range of a number, to follow what it is; empty without one."""
    if meta.ge is not None and meta.le is not None:
        return f" from {show(meta.ge)} to {show(meta.le)}"
    bounds = {"at least": meta.ge, "above": meta.gt, "at most": meta.le, "below": meta.lt}
    shown = [f"{words} {show(bound)}" for words, bound in bounds.items() if bound is not None]
    return f", {' and '.join(shown)}" if shown else ""
