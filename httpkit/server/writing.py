"""An answer that is written piece by piece, and the wait for room behind a slow client.

What `send.py` writes bodies with, and what a handler calls that writes its answer by itself instead
of returning it, as ASGI wants it; what ends such an answer is in `exchange.py`. An answer that the
engine refuses raises; nothing of it is out.
"""

import asyncio

from httpkit.body import FileBody
from httpkit.errors import ClientDisconnected, LocalProtocolError
from httpkit.response import Response
from httpkit.server.blocking import run_blocking
from httpkit.server.channel import Channel
from httpkit.transport.passage import Passage
from httpkit.waiting import TURN, TURN_PIECE

__all__ = ["AnswerWriter"]


class AnswerWriter(Channel):
    """The part of an `Exchange` that writes; implements `Outlet` and `BlockedWriter`.

    Attributes:
        response: the answer, as soon as there is one.
        body_sent: bytes of its body given to the engine.
        head_sent: the head of a streamed answer is out; it can no longer be replaced.
    """

    response: Response | None = None
    body_sent: int = 0
    head_sent: bool = False
    #: Tasks that wait for room.
    _writers: tuple[asyncio.Future[None], ...] = ()
    #: What may still be sent in one go.
    _turn_left: int = TURN

    async def send(self, data: bytes) -> None:
        """Give the engine a piece of the body; wait while the queue behind it is full.

        It waits for the next turn of the loop, too, after `TURN` bytes without a wait.

        Raises:
            ClientDisconnected: the peer is gone.
        """
        if self.gone:
            raise ClientDisconnected
        connection = self.connection
        connection.engine.send_data(self.stream_id, data)
        self.body_sent += len(data)
        connection.flush()
        self._turn_left -= len(data) + TURN_PIECE
        if self._turn_left < 0:
            self._turn_left = TURN
            await asyncio.sleep(0)
        while connection.engine.capacity(self.stream_id) <= 0:
            await self._wait_for_room()

    def send_whole(self, data: bytes) -> None:
        """Give the engine a body in one piece. Nothing follows that would have to wait for room."""
        self.connection.engine.send_data(self.stream_id, data)
        self.body_sent += len(data)

    def pass_at_once(self, body: FileBody) -> None:
        """Write the front of a file past the engine and the transport, if both allow that now.

        What needs no waiting is taken off the front of the body. A large file in memory that fits
        into the buffer of the socket needs nothing else.
        """
        connection, stream_id = self.connection, self.stream_id
        engine = connection.engine
        if (
            engine.passthrough(stream_id, 0)
            and connection.can_bypass
            and body.is_cached(Passage.chunk)
            and not body.has_changed()
        ):
            sent = connection.write_file(body, Passage.chunk)
            engine.passthrough(stream_id, sent)
            self.body_sent += sent

    async def pass_file(self, body: FileBody) -> bool:
        """Write a file past the engine and the transport, if both allow that.

        Raises:
            ClientDisconnected: the peer is gone.
            LocalProtocolError: the file is no longer what it was.
        """
        connection, stream_id = self.connection, self.stream_id
        engine = connection.engine
        if not connection.can_bypass or not engine.passthrough(stream_id, 0):
            return False
        passage = await connection.open_passage()
        if passage is None:
            return False
        try:
            if not engine.passthrough(stream_id, body.length):
                return False
            await self._pass_through(passage, body)
        finally:
            connection.close_passage()
        return True

    async def _pass_through(self, passage: Passage, body: FileBody) -> None:
        ready = body.offset
        while body.length > 0:
            if body.offset >= ready:
                if not body.is_cached(passage.chunk):
                    await run_blocking(body.warm, passage.chunk)
                ready = body.offset + passage.chunk
            sent = 0 if body.has_changed() else await passage.write(body)
            if not sent:
                raise LocalProtocolError("the file has changed while it was sent")
            self.connection.bytes_sent += sent
            self.body_sent += sent
            if body.length:
                await asyncio.sleep(0)  # others have their turn, however fast this client is

    async def _wait_for_room(self) -> None:
        """Wait until the engine may take more; several tasks of one session may do so at once."""
        writer = self._server.loop.create_future()
        self._writers = (*self._writers, writer)
        blocked = self.connection.blocked
        blocked.add(self)
        self._turn_left = TURN
        try:
            await writer
        finally:
            self._writers = tuple(other for other in self._writers if other is not writer)
            if not self._writers:
                blocked.discard(self)
        if self.gone:
            raise ClientDisconnected

    def resume_writing(self) -> None:
        """There may be capacity again."""
        if self.connection.engine.capacity(self.stream_id) > 0:
            self._wake_writers()

    def _wake_writers(self) -> None:
        self.connection.blocked.discard(self)
        for writer in self._writers:
            if not writer.done():
                writer.set_result(None)

    # --- called by handlers that write their answer themselves ----------------------------------

    def send_head(self, response: Response) -> None:
        """Queue the head of an answer; `send` and `send_end` follow. Its body is left alone.

        Raises:
            ClientDisconnected: the peer is gone.
            LocalProtocolError: something that must not reach the wire.
        """
        if self.gone:
            raise ClientDisconnected
        self.connection.engine.send_headers(self.stream_id, response, None)
        self.response = response
        self.head_sent = True
