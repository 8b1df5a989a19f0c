"""Compressed siblings of files: `app.js.br`, `app.js.zst` and `app.js.gz` beside `app.js`.

Theory of operation:

1. A sibling has the modification time of its file, to the nanosecond. One with another time does
   not belong to this content and is made anew: files may also be replaced by older ones.
2. It appears whole or not at all: written under another name in the same directory, then renamed.
3. It is smaller than its file, or there is none. A file that is too small to be worth it gets none;
   one that it has already must be its own: a server takes any that is not older.

Owns which files get siblings, the making and the removal; the codings are `middleware.codings`,
sending them is `StaticFiles`. Called by `httpkit compress`. Everything here waits for the disk.
"""

import errno
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from enum import Enum
from typing import BinaryIO, NamedTuple

from httpkit.errors import ConfigurationError
from httpkit.middleware.codings import make_encoder
from httpkit.middleware.compress import is_compressible
from httpkit.semantics.media_types import guess_media_type
from httpkit.static.files import SIBLINGS

__all__ = [
    "MINIMUM_SIZE",
    "SUFFIXES",
    "Outcome",
    "Result",
    "Source",
    "find_sources",
    "precompress",
    "remove_siblings",
]

#: What the name of a sibling ends with, by coding.
SUFFIXES = dict(SIBLINGS)
#: Bytes below which a file fits into one packet anyway (as in `Compress`).
MINIMUM_SIZE = 1024
#: Bytes that are coded in one step; between two of them an interruption is noticed.
_STEP = 262_144


class Source(NamedTuple):
    """A file that may have siblings.

    Attributes:
        path: where it is.
        size: in bytes.
        modified: modification time in nanoseconds.
        mode: permission bits.
        small: whether it is not worth it. It gets no sibling, and loses those of another content.
    """

    path: str
    size: int
    modified: int
    mode: int
    small: bool = False

    def sibling(self, coding: str) -> str:
        """Where the sibling of a coding is, or would be."""
        return self.path + SUFFIXES[coding]


class Outcome(Enum):
    """What became of one sibling."""

    #: It has been written; with `check`, it is missing or what is there is another content's.
    WRITTEN = "written"
    #: It was there and belongs to the file as it is.
    CURRENT = "current"
    #: It would not be smaller than its file, or not worth it, so there is none.
    NOT_SMALLER = "not smaller"
    #: The file could not be read, or its sibling not be written.
    FAILED = "failed"


class Result(NamedTuple):
    """One file in one coding.

    Attributes:
        source: the file.
        coding: `br`, `zstd` or `gzip`.
        outcome: what became of the sibling.
        size: bytes of the sibling; those of the file where there is none.
        problem: what failed, for people.
    """

    source: Source
    coding: str
    outcome: Outcome
    size: int
    problem: str = ""


class _Interrupted(Exception):
    """Somebody has given up on everything that still runs."""


def find_sources(directory: str, minimum_size: int = MINIMUM_SIZE) -> list[Source]:
    """The files below a directory that are worth it, or have siblings already, by path.

    Regular files of a compressible type (`is_compressible`). Names that begin with a dot and
    symbolic links are left out, since they are not served, or not from here.

    Raises:
        ConfigurationError: there is no such directory, or one below it cannot be read.
    """
    if os.path.isfile(directory):
        raise ConfigurationError(
            f"{directory!r} is a file, not a directory: give the one that it is in"
        )
    if not os.path.isdir(directory):
        raise ConfigurationError(f"there is no directory {directory!r}: give the right one")
    return sorted(_walk(directory, max(1, minimum_size)))


def _walk(directory: str, minimum_size: int) -> Iterator[Source]:
    def fail(error: OSError) -> None:
        raise ConfigurationError(f"{error.filename} cannot be read: {error.strerror}")

    for place, directories, names in os.walk(directory, onerror=fail):
        directories[:] = [name for name in directories if not name.startswith(".")]
        present = set(names)
        for name in names:
            if name.startswith(".") or not is_compressible(guess_media_type(name)):
                continue
            path = os.path.join(place, name)
            with suppress(FileNotFoundError):  # gone again
                found = os.lstat(path)
                small = found.st_size < minimum_size
                coded = any(name + suffix in present for suffix in SUFFIXES.values())
                if stat.S_ISREG(found.st_mode) and (coded or not small):
                    mode = stat.S_IMODE(found.st_mode) & 0o777
                    yield Source(path, found.st_size, found.st_mtime_ns, mode, small)


