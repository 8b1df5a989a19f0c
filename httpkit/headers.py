"""Header fields: a list of raw pairs with a case-insensitive, multi-valued view on it.

Names are lower case bytes, values bytes without surrounding whitespace: what engines emit and
take. Text conversion happens when somebody asks. A field value is ISO-8859-1 to us (RFC 9110
§5.5): every byte survives a round trip.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from httpkit.errors import InvalidHeader

__all__ = ["Headers", "MutableHeaders", "RawHeaders", "encode_header"]

RawHeaders = list[tuple[bytes, bytes]]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
#: Size of values whose check is remembered: an application sends the same few again and again.
_SHORT = 256


def encode_header(name: str | bytes, value: str | bytes) -> tuple[bytes, bytes]:
    """Check and encode one field that an application wants to send.

    Raises:
        InvalidHeader: the name is not a token, or the value has a control character (CR, LF and
            NUL among them), text outside ISO-8859-1, or whitespace at an end (RFC 9110 §5.1, §5.5),
            or one of them is neither `str` nor `bytes`.
    """
    try:
        return _encode(name, value) if len(value) <= _SHORT else _check(name, value)
    except TypeError:  # no length, or no hash: a number, or a bytearray that could change later
        raise _not_text(name, value) from None


def _check(name: str | bytes, value: str | bytes) -> tuple[bytes, bytes]:
    try:
        raw_name = name.encode("ascii") if isinstance(name, str) else name
        raw_value = value.encode("latin-1") if isinstance(value, str) else value
    except UnicodeEncodeError:
        raise InvalidHeader(f"header {name!r}: {value!r} cannot be written to the wire") from None
    if not (isinstance(raw_name, bytes) and isinstance(raw_value, bytes)):
        raise _not_text(name, value)  # a number is a common slip
    if not _TOKEN.fullmatch(raw_name):
        raise InvalidHeader(f"header name {name!r} is not a token (RFC 9110 §5.1)")
    if not _FIELD_VALUE.fullmatch(raw_value) or raw_value != raw_value.strip(b" \t"):
        raise InvalidHeader(f"value {value!r} of header {name!r} is not allowed (RFC 9110 §5.5)")
    return raw_name.lower(), raw_value


_encode = lru_cache(maxsize=512)(_check)


def _not_text(name: object, value: object) -> InvalidHeader:
    return InvalidHeader(f"header {name!r}: {value!r} must be str or bytes")


class Headers(Mapping[str, str]):
    """Read-only header fields.

    `headers["accept"]` joins the lines of a repeated field with a comma (RFC 9110 §5.3), except
    `set-cookie`, of which it gives the first. `getlist` gives every line.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        #: The fields in order: lower case names, values as received.
        self.raw: RawHeaders = raw if isinstance(raw, list) else list(raw)

    @classmethod
    def of(cls, fields: "HeaderFields | None") -> "Headers":
        """Build from a mapping or pairs of str or bytes, checked as for sending."""
        return cls(encode_fields(fields))

    def getlist(self, name: str) -> list[str]:
        """Every line of a field, in order."""
        key = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for field, value in self.raw if field == key]

    def __getitem__(self, name: str) -> str:
        lines = self.getlist(name)
        if not lines:
            raise KeyError(name)
        if len(lines) == 1 or name.lower() == "set-cookie":
            return lines[0]
        return ("; " if name.lower() == "cookie" else ", ").join(lines)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        key = name.lower().encode("latin-1", "replace")
        return any(field == key for field, _ in self.raw)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self.raw))

    def __len__(self) -> int:
        return len({name for name, _ in self.raw})

    def pairs(self) -> list[tuple[str, str]]:
        """Every line as text, repeated names included."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw]

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, Headers) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mutable subclasses exist

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pairs()!r})"


class MutableHeaders(Headers):
    """Header fields of a response. Everything set is checked at once, where the mistake is made."""

    __slots__ = ()

    def __setitem__(self, name: str, value: str) -> None:
        field = encode_header(name, value)
        for index, (present, _) in enumerate(self.raw):
            if present == field[0]:
                self.raw[index] = field
                self.raw[index + 1 :] = [f for f in self.raw[index + 1 :] if f[0] != present]
                return
        self.raw.append(field)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.discard(name)

    def discard(self, name: str) -> None:
        """Remove a field if it is there."""
        key = name.lower().encode("latin-1", "replace")
        self.raw[:] = [field for field in self.raw if field[0] != key]

    def add(self, name: str, value: str) -> None:
        """Append a line and keep those already there."""
        self.raw.append(encode_header(name, value))

    def setdefault(self, name: str, value: str) -> str:
        """Set a field unless it is there; return what is there afterwards."""
        if name not in self:
            self[name] = value
        return self[name]

    def update(self, fields: "HeaderFields") -> None:
        """Replace every field named here by the lines given, of which there may be several."""
        lines = encode_fields(fields)
        names = {name for name, _ in lines}
        self.raw[:] = [field for field in self.raw if field[0] not in names] + lines

    def add_vary(self, *names: str) -> None:
        """Add field names to `Vary` without repeating one (RFC 9110 §12.5.5)."""
        present = [name.strip() for name in self.get("vary", "").split(",") if name.strip()]
        if not names or "*" in present:
            return
        spelling: dict[str, str] = {}
        for name in (*present, *names):
            spelling.setdefault(name.lower(), name)
        self["vary"] = ", ".join(spelling.values())


HeaderFields = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]


def encode_fields(fields: HeaderFields | None) -> RawHeaders:
    """Check and encode what an application gives as headers: a mapping or pairs."""
    if fields is None:
        return []
    pairs: Iterable[tuple[str | bytes, str | bytes]]
    if isinstance(fields, Headers):
        pairs = fields.raw  # Checked too: a Headers can be made of any bytes.
    else:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
    return encode_pairs(pairs)


def encode_pairs(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> RawHeaders:
    """What `encode_header` makes of each of many fields, without a call for each."""
    encoded = []
    for name, value in pairs:
        try:
            encoded.append(_encode(name, value) if len(value) <= _SHORT else _check(name, value))
        except TypeError:
            raise _not_text(name, value) from None
    return encoded
