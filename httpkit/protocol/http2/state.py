"""What the two sides of an HTTP/2 connection share: its streams, and how it ends.

Owned by `engine.HTTP2Engine`; `receiving` and `sending` are its two halves.
"""

from collections import deque
from collections.abc import Iterable

from httpkit.errors import RemoteProtocolError
from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.events import ConnectionTerminated, Event, StreamReset
from httpkit.protocol.http2.budget import CAPACITY, EARNED_BY_ANSWER, REFILL, SENT_SHIFT
from httpkit.protocol.http2.frames import (
    DATA,
    FRAME_HEAD,
    INITIAL_WINDOW,
    MAX_STREAM_ID,
    ErrorCode,
    goaway_frame,
    greeting,
)
from httpkit.protocol.http2.head import ReceivedHead
from httpkit.protocol.http2.serialize import AnswerFields
from httpkit.protocol.http2.session import ConnectionFault, Session
from httpkit.protocol.http2.streams import (
    ANNOUNCED,
    DONE,
    FINAL,
    RUNNING,
    StreamState,
)
from httpkit.request import RequestHead

__all__ = ["ConnectionState"]

#: Streams of which is remembered that this side has reset them: what was on its way is ignored.
_REMEMBERED = 1_000


class ConnectionState:
    """State, queries and the ends of one connection.

    Args:
        session: the library's class; called with the limits.
        limits: of the server.
        fields: what the server adds to answers, shared by its connections.
    """

    __slots__ = (
        "_acknowledged",
        "_block",
        "_block_frames",
        "_block_size",
        "_budget",
        "_buffer",
        "_eof",
        "_events",
        "_fault",
        "_fields",
        "_finished",
        "_greeted",
        "_last_fields",
        "_last_pushed",
        "_last_received",
        "_limits",
        "_max_streams",
        "_out",
        "_peer_lacks_priorities",
        "_peer_max_streams",
        "_peer_takes_push",
        "_peer_window",
        "_pending",
        "_ping_is_due",
        "_pinged",
        "_requests",
        "_reset_here",
        "_session",
        "_shutdown",
        "_skipped",
        "_streams",
        "_terminated",
        "_to_reset",
        "_turns",
        "_unconsumed",
        "close",
        "has_more_input",
        "last_stream_id",
        "turn_is_over",
    )

    def __init__(self, session: type[Session], limits: Limits, fields: AnswerFields) -> None:
        self._limits = limits
        self._fields = fields
        self._max_streams = limits.max_concurrent_streams
        self.close = Close.OPEN
        self.has_more_input = False
        self.turn_is_over = False
        #: The newest stream that the peer opened.
        self.last_stream_id = 0
        self._last_pushed = 0
        # Input: less than a frame, or than the preface.
        self._buffer = b""
        self._greeted = False
        # The peer has answered the only SETTINGS of this side.
        self._acknowledged = False
        # How often whole frames have come in.
        self._turns = 0
        self._events: list[Event] = []
        # The stream whose field section goes on in CONTINUATION, and what it has so far.
        self._block = 0
        self._block_size = 0
        self._block_frames = 0
        # Field sections that the session has got and not told of.
        self._pending = 0
        self._last_fields: object = None
        self._last_received = ReceivedHead(RequestHead("", b""))
        self._streams: dict[int, StreamState] = {}
        # Answers that are complete here, but perhaps not yet on the wire.
        self._finished: list[tuple[int, StreamState]] = []
        # Streams whose request is not wanted any more once the answer is on the wire.
        self._to_reset: dict[int, StreamState] = {}
        self._reset_here: deque[int] = deque(maxlen=_REMEMBERED)
        # Ranges of stream ids that the peer has passed over.
        self._skipped: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._requests = 0
        self._budget = CAPACITY
        # What the peer says about itself.
        self._peer_window = INITIAL_WINDOW
        self._peer_takes_push = True
        self._peer_max_streams = MAX_STREAM_ID
        self._peer_lacks_priorities: int | None = None
        self._unconsumed = 0
        # The end.
        self._eof = False
        self._fault: ConnectionFault | None = None
        self._shutdown = RUNNING
        self._terminated = False
        self._pinged = False
        self._ping_is_due = False
        self._out = [greeting(limits)]
        self._session = session(limits)  # type: ignore[call-arg]

    @property
    def name(self) -> str:
        """`native` or `reference`."""
        return self._session.name

    # --- queries -----------------------------------------------------------------------------

    @property
    def deadline_kind(self) -> Deadline:
        """Which deadline applies to the connection as a whole."""
        if self._terminated:
            return Deadline.LINGER if self.close is Close.LINGER else Deadline.NONE
        if self._block or (self._buffer and not self.turn_is_over and not self._partial_data()):
            return Deadline.HEAD
        if self._shutdown is ANNOUNCED:
            return Deadline.FAREWELL  # the answer to a ping
        if self._streams or self._finished:
            if self._eof:
                return Deadline.HALF_CLOSED
            return Deadline.PONG if self._pinged else Deadline.QUIET
        return Deadline.IDLE if self.last_stream_id else Deadline.FIRST

    @property
    def deadline_mark(self) -> int:
        """Tells one wait from the next of the same kind."""
        if self.deadline_kind is Deadline.FAREWELL:
            return int(self._ping_is_due)  # whatever else the peer says meanwhile
        if self._block or not (self._streams or self._finished):
            return self.last_stream_id
        return self._turns

    def stream_waits(self) -> Iterable[tuple[int, Deadline, int]]:
        """What is expected of the peer on single streams, and how far that has come."""
        if self._terminated:
            return
        session = self._session
        has_room = self._unconsumed < self._limits.connection_window
        partial = self._partial_data()
        for stream_id, state in self._streams.items():
            if state.gone or state.pending or state.upgrade is not None:
                continue  # a field section that is not complete has the deadline of a head
            if (
                not state.ended
                and has_room
                and state.unconsumed < self._limits.body_buffer
                and not state.continue_wanted
            ):
                received = state.received + (len(self._buffer) if stream_id == partial else 0)
                yield stream_id, Deadline.BODY, received
        for stream_id, state in (*self._streams.items(), *self._finished):
            waiting = session.queued(stream_id)
            if waiting and not state.gone:
                yield stream_id, Deadline.WINDOW, state.sent - waiting

    def _partial_data(self) -> int:
        """The stream of which less than a whole DATA frame is here, or 0."""
        buffer = self._buffer
        if not self._greeted or len(buffer) < FRAME_HEAD or buffer[3] != DATA:
            return 0
        return int.from_bytes(buffer[5:9], "big") & MAX_STREAM_ID

    @property
    def wants_input(self) -> bool:
        """Whether reading may go on: windows hold back content, the budget all else."""
        return not self.turn_is_over

    @property
    def has_more_to_send(self) -> bool:
        """Whether anything can be sent now."""
        return bool(self._out) or (self._fault is None and self._session.has_more_to_send)

    def capacity(self, stream_id: int) -> int:
        """How many octets the handler may send now."""
        return max(0, self._limits.write_buffer - self._session.queued(stream_id))

    def expects_continue(self, stream_id: int) -> bool:
        """Whether the client waits for 100 (Continue) (RFC 9110 §10.1.1)."""
        state = self._streams.get(stream_id)
        return state is not None and state.continue_wanted

    def pass_time(self, seconds: float) -> None:
        """The budget refills."""
        if self._budget < CAPACITY:
            self._budget = min(CAPACITY, self._budget + int(REFILL * seconds))

    # --- streams -----------------------------------------------------------------------------

    def _spend(self, cost: int) -> None:
        """Take from the abuse budget.

        Raises:
            ConnectionFault: there is not enough left.
        """
        self._budget -= cost
        if self._budget < 0:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too much that is not work")

    def _reset_stream(self, stream_id: int, code: ErrorCode) -> None:
        """Reset a stream from here; its exchange, if there is one, is not told by this."""
        self._session.reset(stream_id, code)
        self._reset_here.append(stream_id)
        state = self._streams.get(stream_id)
        if state is not None:
            state.reset_here = True
            self._end_stream(stream_id, state)

    def _end_stream(self, stream_id: int, state: StreamState) -> None:
        """The stream is closed; an exchange that knows it will release it."""
        state.gone = True
        self._to_reset.pop(stream_id, None)
        if not state.announced:
            self._forget(stream_id, state)

    def _forget(self, stream_id: int, state: StreamState) -> None:
        """Nobody asks for the stream any more."""
        del self._streams[stream_id]
        if state.unconsumed:
            self._credit(stream_id, state, state.unconsumed)
        self._advance_shutdown()

    def _credit(self, stream_id: int, state: StreamState, size: int) -> None:
        state.unconsumed -= size
        self._unconsumed -= size
        self._session.credit(stream_id, size)

    def release(self, stream_id: int) -> None:
        """The exchange of this stream is over: it reads no more, and nothing more is asked."""
        state = self._streams.get(stream_id)
        if state is None:
            return
        state.announced = False
        if state.gone or state.ended:
            self._forget(stream_id, state)
        else:
            # RFC 9113 §8.1: an answer to a request that is still coming; it goes out first.
            self._to_reset[stream_id] = state

    def _answer_complete(self, stream_id: int, state: StreamState) -> None:
        """The whole answer is with the session."""
        state.send = DONE
        self._finished.append((stream_id, state))
        if self._budget < CAPACITY:
            self._budget += EARNED_BY_ANSWER
        if state.ended and not state.unconsumed:
            del self._streams[stream_id]

    # --- output and the end ------------------------------------------------------------------

    def data_to_send(self, limit: int | None = None) -> bytes:
        """Octets for the wire, at most about `limit`."""
        if self._terminated:
            out, self._out = self._out, []
            return b"".join(out)
        session = self._session
        data = session.data_to_send(limit or self._limits.write_buffer)
        if self._finished:
            if session.queued(0):
                self._finished = [each for each in self._finished if session.queued(each[0])]
            else:
                self._finished.clear()
        if self._to_reset:
            for stream_id in [each for each in self._to_reset if not session.queued(each)]:
                self._reset_stream(stream_id, ErrorCode.NO_ERROR)
        if self._shutdown is not RUNNING:
            self._advance_shutdown()
            if self._ping_is_due and not session.has_more_to_send:
                # Behind the GOAWAY: what the peer sends after the answer, it sends knowing of it.
                self._ping_is_due = False
                session.ping()
                data += session.data_to_send()
        if self._out:
            data = b"".join((*self._out, data))
            self._out = []
        if self._budget < CAPACITY:
            self._budget += len(data) >> SENT_SHIFT
        return data

    def begin_shutdown(self) -> None:
        """Announce the end (RFC 9113 §6.8): a GOAWAY that refuses nothing, and a ping behind it."""
        if self._terminated or self._shutdown is not RUNNING:
            return
        self._shutdown = ANNOUNCED
        if not self._greeted:
            self._terminate()
        else:
            self._session.send_goaway(MAX_STREAM_ID)
            self._ping_is_due = True

    def _finish_shutdown(self) -> None:
        """What the peer had on its way has arrived: from here on nothing new is taken."""
        self._shutdown = FINAL
        self._session.send_goaway(self.last_stream_id)
        self._advance_shutdown()

    def _advance_shutdown(self) -> None:
        if self._shutdown is FINAL and not self._streams and not self._session.queued(0):
            self._terminate(Close.NOW if self._eof else Close.LINGER)

    def _terminate(
        self, close: Close = Close.NOW, error: RemoteProtocolError | None = None
    ) -> list[Event]:
        """Take no more input; what is queued, and may be, goes out first."""
        if self._terminated:
            return []
        events: list[Event] = [
            StreamReset(stream_id)
            for stream_id, state in self._streams.items()
            if not state.gone and stream_id not in self._to_reset
        ]
        if close is Close.ABORT:
            self._out.clear()
        else:
            self._cut_off()
            self._out.append(self._session.data_to_send())
        self._terminated = True
        self._streams.clear()
        self._finished.clear()
        self._to_reset.clear()
        self._buffer = b""
        self._block = 0
        self.has_more_input = self.turn_is_over = False
        self.close = close
        return [*events, ConnectionTerminated(error)]

    def _cut_off(self) -> None:
        """Give up answers that are too large to wait: from here on all output is one copy."""
        session, room = self._session, self._limits.write_buffer
        for stream_id in (*self._streams, *(each for each, _ in self._finished)):
            size = session.queued(stream_id)
            if size <= room:
                room -= size
            else:
                session.reset(stream_id, ErrorCode.CANCEL)

    def _terminate_by(self, fault: ConnectionFault) -> list[Event]:
        """The peer broke the rules: GOAWAY with the reason (RFC 9113 §5.4.1)."""
        if self._terminated:
            return []
        error = RemoteProtocolError(f"{fault.code.name}: {fault.reason}")
        events = self._terminate(Close.LINGER, error)
        self._out.append(goaway_frame(self.last_stream_id, fault.code, fault.reason))
        return events
