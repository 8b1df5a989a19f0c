"""How much one client may say in one room, so that it cannot drown the others."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

#: Events at once: fewer than may wait for a listener (256), so nobody is cut off because of others.
BURST = 100
#: Events a second, in the long run.
RATE = 5.0
#: Budgets that are remembered; the one that was used the longest ago makes room.
MAX_BUDGETS = 10_000


class Budgets:
    """Token buckets by key.

    Args:
        burst: tokens of a full one.
        rate: tokens a second that it gets back.
        most: keys that are remembered.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        burst: int = BURST,
        rate: float = RATE,
        *,
        most: int = MAX_BUDGETS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._rate = rate
        self._most = most
        self._clock = clock
        #: What was left, and when; the one that was used last stands last.
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def spend(self, key: Hashable) -> bool:
        """Take a token; whether there was one."""
        now = self._clock()
        left, then = self._left.pop(key, (float(self._burst), now))
        left = min(self._burst, left + (now - then) * self._rate)
        enough = left >= 1
        self._left[key] = (left - enough, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return enough
