"""The receiving half of the HTTP/2 engine: octets to frames that may pass (RFC 9113 §3 to §6)."""

from struct import Struct

from httpkit.errors import RequestTimeout
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.events import (
    Event,
    StreamReset,
)
from httpkit.protocol.http2.budget import COST
from httpkit.protocol.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD,
    GOAWAY,
    HEADERS,
    MAX_FRAME_SIZE,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Setting,
)
from httpkit.protocol.http2.guard import (
    CHECKS,
    content_size,
    iterate_settings,
    stream_number,
)
from httpkit.protocol.http2.messages import MessageSide
from httpkit.protocol.http2.session import ConnectionFault
from httpkit.protocol.http2.streams import FINAL, WAITING, StreamState

__all__ = ["ReceivingSide"]

#: Length and type, flags, stream id.
_FRAME_HEAD = Struct(">IBI")
_WHOLE_REQUEST = END_STREAM | END_HEADERS
#: CONTINUATION frames of one field section: its size is limited beside that, so more are small.
_MAX_CONTINUATIONS = 16
#: Frames that are taken in one turn of the loop: a read may bring 26 000 with an octet each.
_MAX_FRAMES = 512


class ReceivingSide(MessageSide):
    """Cuts the input into frames, and judges them; `messages` takes what the session finds."""

    __slots__ = ()

    def receive_data(self, data: bytes) -> list[Event]:
        """Take octets; empty to go on in a new turn.

        Or after a fault, whose predecessors are answered now.
        """
        if self._fault is not None:
            return self._terminate_by(self._fault)
        if self._terminated or not (data or self.turn_is_over):
            return []
        events: list[Event] = []
        self._events = events
        self.has_more_input = self.turn_is_over = False
        try:
            self._take(self._buffer + data if self._buffer else data)
        except ConnectionFault as fault:
            self._fault = fault
            if not events:
                return self._terminate_by(fault)
            # Requests before the fault are served, as far as that needs no waiting.
            self.has_more_input = True
        return events

    def _take(self, buffer: bytes) -> None:
        """Give whole frames to the session, and keep the rest."""
        position = begin = 0
        if not self._greeted:
            position = self._take_preface(buffer)
            if not position:
                return
        size = len(buffer)
        unpack = _FRAME_HEAD.unpack_from
        streams = self._streams
        left = _MAX_FRAMES
        while size - position >= FRAME_HEAD:
            if not left:
                self.has_more_input = self.turn_is_over = True
                break
            left -= 1
            word, flags, stream_id = unpack(buffer, position)
            length = word >> 8
            end = position + FRAME_HEAD + length
            if (
                word & 0xFF == HEADERS
                and flags == _WHOLE_REQUEST
                and stream_id == self.last_stream_id + 2
                and stream_id & 1
                and end <= size
                and length <= MAX_FRAME_SIZE
                and not self._block
            ):
                # Most requests: a new stream, in one frame, without content.
                self.last_stream_id = stream_id
                streams[stream_id] = StreamState(
                    True, True, len(streams) + len(self._finished) >= self._max_streams
                )
                self._pending += 1
                position = end
                continue
            if length > MAX_FRAME_SIZE:
                self._feed(buffer[begin:position])
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a frame beyond 16384 octets")
            if end > size:
                break
            stream_id &= MAX_STREAM_ID
            payload = buffer[position + FRAME_HEAD : end]
            state = streams.get(stream_id)
            if state is not None and (state.pending or word & 0xFF == HEADERS) and not self._block:
                # What may follow depends on what the session makes of its field section, and
                # trailers on whether RST_STREAM stands before them (§5.1).
                self._feed(buffer[begin:position])
                begin = position
            try:
                needs = self._judge(word & 0xFF, flags, stream_id, payload)
            except ConnectionFault:
                self._feed(buffer[begin:position])
                raise
            if needs is not _TAKE:
                self._feed(buffer[begin:position])
                begin = end if self._act(word & 0xFF, flags, stream_id, payload) else position
            position = end
        self._buffer = buffer[position:]
        if position:
            self._turns += 1
            self._pinged = False
            self._feed(buffer[begin:position] if begin or position < size else buffer)

    def _take_preface(self, buffer: bytes) -> int:
        """Check the preface and that SETTINGS follow (§3.4); the result is where they begin."""
        size = len(PREFACE)
        if not PREFACE.startswith(buffer[:size]):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "this is not the preface of HTTP/2")
        if len(buffer) >= size + FRAME_HEAD:
            if buffer[size + 3] != SETTINGS or buffer[size + 4] & ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS come first")
            self._greeted = True
            return size
        self._buffer = buffer
        return 0

    def _feed(self, frames: bytes) -> None:
        """Have the session decode frames, and look for field sections that it has refused."""
        if not frames:
            return
        self._session.receive(frames, self)
        if not self._pending:
            return
        incomplete = self._streams.get(self._block)
        waiting = incomplete is not None and incomplete.pending
        if self._pending > waiting:
            self._pending = int(waiting)
            refused = [
                stream_id
                for stream_id, state in self._streams.items()
                if state.pending and state is not incomplete
            ]
            for stream_id in refused:
                state = self._streams[stream_id]
                state.pending = False
                if not state.gone and stream_id not in self._to_reset:
                    self._refuse_malformed(stream_id, "The section of fields is malformed.")

    # --- judging frames ----------------------------------------------------------------------

    def _judge(self, kind: int, flags: int, stream_id: int, payload: bytes) -> object:
        """Whether the session may take a frame, or something has to be done about it first."""
        if self._block:
            self._judge_continuation(kind, flags, stream_id, payload)
            return _TAKE
        check = CHECKS.get(kind)
        if check is None:
            self._spend(COST.UNKNOWN)
            return _ACT  # dropped, §4.1
        check(flags, stream_id, payload)
        if kind == HEADERS:
            self._judge_headers(flags, stream_id, payload)
            return _TAKE
        if kind == SETTINGS:
            self._judge_settings(flags, payload)
            return _TAKE
        if kind == PING:
            self._spend(COST.PING)  # an answer to none costs as much
            return _TAKE
        if kind == PRIORITY_UPDATE:
            self._spend(COST.PRIORITY)
            prioritized = stream_number(payload)
            if prioritized & 1:
                return _TAKE
            self._require_used(prioritized)  # RFC 9218 §7.1: it was promised
            return _ACT  # dropped: nghttp2 has no order for pushes
        return _ACT

    def _judge_settings(self, flags: int, payload: bytes) -> None:
        self._spend(COST.SETTINGS)
        if flags & ACK:
            if self._acknowledged:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "an acknowledgement of no SETTINGS")
            self._acknowledged = True
        for identifier, value in iterate_settings(payload):
            if identifier == Setting.INITIAL_WINDOW_SIZE:
                self._peer_window = max(self._peer_window, value)
            elif identifier == Setting.ENABLE_PUSH:
                self._peer_takes_push = value == 1
            elif identifier == Setting.MAX_CONCURRENT_STREAMS:
                self._peer_max_streams = value
            elif identifier == Setting.NO_RFC7540_PRIORITIES:
                if self._peer_lacks_priorities not in (None, value):
                    # RFC 9218 §2.1 allows this error, and nghttp2 insists on it.
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a setting that changes")
                self._peer_lacks_priorities = value
        if self._peer_lacks_priorities is None:
            self._peer_lacks_priorities = 0  # by the first SETTINGS

    def _judge_continuation(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Nothing may stand within a field section (§6.10; CVE-2024-27316 and its family)."""
        if kind != CONTINUATION or stream_id != self._block:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame within a field section")
        self._spend(COST.CONTINUATION)
        self._block_frames += 1
        self._block_size += len(payload)
        limits = self._limits
        if (
            self._block_frames > _MAX_CONTINUATIONS
            or self._block_size > limits.max_header_bytes + limits.max_target
        ):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a field section without an end")
        if flags & END_HEADERS:
            self._block = 0

    def _judge_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        """HEADERS open a stream, or end one. They are never dropped: that would break HPACK."""
        state = self._streams.get(stream_id)
        ended = bool(flags & END_STREAM)
        if not flags & END_HEADERS:
            self._block = stream_id
            self._block_size = len(payload)
            self._block_frames = 0
        if stream_id > self.last_stream_id:
            if stream_id > self.last_stream_id + 2:
                self._skipped.append((self.last_stream_id, stream_id))
            self.last_stream_id = stream_id
            full = len(self._streams) + len(self._finished) >= self._max_streams
            self._streams[stream_id] = StreamState(ended, True, full)
        elif state is None:
            if any(low < stream_id < high for low, high in self._skipped):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream id that was passed over")
            if stream_id not in self._reset_here:
                raise ConnectionFault(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
            self._spend(COST.DROPPED_HEADERS)
            return  # on their way when this side reset it; nobody is told
        elif state.ended or (state.gone and not state.reset_here):
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
        elif not ended:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "trailers that do not end the stream")
        elif state.gone:
            state.ended = True
            return
        else:
            state.ended = True
            state.pending = True
        self._pending += 1

    def _act(self, kind: int, flags: int, stream_id: int, payload: bytes) -> bool:
        """Act on a frame, now that the session has all before it; whether to drop the frame."""
        if kind == DATA:
            return self._act_on_data(flags, stream_id, payload)
        if kind == RST_STREAM:
            self._require_used(stream_id)
            self._spend(1)
            return stream_id not in self._streams and all(
                stream_id != finished for finished, _ in self._finished
            )
        if kind == WINDOW_UPDATE:
            return self._act_on_window_update(stream_id, payload)
        if kind == PRIORITY:
            self._spend(COST.PRIORITY)
            fault = None
            if len(payload) != 5:
                fault = ErrorCode.FRAME_SIZE_ERROR
            elif stream_number(payload) == stream_id:
                fault = ErrorCode.PROTOCOL_ERROR
            if fault is not None:
                if self._is_idle(stream_id):  # which must not be reset (§6.4)
                    raise ConnectionFault(fault, "a malformed PRIORITY")
                self._reset_by(stream_id, fault)
            return True  # deprecated (§5.3.2)
        if kind == GOAWAY:
            self._spend(COST.UNKNOWN)
            self._peer_takes_push = False  # and it closes when it is through (§6.8)
        return True  # unknown types are ignored (§4.1)

    def _act_on_data(self, flags: int, stream_id: int, payload: bytes) -> bool:
        self._require_used(stream_id)
        state = self._streams.get(stream_id)
        size = content_size(flags, payload)
        ended = bool(flags & END_STREAM)
        if not size and not ended:
            self._spend(COST.EMPTY_DATA)
        if state is None:
            if stream_id in self._reset_here:
                return False  # on its way when this side reset it: the session credits it
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "DATA on a closed stream")
        if state.gone:
            if state.reset_here:
                # On its way, unless the peer had ended its side: nothing may follow that.
                return state.ended
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "DATA on a closed stream")
        if state.ended:
            self._reset_by(stream_id, ErrorCode.STREAM_CLOSED)
            return True
        left = state.content_left if state.announced else None
        if left is not None and (size > left or (ended and size < left)):
            self._refuse_malformed(stream_id, "The content is not as long as its Content-Length.")
            return True
        state.ended = ended
        return False

    def _act_on_window_update(self, stream_id: int, payload: bytes) -> bool:
        self._spend(COST.WINDOW_UPDATE)
        increment = int.from_bytes(payload, "big") & MAX_WINDOW
        if not stream_id:
            if self._session.send_window(0) + increment > MAX_WINDOW:
                raise ConnectionFault(
                    ErrorCode.FLOW_CONTROL_ERROR, "the window of the connection is beyond 2^31-1"
                )
            return False
        self._require_used(stream_id)
        state = self._streams.get(stream_id)
        if state is None:
            # Of an answer that waits for it, perhaps.
            state = next((each for key, each in self._finished if key == stream_id), None)
        if state is None or state.gone:
            return True
        state.granted += increment
        if not increment:
            self._reset_by(stream_id, ErrorCode.PROTOCOL_ERROR)
            return True
        if (
            self._peer_window + state.granted > MAX_WINDOW
            and self._session.send_window(stream_id) + increment > MAX_WINDOW
        ):
            self._reset_by(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
            return True
        return False

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id > (self.last_stream_id if stream_id & 1 else self._last_pushed)

    def _require_used(self, stream_id: int) -> None:
        """The stream is not idle (§5.1)."""
        if self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame on an idle stream")

    # --- the rest of the contract ------------------------------------------------------------

    def consume(self, stream_id: int, size: int) -> None:
        """The handler took `size` octets of the body."""
        state = self._streams.get(stream_id)
        if state is not None and state.unconsumed:
            self._credit(stream_id, state, min(size, state.unconsumed))

    def receive_eof(self) -> list[Event]:
        """The peer has closed its sending side: what it has asked for in full is answered."""
        events: list[Event] = []
        while self.turn_is_over:
            events += self.receive_data(b"")
        self._eof = True
        if self._terminated:
            if self.close is Close.LINGER:
                self.close = Close.NOW
            return events
        for stream_id, state in list(self._streams.items()):
            if not state.ended and not state.gone:
                if state.announced:
                    events.append(StreamReset(stream_id))
                self._end_stream(stream_id, state)
        if not self._streams and not self._session.queued(0):
            events += self._terminate()
        elif self._shutdown is not FINAL:
            self._finish_shutdown()
        return events

    def receive_timeout(self, stream_id: int = 0) -> list[Event]:
        """A deadline has passed: that of one stream, or of the connection."""
        if stream_id:
            return self._time_out_stream(stream_id)
        kind = self.deadline_kind
        if kind is Deadline.LINGER:
            self.close = Close.NOW
        elif kind is Deadline.FAREWELL:
            self._finish_shutdown()
        elif kind is Deadline.HEAD:
            return self._terminate_by(
                ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a frame did not arrive in time")
            )
        elif kind is Deadline.QUIET:
            self._pinged = True
            self._session.ping()
        elif kind is Deadline.PONG or kind is Deadline.HALF_CLOSED:
            return self._terminate(Close.ABORT)
        elif kind is not Deadline.NONE:  # nothing was asked, or nothing for long
            self._shutdown = FINAL
            self._session.send_goaway(self.last_stream_id)
            return self._terminate(Close.LINGER)
        return []

    def _time_out_stream(self, stream_id: int) -> list[Event]:
        """A body comes too slowly, or nobody takes the answer."""
        state = self._streams.get(stream_id)
        if state is None:
            self._finished = [each for each in self._finished if each[0] != stream_id]
            self._session.reset(stream_id, ErrorCode.CANCEL)
            return []
        error = RequestTimeout("The request did not arrive in time.")
        events: list[Event] = [StreamReset(stream_id, error)] if state.announced else []
        if state.send is WAITING:
            self._send_refusal(stream_id, state, error)
        else:
            self._reset_stream(stream_id, ErrorCode.CANCEL)
        return events


_TAKE = object()
_ACT = object()
