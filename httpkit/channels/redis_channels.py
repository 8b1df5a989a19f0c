"""`RedisChannels`: channels of any number of processes and machines, through one Redis 7.

Owns what becomes of all this when Redis goes away: nothing that a handler does fails. What is
published then is lost and counted, who subscribes hears what comes later, and when Redis is back
subscribers get what was kept meanwhile. Needs the extra `redis`.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from httpkit.channels.base import Channels, Replay
from httpkit.channels.messages import (
    ChannelMessage,
    Member,
    MemberChange,
    Position,
    check_topic,
    encode_message,
)
from httpkit.channels.presence import Join
from httpkit.channels.redis_link import RedisLink, end_tasks
from httpkit.channels.redis_presence import RedisPresence
from httpkit.channels.redis_streams import Past, RedisStreams, read_message
from httpkit.channels.subscription import Subscription, Watch
from httpkit.errors import ConfigurationError
from httpkit.types import WorkerPlace

__all__ = ["RedisChannels"]

logger = logging.getLogger("httpkit")

#: Connections of a process. Each carries one command at a time; the others wait for their turn.
_MAX_CONNECTIONS = 64
#: Seconds for which they do; many at once take that long, without Redis being away.
_TURN_TIMEOUT = 5.0
#: How often a process says that it lives, within the time for which that holds.
_SIGNS_OF_LIFE = 3


class RedisChannels(Channels):
    """Channels through Redis.

    Args:
        url: `redis://host:port/database`, `rediss://` with TLS, `unix://path`.
        history: messages that are kept of each topic, 0 for none.
        keep_for: seconds after its last message for which the history of a topic is kept.
        prefix: of all keys and channels there; those with another one do not meet.
        timeout: seconds for a connection, and for each answer.
        presence_timeout: seconds after which the members of a process that has died have gone.

    Raises:
        ConfigurationError: not such a URL, or a number that makes no sense.
    """

    def __init__(
        self,
        url: str,
        *,
        history: int = 100,
        keep_for: float = 86_400.0,
        prefix: str = "httpkit:channels:",
        timeout: float = 1.0,
        presence_timeout: float = 30.0,
    ) -> None:
        super().__init__()
        if history < 0 or not all(
            0 < each < math.inf for each in (keep_for, timeout, presence_timeout)
        ):
            raise ConfigurationError("RedisChannels: history is 0 or more, times are positive")
        self._make_pool = partial(_make_pool, url, timeout)
        self._client = Redis.from_pool(self._make_pool())
        self._timeout = timeout
        self._pause = presence_timeout / _SIGNS_OF_LIFE
        self._control = f"{prefix}control"
        self._streams = RedisStreams(self._client, prefix, history, keep_for)
        self._presence = RedisPresence(self._client, prefix, presence_timeout)
        self._joins: dict[int, Join] = {}
        #: Redis may know of joins that have ended.
        self._unsure = False
        #: Who is known to be in the topics that are watched here.
        self._known: dict[str, dict[str, Member]] = {}
        self._stale: asyncio.Queue[str] = asyncio.Queue()
        self._refreshing = asyncio.Lock()
        self._link: RedisLink | None = None
        #: That messages are lost stands in the log.
        self._said = False
        #: Of the last message that the link has brought; `None` before it was made.
        self._last: Position | None = None

    # --- what applications call --------------------------------------------------------------

    async def publish(self, topic: str, data: Any, *, keep: bool = True) -> ChannelMessage:
        """See `Channels.publish`. While Redis is away the message is lost, and has no id."""
        check_topic(topic)
        data = encode_message(data)
        self.counters.published += 1
        position = None
        try:
            position = await self._streams.publish(topic, data, keep=keep)
            self._said = False
        except RedisError as error:
            self.counters.lost += 1
            if not self._said:
                self._said = True
                logger.warning("channels: messages are lost: %s", error)
        return ChannelMessage(topic, position, data)

    async def _read_history(
        self, topic: str, limit: int, after: str | None
    ) -> list[ChannelMessage]:
        """See `Channels.history`. Empty while Redis is away."""
        if not limit:
            return []
        try:
            if after is None:
                return (await self._streams.last((topic,), limit)).messages
            past, _ = await self._read_after((topic,), after, limit)
        except RedisError:
            return []
        return past.messages

    async def members(self, topic: str) -> list[Member]:
        """See `Channels.members`. Those of this process while Redis is away."""
        check_topic(topic)
        try:
            return await self._presence.members(topic)
        except RedisError:
            own = [each.member for each in self._joins.values() if each.topic == topic]
            return list({member.name: member for member in own}.values())

    # --- the life of it ----------------------------------------------------------------------

    @asynccontextmanager
    async def _run(self, worker: WorkerPlace | None) -> AsyncIterator[None]:  # noqa: ARG002
        self._last = None
        self._stale, self._refreshing = asyncio.Queue(), asyncio.Lock()
        self._link = RedisLink(self._client, self._control, self._receive, self._connected)
        tasks = [
            asyncio.create_task(each)
            for each in (self._link.run(), self._tell_life(), self._refresh_stale())
        ]
        try:
            await self._link.tried.wait()
            yield
        finally:
            await end_tasks(tasks, 1.0)
            self._link = None
            with suppress(RedisError):
                await self._presence.end()
            await self._client.aclose()
            # Who waits for a connection waits in one loop; the next lifespan may have another.
            self._client.connection_pool = self._make_pool()

    def _the_link(self) -> RedisLink:
        if self._link is None:
            raise RuntimeError(
                "these channels do not run: they do in an App that is served, or inside of "
                "`async with channels.lifespan()`"
            )
        return self._link

    # --- messages ----------------------------------------------------------------------------

    async def _replay(self, subscription: Subscription) -> Replay:
        link = self._the_link()
        topics, after = subscription.topics, subscription.after
        holds = [link.subscribe(self._streams.channel(topic)) for topic in topics]
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.gather(*holds)
            if after is None:
                past = await self._streams.last(topics, subscription.history)
                return Replay.of(past.messages, past.position)
            past, complete = await self._read_after(topics, after)
        except (RedisError, TimeoutError):
            return Replay([], None, None, complete=False)
        return Replay.of(past.messages, past.position, complete=complete)

    async def _read_after(
        self, topics: tuple[str, ...], after: str, limit: int | None = None
    ) -> tuple[Past, bool]:
        """What is kept after an id, or everything if it is none; whether that is complete."""
        position = Position.parse(after)
        if position is not None:
            past = await self._streams.after(topics, position, limit)
            if past is not None:
                return past, not past.gaps
        return await self._streams.everything(topics, limit), False

    def detach(self, subscription: Subscription) -> None:
        """See `Channels.detach`."""
        super().detach(subscription)
        for topic in subscription.topics:
            if self._link is not None and topic not in self._subscriptions:
                self._link.unsubscribe(self._streams.channel(topic))

    def _receive(self, channel: str, data: bytes) -> None:
        """Something was published."""
        topic = self._streams.topic(channel)
        if topic is None:
            self._stale.put_nowait(channel)
            return
        message = read_message(topic, data)
        if message is None:  # somebody else publishes there
            return
        position, last = message.position, self._last
        assert position is not None
        if last is None or position.epoch != last.epoch or position.number > last.number:
            self._last = self._streams.know(position)
            self.deliver(message)

    async def _connected(self) -> None:
        """The link is there: what it has missed comes before anything else."""
        topics = tuple(self._subscriptions)
        missed: list[ChannelMessage] = []
        gaps: list[str] = []
        if self._last is None:
            past = await self._streams.last((), 0)
        else:
            past, _ = await self._read_after(topics, str(self._last))
            # What is kept of another sequence, which has ended, was here before.
            missed = [each for each in past.messages if _epoch(each) == past.position.epoch]
            gaps = past.gaps
        await self._tell_joins()
        if gaps:
            self.counters.lost += len(gaps)
            logger.warning("channels: messages of %d topics are lost", len(gaps))
        for message in missed:
            self.deliver(message)
        self._last = past.position
        for topic in self._watches:
            self._stale.put_nowait(self._presence.channel(topic))

    # --- members -----------------------------------------------------------------------------

    async def _add_join(self, join: Join) -> None:
        self._joins[join.key] = join
        with suppress(RedisError):  # it is told when the link is there again
            await self._presence.add((join,))

    async def _remove_join(self, join: Join) -> None:
        self._joins.pop(join.key, None)
        try:
            await self._presence.remove((join,))
        except BaseException as error:
            self._unsure = True
            if not isinstance(error, RedisError):
                raise

    async def _tell_joins(self, *, announce: bool = True) -> None:
        """Say who is here; where Redis may know of others, that these are all.

        Raises:
            RedisError: Redis does not answer.
        """
        joins = list(self._joins.values())
        anew, self._unsure = self._unsure, False
        try:
            await self._presence.add(joins, announce=announce, anew=anew)
            # Who has left meanwhile may have been removed before being added once more.
            await self._presence.remove([each for each in joins if each.key not in self._joins])
        except BaseException:
            self._unsure = True
            raise

    async def attach_watch(self, watch: Watch) -> None:
        """See `Channels.attach_watch`."""
        link = self._the_link()
        await super().attach_watch(watch)
        holds = link.subscribe(self._presence.channel(watch.topic))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await holds
        await self._refresh(watch.topic)

    def detach_watch(self, watch: Watch) -> None:
        """See `Channels.detach_watch`."""
        super().detach_watch(watch)
        if watch.topic not in self._watches:
            self._known.pop(watch.topic, None)
            if self._link is not None:
                self._link.unsubscribe(self._presence.channel(watch.topic))

    async def _refresh(self, topic: str) -> None:
        """Look who is there, and tell watchers of the differences."""
        async with self._refreshing:  # or an older answer might come after a newer one
            try:
                members = {each.name: each for each in await self._presence.members(topic)}
            except RedisError:
                return
            if topic in self._watches:
                self._compare(topic, members)

    def _compare(self, topic: str, members: dict[str, Member]) -> None:
        known = self._known.get(topic)
        self._known[topic] = members
        if known is None:  # who begins to watch asks for the members
            return
        for name in known.keys() - members.keys():
            self.announce(MemberChange(topic, "leave", known[name]))
        for name in members.keys() - known.keys():
            self.announce(MemberChange(topic, "join", members[name]))

    async def _refresh_stale(self) -> None:
        """Look anew wherever somebody says that something has changed."""
        prefix = self._presence.channel("")
        while True:
            channels = {await self._stale.get()}
            while not self._stale.empty():
                channels.add(self._stale.get_nowait())
            for channel in channels:
                await self._refresh(channel.removeprefix(prefix))

    async def _tell_life(self) -> None:
        """Say that this process lives, and look who does not."""
        while True:
            await asyncio.sleep(self._pause)
            with suppress(RedisError):
                await self._tell_joins(announce=False)
            for topic in list(self._watches):
                await self._refresh(topic)


def _epoch(message: ChannelMessage) -> int | None:
    return None if message.position is None else message.position.epoch


def _make_pool(url: str, timeout: float) -> BlockingConnectionPool:
    """Connections that commands wait for, rather than fail, when they are many at once.

    Raises:
        ConfigurationError: not such a URL, or one with an option that there is not.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=_TURN_TIMEOUT,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # A command that is tried again may have been carried out twice.
            retry=Retry(NoBackoff(), 0),
        )
        # Looks at the options of the URL, which nobody else does before; connects to nothing.
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"RedisChannels: {error}") from None
    return pool
