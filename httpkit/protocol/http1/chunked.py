"""The chunk guard: walks chunked framing and finds the end of a body (RFC 9112 §7.1).

It checks and measures, it does not decode: the parsers do that with the bytes it lets through.
Stricter than both of them: a chunk line is hexadecimal digits, well-formed extensions and CRLF;
no whitespace, no bare CR or LF anywhere.
"""

import re

from httpkit.errors import HeadersTooLarge, RemoteProtocolError
from httpkit.limits import Limits
from httpkit.protocol.http1.head import check_lines

__all__ = ["ChunkGuard"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;%b(?:=(?:%b|%b))?+)*+\r\n" % (_TOKEN, _TOKEN, _QUOTED)
)
#: A chunk line with its extensions. Nobody sends them but attackers (CVE-2024-22019: node read
#: extensions without end); 16 digits and a few signatures fit.
_MAX_CHUNK_LINE = 1024


class ChunkGuard:
    """One chunked body.

    Attributes:
        done: the last byte of the trailer section has been seen.
    """

    __slots__ = ("_left", "_limits", "done")

    # _left: bytes of the current chunk including its CRLF; 0 before a chunk line; -1 in trailers.

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = 0
        self.done = False

    def walk(self, data: bytes) -> int:
        """How many bytes from the front of `data` are well-framed and complete enough to parse.

        The caller presents the rest again, with more behind it.

        Raises:
            RemoteProtocolError: malformed framing (400), or too large a trailer section (431).
        """
        position = 0
        while position < len(data) and not self.done:
            if self._left > 2:
                step = min(self._left - 2, len(data) - position)
                self._left -= step
            elif self._left > 0:
                step = self._end_of_chunk(data, position)
            elif self._left == 0:
                step = self._chunk_line(data, position)
            else:
                step = self._trailers(data, position)
            if step == 0:
                break
            position += step
        return position

    def _end_of_chunk(self, data: bytes, position: int) -> int:
        end = data[position : position + 2]
        if not b"\r\n".startswith(end):
            raise RemoteProtocolError("A chunk does not end where its size says.")
        if len(end) < 2:
            return 0
        self._left = 0
        return 2

    def _chunk_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position, position + _MAX_CHUNK_LINE)
        if end < 0:
            if len(data) - position >= _MAX_CHUNK_LINE:
                raise RemoteProtocolError("A chunk line is too long.")
            if not _may_begin_line(data[position:]):
                raise RemoteProtocolError("A chunk line is malformed.")
            return 0
        match = _CHUNK_LINE.fullmatch(data, position, end + 1)
        if match is None:
            raise RemoteProtocolError("A chunk line is malformed.")
        size = int(match[1], 16)
        self._left = size + 2 if size else -1
        return end + 1 - position

    def _trailers(self, data: bytes, position: int) -> int:
        """The trailer section as a whole: it is as small as a head."""
        if data.startswith(b"\r\n", position):
            self.done = True
            return 2
        end = data.find(b"\r\n\r\n", position)
        section = data[position:] if end < 0 else data[position : end + 4]
        if len(section) > self._limits.max_header_bytes:
            raise HeadersTooLarge("The trailer section is too large.")
        if end < 0:
            if b"\n" in section.replace(b"\r\n", b""):
                raise RemoteProtocolError("The trailer section has a bare LF.")
            return 0
        check_lines(section)
        if section.count(b"\r\n") > self._limits.max_headers + 1:
            raise HeadersTooLarge("The trailer section has too many fields.")
        self.done = True
        return len(section)


_LINE_START = re.compile(rb"[0-9A-Fa-f]{1,16}+(?:;[^\r\n]*+)?+\r?+")


def _may_begin_line(line: bytes) -> bool:
    """Whether more bytes could make this a chunk line; refuses garbage without waiting."""
    return _LINE_START.fullmatch(line) is not None
