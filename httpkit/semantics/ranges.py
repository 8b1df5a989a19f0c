"""Byte ranges (RFC 9110 §14): which parts of a content a request wants, and how they are framed.

Owns the grammar of `Range`, the limits against requests that cost more than they look like, and the
layout of `multipart/byteranges`. Knows sizes only, never the bytes. A field that cannot be read is
ignored (§14.2), so the client gets the whole. Called by whoever answers ranges.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["MAX_RANGES", "Multipart", "Span", "content_range", "parse_range", "unsatisfied_range"]

#: Ranges of one request that are looked at; with more of them the field is ignored (§14.2, §17.15).
#: Readers of PDF ask for a handful, and the bombs of CVE-2011-3192 had thousands.
MAX_RANGES = 16

#: Ranges with a smaller gap between them are sent as one: the head of a part costs as much
#: (§15.3.7).
_GAP = 80
#: RFC 9110 §14.1.1: int-range or suffix-range. A position is at most 18 digits, which is more than
#: any file has, since Python counts on where others would overflow.
_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18})")


class Span(NamedTuple):
    """A part of a content.

    Attributes:
        start: of its first byte.
        length: in bytes, at least 1.
    """

    start: int
    length: int

    @property
    def end(self) -> int:
        """The position after its last byte."""
        return self.start + self.length


def parse_range(field: str, size: int) -> list[Span] | None:
    """Read a `Range` field (RFC 9110 §14.1, §14.2).

    Args:
        field: its value.
        size: of the whole content, in bytes.

    Returns:
        What to send. Ranges that overlap or nearly touch are one, and the order is then that of
        the content; else it is that of the request (§15.3.7.2). All of it is a part, too: whoever
        asks for `bytes=0-` wants to see by the 206 that parts can be had (§14.2). An empty list if
        nothing of it lies in the content: answer 416 with `unsatisfied_range`. `None` if the field
        is to be ignored: it is malformed, has another unit, or asks for more than `MAX_RANGES`.
    """
    # One range in the usual spelling is what nearly everybody sends.
    only = _RANGE.fullmatch(field, 6) if field.startswith("bytes=") else None
    members = _split(field) if only is None else [only]
    spans: list[Span] = []
    for member in members:
        if member is None or (member[2] and int(member[2]) < int(member[1])):
            return None
        span = _place(member, size)
        if span is not None:
            spans.append(span)
    # §14.1.2: the end of an empty content can be had, but no `Content-Range` can say where it lies.
    if not members or (spans and size == 0):
        return None
    return _coalesce(spans) if len(spans) > 1 else spans


def _split(field: str) -> list[re.Match[str] | None]:
    """The ranges of a field, `None` for one that is malformed; empty if it is to be ignored."""
    unit, equals, text = field.partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return []
    members = text.split(",", MAX_RANGES)
    if len(members) > MAX_RANGES:
        return []
    stripped = [member.strip(" \t") for member in members]
    # RFC 9110 §5.6.1: empty members of a list do not count.
    return [_RANGE.fullmatch(member) for member in stripped if member]


def content_range(span: Span, size: int) -> str:
    """The `Content-Range` of a part (RFC 9110 §14.4)."""
    start, length = span
    return f"bytes {start}-{start + length - 1}/{size}"


def unsatisfied_range(size: int) -> str:
    """The `Content-Range` of a 416 (RFC 9110 §14.4, §15.5.17)."""
    return f"bytes */{size}"


class Multipart:
    """The framing of several parts as `multipart/byteranges` (RFC 9110 §14.6).

    Args:
        spans: the parts.
        size: of the whole content, in bytes.
        content_type: of the whole content; empty if it has none.
        boundary: must not occur in the content, so it is chosen at random, by the caller.

    Attributes:
        content_type: of the answer.
        length: of its body, in bytes.
    """

    __slots__ = ("_heads", "_tail", "content_type", "length", "spans")

    def __init__(self, spans: Sequence[Span], size: int, content_type: str, boundary: str) -> None:
        self.spans = spans
        described = f"Content-Type: {content_type}\r\n" if content_type else ""
        self._heads = [
            f"\r\n--{boundary}\r\n{described}"
            f"Content-Range: {content_range(span, size)}\r\n\r\n".encode("latin-1")
            for span in spans
        ]
        self._tail = f"\r\n--{boundary}--\r\n".encode("latin-1")
        self.content_type = f"multipart/byteranges; boundary={boundary}"
        framing = sum(map(len, self._heads)) + len(self._tail)
        self.length = framing + sum(span.length for span in spans)

    def __iter__(self) -> Iterator[bytes | Span]:
        """The body in order: bytes as they are, and spans in whose place the content goes."""
        for head, span in zip(self._heads, self.spans, strict=True):
            yield head
            yield span
        yield self._tail


def _place(match: re.Match[str], size: int) -> Span | None:
    """Where a range lies in the content; `None` if it lies outside."""
    first, last, suffix = match.groups()
    if suffix is not None:
        length = min(int(suffix), size)
        return Span(size - length, length) if int(suffix) else None
    start = int(first)
    if start >= size:
        return None
    end = min(int(last) + 1, size) if last else size
    return Span(start, end - start)


def _coalesce(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start - merged[-1].end < _GAP:
            start = merged[-1].start
            merged[-1] = Span(start, max(merged[-1].end, span.end) - start)
        else:
            merged.append(span)
    return spans if len(merged) == len(spans) else merged
