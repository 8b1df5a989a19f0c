"""`MemoryChannels`: channels in the memory of this process, and of all workers of its server."""

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from httpkit.channels.base import Channels, Replay
from httpkit.channels.history import History
from httpkit.channels.mesh import Mesh
from httpkit.channels.messages import (
    ChannelMessage,
    Member,
    Position,
    check_topic,
    encode_message,
)
from httpkit.channels.presence import Join, Presence
from httpkit.channels.records import Joined, Left, Published
from httpkit.channels.sequencer import LocalNumbers, Numbers, SharedNumbers
from httpkit.channels.subscription import Subscription
from httpkit.errors import ConfigurationError
from httpkit.types import WorkerPlace

__all__ = ["MemoryChannels"]

#: Owner of the joins of this process.
_HERE = ""


class MemoryChannels(Channels):
    """Channels of one process, or of the workers of one server; implements `MeshOwner`.

    With several workers each of them keeps everything, and tells the others what is published on
    it. A worker that starts learns from them what is kept.

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
        self._clock = clock
        self._bounds = history, max_bytes
        self._history = History(*self._bounds)
        self._presence = Presence()
        self._numbers: Numbers = LocalNumbers(int(clock() * 1000))
        #: The number up to which everything was delivered.
        self._delivered = 0
        self._mesh: Mesh | None = None

    def _next_epoch(self) -> int:
        return max(int(self._clock() * 1000), self._numbers.epoch + 1)

    @property
    def _position(self) -> Position:
        number = self._delivered if self._mesh is None else self._mesh.position
        return Position(self._numbers.epoch, number)

    # --- what applications call --------------------------------------------------------------

    async def publish(self, topic: str, data: Any, *, keep: bool = True) -> ChannelMessage:
        """See `Channels.publish`."""
        check_topic(topic)
        data = encode_message(data)
        if self._mesh is not None:
            await self._mesh.catch_up()
        number = self._numbers.draw()
        self.counters.published += 1
        record = Published(number, topic, data, keep)
        message = self._message(record)
        if self._mesh is None:
            self._deliver(number, message, keep=keep)
        else:
            self._mesh.send(record)
            self._mesh.deliver(record)
        return message

    async def _read_history(
        self, topic: str, limit: int, after: str | None
    ) -> list[ChannelMessage]:
        if after is None:
            return self._history.last((topic,), limit)
        position = self._known(after)
        return self._history.after((topic,), position.number if position else 0)[0][:limit]

    async def members(self, topic: str) -> list[Member]:
        """See `Channels.members`."""
        return self._presence.members(check_topic(topic))

    # --- what the base asks for --------------------------------------------------------------

    @asynccontextmanager
    async def _run(self, worker: WorkerPlace | None) -> AsyncIterator[None]:
        if worker is None:
            yield
            return
        os.makedirs(worker.directory, 0o700, exist_ok=True)
        self._history = History(*self._bounds)
        path = os.path.join(worker.directory, "numbers")
        self._numbers = SharedNumbers(path, self._next_epoch())
        mesh = Mesh(worker, self._numbers, self)
        try:
            await mesh.open()
            self._mesh = mesh
            yield
        finally:
            self._mesh = None
            await mesh.close()
            self._numbers.close()
            self._numbers, self._delivered = LocalNumbers(self._next_epoch()), 0
            self._history = History(*self._bounds)

    async def _replay(self, subscription: Subscription) -> Replay:
        topics, after = subscription.topics, subscription.after
        if after is None:
            messages = self._history.last(topics, subscription.history)
            return Replay.of(messages, self._position)
        position = self._known(after)
        if position is None:
            return Replay.of(self._history.after(topics, 0)[0], self._position, complete=False)
        messages, complete = self._history.after(topics, position.number)
        return Replay.of(messages, max(self._position, position), complete=complete)

    def _known(self, after: str) -> Position | None:
        """The position of an id of this sequence.

        Another worker may be ahead of this one, but by no number that was not drawn.
        """
        position = Position.parse(after)
        if position is None or position.epoch != self._numbers.epoch:
            return None
        return position if position.number <= self._numbers.last() else None

    async def _add_join(self, join: Join) -> None:
        self.announce(self._presence.add(_HERE, join))
        if self._mesh is not None:
            self._mesh.send(Joined.of(join))

    async def _remove_join(self, join: Join) -> None:
        self.announce(self._presence.remove(_HERE, join.key))
        if self._mesh is not None:
            self._mesh.send(Left(join.key))

    # --- what a mesh tells -------------------------------------------------------------------

    def receive(self, record: Published) -> None:
        """See `MeshOwner`."""
        self._deliver(record.number, self._message(record), keep=record.keep)

    def receive_join(self, owner: str, join: Join) -> None:
        """See `MeshOwner`."""
        self.announce(self._presence.add(owner, join))

    def receive_leave(self, owner: str, key: int) -> None:
        """See `MeshOwner`."""
        self.announce(self._presence.remove(owner, key))

    def receive_end(self, owner: str) -> None:
        """See `MeshOwner`."""
        for change in self._presence.remove_owner(owner):
            self.announce(change)

    def receive_lost(self, count: int) -> None:
        """See `MeshOwner`."""
        self.counters.lost += count

    def own_joins(self) -> Iterator[Join]:
        """See `MeshOwner`."""
        return self._presence.of_owner(_HERE)

    def kept(self) -> Iterator[Published]:
        """See `MeshOwner`."""
        for message in self._history.all():
            assert message.position is not None
            yield Published(message.position.number, message.topic, message.data, keep=True)

    def floors(self) -> tuple[int, dict[str, int]]:
        """See `MeshOwner`."""
        return self._history.floors()

    def receive_floors(self, gone: int, floors: dict[str, int]) -> None:
        """See `MeshOwner`."""
        self._history.raise_floors(gone, floors)

    def _message(self, record: Published) -> ChannelMessage:
        position = Position(self._numbers.epoch, record.number)
        return ChannelMessage(record.topic, position, record.data)

    def _deliver(self, number: int, message: ChannelMessage, *, keep: bool) -> None:
        self._delivered = number
        if keep:
            self._history.add(number, message)
        self.deliver(message)
