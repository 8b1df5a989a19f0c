"""`Feed`: a bounded queue that any number of writers fill and one reader empties.

Writers never wait. What happens when the reader is too slow is the business of who fills it.
"""

import asyncio
from collections import deque
from typing import Generic, Self, TypeVar

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
        self._reader: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next item; the iteration ends with the feed.

        Raises:
            RuntimeError: somebody else is reading.
        """
        if not self._items:
            await self.wait()
            if not self._items:
                raise StopAsyncIteration
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
        if self._items or self.ended:
            return bool(self._items)
        if self._reader is not None:
            raise RuntimeError("this is being read from elsewhere already: subscribe twice")
        loop = asyncio.get_running_loop()
        self._reader = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, self._wake)
        try:
            await self._reader
        finally:
            self._reader = None
            if timer is not None:
                timer.cancel()
        return bool(self._items)

    def _take_first(self) -> T:
        return self._items.popleft()

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
