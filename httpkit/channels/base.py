"""`Channels`: what every backend has in common. Subscribers, watchers, counters, the end of it all.

A backend owns the numbers of messages, what is kept of them, and the way to other processes. What
arrives, from wherever, it hands to `deliver` and `announce`, which do not wait for anybody.
"""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from httpkit.channels.messages import (
    ChannelMessage,
    Member,
    MemberChange,
    Position,
    check_topic,
)
from httpkit.channels.presence import Join
from httpkit.channels.subscription import Policy, Subscription, Watch
from httpkit.types import WorkerPlace
from httpkit.waiting import NextTurn

__all__ = ["ChannelCounters", "Channels", "Replay"]


class ChannelCounters:
    """What has happened since the start, as plain integers.

    Attributes:
        published: messages published here.
        delivered: messages that were put into the queue of a subscriber here, once for each.
        dropped: messages that a subscriber did not get since it was too slow (policy `drop`).
        closed_as_slow: subscribers that were ended since they were too slow (policy `close`).
        lost: messages that did not reach another process, or this one from there: Redis was away,
            a worker was too slow or has died.
    """

    __slots__ = ("closed_as_slow", "delivered", "dropped", "lost", "published")

    def __init__(self) -> None:
        self.published = 0
        self.delivered = 0
        self.dropped = 0
        self.closed_as_slow = 0
        self.lost = 0


class Replay(NamedTuple):
    """What a subscription begins with.

    Attributes:
        messages: of the past, the oldest first.
        begins: the position before them; `None` where nobody knows.
        ends: the position up to which they are everything there is.
        complete: see `Subscription`.
    """

    messages: list[ChannelMessage]
    begins: Position | None
    ends: Position | None
    complete: bool

    @classmethod
    def of(
        cls, messages: list[ChannelMessage], ends: Position | None, *, complete: bool = True
    ) -> "Replay":
        """A replay that begins where its messages do."""
        first = messages[0].position if messages else None
        begins = ends if first is None else first._replace(number=first.number - 1)
        return cls(messages, begins, ends, complete)