def precompress(
    sources: Sequence[Source],
    codings: Sequence[str],
    *,
    check: bool = False,
    force: bool = False,
    jobs: int = 1,
    done: Callable[[Result], object] = lambda _: None,
) -> list[Result]:
    """Make the siblings that are missing or belong to another content.

    The libraries let go of the interpreter while they work, so threads use every core.

    Args:
        sources: of `find_sources`.
        codings: keys of `SUFFIXES` whose library is installed.
        check: write and remove nothing, only tell.
        force: make those anew, too, that are current.
        jobs: threads.
        done: called for each result as it comes, in the calling thread.

    Returns:
        A result for each file and coding, in their order. What fails is among them.
    """
    stopped = threading.Event()
    pairs = [(source, coding) for source in sources for coding in codings]
    with ThreadPoolExecutor(jobs, thread_name_prefix="httpkit-compress") as pool:
        # The largest first: else the last one runs alone for long.
        order = sorted(pairs, key=lambda pair: -pair[0].size)
        futures = {
            pool.submit(_make, *pair, stopped, check=check, force=force): pair for pair in order
        }
        try:
            for future in as_completed(futures):
                done(future.result())
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
    results = {pair: future.result() for future, pair in futures.items()}
    return [results[pair] for pair in pairs]


def remove_siblings(sources: Sequence[Source], codings: Sequence[str]) -> list[str]:
    """Remove what `precompress` has made for these files; the paths.

    A sibling with another time than its file stays: it may be somebody else's.

    Raises:
        OSError: one cannot be removed.
    """
    removed: list[str] = []
    for source in sources:
        for coding in codings:
            path = source.sibling(coding)
            if _time_of(path) == source.modified:
                os.unlink(path)
                removed.append(path)
    return removed


def _time_of(path: str) -> int | None:
    """When a regular file was modified, in nanoseconds; `None` if there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_mtime_ns if stat.S_ISREG(found.st_mode) else None


def _make(
    source: Source, coding: str, stopped: threading.Event, *, check: bool, force: bool
) -> Result:
    path = source.sibling(coding)
    if _time_of(path) == source.modified and (source.small or not force):
        return Result(source, coding, Outcome.CURRENT, os.stat(path).st_size)
    try:
        size = None if source.small else _write(source, coding, stopped, None if check else path)
        if size is None and os.path.lexists(path):  # of another content
            if check:
                return Result(source, coding, Outcome.WRITTEN, source.size)
            os.unlink(path)
    except OSError as error:
        # Not the name under which it is written: nobody knows that one.
        place = source.path if error.filename == source.path else path
        problem = f"{place}: {error.strerror}"
        return Result(source, coding, Outcome.FAILED, source.size, problem)
    if size is None:
        return Result(source, coding, Outcome.NOT_SMALLER, source.size)
    return Result(source, coding, Outcome.WRITTEN, size)


def _write(source: Source, coding: str, stopped: threading.Event, path: str | None) -> int | None:
    """Code a file; the size, or `None` if that is not smaller. Without a path, only look."""
    with open(source.path, "rb") as file:
        pieces = _encode(file, source, coding, stopped)
        if path is None:
            return _limit(sum(map(len, pieces)), source)
        descriptor, name = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".", suffix=".tmp")
        try:
            with open(descriptor, "wb") as sibling:
                sibling.writelines(pieces)
                size = _limit(sibling.tell(), source)
                os.fchmod(descriptor, source.mode)
            if size is None:
                return None
            # Of the content that was read: if the file has changed since, that shows.
            os.utime(name, ns=(source.modified, source.modified))
            os.replace(name, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)
    return size


def _limit(size: int, source: Source) -> int | None:
    return size if size < source.size else None


def _encode(
    file: BinaryIO, source: Source, coding: str, stopped: threading.Event
) -> Iterator[bytes]:
    encoder = make_encoder(coding, source.size, best=True)
    left = source.size
    while left:
        if stopped.is_set():
            raise _Interrupted
        data = file.read(min(left, _STEP))
        if not data:
            raise OSError(errno.ESTALE, "it has become shorter meanwhile: try again", source.path)
        left -= len(data)
        yield encoder.compress(data)
    yield encoder.finish()
