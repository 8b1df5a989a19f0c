"""`MemoryChannels`: channels in the memory of this process."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from httpkit.channels.base import Channels, Replay
from httpkit.channels.history import History
from httpkit.channels.messages import (
    ChannelMessage,
    Member,
    Position,
    check_topic,
    encode_message,
)
from httpkit.channels.presence import Join, Presence
from httpkit.channels.subscription import Subscription
from httpkit.errors import ConfigurationError
from httpkit.types import WorkerPlace

__all__ = ["MemoryChannels"]


class MemoryChannels(Channels):
    """Channels of one process.

    Args:
        history: messages that are kept of each topic, 0 for none.
        max_bytes: that the kept messages of all topics may take, by an estimate; beyond, the
            oldest ones are forgotten.
        clock: Unix time in seconds; tells the ids of this start from those of others.

    Raises:
        ConfigurationError: a negative number.
    """

    def __init__(
        self,
        history: int = 100,
        *,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if history < 0 or max_bytes < 0:
            raise ConfigurationError("history and max_bytes of MemoryChannels are 0 or more")
        super().__init__()
        self._limit = history
        self._max_bytes = max_bytes
        self._history = History(history, max_bytes)
        self._presence = Presence()
        self._position = Position(int(clock() * 1000), 0)

    async def publish(self, topic: str, data: Any, *, keep: bool = True) -> ChannelMessage:
        """See `Channels.publish`."""
        check_topic(topic)
        data = encode_message(data)
        self._position = Position(self._position.epoch, self._position.number + 1)
        message = ChannelMessage(topic, self._position, data)
        self.counters.published += 1
        if keep:
            self._history.add(self._position.number, message)
        self.deliver(message)
        return message

    async def history(
        self, topic: str, limit: int = 50, *, after: str | None = None
    ) -> list[ChannelMessage]:
        """See `Channels.history`."""
        check_topic(topic)
        if limit < 0:
            raise ValueError("limit is 0 or more messages")
        if after is None:
            return self._history.last((topic,), limit)
        return self._messages_after((topic,), after)[0][:limit]

    async def members(self, topic: str) -> list[Member]:
        """See `Channels.members`."""
        return self._presence.members(check_topic(topic))

    @asynccontextmanager
    async def _run(self, worker: WorkerPlace | None) -> AsyncIterator[None]:  # noqa: ARG002
        yield

    async def _replay(self, subscription: Subscription) -> Replay:
        complete = True
        if subscription.after is None:
            messages = self._history.last(subscription.topics, subscription.history)
        else:
            messages, complete = self._messages_after(subscription.topics, subscription.after)
        begins = self._position
        if messages:
            assert messages[0].position is not None
            begins = Position(begins.epoch, messages[0].position.number - 1)
        return Replay(messages, begins, self._position, complete)

    def _messages_after(
        self, topics: tuple[str, ...], after: str
    ) -> tuple[list[ChannelMessage], bool]:
        position = Position.parse(after)
        known = (
            position is not None
            and position.epoch == self._position.epoch
            and position.number <= self._position.number
        )
        if not known:
            return self._history.after(topics, 0)[0], False
        assert position is not None
        return self._history.after(topics, position.number)

    async def _add_join(self, join: Join) -> None:
        self.announce(self._presence.add("", join))

    async def _remove_join(self, join: Join) -> None:
        self.announce(self._presence.remove("", join.key))