class Channels(ABC):
    """Topics to publish to and to subscribe to; backends are subclasses.

    Attributes:
        counters: what has happened so far.
    """

    def __init__(self) -> None:
        self.counters = ChannelCounters()
        self._subscriptions: dict[str, dict[Subscription, None]] = {}
        self._watches: dict[str, dict[Watch, None]] = {}
        self._stopping = False
        self._next_turn: NextTurn | None = None
        self._keys = itertools.count(1)

    # --- what applications call --------------------------------------------------------------

    @abstractmethod
    async def publish(self, topic: str, data: Any, *, keep: bool = True) -> ChannelMessage:
        """Send a message to everybody who is subscribed to a topic. Waits for no subscriber.

        Args:
            topic: 1 to 256 bytes.
            data: `str`, `bytes`, or anything that msgspec can encode as JSON.
            keep: whether it is part of the history; `False` for what is stale at once, as the sign
                that somebody is typing.

        Returns:
            The message, with its id.

        Raises:
            ValueError: a topic that is none, text that has no UTF-8, or more than 16 MiB.
            TypeError: data that cannot be encoded.
        """

    def subscribe(
        self,
        *topics: str,
        after: str | None = None,
        history: int = 0,
        queue: int = 256,
        policy: Policy = "drop",
    ) -> Subscription:
        """The messages of topics, to be entered with `async with` and iterated with `async for`.

            async with app.channels.subscribe("room:1", after=last_id) as events:
                async for message in events:
                    await ws.send(message)

        All subscribers get the messages of one publisher in the order in which it has published
        them. The iteration ends when the server stops.

        Args:
            *topics: one or more.
            after: the id of the last message that the subscriber has; it first gets what came
                after that, as far as it is kept. An id that is none of this sequence counts as
                older than everything.
            history: without `after`: how many of the last messages of these topics together it
                first gets.
            queue: messages that may wait for a slow reader.
            policy: what happens beyond: `drop` leaves out the oldest one that waits and counts it
                (`lost`), `close` ends the subscription (`overflowed`).

        Raises:
            ValueError: no topic, one that is none, or another number or policy than that.
        """
        if not topics:
            raise ValueError("subscribe to one topic or more")
        for topic in topics:
            check_topic(topic)
        if history < 0 or queue < 1:
            raise ValueError("history is 0 or more messages, queue 1 or more")
        if policy not in ("drop", "close"):
            raise ValueError(f"policy {policy!r} is neither 'drop' nor 'close'")
        return Subscription(self, topics, after, history, queue, policy)

    async def history(
        self, topic: str, limit: int = 50, *, after: str | None = None
    ) -> list[ChannelMessage]:
        """What is kept of a topic, the oldest first.

        Args:
            topic: of it.
            limit: the last so many messages; with `after`, the first so many of those.
            after: the id of the last message that is known already.

        Raises:
            ValueError: a topic that is none, or a negative limit.
        """
        check_topic(topic)
        if limit < 0:
            raise ValueError("limit is 0 or more messages")
        return await self._read_history(topic, limit, after)

    @abstractmethod
    async def _read_history(
        self, topic: str, limit: int, after: str | None
    ) -> list[ChannelMessage]:
        """See `history`; the topic is one, and the limit 0 or more."""

    def join(self, topic: str, name: str, info: Any = None) -> AbstractAsyncContextManager[Member]:
        """Be in a topic as long as an `async with` lasts.

        Who joins under a name that is there already is the same member, who leaves with the last
        of its joins. When a process dies, its members leave.

        Args:
            topic: 1 to 256 bytes.
            name: of the member, 1 to 256 bytes.
            info: anything that msgspec can encode as JSON; others get what JSON makes of it.

        Raises:
            ValueError: a topic or a name that is none.
            TypeError: an info that cannot be encoded.
        """
        check_topic(topic)
        check_topic(name)
        member = Member(name, msgspec.json.decode(msgspec.json.encode(info)))
        return self._join(Join(topic, next(self._keys), member))

    @asynccontextmanager
    async def _join(self, join: Join) -> AsyncIterator[Member]:
        try:
            await self._add_join(join)
            yield join.member
        finally:
            await self._remove_join(join)

    @abstractmethod
    async def members(self, topic: str) -> list[Member]:
        """Who is in a topic, in all processes."""

    def watch(self, topic: str) -> Watch:
        """The members of a topic that come and go, to be entered and iterated as a subscription.

        Ask for `members` inside of it, not before, and nothing is missed in between.

        Raises:
            ValueError: a topic that is none.
        """
        return Watch(self, check_topic(topic))

    # --- the life of it ----------------------------------------------------------------------

    @asynccontextmanager
    async def lifespan(self, worker: WorkerPlace | None = None) -> AsyncIterator[None]:
        """Entered by the `App` before the first request, left after the last one.

        Args:
            worker: where this process stands among the workers of a server, if it is one.
        """
        self._stopping = False
        try:
            async with self._run(worker):
                yield
        finally:
            self.begin_shutdown()

    def begin_shutdown(self) -> None:
        """The server stops: every subscription ends, those to come at once."""
        self._stopping = True
        for subscription in [each for some in self._subscriptions.values() for each in some]:
            subscription.end()
        for watch in [each for some in self._watches.values() for each in some]:
            watch.end()

    # --- what backends do --------------------------------------------------------------------

    @abstractmethod
    def _run(self, worker: WorkerPlace | None) -> AbstractAsyncContextManager[None]:
        """Whatever lasts as long as the lifespan."""

    @abstractmethod
    async def _replay(self, subscription: Subscription) -> Replay:
        """What a subscription begins with. It gets new messages already."""

    @abstractmethod
    async def _add_join(self, join: Join) -> None:
        """Somebody has come."""

    @abstractmethod
    async def _remove_join(self, join: Join) -> None:
        """The same one has gone; called even if `_add_join` has failed."""

    # --- subscribers and watchers ------------------------------------------------------------

    async def attach(self, subscription: Subscription) -> Replay:
        """Let a subscription receive; called by it."""
        for topic in subscription.topics:
            self._subscriptions.setdefault(topic, {})[subscription] = None
        replay = await self._replay(subscription)
        if self._stopping:
            subscription.end()
        return replay

    def detach(self, subscription: Subscription) -> None:
        """Let it receive no more; called by it."""
        for topic in subscription.topics:
            subscriptions = self._subscriptions.get(topic)
            if subscriptions is not None:
                subscriptions.pop(subscription, None)
                if not subscriptions:
                    del self._subscriptions[topic]

    async def attach_watch(self, watch: Watch) -> None:
        """Let it receive changes; called by it."""
        self._watches.setdefault(watch.topic, {})[watch] = None
        if self._stopping:
            watch.end()

    def detach_watch(self, watch: Watch) -> None:
        """Let it receive no more; called by it."""
        watches = self._watches.get(watch.topic)
        if watches is not None:
            watches.pop(watch, None)
            if not watches:
                del self._watches[watch.topic]

    def deliver(self, message: ChannelMessage) -> None:
        """Hand a message to its subscribers in this process."""
        for subscription in self._subscriptions.get(message.topic, ()):
            subscription.receive(message)

    def next_turn(self) -> NextTurn:
        """Of the loop that runs: there may be another one every time the application is served."""
        loop = asyncio.get_running_loop()
        if self._next_turn is None or self._next_turn.loop is not loop:
            self._next_turn = NextTurn(loop)
        return self._next_turn

    def announce(self, change: MemberChange | None) -> None:
        """Hand a change to its watchers in this process."""
        if change is not None:
            for watch in self._watches.get(change.topic, ()):
                watch.receive(change)
