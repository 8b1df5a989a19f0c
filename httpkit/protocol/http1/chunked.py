"""The chunk guard: walks chunked framing and finds the end of a body (RFC 9112 §7.1).

It checks and measures, it does not decode: the parsers do that with the bytes it lets through.
Stricter than both of them: a chunk line is hexadecimal digits, well-formed extensions and CRLF;
no whitespace, no bare CR or LF anywhere; a trailer section has whole field lines and nothing that
would frame or route a message.
"""

import re

from httpkit.errors import HeadersTooLarge, RemoteProtocolError
from httpkit.limits import Limits
from httpkit.protocol.http1.head import FIELD_LINE, check_section_end

__all__ = ["ChunkGuard"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;%b(?:=(?:%b|%b))?+)*+\r\n" % (_TOKEN, _TOKEN, _QUOTED)
)
#: What more bytes could make a chunk line; anything else is refused without waiting for its end.
_CHUNK_LINE_START = re.compile(rb"[0-9A-Fa-f]{1,16}+(?:;[^\r\n]*+)?+\r?+")
_TRAILERS = re.compile(rb"(?:%b)*+\r\n" % FIELD_LINE)
#: RFC 9110 §6.5.1: they must not be there, and who believes them sees another message.
_SMUGGLED = re.compile(rb"(?:\A|\n)(?:content-length|transfer-encoding|host):", re.IGNORECASE)
#: A chunk line with its extensions. Nobody sends them but attackers (CVE-2024-22019: node read
#: extensions without end); 16 digits and a few signatures fit.
_MAX_CHUNK_LINE = 1024
#: What chunk lines may cost beyond the data they bring, over a whole body (CVE-2023-39326; Go
#: allows the same): 16 bytes a chunk and twice its data are free, so that single bytes may flow.
_MAX_EXCESS = 16 * 1024
#: Steps of one walk, three for each chunk: a read of single bytes would hold up all others.
_MAX_STEPS = 3 * 512


class ChunkGuard:
    """One chunked body.

    Attributes:
        done: the last byte of the trailer section has been seen.
        error: what is wrong at the place where the last walk ended, if something is: malformed
            framing (400) or too large a trailer section (431).
        stopped: the last walk was long enough; there may be more to walk already.
    """

    __slots__ = ("_excess", "_left", "_limits", "_scanned", "done", "error", "stopped")

    # _left: bytes of the current chunk including its CRLF; 0 before a chunk line; -1 in trailers.
    # _scanned: of an incomplete trailer section, the bytes that were looked at before.

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = 0
        self._scanned = 0
        self._excess = 0
        self.done = False
        self.error: RemoteProtocolError | None = None
        self.stopped = False

    def walk(self, data: bytes, position: int) -> int:
        """The end of what is well-framed and complete enough to parse, from `position` on.

        The caller presents the rest again, with more behind it. What stands before an error is
        good and counts, so that the result does not depend on how the network cut the bytes.
        """
        self.stopped = False
        try:
            for _ in range(_MAX_STEPS):
                if position == len(data) or self.done:
                    break
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
            else:
                self.stopped = True
        except RemoteProtocolError as error:
            self.error = error
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
            if not _CHUNK_LINE_START.fullmatch(data, position):
                raise RemoteProtocolError("A chunk line is malformed.")
            return 0
        match = _CHUNK_LINE.fullmatch(data, position, end + 1)
        if match is None:
            raise RemoteProtocolError("A chunk line is malformed.")
        size = int(match[1], 16)
        line = end + 1 - position
        self._excess = max(0, self._excess + line - 16 - 2 * size)
        if self._excess > _MAX_EXCESS:
            raise RemoteProtocolError("The chunked body has too much besides its data.")
        self._left = size + 2 if size else -1
        return line

    def _trailers(self, data: bytes, position: int) -> int:
        """The trailer section as a whole: it is as small as a head."""
        if data.startswith(b"\r\n", position):
            self.done = True
            return 2
        end = data.find(b"\r\n\r\n", position + max(0, self._scanned - 3))
        section = data[position : end + 4] if end >= 0 else data[position:]
        check_section_end(section, max(0, self._scanned - 1), self._limits.max_header_bytes)
        if end < 0:
            self._scanned = len(section)
            return 0
        if not _TRAILERS.fullmatch(section) or _SMUGGLED.search(section):
            raise RemoteProtocolError("The trailer section is malformed.")
        if section.count(b"\r\n") > self._limits.max_headers + 1:
            raise HeadersTooLarge("The trailer section has too many fields.")
        self.done = True
        return len(section)
