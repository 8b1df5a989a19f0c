"""Which files change: by watchfiles where it is installed, else by looking at them now and then.

Several changes that come together, as editors and version control make them, are one set.

Called by `httpkit.cli`; the supervisor gets nothing but the sets.
"""

import asyncio
import logging
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from contextlib import aclosing
from fnmatch import fnmatch

try:
    import watchfiles
except ImportError:  # pragma: no cover - the tests have it
    watchfiles = None  # type: ignore[assignment]

__all__ = ["Selection", "poll", "watch"]

logger = logging.getLogger("httpkit")

#: Seconds between two looks.
_INTERVAL = 0.5
#: Files that are looked at; more would make looking slow.
_MAX_FILES = 10_000

#: Path to what changes when it is written: its time in nanoseconds and its size.
Snapshot = dict[str, tuple[int, int]]


class Selection:
    """Which paths count.

    Args:
        directories: that are watched, with all below them.
        include: patterns of file names.
        exclude: patterns of names of files and directories below the watched ones.
    """

    def __init__(
        self, directories: Iterable[str], include: Iterable[str], exclude: Iterable[str]
    ) -> None:
        self.directories = [os.path.realpath(each) for each in directories]
        self._include = tuple(include)
        self._exclude = tuple(exclude)

    def has(self, path: str) -> bool:
        """Whether a change of this file counts."""
        return self._includes(os.path.basename(path)) and any(
            not any(map(self._excludes, os.path.relpath(path, directory).split(os.sep)))
            for directory in self.directories
            if path.startswith(os.path.join(directory, ""))
        )

    def take_snapshot(self) -> Snapshot:
        """What the files look like now."""
        found: Snapshot = {}
        for directory in self.directories:
            for entry in self._scan(directory):
                if len(found) == _MAX_FILES:
                    return found
                try:
                    status = entry.stat()
                except OSError:  # gone again
                    continue
                found[entry.path] = (status.st_mtime_ns, status.st_size)
        return found

    def _scan(self, directory: str) -> Iterator["os.DirEntry[str]"]:
        try:
            with os.scandir(directory) as scan:
                entries = [entry for entry in scan if not self._excludes(entry.name)]
        except OSError:  # gone again, or not ours to read
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self._scan(entry.path)
            elif self._includes(entry.name):
                yield entry

    def _includes(self, name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in self._include)

    def _excludes(self, name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in self._exclude)


async def poll(
    selection: Selection, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> AsyncIterator[set[str]]:
    """Look at every file twice a second; a set comes when nothing changed between two looks."""
    seen = selection.take_snapshot()
    if len(seen) == _MAX_FILES:
        logger.warning(
            "only the first %d files are watched: narrow --reload-dir, or install watchfiles",
            _MAX_FILES,
        )
    changed: set[str] = set()
    while True:
        await sleep(_INTERVAL)
        now = selection.take_snapshot()
        different = {path for path in seen.keys() | now.keys() if seen.get(path) != now.get(path)}
        seen = now
        changed |= different
        if changed and not different:
            yield _short(changed)
            changed = set()


async def _follow(selection: Selection) -> AsyncIterator[set[str]]:
    """What watchfiles reports; it waits itself until changes calm down.

    It loses sight of a directory that is removed or renamed, which is how builds begin. The one
    that comes in its place is watched from then on, and counts as a change itself.
    """
    replaced: set[str] = set()
    while True:
        try:
            async with aclosing(_look(selection)) as looks:
                async for found in looks:
                    gone = found.intersection(selection.directories)
                    # What has come is told when it is watched: nothing happens unseen in between.
                    changed, replaced = found - gone | replaced, gone
                    if changed:
                        yield _short(changed)
                    if gone:
                        break
        except FileNotFoundError:
            if not replaced:
                raise
        while not all(map(os.path.isdir, selection.directories)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_INTERVAL)


async def _look(selection: Selection) -> AsyncGenerator[set[str], None]:
    """Sets of changed paths, empty ones now and then; a directory that is lost is the last.

    A directory below that is not ours to read is no reason to watch nothing, here as in `poll`.
    """

    def counts(change: "watchfiles.Change", path: str) -> bool:
        lost = change is watchfiles.Change.deleted and path in selection.directories
        return lost or selection.has(path)

    looks = watchfiles.awatch(
        *selection.directories,
        watch_filter=counts,
        ignore_permission_denied=True,
        rust_timeout=round(_INTERVAL * 1000),
        yield_on_timeout=True,
    )
    async with aclosing(looks):
        async for changes in looks:
            yield {path for _, path in changes}


def watch(
    directories: Iterable[str], include: Iterable[str], exclude: Iterable[str]
) -> AsyncIterator[set[str]]:
    """Sets of changed paths, relative to the current directory where they are below it."""
    selection = Selection(directories, include, exclude)
    return poll(selection) if watchfiles is None else _follow(selection)


def _short(paths: set[str]) -> set[str]:
    here = os.path.join(os.getcwd(), "")
    return {path.removeprefix(here) for path in paths}
