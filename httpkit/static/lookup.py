"""From a path to an open file below a directory, and to nothing that leads out of it.

1. A path comes decoded and split (`httpkit.urls.decode_path`), without dot segments and NUL. Empty
   names, backslashes and, unless they are wanted, names that begin with a dot are refused; of these
   `/.well-known` alone is there to be public (RFC 8615).
2. `realpath` says where it leads, symbolic links followed; that has to lie below the directory.
3. That place is reached name by name from a descriptor of the directory, and no link is followed
   any more. So whoever puts a link there between the steps gets a 404, too, and no file outside.

Devices, FIFOs and sockets are not even opened. Refused is answered like missing, with 404, so that
nobody learns what is there. Everything here waits for the disk. The directory may be a link that is
switched to another release.
"""

import os
import re
import stat
from collections.abc import Callable
from os import PathLike
from typing import TypeVar

from httpkit.body import FileBody, is_missing
from httpkit.errors import ConfigurationError, HTTPError
from httpkit.static.listing import Entry

__all__ = ["WELL_KNOWN", "Identity", "Root", "identity_of", "is_plain_name"]

T = TypeVar("T")

#: What stands in a name of the file system for a byte that is not UTF-8 (PEP 383).
_SURROGATE = re.compile(r"[\ud800-\udfff]")

# O_PATH, where there is one: passing through a directory needs no permission to list it.
_STEP_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_LIST_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

#: The directory of the root that is served although its name begins with a dot.
WELL_KNOWN = ".well-known"

#: What tells whether a path still leads to the same, unchanged file: device, inode, size, and the
#: times of modification and change in nanoseconds.
Identity = tuple[int, int, int, int, int]


class Root:
    """A directory whose files are served.

    Args:
        directory: a relative one begins at the current directory.
        dotfiles: whether names that begin with a dot are served, besides `WELL_KNOWN`.
        symlinks: whether symbolic links may lead out of the directory.

    Raises:
        ConfigurationError: there is no such directory.
    """

    def __init__(
        self, directory: str | PathLike[str], *, dotfiles: bool = False, symlinks: bool = False
    ) -> None:
        self.directory = os.path.abspath(directory)
        if not os.path.isdir(self.directory):
            raise ConfigurationError(
                f"there is no directory {self.directory!r} for static files: create it, or give "
                "the right one; a relative one begins at the current directory"
            )
        self._dotfiles = dotfiles
        self._symlinks = symlinks

    def serves(self, name: str) -> bool:
        """Whether a file of this name could be served: no path can name what is not UTF-8."""
        return (
            is_plain_name(name)
            and _SURROGATE.search(name) is None
            and (self._dotfiles or not name.startswith("."))
        )

    def open(self, path: str) -> FileBody | None:
        """The file below the directory; `None` for a directory.

        Raises:
            HTTPError: 404 for everything that is no file to be served.
        """
        return self._reach(path, _open_below)

    def scan(self, path: str) -> list[Entry]:
        """The files and directories in a directory that could be served, in no order.

        Raises:
            HTTPError: 404, if it is no directory below this one, or may not be read.
        """
        return self._reach(path, self._scan_below)

    def _reach(self, path: str, then: Callable[[str, list[str]], T]) -> T:
        """Find out where a path leads, and go there from the root of it, name by name.

        Raises:
            HTTPError: 404 for everything that is not to be served.
        """
        names = path.split("/") if path else []
        if not all(map(self.serves, names[1:] if names[:1] == [WELL_KNOWN] else names)):
            raise HTTPError(404)
        try:
            root = os.path.realpath(self.directory, strict=True)
            real = os.path.realpath(os.path.join(root, *names), strict=True)
            if os.path.commonpath((root, real)) != root:
                if not self._symlinks:
                    raise HTTPError(404)
                root = os.path.dirname(real)  # the owner's choice; devices are still refused
            return then(root, os.path.relpath(real, root).split(os.sep))
        except OSError as error:
            if is_missing(error):
                raise HTTPError(404) from error
            raise

    def _scan_below(self, root: str, names: list[str]) -> list[Entry]:
        step = _enter(root, names)
        try:
            directory = os.open(".", _LIST_FLAGS, dir_fd=step)
        finally:
            os.close(step)
        try:
            place = os.path.join(root, *names)
            with os.scandir(directory) as scan:
                found = [self._look(place, entry) for entry in scan if self.serves(entry.name)]
        finally:
            os.close(directory)
        return [entry for entry in found if entry is not None]

    def _look(self, place: str, entry: "os.DirEntry[str]") -> Entry | None:
        """What is seen of an entry; `None` for what would not be served."""
        try:
            if entry.is_symlink() and not self._symlinks:
                root = os.path.realpath(self.directory, strict=True)
                real = os.path.realpath(os.path.join(place, entry.name), strict=True)
                if os.path.commonpath((root, real)) != root:
                    return None
            info = entry.stat()
        except OSError:  # a link to nowhere, or gone again
            return None
        directory = stat.S_ISDIR(info.st_mode)
        if not directory and not stat.S_ISREG(info.st_mode):
            return None
        return Entry(entry.name, directory, info.st_size, info.st_mtime)

    def identify(self, path: str) -> Identity | None:
        """What a path leads to now; `None` where there is nothing, or nothing that may be seen."""
        try:
            return identity_of(os.stat(os.path.join(self.directory, *path.split("/"))))
        except (OSError, ValueError):
            return None


def identity_of(info: os.stat_result) -> Identity:
    """The identity of a file by what `stat` says."""
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def is_plain_name(name: str) -> bool:
    """Whether it names an entry of a directory, and on no system anything else."""
    return name not in ("", ".", "..") and not any(c in name for c in "/\\\0")


def _enter(root: str, names: list[str]) -> int:
    """A descriptor of a directory, reached without following links."""
    step = os.open(root, _STEP_FLAGS)
    try:
        for name in names:
            last, step = step, os.open(name, _STEP_FLAGS, dir_fd=step)
            os.close(last)
    except OSError:
        os.close(step)
        raise
    return step


def _open_below(root: str, names: list[str]) -> FileBody | None:
    """Walk to a file without following links; `None` where there is a directory."""
    step = _enter(root, names[:-1])
    try:
        mode = os.stat(names[-1], dir_fd=step, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):
            raise HTTPError(404)
        return FileBody.from_descriptor(os.open(names[-1], _FILE_FLAGS, dir_fd=step))
    finally:
        os.close(step)
