"""`RedisPresence`: who is in which topic, on all machines, in Redis.

A hash for each topic has a field for each join, whose name begins with that of its process. A
process says with a key that expires that it lives; joins of the others do not count, and are
removed by whoever finds them.
"""

import secrets
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

import msgspec
from redis.asyncio import Redis

from httpkit.channels.messages import Member
from httpkit.channels.presence import Join

__all__ = ["RedisPresence"]

#: Joins have an order, which they keep.
_ADD = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
    local order = string.format('%.0f', redis.call('INCR', KEYS[2]))
    redis.call('HSET', KEYS[1], ARGV[1], order .. ' ' .. ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""
#: A hash lives so many times longer than the word of a process.
_LONGER = 3


class RedisPresence:
    """The joins of this process, among those of all.

    Args:
        client: does not decode answers.
        prefix: of all keys.
        seconds: for which a process counts as living.

    Its methods raise `RedisError` if Redis does not answer.
    """

    def __init__(self, client: Redis, prefix: str, seconds: float) -> None:
        self._client = client
        self._prefix = prefix
        self._milliseconds = int(seconds * 1000)
        self._owner = _make_owner()

    def channel(self, topic: str) -> str:
        """Where it is published that the members of a topic have changed."""
        return f"{self._prefix}presence:{topic}"

    async def add(
        self, joins: Iterable[Join], *, announce: bool = True, anew: bool = False
    ) -> None:
        """Say that this process lives, and who has joined there; again does no harm.

        Args:
            joins: that have not ended.
            announce: whether the others shall look.
            anew: these are all, and what was said before is void, as if that process had died.
        """
        async with self._client.pipeline(transaction=True) as pipe:
            if anew:
                pipe.delete(self._living(self._owner))
                self._owner = _make_owner()
            pipe.set(self._living(self._owner), b"", px=self._milliseconds)
            for join in joins:
                value = msgspec.msgpack.encode((join.member.name, join.member.info))
                pipe.eval(
                    _ADD,
                    2,
                    self._members(join.topic),
                    f"{self._prefix}joins",
                    f"{self._owner}:{join.key}",
                    value,
                    _LONGER * self._milliseconds,
                )
                if announce:
                    pipe.publish(self.channel(join.topic), b"")
            await pipe.execute()

    async def remove(self, joins: Iterable[Join]) -> None:
        """Joins have ended; again does no harm."""
        async with self._client.pipeline(transaction=True) as pipe:
            for join in joins:
                pipe.hdel(self._members(join.topic), f"{self._owner}:{join.key}")
                pipe.publish(self.channel(join.topic), b"")
            await pipe.execute()

    async def end(self) -> None:
        """This process lives no more."""
        await self._client.delete(self._living(self._owner))

    async def members(self, topic: str) -> list[Member]:
        """Who is there, the first one first, with what the last join of a name has said."""
        found: dict[Any, Any] = await self._client.hgetall(self._members(topic))
        fields: dict[str, bytes] = {name.decode(): value for name, value in found.items()}
        owners = sorted({_owner(field) for field in fields})
        if not owners:
            return []
        async with self._client.pipeline(transaction=False) as pipe:
            for owner in owners:
                pipe.exists(self._living(owner))
            living = dict(zip(owners, await pipe.execute(), strict=True))
        dead = [field for field in fields if not living[_owner(field)]]
        if dead:
            await self._client.hdel(self._members(topic), *dead)
        joins = [_read(value) for field, value in fields.items() if living[_owner(field)]]
        joins.sort(key=itemgetter(0))
        # A name that is there already keeps its place.
        return list({member.name: member for _, member in joins}.values())

    def _members(self, topic: str) -> str:
        return f"{self._prefix}members:{topic}"

    def _living(self, owner: str) -> str:
        return f"{self._prefix}process:{owner}"


def _make_owner() -> str:
    return secrets.token_hex(8)


def _owner(field: str) -> str:
    return field.partition(":")[0]


def _read(value: bytes) -> tuple[int, Member]:
    """The order of a join, and who it is."""
    order, _, data = value.partition(b" ")
    return int(order), Member(*msgspec.msgpack.decode(data))
