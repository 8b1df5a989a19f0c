"""One TCP or Unix connection: moves bytes between a socket and an engine.

Theory of operation:

1. Everything that arrives in one read is dispatched first, then flushed: one write for a batch.
2. While the socket is full nothing is pulled from the engine but low-water portions, so that the
   engine decides the order of what waits, and handlers wait for its `capacity`.
3. Reading pauses while the engine wants no input; nothing else pauses it.
4. There is no timer here. The reaper asks `check_deadlines` now and then; a wait is recognized by
   what the connection waits for (`Deadline`), for which request.
"""

import asyncio
import logging
import os
import socket
import struct
from functools import cached_property
from typing import cast

from httpkit.body import FileBody
from httpkit.errors import ClientDisconnected
from httpkit.protocol.engine import Close, Engine
from httpkit.protocol.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PrefaceReceived,
    RequestReceived,
    StreamReset,
    TrailersReceived,
)
from httpkit.request import RequestHead
from httpkit.transport.contracts import BlockedWriter, ConnectionOwner, Stream, WatchedSession
from httpkit.transport.deadlines import DeadlineWatch
from httpkit.transport.passage import Passage, write_at_once
from httpkit.transport.sockets import address_of
from httpkit.types import Address

__all__ = ["Connection"]

logger = logging.getLogger("httpkit")

# On Python 3.11 looking up a member of an Enum takes longer than all else that is done with it.
_OPEN = Close.OPEN
_HAS_SENDFILE = hasattr(os, "sendfile")


