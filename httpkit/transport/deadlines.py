"""Deadlines without timers.

One reaper scans all connections; a connection knows what it waits for (`Deadline`) and for which
request, and `DeadlineWatch` remembers since when that has been so. Nothing is done for a request
that is in time. The price is precision: a deadline fires up to one interval of the reaper late.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from httpkit.limits import Limits
from httpkit.protocol.engine import Deadline, Engine

__all__ = ["DeadlineWatch", "Reaper", "Watched", "reaper_interval"]

logger = logging.getLogger("httpkit")

#: Waits that begin anew each time the peer takes bytes.
_WHILE_BYTES_FLOW = frozenset({Deadline.HALF_CLOSED, Deadline.LINGER})


class DeadlineWatch:
    """Since when one connection has been waiting for the same thing."""

    __slots__ = (
        "_mark",
        "_now",
        "_owed",
        "_owed_taken",
        "_rest",
        "_rest_since",
        "_since",
        "_streams",
        "_taken",
        "_taken_since",
    )

    def __init__(self) -> None:
        self._mark: tuple[Deadline, int, int] | None = None
        self._since = 0.0
        # The wait for a request, or for a farewell; what the socket had got, and had accepted, when
        # it began.
        self._rest: tuple[Deadline, int] | None = None
        self._rest_since = 0.0
        self._owed = 0
        self._owed_taken = -1
        self._now: float | None = None
        # What streams wait for: since when, and from which progress on.
        self._streams: dict[tuple[int, Deadline], tuple[float, int]] = {}
        self._taken = -1
        self._taken_since = 0.0

    def elapsed(self, now: float) -> float:
        """Seconds since this was asked last."""
        before, self._now = self._now, now
        return 0.0 if before is None else now - before

    def passed(self, engine: Engine, sent: int, taken: int, now: float, limits: Limits) -> bool:
        """Whether the deadline of the connection as a whole has passed.

        `sent` is how many bytes the transport has got since the connection began, `taken` how many
        of them the socket has accepted.
        """
        kind = engine.deadline_kind
        if kind is Deadline.IDLE or kind is Deadline.FIRST or kind is Deadline.FAREWELL:
            self._mark = None
            since = self._at_rest_since(kind, engine.deadline_mark, sent, taken, now)
        else:
            # Nobody is gone, or through with the answer, while bytes flow.
            progress = taken if kind in _WHILE_BYTES_FLOW else 0
            mark = (kind, engine.deadline_mark, progress)
            if mark != self._mark:
                self._mark = mark
                self._since = now
            since = self._since
        allowed = _allowed(kind, limits)
        return allowed is not None and now - since > allowed

    def _at_rest_since(self, kind: Deadline, mark: int, sent: int, taken: int, now: float) -> float:
        """When the wait for a request, or for a farewell, began.

        Nobody is idle who still takes an answer, nor has heard of the end who takes what stands
        before that. Frames that ask for nothing (RFC 9113 §6.5, §6.7), and what is said to them, do
        not begin the wait anew, nor does the time in which one of them was incomplete: a peer that
        sends PINGs could keep the connection for ever.
        """
        if self._rest != (kind, mark):
            self._rest = kind, mark
            self._owed = 0 if kind is Deadline.FIRST else sent
            self._owed_taken = -1
        if self._owed_taken < min(taken, self._owed):
            self._owed_taken = min(taken, self._owed)
            self._rest_since = now
        return self._rest_since

    def late_streams(
        self,
        engine: Engine,
        now: float,
        limits: Limits,
        rate_of: Callable[[int], int | None],
    ) -> list[int]:
        """Streams of which the peer has not sent, or not taken, what it should have by now.

        `rate_of` tells how many bytes a second the body of a stream must reach, `None` for any.
        """
        known, self._streams = self._streams, {}
        late: list[int] = []
        for stream_id, kind, progress in engine.stream_waits():
            since, base = known.get((stream_id, kind), (now, progress))
            if kind is Deadline.WINDOW and progress != base:
                since, base = now, progress
            self._streams[stream_id, kind] = since, base
            waited = now - since
            if kind is Deadline.WINDOW:
                is_late = waited > limits.write_stall
            else:
                rate = rate_of(stream_id)
                is_late = rate is not None and waited > limits.body_grace + (progress - base) / rate
            if is_late:
                late.append(stream_id)
        return late

    def write_stalled(self, waiting: int, taken: int, now: float, limits: Limits) -> bool:
        """Whether the peer has taken none of the `waiting` bytes for too long.

        `taken` is how many bytes the socket has accepted since the connection began.
        """
        if not waiting or taken != self._taken:
            self._taken = taken
            self._taken_since = now
            return False
        return now - self._taken_since > limits.write_stall


def _allowed(kind: Deadline, limits: Limits) -> float | None:
    """Seconds that a wait may take, `None` for any time."""
    if kind is Deadline.NONE or kind is Deadline.BODY:  # bodies are watched stream by stream
        return None
    if kind is Deadline.QUIET:
        return limits.ping_interval
    if kind is Deadline.PONG:
        return limits.ping_timeout
    if kind is Deadline.IDLE:
        return limits.keep_alive_timeout
    if kind is Deadline.HALF_CLOSED:
        return limits.half_close_timeout
    if kind is Deadline.LINGER or kind is Deadline.FAREWELL:
        return limits.linger_timeout
    return limits.header_timeout


def reaper_interval(limits: Limits) -> float:
    """How often to scan: a quarter of the shortest deadline, at most once a second."""
    times = (
        limits.handshake_timeout,
        limits.header_timeout,
        limits.keep_alive_timeout,
        limits.body_grace,
        limits.write_stall,
        limits.half_close_timeout,
        limits.linger_timeout,
        limits.ping_interval or 60.0,
        limits.ping_timeout,
        limits.websocket_close_timeout,
        limits.request_timeout or 60.0,
    )
    return min(1.0, min(times) / 4)


class Watched(Protocol):
    """What the reaper scans."""

    def check_deadlines(self, now: float) -> None:
        """Act if a deadline has passed at `now`."""

    def abort(self) -> None:
        """End at once."""


class Reaper:
    """Scans connections at an interval.

    Args:
        loop: whose timer is used.
        interval: seconds between scans.
        clock: monotonic time in seconds.
        connections: gives those that are open.
        each: called with nothing before each scan.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float,
        clock: Callable[[], float],
        connections: Callable[[], Iterable[Watched]],
        each: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._clock = clock
        self._connections = connections
        self._each = each
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Scan from now on."""
        self._handle = self._loop.call_later(self._interval, self._tick)

    def stop(self) -> None:
        """Scan no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tick(self) -> None:
        self.start()
        self._each()
        self.scan(self._clock())

    def scan(self, now: float) -> None:
        """Let every connection check its deadlines against `now`.

        One that fails is closed: the others have theirs all the same, now and in later scans.
        """
        for connection in list(self._connections()):
            try:
                connection.check_deadlines(now)
            except Exception:
                logger.exception("the deadlines of a connection cannot be checked, closed")
                connection.abort()
