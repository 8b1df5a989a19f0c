"""`RedisStore`: the entries of a `ResponseCache` for many processes and machines, in Redis 7.

Owns the layout there: a hash for each URL with a field for each variant, and a set of URLs for each
tag. What cannot be read or written because Redis does not answer is as if it were not there, and
said once in the log; an invalidation that fails is an error. Needs the extra `redis`.
"""

import logging
import struct
import time
from collections.abc import Callable
from typing import Any, Self

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.exceptions import RedisError
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"RedisStore needs redis: pip install 'httpkit[redis]' ({error})", name=error.name
    ) from error

from httpkit.middleware.cache_entries import Entry, StoredResponse, decode_entry, encode_entry
from httpkit.middleware.cache_store import MAX_VARIANTS

__all__ = ["RedisStore"]

logger = logging.getLogger("httpkit")

_ENDS = struct.Struct(">d")
#: Connections of a store with a client of its own; the others wait for their turn.
_MAX_CONNECTIONS = 64
#: Keys that one SCAN looks at.
_SCAN = 1000
#: Characters that mean something in a pattern of SCAN.
_PATTERN = str.maketrans({character: f"\\{character}" for character in "*?[]\\"})


class RedisStore:
    """Keeps entries in Redis; implements `CacheStore`.

    Args:
        client: a client of `redis.asyncio` that does not decode answers. Give it timeouts: who
            waits for Redis waits for the answer. It stays the caller's to close.
        prefix: of all keys there.
        max_entry: bytes that one entry may take; larger ones are not stored. How much all may take
            is for Redis to say (`maxmemory`, with `allkeys-lru`).
        clock: gives the Unix time.
    """

    def __init__(
        self,
        client: Redis,
        *,
        prefix: str = "httpkit:",
        max_entry: int = 8 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._max_entry = max_entry
        self._clock = clock
        self._is_down = False

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 0.5, **options: Any) -> Self:
        """A store with a client of its own.

        Args:
            url: `redis://host:port/database`, `rediss://` with TLS, `unix://path`.
            timeout: seconds for a connection, for each answer, and for one's turn where requests
                beyond 64 ask at once.
            **options: those of the constructor.

        Raises:
            ValueError: not such a URL.
        """
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
        )
        return cls(Redis.from_pool(pool), **options)

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.aclose()

    async def get(self, key: str, variant: str) -> Entry | None:
        """See `CacheStore`."""
        try:
            data = await self._client.hget(self._name(key), variant)
        except RedisError as error:
            self._note(error)
            return None
        self._is_down = False
        if not isinstance(data, bytes) or len(data) < _ENDS.size:
            return None
        (ends,) = _ENDS.unpack_from(data)
        return None if ends <= self._clock() else decode_entry(data[_ENDS.size :])

    async def set(self, key: str, variant: str, entry: Entry, seconds: float) -> bool:
        """See `CacheStore`."""
        data = encode_entry(entry)
        if seconds <= 0 or len(data) > self._max_entry:
            return False
        name, keeps = self._name(key), int(seconds) + 1
        try:
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hset(name, variant, _ENDS.pack(self._clock() + seconds) + data)
                pipe.hlen(name)
                _keep_longer(pipe, name, keeps)
                for tag in entry.tags if isinstance(entry, StoredResponse) else ():
                    pipe.sadd(self._tag(tag), name)
                    _keep_longer(pipe, self._tag(tag), keeps)
                _, variants, *_ = await pipe.execute()
            if variants > MAX_VARIANTS:
                await self._client.delete(name)  # nobody knows which one is the oldest
                return False
        except RedisError as error:
            self._note(error)
            return False
        self._is_down = False
        return True

    async def delete(self, key: str) -> int:
        """See `CacheStore`.

        Raises:
            RedisError: Redis does not answer; so with the other two.
        """
        return int(await self._client.delete(self._name(key)))

    async def delete_prefix(self, prefix: str) -> int:
        """See `CacheStore`. Two round trips for each thousand keys of the database."""
        pattern = self._name(prefix).translate(_PATTERN) + "*"
        cursor, count = 0, 0
        while True:
            cursor, names = await self._client.scan(cursor, match=pattern, count=_SCAN)
            if names:
                count += int(await self._client.delete(*names))
            if cursor == 0:
                return count

    async def delete_tag(self, tag: str) -> int:
        """See `CacheStore`."""
        name = self._tag(tag)
        # The set goes first, in one step: what is stored and tagged meanwhile makes a new one.
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.smembers(name)
            pipe.delete(name)
            keys, _ = await pipe.execute()
        return int(await self._client.delete(*keys)) if keys else 0

    def _name(self, key: str) -> str:
        return f"{self._prefix}url:{key}"

    def _tag(self, tag: str) -> str:
        return f"{self._prefix}tag:{tag}"

    def _note(self, error: RedisError) -> None:
        """Once for each time that it goes away."""
        if not self._is_down:
            self._is_down = True
            logger.warning("the cache goes on without Redis: %s", error)


def _keep_longer(pipe: Any, name: str, seconds: int) -> None:
    """Let a key live for that time at least: `GT` alone takes one without an end for endless."""
    pipe.expire(name, seconds, nx=True)
    pipe.expire(name, seconds, gt=True)
