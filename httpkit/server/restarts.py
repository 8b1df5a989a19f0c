"""When a worker that ended is started again, and when enough is enough.

At once the first time; then after 1, 2 and 4 seconds. A worker that was well for a minute starts
from the beginning. Five ends within a minute are a crash loop.
"""

from collections import deque
from collections.abc import Callable

__all__ = ["Restarts"]

#: Ends within `_WINDOW` seconds that are a crash loop.
_MAX_ENDS = 5
_WINDOW = 60.0
#: The longest wait. Short: connections may wait in the queue of a listener whose worker is away.
_MAX_DELAY = 5.0
#: Seconds of service after which what was before is forgotten.
_HEALTHY = 60.0


class Restarts:
    """The history of one worker's place.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_a_row = 0
        self._ends: deque[float] = deque(maxlen=_MAX_ENDS)

    def next_delay(self, served: float) -> float | None:
        """Note an end; seconds until the next start, or `None` if it is a crash loop.

        Args:
            served: seconds for which the worker was ready; 0 if it never was.
        """
        now = self._clock()
        self._ends.append(now)
        if len(self._ends) == _MAX_ENDS and now - self._ends[0] < _WINDOW:
            return None
        self._in_a_row = 1 if served >= _HEALTHY else self._in_a_row + 1
        if self._in_a_row == 1:
            return 0.0
        return min(_MAX_DELAY, 2.0 ** min(self._in_a_row - 2, 10))
