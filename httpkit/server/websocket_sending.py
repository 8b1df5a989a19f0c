"""The sending half of a WebSocket's session: messages to frames, and what waits of them.

The base of `websocket.WebSocketSession`, whose rules 2 and 4 it keeps.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from httpkit.errors import WebSocketClosed
from httpkit.limits import WebSocketLimits
from httpkit.protocol.websocket import WebSocketEngine
from httpkit.semantics.websocket import DeflateAgreement
from httpkit.waiting import TURN, TURN_PIECE
from httpkit.websocket import SharedMessage

if TYPE_CHECKING:
    from httpkit.server.exchange import Exchange

__all__ = ["VANISHED", "SendingSide"]

#: The close code of a client that has sent no Close (RFC 6455 §7.4.1).
VANISHED = 1006


class SendingSide(ABC):
    """What both halves know of the stream, and the frames on their way to it.

    The arguments and attributes are those of `WebSocketSession`.
    """

    def __init__(
        self, exchange: "Exchange", limits: WebSocketLimits, deflate: DeflateAgreement | None
    ) -> None:
        self._exchange = exchange
        self._connection = exchange.connection
        self._http = exchange.connection.engine
        self._stream_id = exchange.stream_id
        self._counters = exchange.server_counters
        self._next_turn = exchange.next_turn
        self._loop = exchange.connection.owner.loop
        self._limits = limits
        self._engine = WebSocketEngine(limits, deflate)
        self.close_code: int | None = None
        self.close_reason = ""
        #: Bytes are being taken in; what is sent meanwhile is written at the end.
        self._feeding = False
        #: The Close that is held back.
        self._reply: tuple[int | None, str] | None = None
        self._over = False
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0
        self._flush_booked = False
        #: The turn in which a message was written at once.
        self._written = 0
        self._pong: bytes | None = None
        self._room: asyncio.Future[None] | None = None
        #: What may still be sent in one go.
        self._turn_left = TURN

    def send(
        self,
        message: str | bytes | SharedMessage,
        compress: bool | None,  # noqa: FBT001
    ) -> Awaitable[None] | None:
        """Queue a message; see `WebSocketChannel`.

        After `TURN` bytes without a wait, before they are compressed, it waits for the next turn.
        """
        engine = self._engine
        if self._over or engine.close_sent:
            raise self._closed()
        if self._outgoing_size > self._limits.send_buffer and not self._make_room():
            return self._send_later(message, compress)
        data = engine.send_message(message, compress=compress)
        if not self._feeding and not self._outgoing and self._may_write():
            self._exchange.body_sent += len(data)
            self._http.send_data(self._stream_id, data)
            self._connection.flush()
        else:  # `_queue`, on the path of every message
            self._outgoing.append(data)
            self._outgoing_size += len(data)
            if not self._flush_booked and not self._feeding:
                self._flush_booked = True
                self._next_turn.call(self._flush_as_booked)
        plain = message.data if isinstance(message, SharedMessage) else message
        self._turn_left -= len(plain) + TURN_PIECE
        if self._turn_left < 0:
            self._turn_left = TURN
            return asyncio.sleep(0)
        return None

    def _may_write(self) -> bool:
        """Whether this is the first message of a turn of the loop, and there is room.

        It need not wait. What is sent behind it in the same turn is gathered for one write.
        """
        turn = self._next_turn.current()
        if turn == self._written or self._pong is not None:
            return False
        self._written = turn
        return self._http.capacity(self._stream_id) > 0

    def _make_room(self) -> bool:
        """The buffer is full: flush; whether the message may go."""
        self._flush()
        return self._outgoing_size <= self._limits.send_buffer

    def _queue(self, data: bytes) -> None:
        self._outgoing.append(data)
        self._outgoing_size += len(data)
        if not self._flush_booked and not self._feeding:
            self._flush_booked = True
            self._next_turn.call(self._flush_as_booked)

    async def _send_later(
        self,
        message: str | bytes | SharedMessage,
        compress: bool | None,  # noqa: FBT001
    ) -> None:
        """Do what the policy for slow clients says."""
        policy = self._limits.slow_client
        counters = self._counters
        if policy == "drop":
            counters.websocket_messages_dropped += 1
            return
        if policy == "close":
            counters.websockets_closed_as_slow += 1
            self._start_close(1013, "the client is too slow")
            raise self._closed()
        counters.websocket_sends_blocked += 1
        while self._outgoing_size > self._limits.send_buffer:
            if self._room is None:
                self._room = self._loop.create_future()
            # Several tasks may wait; one that is cancelled must not take the future along.
            await asyncio.shield(self._room)
            if self._over or self._engine.close_sent:
                raise self._closed()
        self._queue(self._engine.send_message(message, compress=compress))

    def _flush_as_booked(self) -> None:
        self._flush_booked = False
        if self._outgoing:
            self._flush()

    def _flush(self) -> None:
        """Write what waits, if there is room."""
        if self._give_frames():
            self._connection.flush()

    def _give_frames(self) -> bool:
        """Give the HTTP engine what waits; whether it has room."""
        if self._http.capacity(self._stream_id) <= 0:
            self._connection.blocked.add(self)
            return False
        self._give_all_frames()
        return True

    def _give_all_frames(self) -> None:
        outgoing = self._outgoing
        if self._pong is not None:
            outgoing.append(self._engine.send_pong(self._pong))
            self._pong = None
        data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        outgoing.clear()
        self._outgoing_size = 0
        if data:
            self._exchange.body_sent += len(data)
            self._http.send_data(self._stream_id, data)
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    def resume_writing(self) -> None:
        """The HTTP engine may have room again."""
        self._connection.blocked.discard(self)
        if self._outgoing:
            self._flush()

    def ping(self, payload: bytes) -> None:
        """Queue a Ping; see `WebSocketChannel`."""
        if self._over or self._engine.close_sent:
            raise self._closed()
        self._queue(self._engine.send_ping(payload))

    def _closed(self) -> WebSocketClosed:
        return WebSocketClosed(
            VANISHED if self.close_code is None else self.close_code, self.close_reason
        )

    def _start_close(self, code: int, reason: str) -> None:
        """Send a Close; the client's is awaited, or here already."""
        if self._over or self._engine.close_sent:
            return
        self._queue(self._engine.send_close(code, reason))
        self._reply = None
        if self._engine.ended:
            self._end()
        else:
            self._flush()

    @abstractmethod
    def _end(self) -> None:
        """The stream is over; the session knows what that means."""
