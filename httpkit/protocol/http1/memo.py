"""The fast lane for heads: lines that were parsed before need not be parsed again.

Clients repeat themselves: the same request lines, the same hosts, the same dozen fields with the
same values. A `HeadMemo` remembers lines of heads that passed the guard and the parser, and gives
their parsed form for a later head in which every line is known. What it does not recognize takes
the ordinary road; it decides nothing by itself.

Why that is sound: a field line has the same meaning in every head, except for the few fields that
frame the message. Of those only `Connection: keep-alive` is ever remembered, and `Host`, which is
recognized as the first field and nowhere else, so that there is exactly one. `Content-Length` is
remembered for the methods that have bodies, and counted when it is recalled. So a head that is
recalled has no coding, no upgrade and no expectation, and nothing of it has to be checked again
but its size.
"""

from typing import TypeVar

from httpkit.protocol.http1.head import FRAMING_FIELDS, Framing
from httpkit.request import RequestHead

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

#: Requests with these methods are remembered with the length of their body.
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

#: Field lines and what they mean.
Lines = dict[bytes, tuple[bytes, bytes]]
#: A head and what it says about the message.
KnownHead = tuple[RequestHead, Framing]


class HeadMemo:
    """Known lines, shared by all connections of a process."""

    __slots__ = ("_fields", "_fields_with_body", "_hosts", "_request_lines")

    def __init__(self) -> None:
        self._request_lines: dict[bytes, tuple[str, bytes, Lines]] = {}
        self._hosts: Lines = {}
        self._fields: Lines = {}
        self._fields_with_body: Lines = {}

    def recall(self, head: bytes) -> KnownHead | None:
        """The parsed form of these bytes, if they are one whole head and every line is known.

        No line that is known is empty, so an end of the head before the end of the bytes is not
        missed.
        """
        lines = head.split(b"\r\n")
        if lines[-1] or lines[-2]:
            return None
        try:
            method, target, known = self._request_lines[lines[0]]
            host = self._hosts[lines[1]]
            fields = (host, *map(known.__getitem__, lines[2:-2]))
        except KeyError:
            return None
        framing: Framing | None
        framing = _KEEP_ALIVE_FRAMING if _KEEP_ALIVE in lines else _PLAIN_FRAMING
        if known is self._fields_with_body:
            framing = _frame_body(fields, framing)
            if framing is None:
                return None
        return RequestHead(method, target, host[1], fields), framing

    def learn(self, raw: bytes, head: RequestHead, framing: Framing) -> None:
        """Remember the lines of a head of HTTP/1.1 that has passed every check."""
        headers = head.headers
        with_body = head.method in _WITH_BODY
        if (
            head.target[0] != 0x2F
            or not framing.is_simple
            or (framing.content_length is not None and not with_body)
            or not headers
            or headers[0][0] != b"host"
        ):
            return
        lines = raw.split(b"\r\n")
        known = self._fields_with_body if with_body else self._fields
        _remember(self._request_lines, lines[0], (head.method, head.target, known))
        _remember(self._hosts, lines[1], headers[0])
        for line, field in zip(lines[2:-2], headers[1:], strict=True):
            name = field[0]
            framed = name == b"content-length" and with_body
            if framed or name not in FRAMING_FIELDS or line == _KEEP_ALIVE:
                _remember(known, line, field)


def _frame_body(fields: tuple[tuple[bytes, bytes], ...], plain: Framing) -> Framing | None:
    """The framing of a head with at most one Content-Length."""
    lengths = [value for name, value in fields if name == b"content-length"]
    if len(lengths) != 1:
        return None if lengths else plain
    framing = Framing(keep_alive=True)
    framing.said_keep_alive = plain.said_keep_alive
    framing.content_length = int(lengths[0])
    return framing


def _remember(memo: dict[bytes, Value], line: bytes, value: Value) -> None:
    if len(line) <= _MAX_LINE:
        if len(memo) >= _MAX_LINES:
            memo.clear()
        memo[line] = value
