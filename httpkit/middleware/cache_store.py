"""Where a `ResponseCache` keeps its entries: the contract of stores, and the one in memory.

A store owns room and time: it may forget anything at any moment, and has to where its room ends. It
judges nothing.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol

from httpkit.errors import ConfigurationError
from httpkit.middleware.cache_entries import Entry, StoredResponse

__all__ = ["MAX_VARIANTS", "CacheStore", "MemoryStore"]


class CacheStore(Protocol):
    """What a `ResponseCache` asks of its store.

    A key stands for a URL, and its entries are told apart by a variant, `""` for the one that has
    none. Keys begin with the path, so that a prefix of keys is a part of the site.

    A store that never waits may have a method `get_at_once(key, variant)` besides, which is `get`
    as a plain function: most hits take no coroutine then.
    """

    async def get(self, key: str, variant: str) -> Entry | None:
        """The entry, unless it is unknown or has been forgotten."""
        ...

    async def set(self, key: str, variant: str, entry: Entry, seconds: float) -> bool:
        """Keep an entry for at most that time; whether it is kept."""
        ...

    async def delete(self, key: str) -> int:
        """Forget every entry of a key; how many keys there were, 0 or 1."""
        ...

    async def delete_prefix(self, prefix: str) -> int:
        """Forget every key that begins so; how many there were."""
        ...

    async def delete_tag(self, tag: str) -> int:
        """Forget every key that has an entry with this tag; how many there were."""
        ...


#: Variants of one key that are kept, so that one URL cannot push all others out. Encodings times
#: languages are fewer; `Vary: user-agent` has no end.
MAX_VARIANTS = 64


#: Entries that have ended and that one call removes at most, so that nobody pays for all others.
_SWEEP = 32


class _Slot(NamedTuple):
    entry: Entry
    ends: float
    size: int


class MemoryStore:
    """Entries in the memory of this process, the least recently used of them forgotten first.

    Args:
        max_bytes: that all entries may take together. Sizes are estimates from above.
        max_entry: bytes that one may take; an eighth of `max_bytes` by default.
        clock: gives seconds.

    Attributes:
        size: bytes that the entries take now.

    Raises:
        ConfigurationError: no room at all.
    """

    def __init__(
        self,
        max_bytes: int = 64 * 1024 * 1024,
        *,
        max_entry: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_bytes <= 0 or (max_entry is not None and max_entry <= 0):
            raise ConfigurationError("a MemoryStore needs room: give bytes, 1 or more")
        self.max_bytes = max_bytes
        self.max_entry = min(max_bytes, max_bytes // 8 if max_entry is None else max_entry)
        self.size = 0
        self._clock = clock
        #: The least recently used key first.
        self._keys: OrderedDict[str, dict[str, _Slot]] = OrderedDict()
        self._tags: dict[str, set[str]] = {}
        #: When entries end, the next one first; also of some that are gone or were replaced.
        self._ends: list[tuple[float, str, str]] = []
        self._entries = 0

    async def get(self, key: str, variant: str) -> Entry | None:
        """See `CacheStore`."""
        return self.get_at_once(key, variant)

    def get_at_once(self, key: str, variant: str) -> Entry | None:
        """See `CacheStore`."""
        now = self._clock()
        if self._ends and self._ends[0][0] <= now:
            self._sweep(now)
        variants = self._keys.get(key)
        slot = None if variants is None else variants.get(variant)
        if slot is None:
            return None
        if slot.ends <= now:
            self._remove(key, variant)
            return None
        self._keys.move_to_end(key)
        return slot.entry

    async def set(self, key: str, variant: str, entry: Entry, seconds: float) -> bool:
        """See `CacheStore`."""
        room = entry.size if isinstance(entry, StoredResponse) else 500
        size = room + 2 * (len(key) + len(variant))  # `_ends` may keep a second one of them
        if size > self.max_entry or seconds <= 0:
            return False
        self._remove(key, variant)
        now = self._clock()
        self._sweep(now)
        self._keys.setdefault(key, {})[variant] = _Slot(entry, now + seconds, size)
        self._keys.move_to_end(key)
        self.size += size
        self._entries += 1
        heappush(self._ends, (now + seconds, key, variant))
        if isinstance(entry, StoredResponse):
            for tag in entry.tags:
                self._tags.setdefault(tag, set()).add(key)
        if len(self._keys[key]) > MAX_VARIANTS:
            self._remove(key, next(each for each in self._keys[key] if each))
        self._make_room(key, variant)
        return True

    async def delete(self, key: str) -> int:
        """See `CacheStore`."""
        return self._delete([key] if key in self._keys else [])

    async def delete_prefix(self, prefix: str) -> int:
        """See `CacheStore`. Looks at every key."""
        return self._delete([key for key in self._keys if key.startswith(prefix)])

    async def delete_tag(self, tag: str) -> int:
        """See `CacheStore`."""
        return self._delete(list(self._tags.get(tag, ())))

    def _delete(self, keys: list[str]) -> int:
        for key in keys:
            for variant in list(self._keys[key]):
                self._remove(key, variant)
        return len(keys)

    def _sweep(self, now: float) -> None:
        """Free the room of what has ended, though nobody asks for it."""
        for _ in range(_SWEEP):
            if not self._ends or self._ends[0][0] > now:
                break
            ends, key, variant = heappop(self._ends)
            slot = self._keys.get(key, {}).get(variant)
            if slot is not None and slot.ends == ends:
                self._remove(key, variant)
        if len(self._ends) > 2 * self._entries + _SWEEP:  # mostly of what was replaced
            self._ends = [
                (slot.ends, key, variant)
                for key, variants in self._keys.items()
                for variant, slot in variants.items()
            ]
            heapify(self._ends)

    def _make_room(self, key: str, variant: str) -> None:
        """Forget the variants of the least recently used key, but not what has just been stored."""
        while self.size > self.max_bytes:
            oldest = next(iter(self._keys))
            victims = [each for each in self._keys[oldest] if (oldest, each) != (key, variant)]
            for victim in victims:
                self._remove(oldest, victim)
                if self.size <= self.max_bytes:
                    break

    def _remove(self, key: str, variant: str) -> None:
        variants = self._keys.get(key, {})
        slot = variants.pop(variant, None)
        if slot is None:
            return
        self.size -= slot.size
        self._entries -= 1
        if not variants:
            del self._keys[key]
        if isinstance(slot.entry, StoredResponse):
            self._forget_tags(key, slot.entry.tags, variants)

    def _forget_tags(self, key: str, tags: tuple[str, ...], left: dict[str, _Slot]) -> None:
        """A key has a tag as long as one of its variants has it."""
        others = (slot.entry for slot in left.values())
        kept = {tag for each in others if isinstance(each, StoredResponse) for tag in each.tags}
        for tag in tags:
            keys = self._tags.get(tag)
            if keys is not None and tag not in kept:
                keys.discard(key)
                if not keys:
                    del self._tags[tag]
