"""The fast lane for heads: lines that were parsed before need not be parsed again.

Clients repeat themselves: the same request lines, the same hosts, the same dozen fields with the
same values. A `HeadMemo` remembers lines of heads that passed the guard and the parser, and gives
their parsed form for a later head in which every line is known. What it does not recognize takes
the ordinary road; it decides nothing by itself.

Why that is sound: a field line has the same meaning in every head, except for the few fields that
frame the message. Of those only `Connection: keep-alive` is ever remembered, and `Host`, which is
recognized as the first field and nowhere else, so that there is exactly one. So a head that is
recalled has no body, no upgrade and no expectation, and nothing of it has to be checked again but
its size.
"""

from typing import TypeVar

from httpkit.headers import RawHeaders
from httpkit.protocol.http1.head import FRAMING_FIELDS, Framing

__all__ = ["HeadMemo", "KnownHead"]

#: Lines remembered; beyond it the memo starts anew. A site's usual lines are back at once.
_MAX_LINES = 4096
#: Longer lines are not remembered: with the number above it bounds the memory to a few MiB.
_MAX_LINE = 512

#: How browsers write it; other spellings take the ordinary road.
_KEEP_ALIVE = b"Connection: keep-alive"
_PLAIN_FRAMING = Framing(keep_alive=True)
_KEEP_ALIVE_FRAMING = Framing(keep_alive=True)
_KEEP_ALIVE_FRAMING.said_keep_alive = True

Value = TypeVar("Value")

#: Method, target, authority, fields, framing.
KnownHead = tuple[str, bytes, bytes, RawHeaders, Framing]


class HeadMemo:
    """Known lines, shared by all connections of a process."""

    __slots__ = ("_fields", "_hosts", "_request_lines")

    def __init__(self) -> None:
        self._request_lines: dict[bytes, tuple[str, bytes]] = {}
        self._hosts: dict[bytes, tuple[bytes, bytes]] = {}
        self._fields: dict[bytes, tuple[bytes, bytes]] = {}

    def recall(self, head: bytes) -> KnownHead | None:
        """The parsed form of these bytes, if they are one whole head and every line is known.

        No line that is known is empty, so an end of the head before the end of the bytes is not
        missed.
        """
        lines = head.split(b"\r\n")
        if lines[-1] or lines[-2]:
            return None
        try:
            method, target = self._request_lines[lines[0]]
            host = self._hosts[lines[1]]
            fields = [host, *map(self._fields.__getitem__, lines[2:-2])]
        except KeyError:
            return None
        framing = _KEEP_ALIVE_FRAMING if _KEEP_ALIVE in lines else _PLAIN_FRAMING
        return method, target, host[1], fields, framing

    def learn(
        self, head: bytes, method: str, target: bytes, headers: RawHeaders, framing: Framing
    ) -> None:
        """Remember the lines of a head of HTTP/1.1 that has passed every check."""
        if (
            target[0] != 0x2F
            or not framing.keep_alive
            or framing.chunked
            or framing.content_length is not None
            or framing.expect_continue
            or framing.upgrade is not None
            or not headers
            or headers[0][0] != b"host"
        ):
            return
        lines = head.split(b"\r\n")
        _remember(self._request_lines, lines[0], (method, target))
        _remember(self._hosts, lines[1], headers[0])
        for line, field in zip(lines[2:-2], headers[1:], strict=True):
            if field[0] not in FRAMING_FIELDS or line == _KEEP_ALIVE:
                _remember(self._fields, line, field)


def _remember(memo: dict[bytes, Value], line: bytes, value: Value) -> None:
    if len(line) <= _MAX_LINE:
        if len(memo) >= _MAX_LINES:
            memo.clear()
        memo[line] = value
