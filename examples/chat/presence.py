"""Who is in a room: for as long as a connection is open, or for a while after each request.

A WebSocket or an event stream is `present` until it ends. A page that polls pays `Visits`, and has
left when it was not seen for a while.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from typing import NamedTuple

from examples.chat.feed import room_topic
from examples.chat.rooms import Visitor, is_same_name
from httpkit import HTTPError
from httpkit.channels import Channels

#: Seconds after which somebody who polls every two has left.
LINGER = 10.0
#: Visits of one process: each holds a task.
MAX_VISITS = 2_000


async def is_free(channels: Channels, room: str, visitor: Visitor) -> bool:
    """Whether nobody else in the room has this name."""
    return not any(
        is_same_name(member.name, visitor.name) and member.info["session"] != visitor.session
        for member in await channels.members(room_topic(room))
    )


def present(channels: Channels, room: str, visitor: Visitor) -> AbstractAsyncContextManager[object]:
    """Be in the room inside the `with`; somebody without a name only looks on."""
    if not visitor.name:
        return nullcontext()
    return channels.join(room_topic(room), visitor.name, {"session": visitor.session})


class _Place(NamedTuple):
    room: str
    visitor: Visitor


class _Visit:
    def __init__(self) -> None:
        self.until = 0.0
        self.sooner = asyncio.Event()
        self.task: asyncio.Task[None]


class Visits:
    """Presence of those who come by; `open` in the lifespan.

    Args:
        channels: of the app.
        linger: seconds for which somebody stays after a request.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        channels: Channels,
        *,
        linger: float = LINGER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channels = channels
        self._linger = linger
        self._clock = clock
        self._visits: dict[_Place, _Visit] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """All visits end with this context."""
        try:
            yield
        finally:
            tasks = [visit.task for visit in self._visits.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def see(self, room: str, visitor: Visitor) -> None:
        """Somebody has come by.

        Raises:
            HTTPError: 503, too many visits.
        """
        self._see(_Place(room, visitor), self._linger)

    @contextmanager
    def wait(self, room: str, visitor: Visitor, seconds: float) -> Iterator[None]:
        """Somebody has come by, and waits here for up to so many seconds.

        Raises:
            HTTPError: 503, too many visits.
        """
        place = _Place(room, visitor)
        visit = self._see(place, seconds + self._linger)
        try:
            yield
        finally:
            # Not if they have left meanwhile.
            if visit is not None and self._visits.get(place) is visit:
                self._set(visit, self._clock() + self._linger)

    def _see(self, place: _Place, seconds: float) -> _Visit | None:
        if not place.visitor.name:
            return None
        visit = self._visits.get(place)
        if visit is None:
            if len(self._visits) >= MAX_VISITS:
                raise HTTPError(503, "Too many people poll here.")
            visit = self._visits[place] = _Visit()
            visit.task = asyncio.create_task(self._stay(place, visit))
        self._set(visit, self._clock() + seconds)
        return visit

    def end(self, room: str, visitor: Visitor) -> None:
        """Somebody says that they leave."""
        visit = self._visits.pop(_Place(room, visitor), None)
        if visit is not None:
            self._set(visit, self._clock())

    def _set(self, visit: _Visit, until: float) -> None:
        if until < visit.until:
            visit.sooner.set()
        visit.until = until

    async def _stay(self, place: _Place, visit: _Visit) -> None:
        try:
            async with present(self._channels, place.room, place.visitor):
                while (left := visit.until - self._clock()) > 0:
                    visit.sooner.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(visit.sooner.wait(), left)
        finally:
            if self._visits.get(place) is visit:
                del self._visits[place]
