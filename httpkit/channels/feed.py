"""`Feed`: a bounded queue that any number of writers fill and one reader empties.

Writers never wait. What happens when the reader is too slow is the business of who fills it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from typing import Generic, Self, TypeVar

from httpkit.waiting import Waiter

__all__ = ["Feed"]

T = TypeVar("T")


class Feed(Generic[T]):
    """Items for one reader; an asynchronous iterator that ends when the feed has ended.

    Attributes:
        ended: nothing more will come; what waits can still be read.
    """

    def __init__(self) -> None:
        self.ended = False
        self._items: deque[T] = deque()
        self._arrival: Waiter | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next item; the iteration ends with the feed.

        Raises:
            RuntimeError: somebody else is reading.
        """
        while not self._items:
            if self.ended:
                raise StopAsyncIteration
            await self._await_arrival()
        return self._take_first()

    def take(self) -> list[T]:
        """Everything that waits, without waiting."""
        items = []
        while self._items:
            items.append(self._take_first())
        return items

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is an item; `False` if there is none since the feed or the time ended.

        Args:
            timeout: seconds.

        Raises:
            RuntimeError: somebody else is reading.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._items and not self.ended:
                    await self._await_arrival()
        return bool(self._items)

    def _await_arrival(self) -> Awaitable[object]:
        """Wait for something to happen; there may have been no reason to wake up."""
        if self._arrival is None:
            self._arrival = Waiter(asyncio.get_running_loop())
        elif self._arrival.callback is not None:
            raise RuntimeError("this is being read from elsewhere already: subscribe twice")
        return self._arrival.wait()

    def _take_first(self) -> T:
        return self._items.popleft()

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None:
            self._arrival.wake()
