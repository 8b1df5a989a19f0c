"""The order of content on an HTTP/2 connection (RFC 9218 §10), for libraries that have none.

Queues of content by stream. Those that can send stand in one heap, by urgency, then by cycle: how
much of its share a stream has had. Answers that are of use in parts move on in their cycle with
each piece, and so take turns; all others keep theirs, and so go out whole, the oldest first.

A stream whose window is closed is parked until it opens, so that nothing is looked at in vain.
"""

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush

from httpkit.protocol.http2.priority import DEFAULT_URGENCY

__all__ = ["Piece", "Scheduler"]

Trailers = Sequence[tuple[bytes, bytes]]

#: Priorities kept for streams that have not begun, or have nothing queued.
_MAX_PRIORITIES = 1_000


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


class _Queue:
    """What waits for one stream."""

    __slots__ = ("cycle", "end", "offset", "parked", "pieces", "size", "ticket", "trailers")

    def __init__(self, cycle: int) -> None:
        self.pieces: deque[bytes] = deque()
        self.size = 0
        # Bytes of the first piece that are gone.
        self.offset = 0
        self.end = False
        self.trailers: Trailers = ()
        self.cycle = cycle
        self.parked = False
        # Of its entry in the heap; older ones are void. 0 if it has none.
        self.ticket = 0


class Scheduler:
    """Queues of content, and which of them is next.

    Attributes:
        size: octets of content in all queues.
    """

    __slots__ = (
        "_cycle",
        "_heap",
        "_priorities",
        "_queues",
        "_ready",
        "_server_set",
        "_tickets",
        "size",
    )

    def __init__(self) -> None:
        self._queues: dict[int, _Queue] = {}
        # Urgency, cycle, stream id, ticket.
        self._heap: list[tuple[int, int, int, int]] = []
        self._priorities: dict[int, tuple[int, bool]] = {}
        # Streams whose priority this side has set: the client's word does not count any more.
        self._server_set: set[int] = set()
        self._tickets = 0
        self._ready = 0
        # Of the stream that had its turn last: those that are new begin there.
        self._cycle = 0
        self.size = 0

    @property
    def has_ready(self) -> bool:
        """Whether any stream has something that can be sent."""
        return self._ready > 0

    def queued(self, stream_id: int) -> int:
        """Octets of content that wait."""
        queue = self._queues.get(stream_id)
        return 0 if queue is None else queue.size

    # --- priorities --------------------------------------------------------------------------

    def prioritize(
        self, stream_id: int, urgency: int, *, incremental: bool, by_server: bool = False
    ) -> None:
        """Set the priority of a stream, which may not have begun."""
        if by_server:
            self._server_set.add(stream_id)
        elif stream_id in self._server_set:
            return
        if len(self._priorities) >= _MAX_PRIORITIES:
            self._priorities = {
                key: value for key, value in self._priorities.items() if key in self._queues
            }
        self._priorities[stream_id] = urgency, incremental
        queue = self._queues.get(stream_id)
        if queue is not None and queue.ticket:
            self._enter(stream_id, queue)

    def _priority(self, stream_id: int) -> tuple[int, bool]:
        return self._priorities.get(stream_id, (DEFAULT_URGENCY, False))

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
        self._wake(stream_id, queue)

    def drop(self, stream_id: int) -> None:
        """The stream is closed: forget what it has."""
        queue = self._queues.pop(stream_id, None)
        if queue is not None:
            self.size -= queue.size
            self._leave(queue)
        self._priorities.pop(stream_id, None)
        self._server_set.discard(stream_id)

    def _queue(self, stream_id: int) -> _Queue:
        queue = self._queues.get(stream_id)
        if queue is None:
            queue = self._queues[stream_id] = _Queue(self._cycle)
        return queue

    def _wake(self, stream_id: int, queue: _Queue) -> None:
        if not queue.ticket and (not queue.parked or not queue.size):
            queue.cycle = max(queue.cycle, self._cycle)
            self._enter(stream_id, queue)

    # --- the heap ----------------------------------------------------------------------------

    def _enter(self, stream_id: int, queue: _Queue) -> None:
        """Make an entry in the heap; one that is there becomes void."""
        if not queue.ticket:
            self._ready += 1
        self._tickets += 1
        queue.ticket = self._tickets
        urgency, _ = self._priority(stream_id)
        heappush(self._heap, (urgency, queue.cycle, stream_id, queue.ticket))

    def _leave(self, queue: _Queue) -> None:
        if queue.ticket:
            queue.ticket = 0
            self._ready -= 1

    def next_stream(self) -> int | None:
        """The stream whose turn it is."""
        heap = self._heap
        while heap:
            _, cycle, stream_id, ticket = heap[0]
            queue = self._queues.get(stream_id)
            if queue is not None and queue.ticket == ticket:
                self._cycle = cycle
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
        elif queue.size:
            if self._priority(stream_id)[1]:
                queue.cycle += taken
                self._enter(stream_id, queue)
        else:
            self._leave(queue)
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
        """That of the connection has, or all have."""
        for stream_id, queue in self._queues.items():
            if queue.parked:
                queue.parked = False
                self._wake(stream_id, queue)
