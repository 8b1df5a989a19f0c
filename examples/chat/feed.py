"""What a room says, as one iteration: messages and typing signs, and who is there.

Every transport reads a `Feed`, so all of them bring the same events.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Generic, NamedTuple, Self, TypeVar

from examples.chat.rooms import SHOWN, encode, gap_text, members_text
from httpkit import SharedMessage
from httpkit.channels import ChannelMessage, Channels, Subscription, Watch

T = TypeVar("T")


class Event(NamedTuple):
    """What happens in a room.

    Attributes:
        data: JSON.
        id: by which a listener resumes; `None` for what is said to one listener alone.
    """

    data: str
    id: str | None = None

    def with_id(self) -> str:
        """The JSON with the id in it, for transports that know no ids."""
        return self.data if self.id is None else f'{{"id":{encode(self.id)},{self.data[1:]}'


@lru_cache(maxsize=1024)
def share(event: Event) -> SharedMessage:
    """An event for every WebSocket that gets it: framed once."""
    return SharedMessage(event.with_id())


class Merged(Generic[T]):
    """Several iterations as one. It ends when the first of them does, or raises what that raises.

    Args:
        sources: that are read as long as this context lasts.
        size: how many items wait here; then the sources do.
    """

    def __init__(self, *sources: AsyncIterable[T], size: int = 64) -> None:
        self._sources = sources
        self._items: asyncio.Queue[T | None] = asyncio.Queue(size)
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._read(source)) for source in self._sources]
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, source: AsyncIterable[T]) -> None:
        try:
            async for item in source:
                await self._items.put(item)
        except Exception:
            await self._items.put(None)
            raise
        await self._items.put(None)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        item = None if self._ended else await self._items.get()
        if item is not None:
            return item
        self._ended = True
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
        raise StopAsyncIteration

    def take(self) -> list[T]:
        """What has come already, without waiting."""
        items: list[T] = []
        while not self._ended and not self._items.empty():
            item = self._items.get_nowait()
            if item is None:
                self._ended = True
            else:
                items.append(item)
        return items


@asynccontextmanager
async def open_feed(
    channels: Channels, room: str, after: str | None = None, known: str | None = None
) -> AsyncIterator[Merged[Event]]:
    """Listen to a room.

    A listener that is too slow is cut off rather than left with gaps: it comes back, and resumes.

    Args:
        channels: of the app.
        room: its name.
        after: id of the last event that the listener has; without one it gets the last `SHOWN`
            messages.
        known: version of the members that the listener knows.
    """
    topic = room_topic(room)
    async with (
        channels.subscribe(topic, after=after, history=SHOWN, policy="close") as said,
        channels.watch(topic) as changes,
        Merged(_messages(said, after), _members(channels, room, changes, known)) as feed,
    ):
        yield feed


async def _messages(said: Subscription, after: str | None) -> AsyncIterator[Event]:
    for event in begin(said, after):
        yield event
    async for message in said:
        yield to_event(message)


def begin(said: Subscription, after: str | None) -> list[Event]:
    """What comes before the messages: whether some of them are missing."""
    return [] if said.complete or not after else [Event(gap_text())]


def to_event(message: ChannelMessage) -> Event:
    """What was published, which is text."""
    assert isinstance(message.data, str)
    return Event(message.data, message.id or None)


async def _members(
    channels: Channels, room: str, changes: Watch, known: str | None
) -> AsyncIterator[Event]:
    """Who is there now, and again after each change."""
    text, version = await read_members(channels, room)
    if version != known:
        yield Event(text)
    async for _ in changes:
        changes.take()  # a crowd comes at once
        text, now = await read_members(channels, room)
        if now != version:
            version = now
            yield Event(text)


async def read_members(channels: Channels, room: str) -> tuple[str, str]:
    """Who is there, as an event, and its version."""
    return members_text([member.name for member in await channels.members(room_topic(room))])


def room_topic(room: str) -> str:
    return f"chat:{room}"
