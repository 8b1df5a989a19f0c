"""The fast lane for plain heads: one pattern instead of guard and parser.

Most requests are plain: HTTP/1.1, a path as target, one `Host`, at most one `Content-Length` after
it, no other field that frames the message than `Connection: keep-alive`. One match of a pattern
tells that a head is such a one, and where it ends; its fields are cut apart when somebody asks for
them, which many handlers never do.

Why that is sound: the pattern accepts a subset of what the guard accepts, and what it does not
match takes the ordinary road, where the guard decides and names the fault. So it never refuses
anything. Every quantifier is possessive, so a match takes time linear in the head. The reference
engine does without the lane, and the differential test compares the two.
"""

import re
from functools import lru_cache

from httpkit.limits import Limits
from httpkit.protocol.http1.head import Framing, split_fields
from httpkit.protocol.incoming import ORIGIN_METHODS, is_authority
from httpkit.request import RequestHead

__all__ = ["PlainHead", "PlainHeads", "plain_heads"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
# The first byte of a name tells of most that it frames nothing; the others are spelled out.
_HARMLESS = rb"[!#$%&'*+.^_`|~0-9ABDFGI-SV-Zabdfgi-sv-z-]"
_FRAMING = rb"(?i:connection|content-length|expect|host|transfer-encoding|upgrade):"
_FIELD = rb"(?:%b|(?!%b)%b)%b*+:[\t\x20-\x7e\x80-\xff]*+\r\n" % (
    _HARMLESS,
    _FRAMING,
    _TOKEN,
    _TOKEN,
)

_PLAIN = Framing(keep_alive=True)
_KEEP_ALIVE = Framing(keep_alive=True, said_keep_alive=True)


class PlainHead(RequestHead, eq=False, gc=False):
    """A head whose fields are still to be cut apart."""

    raw: bytes = b""

    def _read_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return tuple(split_fields(self.raw))


class PlainHeads:
    """Recognizes plain heads within the limits of a server.

    Args:
        limits: a head may have a third of `max_headers` fields before its Host, as many between
            that and its Content-Length, and behind that: so it never has too many, and nobody
            has to count.
    """

    __slots__ = ("_match", "_max_size")

    def __init__(self, limits: Limits) -> None:
        third = max(0, limits.max_headers - 2) // 3
        fields = rb"(?:%b|(Connection: keep-alive\r\n)){0,%d}+" % (_FIELD, third)
        self._match = re.compile(
            rb"([A-Z]++) (/[\x21\x22\x24-\x7e]*+) HTTP/1\.1\r\n"
            rb"%b(?i:host): ([\x21-\x7e]++)\r\n"
            rb"%b(?:(?i:content-length): ([0-9]{1,18})\r\n%b)?+"
            rb"\r\n" % (fields, fields, fields)
        ).match
        self._max_size = min(limits.max_target, limits.max_header_bytes)
        if limits.max_headers < 2:
            self._max_size = 0  # Host and Content-Length are too many already

    def match(self, data: bytes, start: int) -> tuple[PlainHead, Framing] | None:
        """The head that begins at `start`, if it is whole and plain."""
        match = self._match(data, start)
        if match is None:
            return None
        raw_method, target, before, authority, between, length, behind = match.groups()
        raw = match[0]
        method = ORIGIN_METHODS.get(raw_method)
        if method is None or len(raw) > self._max_size or not is_authority(authority):
            return None
        framing = _KEEP_ALIVE if before or between or behind else _PLAIN
        if length is not None:
            framing = Framing(True, framing.said_keep_alive, int(length))
        return PlainHead(method, target, authority, None, "", "1.1", None, raw), framing


#: One pattern for all connections of a server.
plain_heads = lru_cache(8)(PlainHeads)
