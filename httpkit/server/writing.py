"""An answer that is written piece by piece, and the wait for room behind a slow client.

What `send.py` writes bodies with, and what a handler calls that writes its answer by itself instead
of returning it, as ASGI wants it. An answer that the engine refuses raises; nothing of it is out.
"""

import asyncio
from collections.abc import Iterable

from httpkit.body import FileBody
from httpkit.errors import ClientDisconnected, LocalProtocolError
from httpkit.response import Response
from httpkit.server.blocking import run_blocking
from httpkit.server.channel import Channel
from httpkit.transport.passage import Passage

__all__ = ["AnswerWriter"]


class AnswerWriter(Channel):
    """The part of an `Exchange` that writes; implements `Outlet` and `BlockedWriter`.

    Attributes:
        response: the answer, as soon as there is one.
        body_sent: bytes of its body given to the engine.
        head_sent: the head of a streamed answer is out; it can no longer be replaced.
        concluded: the handler has written its whole answer by itself.
    """

    response: Response | None = None
    body_sent: int = 0
    head_sent: bool = False
    concluded: bool = False
    #: Tasks that wait for room.
    _writers: tuple[asyncio.Future[None], ...] = ()
    #: What `wait_ended` waits for.
    _end: asyncio.Future[None] | None = None

    async def send(self, data: bytes) -> None:
        """Give the engine a piece of the body; wait while the queue behind it is full.

        Raises:
            ClientDisconnected: the peer is gone.
        """
        if self.gone:
            raise ClientDisconnected
        connection = self.connection
        connection.engine.send_data(self.stream_id, data)
        self.body_sent += len(data)
        connection.flush()
        while connection.engine.capacity(self.stream_id) <= 0:
            await self._wait_for_room()

    def send_whole(self, data: bytes) -> None:
        """Give the engine a body in one piece. Nothing follows that would have to wait for room."""
        self.connection.engine.send_data(self.stream_id, data)
        self.body_sent += len(data)

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

    async def _wait_for_room(self) -> None:
        """Wait until the engine may take more; several tasks of one session may do so at once."""
        writer = self._server.loop.create_future()
        self._writers = (*self._writers, writer)
        blocked = self.connection.blocked
        blocked.add(self)
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

    def send_end(self, data: bytes = b"", trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The last piece of the body and the trailer fields: the exchange ends here.

        Raises:
            ClientDisconnected: the peer is gone.
            LocalProtocolError: less or more than was announced, or a field that is no trailer.
        """
        if self.gone:
            raise ClientDisconnected
        engine = self.connection.engine
        if data:
            engine.send_data(self.stream_id, data)
            self.body_sent += len(data)
        engine.send_end(self.stream_id, trailers)
        self.concluded = True
        self._leave_handler()

    def conclude(self, response: Response) -> None:
        """Write a whole answer whose body is bytes, as `send_head` and `send_end` would.

        Raises:
            ClientDisconnected: the peer is gone.
            LocalProtocolError: something that must not reach the wire.
        """
        if self.gone:
            raise ClientDisconnected
        assert isinstance(response.body, bytes)
        self.connection.engine.send_response(self.stream_id, response)
        self.response = response
        self.body_sent = len(response.body)
        self.head_sent = True
        self.concluded = True
        self._leave_handler()

    def _leave_handler(self) -> None:
        """The answer is complete: end, whether its handler is through or not."""
        raise NotImplementedError

    async def wait_ended(self) -> None:
        """Return when the peer is gone, or the answer is out."""
        if not self.gone and not self.concluded:
            if self._end is None:
                self._end = self._server.loop.create_future()
            await asyncio.shield(self._end)  # there may be others that wait

    def _tell_ended(self) -> None:
        """Let `wait_ended` return."""
        end, self._end = self._end, None
        if end is not None:
            end.set_result(None)

    def _lose_writers(self) -> None:
        """The peer is gone: nobody has to wait for anything any more."""
        self._wake_writers()
        self._tell_ended()
