"""Accepting connections from listening sockets.

The loops' own `create_server` cannot pause: out of descriptors, libuv accepts and closes what
waits, and asyncio logs once for each try. Here `Acceptor` takes sockets itself and hands them to
the loop, so it can stop taking them, for a while or for good, and the kernel keeps the queue.

Called by `server.Server`; it opens nothing, see `transport.sockets`.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Mapping

__all__ = ["ACCEPT_BATCH", "Acceptor"]

logger = logging.getLogger("httpkit")

#: Sockets taken in one turn of the loop, so that a storm of connections does not starve answers.
ACCEPT_BATCH = 64
#: How long to wait before trying again when descriptors or memory ran out.
_PAUSE = 0.25
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
#: Seconds without such a failure after which the next one is an incident of its own.
_INCIDENT = 10.0


class Acceptor:
    """Accepts from listening sockets.

    Args:
        loop: where connections live.
        listeners: non-blocking listening sockets, closed by `close`, and what is called for each
            connection of one of them.
        may_accept: asked before each batch how many connections there is room for.
        batch: connections taken in one turn of the loop. One, where other processes accept from
            the same sockets: whoever came first would take all that wait.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listeners: Mapping[socket.socket, Callable[[], asyncio.Protocol]],
        may_accept: Callable[[], int],
        *,
        batch: int = ACCEPT_BATCH,
    ) -> None:
        self._loop = loop
        self._listeners = dict(listeners)
        self._may_accept = may_accept
        self._batch = batch
        self._accepting = False
        self._full = False
        # When descriptors or memory ran out last, on the loop's clock.
        self._exhausted_at: float | None = None
        self._retry: asyncio.TimerHandle | None = None
        # Sockets on their way to a protocol.
        self._opening: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Accept (again)."""
        if not self._accepting and self._listeners:
            self._accepting = True
            for listener in self._listeners:
                self._loop.add_reader(listener, self._accept, listener)

    def pause(self) -> None:
        """Accept no more; what comes waits in the kernel's queue."""
        if self._accepting:
            self._accepting = False
            for listener in self._listeners:
                self._loop.remove_reader(listener)

    def make_room(self) -> None:
        """A connection has ended: accept again if there was no room before."""
        if self._full:
            self._full = False
            self.resume()

    def close(self) -> None:
        """Accept no more and close the listening sockets."""
        self.pause()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        listeners, self._listeners = self._listeners, {}
        for listener in listeners:
            listener.close()

    async def wait_closed(self) -> None:
        """Close, and wait until every socket that was accepted has its protocol."""
        self.close()
        if self._opening:
            await asyncio.wait(self._opening)

    def _accept(self, listener: socket.socket) -> None:
        make_protocol = self._listeners[listener]
        room = self._may_accept() - len(self._opening)
        if room <= 0:
            self._full = True
            self.pause()
            return
        for _ in range(min(room, self._batch)):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._accept_failed(error)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._open(connection, make_protocol))
            self._opening.add(task)
            task.add_done_callback(self._opened)

    async def _open(
        self, connection: socket.socket, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(make_protocol, connection)
        except OSError as error:
            # The peer may be gone already, or descriptors are.
            logger.debug("a connection was lost while it was opened: %s", error)
            connection.close()

    def _opened(self, task: asyncio.Task[None]) -> None:
        # While it was opened it may have been counted twice, and if opening failed, once too many.
        self._opening.discard(task)
        self.make_room()

    def _accept_failed(self, error: OSError) -> None:
        """Out of descriptors or memory: wait for some to come back. One line for an incident."""
        if error.errno not in _EXHAUSTED:
            logger.error("accepting failed: %s", error)
        else:
            now = self._loop.time()
            if self._exhausted_at is None or now - self._exhausted_at > _INCIDENT:
                logger.error(
                    "accepting paused: %s; new connections wait (raise `ulimit -n` or lower "
                    "max_connections)",
                    error.strerror,
                )
            self._exhausted_at = now
        self.pause()
        self._retry = self._loop.call_later(_PAUSE, self.resume)
