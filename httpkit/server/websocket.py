"""One accepted WebSocket: messages between the engine and a handler, on any version of HTTP.

Theory of operation:

1. Bytes of the stream are parsed as they come; messages wait in a queue for the handler. While more
   than `receive_buffer` waits, the bytes are not given back to the HTTP engine, so that reading
   pauses (HTTP/1.1) or the window stays closed (HTTP/2). What is compressed is not inflated then.
   When the handler has caught up that goes on, in the next turn of the loop.
2. What is sent while bytes are taken in is written behind them, together. Otherwise the first
   message of a turn of the loop is written at once, and the others of that turn together. While the
   HTTP engine has no capacity they wait here; beyond `send_buffer` the policy for slow clients says
   what happens.
3. The Close that answers the client's, or its error, is held back until the handler has taken the
   messages before it and asks for the next one: what it answers to them still reaches the client.
4. The stream ends when both Closes are through, the client broke the protocol, or a deadline has
   passed. The handler learns it from what it receives and sends. One that does neither is
   cancelled after `close_timeout`.
5. There is no timer: the reaper passes by (`check_deadline`, `ClientWatch`).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from httpkit.errors import ProtocolError
from httpkit.limits import WebSocketLimits
from httpkit.protocol.websocket import (
    CloseReceived,
    Event,
    PingReceived,
    ProtocolFailed,
)
from httpkit.protocol.websocket.engine import check_close
from httpkit.semantics.websocket import DeflateAgreement
from httpkit.server.client_watch import ClientWatch, Wait
from httpkit.server.websocket_sending import VANISHED, SendingSide
from httpkit.waiting import TURN, Waiter

if TYPE_CHECKING:
    from httpkit.server.exchange import Exchange

__all__ = ["WebSocketSession"]

logger = logging.getLogger("httpkit")

#: What a message costs besides its bytes, so that many small ones count, too.
_OVERHEAD = 64
_NO_CODE = 1005


class WebSocketSession(SendingSide):
    """Implements `types.WebSocketChannel` for the handler; `WatchedSession`, `BlockedWriter`.

    Args:
        exchange: that has accepted it; owns the stream.
        limits: of its route.
        deflate: what the handshake has agreed on.

    Attributes:
        close_code: of the client's Close, 1006 if it vanished, `None` before.
        close_reason: of the client's Close.
    """

    def __init__(
        self, exchange: "Exchange", limits: WebSocketLimits, deflate: DeflateAgreement | None
    ) -> None:
        super().__init__(exchange, limits, deflate)
        # Receiving.
        # None while nothing comes: an empty deque takes as much memory as a request.
        self._messages: deque[str | bytes] | None = None
        self._queued = 0
        #: Bytes that are not given back.
        self._held = 0
        #: The next turn is booked for that.
        self._reading_on = False
        self._arrival = Waiter(self._loop)
        #: The handler is at work on a message.
        self._busy = False
        #: The handler is through; nobody receives any more.
        self._deaf = False
        # The end.
        self._done: asyncio.Future[None] | None = None
        self._cancellation: asyncio.TimerHandle | None = None
        # The reaper.
        self._heard = 0
        self._pinged = False
        self._watch = ClientWatch(limits)
        self._counters.websockets_opened += 1
        self._counters.websockets_open += 1

    # --- bytes from the client ---------------------------------------------------------------

    def feed(self, data: bytes, *, end: bool) -> None:
        """Bytes of the stream, or its end."""
        self._heard += 1
        self._pinged = False
        self._take_in(self._engine.receive_data(data), len(data))
        if end and not self._engine.ended:  # behind a Close it loses nothing: rule 3 goes on
            self.lose()

    def _take_in(self, events: Iterable[str | bytes | Event], size: int) -> None:
        """Queue messages, and give back the bytes that have brought them: `size`, and what is held.

        By rule 1 they may be held until the next turn: a read of tiny messages is work enough for
        one, and others wait, too.
        """
        messages = self._messages
        if messages is None:
            messages = self._messages = deque()
        self._feeding = True
        for event in events:
            if type(event) is str or type(event) is bytes:
                messages.append(event)
                self._queued += len(event) + _OVERHEAD
            else:
                self._receive_control(event)
        if self._deaf:
            self._throw_away()
            self._answer_close()
        self._held += size
        if self._queued < self._limits.receive_buffer and not self._engine.paused:
            held, self._held = self._held, 0
            if not self._over:
                # The connection is flushed after the batch.
                self._http.consume(self._stream_id, held)
        if messages or self._over:
            self._arrival.wake()
        self._feeding = False
        if self._outgoing:
            self._give_frames()  # what is sent meanwhile goes with the batch, which is flushed

    def _read_on(self) -> None:
        """Take in what the engine has kept back, or let the HTTP engine read on."""
        self._reading_on = False
        self._take_in(self._engine.resume() if self._engine.paused else (), 0)
        self._connection.flush()

    def _receive_control(self, event: Event) -> None:
        if isinstance(event, PingReceived):
            if self._outgoing_size > self._limits.send_buffer:
                self._pong = event.payload  # RFC 6455 §5.5.3: only the latest needs an answer
            elif not self._over:
                self._queue(self._engine.send_pong(event.payload))
        elif isinstance(event, CloseReceived):
            self.close_code, self.close_reason = event.code, event.reason
            self._reply = (None if event.code == _NO_CODE else event.code), ""
            self._answer_close()
        elif isinstance(event, ProtocolFailed):
            self.close_code, self.close_reason = event.code, event.reason
            self._counters.websockets_failed += 1
            logger.info("request %s: %s", self._exchange.request_id, event.reason)
            self._reply = event.code, event.reason
            self._answer_close()

    def _throw_away(self) -> None:
        """Nobody receives any more: of what is here only a Close or an error counts."""
        while self._engine.paused:
            for event in self._engine.resume():
                if not isinstance(event, str | bytes):
                    self._receive_control(event)
        self._messages = None
        self._queued = 0

    def _answer_close(self) -> None:
        """Send the Close that is held back, if the handler is through with what came before."""
        if self._reply is None or self._over or self._messages or self._busy:
            return
        (code, reason), self._reply = self._reply, None
        self._queue(self._engine.send_close(code, reason))
        self._end()

    def lose(self) -> None:
        """The stream is at its end, or gone, whether it was expected or not."""
        if self.close_code is None:
            self.close_code = VANISHED
        self._reply = None
        self._end()

    # --- the handler receives ----------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """The next message; see `WebSocketChannel`."""
        while not self._messages:
            if self._begin_to_wait():
                raise StopAsyncIteration
            await self._arrival.wait()
        message = self._messages.popleft()
        self._busy = True
        self._queued -= len(message) + _OVERHEAD
        if self._held and not self._reading_on and self._queued <= self._limits.receive_buffer // 2:
            self._reading_on = True
            self._next_turn.call(self._read_on)
        return message

    async def receive(self) -> str | bytes:
        """The next message; see `WebSocketChannel`."""
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise self._closed() from None

    def _begin_to_wait(self) -> bool:
        """The handler has to wait: send what it has sent; whether no message will come."""
        if self._arrival.callback is not None:
            raise RuntimeError("this WebSocket is already being received from elsewhere")
        self._busy = False
        self._turn_left = TURN
        if self._outgoing and not self._feeding:
            self._flush()
        if self._reply is not None:
            self._answer_close()
        # What the engine has kept back came before the end.
        return (self._over or self.close_code is not None) and not self._engine.paused

    # --- the end -----------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Send the Close; see `WebSocketChannel`."""
        check_close(code)
        self._start_close(code, reason)

    def begin_shutdown(self) -> None:
        """The server stops."""
        self._start_close(1001, "the server is going away")

    async def finish(self, error: BaseException | None) -> None:
        """The handler is through; see `WebSocketChannel`."""
        if error is not None:
            self._exchange.log(error)
        self._deaf = True
        self._busy = False
        self._read_on()
        if not self._over:
            code = 1000
            if error is not None:
                code = error.close_code if isinstance(error, ProtocolError) else 1011
            self._start_close(code, "")
        if not self._over:
            self._done = self._loop.create_future()
            await self._done

    def _end(self) -> None:
        """The stream is over: write what is left, end it, tell everybody who waits."""
        if self._over:
            return
        self._give_all_frames()
        self._over = True
        self._connection.blocked.discard(self)
        self._connection.unwatch(self)
        self._counters.websockets_open -= 1
        if not self._exchange.gone:
            self._http.send_end(self._stream_id)
            self._connection.flush()
        self._arrival.wake_soon()
        if self._done is not None:
            if not self._done.done():
                self._done.set_result(None)
        elif not self._deaf:
            self._cancellation = self._loop.call_later(
                self._limits.close_timeout, self._cancel_handler
            )

    def _cancel_handler(self) -> None:
        """The handler has had its time; that it is cancelled is no failure."""
        self._exchange.gone = True
        self._exchange.cancel_handler()

    def forget(self) -> None:
        """The exchange is over; so is this, even if the handler was cancelled in the middle."""
        self.lose()
        if self._cancellation is not None:
            self._cancellation.cancel()

    # --- the reaper --------------------------------------------------------------------------

    def check_deadline(self, now: float) -> None:
        """See rule 5."""
        watch = self._watch
        if not self._messages:
            self._messages = None
        self._engine.pass_time(watch.elapsed(now))
        wait = self._waits_for()
        if not watch.is_late(wait, 0 if wait is Wait.CLOSE else self._heard, now):
            return
        if wait is Wait.SIGN_OF_LIFE:
            self._pinged = True
            self._queue(self._engine.send_ping())
            self._flush()
        elif wait is Wait.PONG:
            logger.info("request %s: the client does not answer", self._exchange.request_id)
            self._counters.websockets_closed_as_silent += 1
            self._cut_off()
        elif self._reply is not None:  # the handler takes too long for what came before
            self._messages = None
            self._busy = False
            self._answer_close()
        else:
            self._cut_off()

    def _waits_for(self) -> Wait:
        """What the client owes, or the handler in its place."""
        if self._engine.close_sent or self._reply is not None:
            return Wait.CLOSE
        if self._held:  # reading is paused: whatever it has sent is not read
            return Wait.NOTHING
        return Wait.PONG if self._pinged else Wait.SIGN_OF_LIFE

    def _cut_off(self) -> None:
        """The client does not do its part: end the stream without it."""
        self._http.send_reset(self._stream_id)
        self._exchange.gone = True
        self.lose()
        self._connection.flush()
