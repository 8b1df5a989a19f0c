"""Request targets and paths: split, decode once, normalise once (RFC 3986, RFC 9112 §3.2).

One rule keeps matching and handlers together: a path is split at `/` before it is decoded, so an
encoded slash can never move a request to another route, and dot segments are resolved after
decoding, so that no spelling of `..` survives. Handlers and the router see the same result.
"""

import re
from binascii import a2b_qp
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, quote_from_bytes, urlencode

__all__ = [
    "URL",
    "MultiMapping",
    "Query",
    "decode_path",
    "has_empty_query",
    "origin_of",
    "parse_urlencoded",
    "quote_path",
    "quote_query",
    "split_target",
    "to_origin_form",
    "unquote",
]

V = TypeVar("V")

#: RFC 3986 §3.3 pchar without the percent sign, and the slash.
_PATH_SAFE = "/!$&'()*+,;=:@~"
#: RFC 3986 §3.4 characters of a query, and the percent sign of what is encoded already.
_QUERY_SAFE = "!$&'()*+,;=:@~/?%[]"
#: RFC 3986 §2.1: a percent sign begins a triplet and nothing else.
_BROKEN_TRIPLET = re.compile(rb"%(?![0-9A-Fa-f]{2})")


#: Bytes as numbers: Python finds a number in bytes in half the time of `b"?" in path`.
QUESTION_MARK = 0x3F
SLASH = 0x2F


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a checked request target; the path of `*` is `*`.

    An absolute-form target (RFC 9112 §3.2.2) loses its scheme and authority; an empty path in it
    is `/`.
    """
    if target[:1] != b"/" and target != b"*":
        target = to_origin_form(target)
    path, _, query = target.partition(b"?")
    return path, query


def to_origin_form(target: bytes) -> bytes:
    """An absolute-form target (RFC 9112 §3.2.2) without its scheme and authority.

    `http://a/b?` gives `/b?`: an empty query is another target than none (RFC 3986 §6.2.3).
    """
    rest = target.partition(b"://")[2]
    cut = min((i for i in (rest.find(b"/"), rest.find(b"?")) if i >= 0), default=len(rest))
    target = rest[cut:]
    return target if target[:1] == b"/" else b"/" + target


def origin_of(scheme: str, authority: str) -> str:
    """`https://example.com` in one spelling: lower case, no default port (RFC 9110 §4.2.3)."""
    port = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{authority.lower().removesuffix(port).removesuffix(':')}"


def has_empty_query(reference: str) -> bool:
    """Whether a URL has a query that is empty, which `urllib` takes for none."""
    return reference.partition("#")[0].partition("?")[1:] == ("?", "")


def decode_path(raw: bytes) -> list[str] | None:
    """Decode and normalise a raw path into its segments, without the leading empty one.

    `/a/b%20c/` gives `["a", "b c", ""]`. `None` means that the path names nothing that could
    exist here: it leaves the root, has a NUL, is not UTF-8, has a percent sign that encodes
    nothing, or hides a dot segment behind an encoded slash or a backslash.

    A segment may contain a slash (from `%2F`) and may be empty (from `//`): whoever makes a file
    name of segments has to refuse both.
    """
    try:
        usual = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not ("%" in usual or "/." in usual or "\\" in usual or "\0" in usual):
        return usual.split("/")[1:]  # nothing to decode, to normalize, or that could be hidden
    if _BROKEN_TRIPLET.search(raw):
        return None
    segments: list[str] = []
    parts = raw.split(b"/")[1:]
    last = len(parts) - 1
    for index, part in enumerate(parts):
        try:
            text = (unquote(part) if b"%" in part else part).decode("utf-8")
        except UnicodeDecodeError:
            return None
        if text in (".", ".."):
            if text == "..":
                if not segments:
                    return None
                segments.pop()
            if index == last:
                segments.append("")
        elif "\0" in text or _hides_dots(text):
            return None
        else:
            segments.append(text)
    return segments


def _hides_dots(segment: str) -> bool:
    if "/" not in segment and "\\" not in segment:
        return False
    pieces = segment.replace("\\", "/").split("/")
    return "." in pieces or ".." in pieces


def unquote(data: bytes) -> bytes:
    """Decode percent-encoding; what is no triplet stays (the URL standard, percent-decode).

    `urllib` takes 0.5 µs for each triplet, which adds up to seconds in a form of some megabytes.
    Quoted-printable is the same coding with another sign, and its decoder is written in C. Each
    sign that it gets begins a triplet, so that its rules for line ends never apply.
    """
    whole = _BROKEN_TRIPLET.sub(b"%25", data)
    return a2b_qp(whole.replace(b"=", b"%3D").replace(b"%", b"="))


def parse_urlencoded(data: bytes, errors: str = "replace") -> list[tuple[str, str]]:
    """The pairs of `application/x-www-form-urlencoded`, in order (the URL standard's parser).

    Only `&` separates (CVE-2021-23336). A piece without `=` is a name with an empty value.

    Args:
        data: as sent.
        errors: what to do with bytes that are not UTF-8, as for `bytes.decode`.

    Raises:
        UnicodeDecodeError: not UTF-8, if `errors` is `strict`.
    """
    data = data.replace(b"+", b" ")
    pairs = []
    for piece in data.split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            if b"%" in piece:
                name, value = unquote(name), unquote(value)
            pairs.append((name.decode("utf-8", errors), value.decode("utf-8", errors)))
    return pairs


def quote_path(path: str, errors: str = "strict") -> str:
    """Percent-encode a decoded path for a URL; slashes stay.

    Args:
        path: decoded.
        errors: what becomes of surrogates, as for `str.encode`.
    """
    return quote(path, safe=_PATH_SAFE, errors=errors)


def quote_query(query: bytes) -> str:
    """Percent-encode whatever a raw query may not contain; what is encoded already stays."""
    return quote_from_bytes(query, safe=_QUERY_SAFE)


class MultiMapping(Mapping[str, V]):
    """A read-only mapping of names to the last of their values, `getlist` for all of them.

    The order and repetition of the wire are kept in `pairs`.
    """

    __slots__ = ("_last", "pairs")

    def __init__(self, pairs: Iterable[tuple[str, V]] = ()) -> None:
        #: Every pair in order.
        self.pairs: list[tuple[str, V]] = list(pairs)
        self._last = dict(self.pairs)

    def getlist(self, name: str) -> list[V]:
        """Every value of a name, in order."""
        return [value for key, value in self.pairs if key == name]

    def __getitem__(self, name: str) -> V:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pairs!r})"


class Query(MultiMapping[str]):
    """The parameters of a query: a mapping to the last value, `getlist` for all."""

    __slots__ = ()

    @classmethod
    def parse(cls, query: bytes, *, max_fields: int = 1000) -> "Query":
        """Parse the raw query of a target; invalid UTF-8 becomes U+FFFD.

        Raises:
            ValueError: more than `max_fields` fields.
        """
        if not query:
            return cls()
        if query.count(b"&") >= max_fields:
            raise ValueError(f"the query has more than {max_fields} fields")
        return cls(parse_urlencoded(query))


class URL:
    """The effective URL of a request, in its parts; `str()` joins them, encoded."""

    __slots__ = ("authority", "empty_query", "path", "query", "scheme")

    def __init__(
        self,
        scheme: str,
        authority: str,
        path: str,
        query: str = "",
        *,
        empty_query: bool = False,
    ) -> None:
        self.scheme = scheme
        #: Host and port as the client named them.
        self.authority = authority
        #: Encoded path.
        self.path = path
        #: Encoded query without the question mark.
        self.query = query
        #: Where the query is empty: it is there, which makes another URL (RFC 3986 §6.2.3).
        self.empty_query = empty_query

    @property
    def host(self) -> str:
        """The host without port, lower case; IPv6 addresses without brackets."""
        if self.authority.startswith("["):
            return self.authority[1:].partition("]")[0].lower()
        return self.authority.partition(":")[0].lower()

    @property
    def port(self) -> int:
        """The port named by the client, else the scheme's default."""
        port = self.authority.rpartition("]")[2].partition(":")[2]
        # int() would refuse the superscripts that isdigit() allows, and thousands of digits.
        if port.isascii() and port.isdigit() and len(port) <= 5:
            return int(port)
        return 443 if self.scheme == "https" else 80

    def include_query(self, **parameters: Any) -> "URL":
        """A copy with these query parameters added or replaced."""
        pairs = [p for p in parse_qsl(self.query, keep_blank_values=True) if p[0] not in parameters]
        query = urlencode(pairs + [(name, str(value)) for name, value in parameters.items()])
        return URL(self.scheme, self.authority, self.path, query)

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query or self.empty_query else ""
        return f"{self.scheme}://{self.authority}{self.path}{query}"

    def __repr__(self) -> str:
        return f"URL({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, URL | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))
