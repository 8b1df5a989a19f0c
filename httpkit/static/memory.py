"""Resources that are kept in memory, and how it is noticed that their files have changed.

1. What is kept costs at most so many bytes, and holds at most so many descriptors. Whatever has
   not been asked for since it was last looked at goes first.
2. A resource answers for a short interval without a look at the disk. The first request after it
   waits for a look at everything that has been asked for meanwhile: one trip to a thread for all.
3. A descriptor keeps the space of a deleted file on the disk, so one that nobody has used for two
   intervals is given back.
"""

import asyncio
import time
from collections.abc import Callable

from httpkit.static.lookup import Root
from httpkit.static.resource import Resource

__all__ = ["Memory"]

#: Large files that are kept open.
_MAX_OPEN_FILES = 64


class Memory:
    """The resources of a directory by the path they are asked for.

    Args:
        root: the directory.
        limit: bytes at most; 0 keeps nothing.
        interval: seconds for which a resource answers without a look at its files.
        forgotten: told the path of everything that leaves.
        clock: monotonic seconds.

    Attributes:
        size: bytes that the resources cost.
    """

    def __init__(
        self,
        root: Root,
        limit: int,
        interval: float,
        forgotten: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._limit = limit
        self._interval = interval
        self._forgotten = forgotten
        self._clock = clock
        self._resources: dict[str, Resource] = {}
        self._open_files = 0
        self._check: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.size = 0

    def get(self, path: str) -> Resource | None:
        """What may answer now without a look at the disk."""
        resource = self._resources.get(path)
        if resource is None:
            return None
        resource.used = True
        return resource if self._clock() - resource.checked < self._interval else None

    def __contains__(self, path: str) -> bool:
        return path in self._resources

    def keep(self, path: str, resource: Resource) -> bool:
        """Remember a resource that has just been made; whether there is room for it."""
        self.drop(path)
        if resource.cost > self._limit // 4 or not resource.settled:
            return False
        self._resources[path] = resource
        self.size += resource.cost
        self._open_files += resource.open_files
        resource.checked = self._clock()
        self._make_room()
        if resource.open_files:
            self._watch_open_files()
        return path in self._resources

    def drop(self, path: str) -> None:
        """Forget a resource, if it is there."""
        resource = self._resources.pop(path, None)
        if resource is not None:
            self.size -= resource.cost
            self._open_files -= resource.open_files
            self._forgotten(path)

    def _make_room(self) -> None:
        """Rule 1: the oldest goes, unless it was used; then it is the youngest, once."""
        while self.size > self._limit or self._open_files > _MAX_OPEN_FILES:
            path, resource = next(iter(self._resources.items()))
            if resource.used:
                resource.used = False
                self._resources[path] = self._resources.pop(path)
            else:
                self.drop(path)

    async def recheck(self) -> None:
        """Look at the files of everything that was used and is due, and forget what has changed."""
        if self._check is None or self._check.done():
            self._check = asyncio.get_running_loop().create_task(self._recheck())
        await asyncio.shield(self._check)

    async def _recheck(self) -> None:
        now = self._clock()
        due = {
            path: resource
            for path, resource in self._resources.items()
            if resource.used and now - resource.checked >= self._interval
        }
        changed = await asyncio.to_thread(self._find_changed, due)
        for path, resource in due.items():
            if path in changed:
                if self._resources.get(path) is resource:
                    self.drop(path)
            else:
                resource.checked = now
                resource.used = False

    def _find_changed(self, resources: dict[str, Resource]) -> set[str]:
        identify = self._root.identify
        return {
            path
            for path, resource in resources.items()
            if any(identify(probe) != identity for probe, identity in resource.probes)
        }

    def _watch_open_files(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() <= loop.time():
            self._timer = loop.call_later(2 * self._interval, self._close_unused)

    def _close_unused(self) -> None:
        """Rule 3."""
        self._timer = None
        latest = self._clock() - 2 * self._interval
        for path, resource in list(self._resources.items()):
            if resource.open_files and resource.checked < latest:
                self.drop(path)
        if self._open_files:
            self._watch_open_files()
