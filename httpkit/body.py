"""Bodies that are not plain bytes: files, open or still to be opened, and the pieces of streams.

Opening a file and asking for its size may wait for a disk, or for a server at the other end of a
network. So an answer names its file (`UnopenedFile`), and the road it takes opens it in a thread.
"""

import errno
import os
import stat
from collections.abc import Awaitable, Callable
from os import PathLike
from typing import Any

from httpkit.errors import LocalProtocolError

__all__ = ["CHEAP_COPY", "FileBody", "UnopenedFile", "encode_piece", "is_missing"]

#: Bytes of a file that are read rather than sent past the process: a copy of so few costs less than
#: a call of the system more.
CHEAP_COPY = 16_384

# O_NONBLOCK: opening a FIFO must not wait for a writer before fstat can refuse it. O_NOCTTY: a
# terminal must not become the one that controls the server.
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)
#: What opening a socket, or a device without a driver, fails with.
_NO_DEVICE = frozenset({errno.ENXIO, errno.ENODEV, getattr(errno, "EOPNOTSUPP", errno.ENXIO)})
#: What opening fails with where the path names no file that may be sent, or cannot name any.
_NOT_THERE = frozenset(
    {
        errno.EACCES,
        errno.EILSEQ,
        errno.EINVAL,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
    }
)
#: `preadv` fails rather than waits for a disk; 0 where it cannot.
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
#: Where the bytes go that are only read to see whether it would wait.
_PROBE = [bytearray(1)]
_WARM_CHUNK = 65_536
#: Calls a function with arguments off the loop, as `RequestChannel.run_blocking` does.
BlockingCaller = Callable[..., Awaitable[Any]]


def encode_piece(piece: bytes | str) -> bytes:
    """What an application yields, as bytes that stay as they are."""
    if type(piece) is bytes:
        return piece
    if isinstance(piece, str):
        return piece.encode()
    # A copy of what may be mutable; memoryview refuses a number, which bytes would make zeros of.
    return bytes(memoryview(piece))


def is_missing(error: OSError) -> bool:
    """Whether it says that there is no file to be sent, rather than that something is broken."""
    # FileNotFoundError without a number is FileBody's word for what is not regular.
    return error.errno in _NOT_THERE or isinstance(error, FileNotFoundError)


