"""The order of content on an HTTP/2 connection (RFC 9218 §10), for libraries that have none.

Queues of content by stream. Those that can send stand in one heap, by urgency, then by cycle: how
much of its share a stream has had among those of its urgency. Answers that are of use in parts move
on in their cycle with each piece, and so take turns; all others keep theirs, and so go out whole,
the oldest first. Ends without content need no window and go before all else.

Nothing is looked at in vain: a stream whose window is closed is parked until it opens, and while
that of the connection is closed the whole heap is held.
"""

from collections import deque
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from httpkit.protocol.http2.priority import DEFAULT_URGENCY

__all__ = ["Piece", "Scheduler"]

Trailers = Sequence[tuple[bytes, bytes]]

#: Priorities kept for streams that have no queue yet; the oldest go first.
_MAX_PRIORITIES = 1_000
#: Entries of the heap that may be void beside as many as are valid.
_MAX_VOID = 64


class Piece:
    """The next part of a stream.

    Attributes:
        data: content, perhaps none.
        end: nothing follows but the trailers.
        trailers: behind the content.
    """

    __slots__ = ("data", "end", "trailers")

    def __init__(self, data: bytes, trailers: Trailers, *, end: bool) -> None:
        self.data = data
        self.end = end
        self.trailers = trailers


class _Priority(NamedTuple):
    """Of one stream.

    Attributes:
        urgency: from 0 (first) to 7.
        incremental: the answer is of use in parts.
        by_server: this side has set it: the client's word does not count any more (§8).
    """

    urgency: int = DEFAULT_URGENCY
    incremental: bool = False
    by_server: bool = False


_DEFAULT = _Priority()


class _Queue:
    """What waits for one stream."""

    __slots__ = (
        "cycle",
        "end",
        "offset",
        "parked",
        "pieces",
        "priority",
        "size",
        "ticket",
        "trailers",
    )

    def __init__(self, priority: _Priority) -> None:
        self.priority = priority
        self.pieces: deque[bytes] = deque()
        self.size = 0
        # Bytes of the first piece that are gone.
        self.offset = 0
        self.end = False
        self.trailers: Trailers = ()
        self.cycle = 0
        self.parked = False
        # Of its entry in the heap; older ones are void. 0 if it has none.
        self.ticket = 0


