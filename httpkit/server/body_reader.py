"""The body of one request on its way from the engine to the handler.

`WholeBody` for one that came with its head, as most do; `BodyReader` for one that comes in pieces.
"""

import asyncio
from collections import deque

import msgspec

from httpkit.errors import ClientDisconnected
from httpkit.waiting import Waiter

__all__ = ["BodyReader", "WholeBody"]

_ANSWERED = "the body has to be read before the request is answered"


class WholeBody(msgspec.Struct, eq=False, gc=False):
    """A body that is here from the beginning.

    Attributes:
        data: the body; `None` once it is taken, or will not be.
        size: in bytes.
        abandoned: the request was answered before it was taken.
    """

    data: bytes | None
    size: int
    abandoned: bool = False

    #: There is something to take, or nothing will come.
    waiting = False

    def take_whole(self) -> bytes | None:
        """The body, if nobody has taken it."""
        data, self.data = self.data, None
        return data

    async def read(self) -> bytes:
        """The body, then `b""`.

        Raises:
            RuntimeError: the request is answered already.
        """
        if self.abandoned:
            raise RuntimeError(_ANSWERED)
        return self.take_whole() or b""

    def abandon(self) -> None:
        """The request is answered: what nobody has taken will not be."""
        if self.data is not None:
            self.abandoned = True
            self.data = None

    def fail(self) -> None:
        """The client is gone; the body is here all the same."""


class BodyReader:
    """A queue of body chunks with one reader.

    How much may wait is the engine's business (`wants_input`, flow control windows); here is only
    the order of things: chunks, then the end or the failure.

    Args:
        loop: of the reader.
        length: what the head announced in bytes, or `None`.

    Attributes:
        abandoned: the request was answered before its body was read to the end.
        size: bytes of the body that are known of: announced or, if that is more, read.
    """

    __slots__ = ("_arrival", "_chunks", "_ended", "_failed", "_read", "abandoned", "size")

    def __init__(self, loop: asyncio.AbstractEventLoop, length: int | None = None) -> None:
        self.size = length or 0
        self._read = 0
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._failed = False
        self._arrival = Waiter(loop)
        self.abandoned = False

    @property
    def waiting(self) -> bool:
        """Whether there is nothing to take yet."""
        return not self._chunks and not self._ended and not self._failed

    def feed(self, data: bytes, *, end: bool) -> None:
        """A chunk came in; empty chunks only carry the end."""
        if data:
            self._chunks.append(data)
        self._ended = self._ended or end
        self._arrival.wake()

    def fail(self) -> None:
        """There will be no more; what is here can still be read."""
        self._failed = True
        self._arrival.wake_soon()  # the reader may be canceled in a moment

    def abandon(self) -> None:
        """The request is answered: what nobody has read will not be read."""
        if self._chunks or not self._ended:
            self.abandoned = True
            self._chunks.clear()
            self.fail()

    def take_whole(self) -> bytes | None:
        """The whole body, if it has arrived and nobody has read of it."""
        if not self._ended or self._read or self._failed:
            return None
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._read = len(data)
        return data

    def take_early(self) -> tuple[bytes, bool]:
        """What has come of an upgraded stream before its answer, and whether that is all of it."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data, self._ended

    async def read(self) -> bytes:
        """The next chunk, `b""` at the end.

        Raises:
            ClientDisconnected: the body ended before its end.
            RuntimeError: somebody else is reading, or the request is answered already.
        """
        while self.waiting:
            if self._arrival.callback is not None:
                raise RuntimeError("the body of this request is already being read elsewhere")
            await self._arrival.wait()
        if self._chunks:
            data = self._chunks.popleft()
            self._read += len(data)
            self.size = max(self.size, self._read)
            return data
        if self.abandoned:
            raise RuntimeError(_ANSWERED)
        if self._ended:
            return b""
        raise ClientDisconnected("the client went away before the end of its request")
