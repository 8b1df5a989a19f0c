"""What subscribers hold: `Subscription` for messages, `Watch` for members that come and go.

Either is an asynchronous context manager, and inside of it an asynchronous iterator. Both are
bounded: a reader that is too slow costs itself something, and nobody else.
"""

from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from httpkit.channels.feed import Feed
from httpkit.channels.messages import ChannelMessage, MemberChange, Position

if TYPE_CHECKING:
    from httpkit.channels.base import Channels, Replay

__all__ = ["Policy", "Subscription", "Watch"]

T = TypeVar("T")

Policy = Literal["drop", "close"]

#: Changes that may wait for a reader of `Watch`.
_MAX_CHANGES = 1024


class _Attached(Feed[T]):
    """A feed of a `Channels`, as long as an `async with` lasts.

    Args:
        channels: whose it is.
        detach: how it is taken out again, called with it.
    """

    def __init__(self, channels: "Channels", detach: Callable[[Any], None]) -> None:
        super().__init__()
        self._channels = channels
        self._detach = detach

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take it out; nothing more will come."""
        self._detach(self)
        self.end()

    def _wake(self) -> None:
        """In the next turn, with all the others that get the same."""
        arrival = self._arrival
        if arrival is not None and arrival.callback is not None:
            self._channels.next_turn().call(arrival.wake)


class Subscription(_Attached[ChannelMessage]):
    """The messages of some topics, from `Channels.subscribe`; entered once.

    Attributes:
        topics: that are subscribed to.
        complete: no message after `after` has been forgotten before this began. It is not where
            `after` is no id of this sequence, or too old.
        lost: messages that were left out since the reader was too slow (policy `drop`).
        overflowed: it has ended since the reader was too slow (policy `close`); who subscribes
            again after `last_id` misses nothing that is kept.
    """

    def __init__(
        self,
        channels: "Channels",
        topics: Sequence[str],
        after: str | None,
        history: int,
        queue: int,
        policy: Policy,
    ) -> None:
        super().__init__(channels, channels.detach)
        self.topics = tuple(dict.fromkeys(topics))
        self.complete = True
        self.lost = 0
        self.overflowed = False
        #: What is to be repeated at the beginning: everything after an id, or the last messages.
        self.after = after
        self.history = history
        self._limit = queue
        self._policy = policy
        self._position: Position | None = None
        #: What it has got when it begins, and maybe gets once more.
        self._floor: Position | None = None
        self._entered = False
        #: Live messages that come while those of the past are being fetched.
        self._early: deque[ChannelMessage] | None = deque()

    @property
    def last_id(self) -> str:
        """The id to resume after: of the last message that was read, at first of the beginning."""
        return "" if self._position is None else str(self._position)

    async def __aenter__(self) -> Self:
        """Subscribe.

        Raises:
            RuntimeError: it was entered before.
        """
        if self._entered:
            raise RuntimeError("a subscription is entered once: subscribe again")
        self._entered = True
        try:
            replay = await self._channels.attach(self)
        except BaseException:
            self._detach(self)
            raise
        self._begin(replay)
        return self

    def _begin(self, replay: "Replay") -> None:
        """What was fetched comes first, then what came meanwhile and is not among it."""
        early, self._early = self._early or (), None
        self.complete = replay.complete
        self._position, self._floor = replay.begins, replay.ends
        # The past may be longer than the queue: it is bounded by what is kept.
        self._limit += len(replay.messages)
        self._items.extend(replay.messages)
        self._items.extend(message for message in early if not self._has(message))

    def receive(self, message: ChannelMessage) -> None:
        """Take a message from a publisher, who does not wait."""
        if self.ended or self._has(message):
            return
        counters = self._channels.counters
        waiting = self._items if self._early is None else self._early
        if len(waiting) >= self._limit:
            if self._policy == "close":
                self.overflowed = True
                counters.closed_as_slow += 1
                self.end()
                return
            waiting.popleft()
            self.lost += 1
            counters.dropped += 1
        counters.delivered += 1
        waiting.append(message)
        self._wake()

    def _has(self, message: ChannelMessage) -> bool:
        """Whether it was among those of the past, or is what the subscriber has brought along."""
        floor, position = self._floor, message.position
        return (
            floor is not None
            and position is not None
            and position.epoch == floor.epoch
            and position.number <= floor.number
        )

    def _take_first(self) -> ChannelMessage:
        message = self._items.popleft()
        self._position = message.position
        return message


class Watch(_Attached[MemberChange]):
    """The members of a topic that come and go, from `Channels.watch`.

    One that is not read ends after 1024 changes: a view of who is there that lacks some is wrong.
    """

    def __init__(self, channels: "Channels", topic: str) -> None:
        super().__init__(channels, channels.detach_watch)
        self.topic = topic

    async def __aenter__(self) -> Self:
        """Begin to watch."""
        try:
            await self._channels.attach_watch(self)
        except BaseException:
            self._detach(self)
            raise
        return self

    def receive(self, change: MemberChange) -> None:
        """Take a change."""
        if len(self._items) >= _MAX_CHANGES:
            self.end()
        elif not self.ended:
            self._items.append(change)
            self._wake()
