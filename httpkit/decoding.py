"""Bodies of requests with a content coding (RFC 9110 §8.4): gzip and deflate, on demand.

Owns inflating within a limit. A kilobyte may stand for a megabyte, so zlib is never asked for more
than one piece at a time, and never for more than what the limit leaves. While a body inflates
beyond proportion the pieces are made in a thread, one by one, so that other requests get their
turn. Called by `Request.decode_body`.

Refuses other codings (415), several on top of each other (a bomb in a bomb), and whatever is
malformed, cut short or followed by something else (400).
"""

import zlib
from typing import TYPE_CHECKING, Any, cast

from httpkit.errors import BodyTooLarge, HTTPError
from httpkit.semantics.parameters import split_list
from httpkit.types import RequestChannel

if TYPE_CHECKING:
    from zlib import _Decompress

__all__ = ["DecodedBody", "find_coding"]

#: Bytes that zlib gets at once. It copies what it leaves over, so more would make many tiny
#: members cost quadratic time; and bytes that are asked of it at once.
_INPUT = 1_024
_PIECE = 65_536

#: For each coding what zlib calls the format. RFC 9110 §8.4.1.2: `deflate` is the zlib format.
_FORMATS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_ALIASES = {"x-gzip": "gzip"}  # RFC 9110 §8.4.1.3


def find_coding(field: str) -> str | None:
    """The coding that a Content-Encoding names; `None` if the body has none.

    Raises:
        HTTPError: 415 with `Accept-Encoding` (RFC 9110 §15.5.16, §12.5.3) for any other.
    """
    names = [name.lower() for name in split_list(field)]
    codings = [_ALIASES.get(name, name) for name in names if name != "identity"]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise HTTPError(
            415,
            f"The content coding of the body is none of those read here: {known}, or none.",
            {"accept-encoding": known},
        )
    return codings[0]


class DecodedBody:
    """A `RequestChannel` whose body comes decoded; everything else is that of the channel.

    Args:
        channel: where the coded body comes from.
        coding: as `find_coding` gives it.
        max_size: bytes that the decoded body may have.
    """

    def __init__(self, channel: RequestChannel, coding: str, max_size: int) -> None:
        self.max_size = max_size
        self._channel = channel
        self._coding = coding
        self._inflater = _Inflater(coding)
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def as_channel(self) -> RequestChannel:
        """This object, for the type checker, which cannot see what is passed on."""
        return cast("RequestChannel", self)

    def take_body(self) -> bytes | None:
        """`None`: a decoded body is made in pieces."""
        return None

    async def receive_body(self) -> bytes:
        """The next piece of the decoded body, `b""` at its end.

        Raises:
            HTTPError: 400 for what is not in its coding.
            BodyTooLarge: beyond `max_size`, or as the channel's.
        """
        while True:
            data = await self._inflate()
            if data:
                return data
            chunk = await self._channel.receive_body()
            if not chunk:
                if not self._inflater.complete:
                    raise HTTPError(400, f"The {self._coding} body is cut short.")
                return b""
            self._inflater.feed(chunk)

    async def _inflate(self) -> bytes:
        self._check_size()
        size = min(_PIECE, self.max_size - self._size + 1)  # one more tells that it is too much
        try:
            if self._inflater.expanding:
                data = await self._channel.run_blocking(self._inflater.read, size)
            else:
                data = self._inflater.read(size)
        except zlib.error:
            raise HTTPError(400, f"The body is not valid {self._coding}.") from None
        self._size += len(data)
        self._check_size()
        return data

    def _check_size(self) -> None:
        if self._size > self.max_size:
            raise BodyTooLarge(f"The decoded body is larger than {self.max_size} bytes.")


class _Inflater:
    """Inflates what it is fed, a bounded piece at a time.

    Attributes:
        complete: whether the input may end here.
        expanding: the last piece was cut off by its size: there is more to come.
    """

    def __init__(self, coding: str) -> None:
        self.complete = True  # no content at all has nothing to decode
        self.expanding = False
        self._format = _FORMATS[coding]
        self._several = coding == "gzip"  # RFC 1952 §2.2: a file is a series of members
        self._member: _Decompress | None = None
        self._begun = False
        self._chunk = b""
        self._position = 0
        self._input = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; those before must have been read to the end."""
        self._chunk, self._position = chunk, 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; `b""` once more has to be fed.

        Raises:
            zlib.error: the input is malformed.
        """
        pieces = []
        left = size
        while left and self._fill():
            piece = self._step(left)
            pieces.append(piece)
            left -= len(piece)
        self.expanding = not left
        return b"".join(pieces)

    def _fill(self) -> bool:
        if not self._input:
            self._input = self._chunk[self._position : self._position + _INPUT]
            self._position += len(self._input)
        return bool(self._input)

    def _step(self, size: int) -> bytes:
        if self._member is None:
            if self._begun and not self._several:
                raise zlib.error("something follows the end")
            self._member = zlib.decompressobj(self._format)
            self._begun, self.complete = True, False
        member = self._member
        piece = member.decompress(self._input, size)
        if member.eof:
            self._input = member.unused_data
            self._member, self.complete = None, True
        else:
            self._input = member.unconsumed_tail
        return piece