class Connection(asyncio.Protocol):
    """One connection; see the rules at the top of the file.

    Args:
        owner: the server.
        engine: a fresh engine for this connection.
        name: of the connection, in logs and in the ids of its requests.
        scheme: `http`, or `https` behind TLS.
    """

    transport: asyncio.Transport
    # What few connections have:
    _sessions: tuple[WatchedSession, ...] = ()
    _passage: Passage | None = None
    _drained: asyncio.Future[None] | None = None

    def __init__(
        self, owner: ConnectionOwner, engine: Engine, name: str, scheme: str = "http"
    ) -> None:
        self.owner = owner
        self.engine = engine
        self.name = name
        self.scheme = scheme
        self.peer: Address | None = None
        self.local: Address | None = None
        #: Requests that are not answered yet.
        self.streams: dict[int, Stream] = {}
        #: Who waits for capacity.
        self.blocked: set[BlockedWriter] = set()
        self.bytes_sent = 0
        self._pipeline_depth = owner.limits.pipeline_depth
        self._low_water = owner.limits.write_buffer // 4 or 1
        self._pull: int | None = None
        #: A batch is being dispatched; it is flushed at its end.
        self.busy = False
        # Flags of the socket. The state of the protocol is the engine's.
        self._lost = False
        self._lingering = False
        self._reading_paused = False
        self._writing_paused = False
        self._resuming = False
        # A turn of the loop is booked for requests that one batch left over.
        self._pump_booked = False
        self._deadline = DeadlineWatch()

    # --- called by the transport -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self.transport = cast("asyncio.Transport", transport)
        self._set_buffer_limits()
        self.peer = address_of(transport.get_extra_info("peername"))
        self.local = address_of(transport.get_extra_info("sockname"))
        self.owner.connection_opened(self)
        if self.peer is None and self.local is not None and self.local.port:
            # Reset before anybody could ask whose it is: what it has sent is of nobody, for nobody.
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._dispatch(self.engine.receive_data(data))
        self.flush()

    def eof_received(self) -> bool:
        """The peer has closed its sending side; answers that run may still be written."""
        if not self.transport.can_write_eof():
            # The end of a TLS session is that of the connection.
            self._cancel_streams()
            return False
        self._dispatch(self.engine.receive_eof())
        self.flush()
        return not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is closed, by whichever side."""
        self._lost = True
        self._cancel_streams()
        self.close_passage()
        self._tell_drained()
        self.owner.connection_closed(self)

    def _cancel_streams(self) -> None:
        for stream in list(self.streams.values()):
            stream.reset(None)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._writing_paused = True
        self._pull = self._low_water

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        self._writing_paused = False
        self._tell_drained()
        self._resuming = True
        try:
            self.flush()
            self.pump()
        finally:
            self._resuming = False

    # --- called by exchanges and the owner ---------------------------------------------------

    def flush(self) -> None:
        """Write what the engine has queued; does nothing inside a batch."""
        if self.busy or self._lost:
            return
        engine = self.engine
        if self._pull is None:
            data = engine.data_to_send()
            if data:
                size = len(data)
                self.bytes_sent += size
                self.transport.write(data)
                if size > self._low_water and engine.has_more_to_send:
                    # The engine decides the order of what waits, portion by portion.
                    self._pull = self._low_water
                    self._write_portions()
        elif not self._writing_paused:
            self._write_portions()
        if self.blocked:
            self._resume_blocked()
        # Most often nothing changes; then this is all that it costs.
        if (
            self.streams or self._reading_paused or self._writing_paused or self._pump_booked
        ) and engine.wants_input is self._reading_paused:
            self._update_reading()
        if engine.close is not _OPEN and not engine.has_more_to_send:
            if self._resuming:
                # asyncio's transport does not expect its end from inside `resume_writing`, and
                # would report the loss twice.
                self.owner.loop.call_soon(self.flush)
            else:
                self._close(engine.close)

    def _write_portions(self) -> None:
        """The socket was full a moment ago: give it low-water portions until it is again."""
        while not self._writing_paused:
            data = self.engine.data_to_send(self._pull)
            if not data:
                self._pull = None
                break
            self.bytes_sent += len(data)
            self.transport.write(data)

    def _resume_blocked(self) -> None:
        """Tell those who wait for capacity; what they write at once goes out in the next turn.

        A flush for each would tell the next one within it, and so on.
        """
        self.busy = True
        try:
            for writer in list(self.blocked):
                writer.resume_writing()
        finally:
            self.busy = False
        if not self._writing_paused and self.engine.has_more_to_send:
            self._book_pump()

    @cached_property
    def can_bypass(self) -> bool:
        """Whether what is written goes to a socket as it is, and there is sendfile(2)."""
        transport = self.transport
        plain = transport.get_extra_info("tls") is None
        return plain and _HAS_SENDFILE and transport.get_extra_info("socket") is not None

    def write_file(self, body: FileBody, limit: int) -> int:
        """Write what is queued and, behind it, of a file what the socket takes of it at once.

        Does not wait: not for the socket, nor for a disk. See `can_bypass`.

        Returns:
            How many bytes of the file were written, and taken off its front; at most `limit`.
        """
        transport = self.transport
        if self._pull is not None or transport.get_write_buffer_size() or transport.is_closing():
            return 0  # they would be overtaken
        head = self.engine.data_to_send()
        descriptor = transport.get_extra_info("socket").fileno()
        written, size = write_at_once(descriptor, head, body, limit)
        if written < len(head):
            transport.write(head[written:])
        self.bytes_sent += len(head) + size
        return size

    async def open_passage(self) -> Passage | None:
        """A way past the transport, once that holds nothing more, to be closed; see `can_bypass`.

        `None` if there is no descriptor left for it.

        Raises:
            ClientDisconnected: the connection is lost.
        """
        transport = self.transport
        if self.busy:
            await asyncio.sleep(0)  # the batch, and in it the head, is written at its end
        self.flush()
        try:
            transport.set_write_buffer_limits(high=0)
            while not self._lost and (
                transport.get_write_buffer_size() or self.engine.has_more_to_send
            ):
                self._drained = self.owner.loop.create_future()
                await self._drained
        finally:
            if not self._lost:
                self._set_buffer_limits()
        if self._lost or transport.is_closing():
            raise ClientDisconnected
        try:
            self._passage = Passage(self.owner.loop, transport.get_extra_info("socket"))
        except OSError:
            return None
        return self._passage

    def close_passage(self) -> None:
        """The way past the transport is no longer needed."""
        if self._passage is not None:
            self._passage.close()
            self._passage = None

    def _tell_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _set_buffer_limits(self) -> None:
        self.transport.set_write_buffer_limits(
            high=self.owner.limits.write_buffer, low=self._low_water
        )

    def pump(self) -> None:
        """Go on with requests that waited for an answer to end, then flush.

        Not while the socket is full: a peer that does not read its answers gets no more. What has
        come already is taken all the same, in turns.
        """
        full = self._writing_paused and not self.engine.turn_is_over
        if not self.busy and not self._lost and not full:
            self._dispatch(self.engine.receive_data(b""))
        self.flush()

    def consume(self, stream_id: int, size: int) -> None:
        """A handler took bytes of a body."""
        self.engine.consume(stream_id, size)
        if self._reading_paused:
            self._update_reading()
        if not self.busy and self.engine.has_more_to_send:
            self.flush()  # the peer waits for windows to open

    def push(self, stream_id: int, head: RequestHead) -> bool:
        """Answer a request that the peer has not sent; whether the peer was told of it."""
        event = self.engine.send_push(stream_id, head)
        if event is None:
            return False
        self.streams[event.stream_id] = stream = self.owner.make_stream(self, event)
        # Not within the handler that asks for it.
        self.owner.loop.call_soon(self._begin_push, stream)
        self.flush()
        return True

    def _begin_push(self, stream: Stream) -> None:
        stream.begin()
        self.flush()

    def begin_shutdown(self) -> None:
        """Close now if idle, else after what runs."""
        self.engine.begin_shutdown()
        for session in self._sessions:
            session.begin_shutdown()
        self.flush()

    def watch(self, session: WatchedSession) -> None:
        """Let a session look at its deadlines from now on."""
        self._sessions += (session,)

    def unwatch(self, session: WatchedSession) -> None:
        """The session is over."""
        self._sessions = tuple(other for other in self._sessions if other is not session)

    def abort(self) -> None:
        """Reset the connection at once; handlers are cancelled.

        Closed instead, the kernel would go on to offer what the peer does not take.
        """
        if not self._lost:
            self._close(Close.ABORT)

    # --- inside ------------------------------------------------------------------------------

    def _dispatch(self, events: list[Event]) -> None:
        """Hand out events, and those that follow when answers are complete at once."""
        self.busy = True
        try:
            begun = 0
            engine = self.engine
            while events:
                stream: Stream | None = None
                for event in events:
                    if type(event) is RequestReceived:
                        if stream is not None:
                            stream.begin()
                        stream = self.owner.make_stream(self, event)
                        self.streams[event.stream_id] = stream
                        begun += 1
                    elif type(event) is DataReceived:
                        receiver = self.streams.get(event.stream_id)
                        if receiver is not None:
                            receiver.receive_data(event.data, end_stream=event.end_stream)
                    else:
                        self._dispatch_other(event)
                if stream is not None:
                    stream.begin()
                if not engine.has_more_input or engine.turn_is_over:
                    break
                if begun >= self._pipeline_depth or (begun > 1 and engine.capacity(0) <= 0):
                    self._book_pump()
                    break
                events = engine.receive_data(b"")
        finally:
            self.busy = False
        if engine.turn_is_over:
            self._book_pump()

    def _book_pump(self) -> None:
        """Go on in the next turn of the loop, once, whatever comes in until then."""
        if not self._pump_booked:
            self._pump_booked = True
            self.owner.loop.call_soon(self._pump_as_booked)

    def _pump_as_booked(self) -> None:
        self._pump_booked = False
        self.pump()

    def _dispatch_other(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            if event.error is not None:
                self.owner.connection_refused(self, event.error, event.status)
            return
        if isinstance(event, PrefaceReceived):
            self.engine = self.owner.make_engine("h2")
            self._dispatch(self.engine.receive_data(event.data))
            return
        stream = self.streams.get(event.stream_id)
        if stream is None:
            if isinstance(event, StreamReset) and event.error is not None:
                self.owner.connection_refused(self, event.error, None)
            return
        if isinstance(event, TrailersReceived):
            stream.receive_trailers(event.headers)
        elif isinstance(event, StreamReset):
            stream.reset(event.error)

    def _update_reading(self) -> None:
        paused = not self.engine.wants_input
        if paused is self._reading_paused or self.transport.is_closing():
            return
        self._reading_paused = paused
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _close(self, how: Close) -> None:
        """Everything is handed to the transport: end the connection as the engine says."""
        if how is Close.LINGER and self.transport.can_write_eof():
            # RFC 9112 §9.6: closing with unread input resets the connection and may destroy the
            # answer before the peer has read it.
            if not self._lingering and not self.transport.is_closing():
                self._lingering = True
                try:
                    self.transport.write_eof()
                except OSError:  # the peer has reset it, which asyncio will notice in a moment
                    self.transport.abort()
                self._update_reading()
        elif how is Close.ABORT:
            raw = self.transport.get_extra_info("socket")
            if raw is not None and not self.transport.is_closing():
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()

    def check_deadlines(self, now: float) -> None:
        """The reaper passes by, at `now` seconds on the server's clock."""
        if self._lost:
            return
        limits = self.owner.limits
        waiting = self.transport.get_write_buffer_size()
        taken = self.bytes_sent - waiting
        if self._passage is not None and self._passage.waiting:
            waiting += 1
        if self._deadline.write_stalled(waiting, taken, now, limits):
            logger.info("connection %s: the peer takes no bytes, closed", self.name)
            self.abort()
            return
        engine = self.engine
        engine.pass_time(self._deadline.elapsed(now))
        late = self._deadline.late_streams(engine, now, limits, self._min_body_rate)
        if self._deadline.passed(engine, self.bytes_sent, taken, now, limits):
            late.append(0)
        # Of what has come, but is not taken yet, it is this side that is late.
        if late and not engine.turn_is_over:
            for stream_id in late:
                self._dispatch(engine.receive_timeout(stream_id))
            self.flush()
            return
        for session in self._sessions:
            session.check_deadline(now)
        if limits.request_timeout is not None:
            for stream in list(self.streams.values()):
                stream.check_deadline(now, limits.request_timeout)

    def _min_body_rate(self, stream_id: int) -> int | None:
        """Bytes a second that the body of a stream must reach; of one without exchange, too."""
        stream = self.streams.get(stream_id)
        default = self.owner.limits.min_body_rate
        return default if stream is None else stream.min_body_rate(default)
