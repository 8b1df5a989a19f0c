"""`wsgi.input` for a body that comes in pieces: read in a thread, received on the loop.

A body that does not come to its end is an `OSError`, as with any other file: that is what
frameworks expect here. One that is too large is answered by the server; applications would make a
500 of it.
"""

import asyncio
import io
from typing import Any

from httpkit.errors import BodyTooLarge, ClientDisconnected
from httpkit.server.handoff import Handoff
from httpkit.types import RequestChannel

__all__ = ["open_body"]


class InputLost(ClientDisconnected, OSError):
    """The rest of the body will not come."""


class _Body(io.RawIOBase):
    """The pieces of a body; each read waits for the loop, and the client is slowed down to it."""

    def __init__(
        self, channel: RequestChannel, handoff: Handoff, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._channel = channel
        self._handoff = handoff
        self._loop = loop
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with what is there, or comes next; 0 at the end.

        Raises:
            InputLost: it is more than the request may have, or the client went away before its end.
        """
        if not self._rest and not self._ended:
            future = asyncio.run_coroutine_threadsafe(self._receive(), self._loop)
            self._rest = future.result()
            self._ended = not self._rest
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    async def _receive(self) -> bytes:
        try:
            return await self._channel.receive_body()
        except BodyTooLarge as error:
            self._handoff.refuse(error)
            raise InputLost(str(error)) from None
        except ClientDisconnected as error:
            raise InputLost(str(error)) from None
        except RuntimeError:
            if not self._handoff.gone:
                raise
            raise InputLost from None  # the server let go of the request before the thread read it


def open_body(channel: RequestChannel, handoff: Handoff) -> io.BufferedIOBase:
    """The body of a request as a file, for a thread; called on the loop.

    Args:
        channel: of the request.
        handoff: where its answer goes.

    Raises:
        BodyTooLarge: more than the request may have.
    """
    whole = channel.take_body()
    if whole is not None:
        return io.BytesIO(whole)
    return io.BufferedReader(_Body(channel, handoff, asyncio.get_running_loop()), 65_536)
