"""A transport in memory: the server's side of a connection whose client is in the same loop.

Owns what a socket does between the two: order, backpressure in both directions, half-close. No
bytes are lost when a side closes, as with a kernel's buffers. Called by `wire.py`.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from functools import partial

from httpkit.types import Address

__all__ = ["MemoryTransport"]

#: What the loop reads from a socket at once.
_READ_SIZE = 65_536


class MemoryTransport(asyncio.Transport):
    """Hands bytes from `send` to a protocol, and what it writes to `receive`.

    The protocol is called from callbacks of the loop, never from inside the client's task, and in
    the context of the server: as with a socket.

    Args:
        protocol: the server's connection.
        context: what its callbacks run in.
        peer: the client's address.
        local: the server's address.
    """

    def __init__(
        self, protocol: asyncio.Protocol, context: Context, peer: Address, local: Address
    ) -> None:
        super().__init__({"peername": tuple(peer), "sockname": tuple(local)})
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._context = context
        self._written = bytearray()
        self._high = 65_536
        self._writing_paused = False
        self._write_ended = False
        self._closing = False
        # The client's tasks wait for these.
        self._readable = asyncio.Event()
        self._accepting = asyncio.Event()
        self._lost = asyncio.Event()
        self._accepting.set()

    # --- the client's side -------------------------------------------------------------------

    async def open(self) -> None:
        """Connect."""
        await self._call(self._protocol.connection_made, self)

    async def send(self, data: bytes) -> None:
        """Give the server bytes, as fast as it reads them; a closed one gets none."""
        for start in range(0, len(data), _READ_SIZE):
            await self._accepting.wait()
            if self._closing:
                return
            await self._call(self._protocol.data_received, data[start : start + _READ_SIZE])

    async def receive(self) -> bytes:
        """What the server has written; `b""` once it has closed its side."""
        while not self._written and not self._write_ended:
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._written)
        self._written.clear()
        if self._writing_paused:
            self._writing_paused = False
            self._loop.call_soon(self._protocol.resume_writing, context=self._context)
        return data

    async def disconnect(self) -> None:
        """Close the client's side for good; the server is told."""
        self.abort()
        await self._lost.wait()

    async def _call(self, function: Callable[..., object], *args: object) -> None:
        """Run a callback of the protocol from the loop; what it raises is raised here."""
        done = self._loop.create_future()

        def step() -> None:
            try:
                function(*args)
            except BaseException as error:  # noqa: BLE001 - handed to the one who waits
                result = partial(done.set_exception, error)
            else:
                result = partial(done.set_result, None)
            if not done.done():  # the client was cancelled meanwhile
                result()

        self._loop.call_soon(step, context=self._context)
        await done

    # --- asyncio.Transport, the server's side ------------------------------------------------

    def is_closing(self) -> bool:
        """Whether this end is closed or being closed."""
        return self._closing

    def close(self) -> None:
        """Close; what is written can still be received."""
        if not self._closing:
            self._closing = True
            self.write_eof()
            self._accepting.set()
            self._loop.call_soon(self._lose, context=self._context)

    def abort(self) -> None:
        """Close and forget what is written."""
        self._written.clear()
        self.close()

    def _lose(self) -> None:
        self._lost.set()
        self._protocol.connection_lost(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes for the client."""
        if self._write_ended:
            return
        self._written += data
        self._readable.set()
        if len(self._written) > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """As TCP."""
        return True

    def write_eof(self) -> None:
        """Write no more."""
        self._write_ended = True
        self._readable.set()

    def pause_reading(self) -> None:
        """Make the client wait."""
        self._accepting.clear()

    def resume_reading(self) -> None:
        """Let the client go on."""
        self._accepting.set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002
        """When the protocol is told to pause."""
        # The client takes everything at once, so it never stops at a low-water mark.
        self._high = self._high if high is None else high

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not received."""
        return len(self._written)