class UnopenedFile:
    """A file by its path; what `Response.file` gives before anybody has looked at the disk.

    Args:
        path: a regular file, or a symbolic link to one.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = path

    def open(self) -> "FileBody":
        """Open it. Blocks: call it off the loop.

        Raises:
            OSError: see `FileBody`.
            ValueError: a path with a NUL.
        """
        return FileBody(self.path)


class _OpenFile:
    """An open descriptor; closed when the last body that reads from it has let go."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class FileBody:
    """A span of an open regular file, sent without loading it whole.

    The descriptor belongs to this object and those that `span` makes: it is given back when each
    has been closed, or collected. Making one waits for the disk.

    Args:
        path: a regular file, or a symbolic link to one.
        offset: first byte to send.
        length: how many bytes; what there is from `offset` on by default and at most.

    Attributes:
        fd: the descriptor; -1 once the body is closed.
        info: what `os.fstat` said when it was opened.
        offset: first byte to send.
        length: number of bytes to send.

    Raises:
        OSError: the file cannot be opened.
        FileNotFoundError: it is a directory, a device, a FIFO or a socket.
        ValueError: a negative offset or length, or a path with a NUL.
    """

    __slots__ = ("_file", "fd", "info", "length", "offset")

    _file: _OpenFile | None
    fd: int

    def __init__(
        self, path: str | PathLike[str], offset: int = 0, length: int | None = None
    ) -> None:
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length of a FileBody cannot be negative")
        try:
            descriptor = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            if error.errno in _NO_DEVICE:
                raise FileNotFoundError(f"{os.fspath(path)!r} is not a regular file") from error
            raise
        self._take(descriptor, os.fspath(path))
        self._place(offset, length)

    @classmethod
    def from_descriptor(cls, descriptor: int) -> "FileBody":
        """A whole file that is open already; the descriptor belongs to the body from here on.

        Raises:
            FileNotFoundError: it is not that of a regular file; it has been closed.
        """
        body = cls.__new__(cls)
        body._take(descriptor, f"descriptor {descriptor}")  # noqa: SLF001 - its own kind
        body._place(0, None)  # noqa: SLF001
        return body

    def span(self, offset: int, length: int | None = None) -> "FileBody":
        """Another part of the same open file, to be closed by itself."""
        body = FileBody.__new__(FileBody)
        body._file, body.fd, body.info = self._file, self.fd, self.info  # noqa: SLF001
        body._place(offset, length)  # noqa: SLF001
        return body

    def _take(self, descriptor: int, name: str) -> None:
        self._file = _OpenFile(descriptor)
        self.fd = descriptor
        self.info = os.fstat(descriptor)
        if not stat.S_ISREG(self.info.st_mode):
            self.close()
            raise FileNotFoundError(f"{name!r} is not a regular file")

    def _place(self, offset: int, length: int | None) -> None:
        rest = max(0, self.info.st_size - offset)
        self.offset = offset
        self.length: int = rest if length is None or length > rest else length

    @property
    def size(self) -> int:
        """Of the whole file in bytes, when it was opened."""
        return self.info.st_size

    @property
    def mtime(self) -> float:
        """When it was modified, as a Unix timestamp."""
        return self.info.st_mtime

    def has_changed(self) -> bool:
        """Whether the file is no longer what it was when it was opened. Does not wait."""
        now = os.fstat(self.fd)
        return now.st_mtime_ns != self.info.st_mtime_ns or now.st_size != self.info.st_size

    def read(self, size: int) -> bytes:
        """Take up to `size` bytes from the front of what is left. Blocks: call it off the loop.

        `b""` while `length` is not 0 means that the file has become shorter since it was opened.
        """
        data = os.pread(self.fd, min(size, self.length), self.offset)
        self.skip(len(data))
        return data

    async def read_piece(self, size: int, run_blocking: BlockingCaller) -> bytes:
        """Like `read`, off the loop by `run_blocking` where something has to be waited for.

        Raises:
            LocalProtocolError: as `check`.
        """
        data = self.read_cached(size)
        if not data:  # not in memory, or the end that only a real read can tell
            data = await run_blocking(self.read, size)
        return self.check(data)

    def check(self, data: bytes) -> bytes:
        """What `read` has given, if the file is still what it was when it was opened.

        Looked at where the end is near: what has been sent before cannot be taken back.

        Raises:
            LocalProtocolError: the file has changed meanwhile.
        """
        changed = not data if self.length else self.has_changed()
        if changed:
            raise LocalProtocolError("the file has changed while it was sent")
        return data

    def read_cached(self, size: int) -> bytes | None:
        """Like `read`, but only what needs no waiting for a disk; `None` if something does."""
        return self.read(size) if self.is_cached(size) else None

    def read_at_once(self, limit: int) -> bytes | None:
        """All that is left, if it is at most `limit` bytes that are in memory and unchanged."""
        if self.length > limit or not self.is_cached(self.length):
            return None
        data = os.pread(self.fd, self.length, self.offset)
        if len(data) != self.length or self.has_changed():
            return None
        self.skip(len(data))
        return data

    def is_cached(self, size: int) -> bool:
        """Whether the next `size` bytes seem to need no waiting for a disk: both ends do not."""
        if not _NOWAIT:
            return False
        descriptor, offset = self.fd, self.offset
        last = min(size, self.length) - 1
        try:
            # At the end of a file that has become shorter there is nothing to wait for, either.
            os.preadv(descriptor, _PROBE, offset, _NOWAIT)
            if last > 0:
                os.preadv(descriptor, _PROBE, offset + last, _NOWAIT)
        except OSError:  # EAGAIN: not in memory; EOPNOTSUPP: a file system that cannot tell
            return False
        return True

    def warm(self, size: int) -> None:
        """Let the system read the next `size` bytes into its memory. Blocks."""
        ahead = self.span(self.offset, min(size, self.length))
        while ahead.length and ahead.read(_WARM_CHUNK):
            pass

    def skip(self, size: int) -> None:
        """Leave bytes at the front out; they have been sent in another way."""
        self.offset += size
        self.length -= size

    def close(self) -> None:
        """Let go of the file; further calls do nothing."""
        self._file = None
        self.fd = -1
