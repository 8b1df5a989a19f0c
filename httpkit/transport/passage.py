"""A way for the bytes of files past the transport: from the file to the socket by sendfile(2).

The loops' own ways cannot be used: uvloop has none, and neither loop lets anybody else watch the
descriptor of a transport. So a passage has a duplicate of it. What goes through overtakes whatever
the transport still holds, so the connection hands out a passage only when that is nothing. What
the socket takes at once needs none (`write_at_once`).

A file whose pages are not in memory would hold up the loop, so they are read by a thread before.
"""

import asyncio
import errno
import os
import socket

from httpkit.body import FileBody
from httpkit.errors import ClientDisconnected

__all__ = ["Passage", "write_at_once"]

#: What sendfile(2) says of a file that is broken, or on a file system that cannot do it.
_OF_THE_FILE = frozenset({errno.EINVAL, errno.EIO, errno.ENOSYS, errno.EOPNOTSUPP, errno.ESTALE})


def write_at_once(descriptor: int, head: bytes, body: FileBody, limit: int) -> tuple[int, int]:
    """Write bytes to a socket and, if it takes all of them, a file behind them. Does not wait.

    Returns:
        How many bytes of `head`, and how many of the file, at most `limit`, which are taken off its
        front. A socket that is full or broken takes none; its transport will notice.
    """
    written = size = 0
    try:
        written = os.write(descriptor, head)
        if written == len(head):
            size = os.sendfile(descriptor, body.fd, body.offset, min(limit, body.length))
            body.skip(size)
    except OSError:  # no context manager: this is on the path of every file that is not small
        pass
    return written, size


class Passage:
    """Writes parts of files to a socket.

    Args:
        loop: of the connection.
        connected: its socket, which stays the transport's.

    Attributes:
        chunk: bytes that one call writes at most; more would keep the loop from others too long.
    """

    chunk = 1_048_576

    def __init__(self, loop: asyncio.AbstractEventLoop, connected: socket.socket) -> None:
        self._loop = loop
        self._descriptor = os.dup(connected.fileno())
        self._waiter: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether the socket is full."""
        return self._waiter is not None

    async def write(self, body: FileBody) -> int:
        """Write bytes from the front of what is left, as many as the socket takes; wait for more.

        Returns:
            How many were written; 0 if the file has become shorter, or has changed while this
            waited.

        Raises:
            ClientDisconnected: the connection is lost.
            OSError: the file cannot be read.
        """
        while True:
            try:
                size = min(body.length, self.chunk)
                sent = os.sendfile(self._descriptor, body.fd, body.offset, size)
            except BlockingIOError:
                await self._wait()
                if body.has_changed():
                    return 0
            except OSError as error:
                if error.errno in _OF_THE_FILE:
                    raise
                # A reset that the transport has not noticed yet, or it is closed.
                raise ClientDisconnected from error
            else:
                body.skip(sent)
                return sent

    async def _wait(self) -> None:
        if self._descriptor < 0:
            raise ClientDisconnected
        self._waiter = waiter = self._loop.create_future()
        self._loop.add_writer(self._descriptor, self._wake)
        try:
            await waiter
        finally:
            self._waiter = None
            if self._descriptor >= 0:
                self._loop.remove_writer(self._descriptor)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """The file is through or the connection lost: give the descriptor back, wake who waits."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            if self._waiter is not None:
                self._loop.remove_writer(descriptor)
            os.close(descriptor)
        self._wake()
