"""`wsgi.input` for a body that comes in pieces: read in a thread, received on the loop."""

import asyncio
import io
from typing import Any

from httpkit.types import RequestChannel

__all__ = ["open_body"]


class _Body(io.RawIOBase):
    """The pieces of a body; each read waits for the loop, and the client is slowed down to it."""

    def __init__(self, channel: RequestChannel, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = channel
        self._loop = loop
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with what is there, or comes next; 0 at the end.

        Raises:
            BodyTooLarge: more than the request may have.
            ClientDisconnected: the client went away before the end.
        """
        if not self._rest and not self._ended:
            future = asyncio.run_coroutine_threadsafe(self._channel.receive_body(), self._loop)
            self._rest = future.result()
            self._ended = not self._rest
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def open_body(channel: RequestChannel) -> io.BufferedIOBase:
    """The body of a request as a file, for a thread; called on the loop.

    Raises:
        BodyTooLarge: more than the request may have.
    """
    whole = channel.take_body()
    if whole is not None:
        return io.BytesIO(whole)
    return io.BufferedReader(_Body(channel, asyncio.get_running_loop()), 65_536)
