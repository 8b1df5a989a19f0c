"""How long a process serves, in requests: `max_requests`.

Looks now and then instead of at every request, which costs the hot path nothing; a process serves a
few more than it is said to. Called by `process.py`; what follows is decided there.
"""

import asyncio
import random
from collections.abc import Callable

from httpkit.server.counters import Counters

__all__ = ["RequestLimit"]

#: Seconds between two looks.
_LOOK = 0.5


class RequestLimit:
    """Tells when so many requests were begun, and again after as many more.

    Args:
        loop: where it looks.
        counters: of the server.
        limit: requests.
        jitter: up to so many more, by chance and once: workers that were started together shall not
            be replaced together.
        reached: called in the loop, with a reason for the log.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        counters: Counters,
        limit: int,
        jitter: int,
        reached: Callable[[str], object],
    ) -> None:
        self._loop = loop
        self._counters = counters
        self._limit = limit
        self._next = limit + random.randint(0, jitter)  # noqa: S311 - no secret
        self._reached = reached
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        self._timer = self._loop.call_later(_LOOK, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self.start()
        served = self._counters.requests_begun
        if served >= self._next:
            self._next = served + self._limit
            self._reached(f"{served} requests were served (max_requests)")