class Scheduler:
    """Queues of content, and which of them is next.

    Attributes:
        size: octets of content in all queues.
        held: the window of the connection is closed: only ends without content can go.
    """

    __slots__ = (
        "_cycles",
        "_ends",
        "_heap",
        "_priorities",
        "_queues",
        "_ready",
        "_tickets",
        "held",
        "size",
    )

    def __init__(self) -> None:
        self._queues: dict[int, _Queue] = {}
        # Urgency, cycle, stream id, ticket.
        self._heap: list[tuple[int, int, int, int]] = []
        # Streams of which only the end is left.
        self._ends: deque[int] = deque()
        self._priorities: dict[int, _Priority] = {}
        self._tickets = 0
        self._ready = 0
        # Of the stream of each urgency that had its turn last: those that are new begin there.
        self._cycles = [0] * 8
        self.held = False
        self.size = 0

    @property
    def has_ready(self) -> bool:
        """Whether any stream has something that can be sent."""
        return (self._ready > 0 and not self.held) or self._next_end() is not None

    def queued(self, stream_id: int) -> int:
        """Octets of content that wait."""
        queue = self._queues.get(stream_id)
        return 0 if queue is None else queue.size

    def prioritize(
        self, stream_id: int, urgency: int, *, incremental: bool, by_server: bool = False
    ) -> None:
        """Set the priority of a stream, which may not have begun."""
        queue = self._queues.get(stream_id)
        old = self._priorities.get(stream_id, _DEFAULT) if queue is None else queue.priority
        if old.by_server and not by_server:
            return
        priority = _Priority(urgency, incremental, by_server)
        if queue is None:
            self._priorities[stream_id] = priority
            if len(self._priorities) > _MAX_PRIORITIES:
                del self._priorities[next(iter(self._priorities))]
            return
        queue.priority = priority
        if urgency != old.urgency:  # what it has had was among others
            queue.cycle = self._cycles[urgency]
            if queue.ticket:
                self._enter(stream_id, queue)

    # --- filling -----------------------------------------------------------------------------

    def push(self, stream_id: int, data: bytes) -> None:
        """Queue content."""
        queue = self._queue(stream_id)
        queue.pieces.append(data)
        queue.size += len(data)
        self.size += len(data)
        self._wake(stream_id, queue)

    def end(self, stream_id: int, trailers: Trailers = ()) -> None:
        """Queue the end of a stream."""
        queue = self._queue(stream_id)
        queue.end = True
        queue.trailers = trailers
        if not queue.size:
            self._leave(queue)
            self._ends.append(stream_id)

    def drop(self, stream_id: int) -> None:
        """The stream is closed: forget what it has."""
        queue = self._queues.pop(stream_id, None)
        if queue is not None:
            self.size -= queue.size
            self._leave(queue)
        self._priorities.pop(stream_id, None)

    def _queue(self, stream_id: int) -> _Queue:
        queue = self._queues.get(stream_id)
        if queue is None:
            queue = _Queue(self._priorities.pop(stream_id, _DEFAULT))
            self._queues[stream_id] = queue
        return queue

    def _wake(self, stream_id: int, queue: _Queue) -> None:
        if queue.size and not queue.ticket and not queue.parked:
            queue.cycle = max(queue.cycle, self._cycles[queue.priority.urgency])
            self._enter(stream_id, queue)

    # --- the heap ----------------------------------------------------------------------------

    def _enter(self, stream_id: int, queue: _Queue) -> None:
        """Make an entry in the heap; one that is there becomes void."""
        if not queue.ticket:
            self._ready += 1
        elif len(self._heap) > 2 * self._ready + _MAX_VOID:
            self._heap = [entry for entry in self._heap if self._is_valid(entry)]
            heapify(self._heap)
        self._tickets += 1
        queue.ticket = self._tickets
        heappush(self._heap, (queue.priority.urgency, queue.cycle, stream_id, queue.ticket))

    def _leave(self, queue: _Queue) -> None:
        if queue.ticket:
            queue.ticket = 0
            self._ready -= 1

    def _is_valid(self, entry: tuple[int, int, int, int]) -> bool:
        queue = self._queues.get(entry[2])
        return queue is not None and queue.ticket == entry[3]

    def _next_end(self) -> int | None:
        """A stream of which only the end is left."""
        ends = self._ends
        while ends:
            queue = self._queues.get(ends[0])
            if queue is not None and queue.end and not queue.size:
                return ends[0]
            ends.popleft()
        return None

    def next_stream(self) -> int | None:
        """The stream whose turn it is."""
        if (ending := self._next_end()) is not None:
            return ending
        heap = self._heap
        while heap and not self.held:
            entry = heap[0]
            if self._is_valid(entry):
                urgency, cycle, stream_id, _ = entry
                self._cycles[urgency] = cycle
                return stream_id
            heappop(heap)
        return None

    def take(self, stream_id: int, limit: int) -> Piece:
        """The next part of the stream whose turn it is, at most `limit` octets of content."""
        queue = self._queues[stream_id]
        parts: list[bytes] = []
        taken = 0
        while queue.pieces and taken < limit:
            piece = queue.pieces[0]
            part = piece[queue.offset : queue.offset + limit - taken]
            parts.append(part)
            taken += len(part)
            queue.offset += len(part)
            if queue.offset == len(piece):
                queue.pieces.popleft()
                queue.offset = 0
        queue.size -= taken
        self.size -= taken
        ended = queue.end and not queue.size
        if ended:
            self.drop(stream_id)
        elif not queue.size:
            self._leave(queue)
            queue.cycle += taken if queue.priority.incremental else 0
        elif queue.priority.incremental:
            queue.cycle += taken
            self._enter(stream_id, queue)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        return Piece(data, queue.trailers if ended else (), end=ended)

    def park(self, stream_id: int) -> None:
        """The window of the stream is closed."""
        queue = self._queues[stream_id]
        queue.parked = True
        self._leave(queue)

    def unpark(self, stream_id: int) -> None:
        """It has opened."""
        queue = self._queues.get(stream_id)
        if queue is not None and queue.parked:
            queue.parked = False
            self._wake(stream_id, queue)

    def unpark_all(self) -> None:
        """Those of all streams may have opened: their initial size has changed."""
        for stream_id in self._queues:
            self.unpark(stream_id)
