"""When the second changes: `Date` does too.

Not whenever the reaper comes by: a second late, the `Last-Modified` of a file that was just written
would be later than the `Date` beside it, which RFC 9110 §8.8.2.1 forbids. Called by `Server`.
"""

import asyncio
import time
from collections.abc import Callable

__all__ = ["SecondHand"]

#: Seconds after the change: timers have milliseconds, and one that is early would look in vain.
_AFTER = 0.001


class SecondHand:
    """Calls something at once and whenever the wall clock shows another second.

    Args:
        loop: whose timer is used.
        changed: called with nothing.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        self._loop = loop
        self._changed = changed
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Call it now, and from now on."""
        self._handle = self._loop.call_later(_AFTER + 1.0 - time.time() % 1.0, self.start)
        self._changed()

    def stop(self) -> None:
        """Call it no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
