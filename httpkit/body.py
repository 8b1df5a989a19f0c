"""Bodies that are not plain bytes: files, open or still to be opened.

Opening a file and asking for its size may wait for a disk, or for a server at the other end of a
network. So an answer names its file (`UnopenedFile`), and the road it takes opens it in a thread.
"""

import errno
import os
import stat
from os import PathLike

__all__ = ["FileBody", "UnopenedFile", "is_missing"]

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


class FileBody:
    """A span of an open regular file, sent without loading it whole.

    The descriptor belongs to this object: `close` gives it back, at the latest when the object
    is collected. Making one waits for the disk.

    Args:
        path: a regular file, or a symbolic link to one.
        offset: first byte to send.
        length: how many bytes; what there is from `offset` on by default and at most.

    Raises:
        OSError: the file cannot be opened.
        FileNotFoundError: it is a directory, a device, a FIFO or a socket.
        ValueError: a negative offset or length, or a path with a NUL.
    """

    __slots__ = ("fd", "length", "mtime", "offset", "size")

    def __init__(
        self, path: str | PathLike[str], offset: int = 0, length: int | None = None
    ) -> None:
        self.fd = -1
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length of a FileBody cannot be negative")
        try:
            self.fd = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            if error.errno in _NO_DEVICE:
                raise FileNotFoundError(f"{os.fspath(path)!r} is not a regular file") from error
            raise
        self._measure(os.fspath(path), offset, length)

    @classmethod
    def from_descriptor(cls, descriptor: int) -> "FileBody":
        """A whole file that is open already; the descriptor belongs to the body from here on.

        Raises:
            FileNotFoundError: it is not that of a regular file; it has been closed.
        """
        body = cls.__new__(cls)
        body.fd = descriptor
        body._measure(f"descriptor {descriptor}", 0, None)  # noqa: SLF001 - its own kind
        return body

    def _measure(self, name: str, offset: int, length: int | None) -> None:
        info = os.fstat(self.fd)
        if not stat.S_ISREG(info.st_mode):
            self.close()
            raise FileNotFoundError(f"{name!r} is not a regular file")
        #: Size of the whole file in bytes, and its modification time as a Unix timestamp.
        self.size: int = info.st_size
        self.mtime: float = info.st_mtime
        #: First byte and number of bytes to send.
        self.offset = offset
        rest = max(0, self.size - offset)
        self.length: int = rest if length is None else min(length, rest)

    def read(self, size: int) -> bytes:
        """Take up to `size` bytes from the front of what is left. Blocks: call it off the loop.

        `b""` while `length` is not 0 means that the file has become shorter since it was opened.
        """
        data = os.pread(self.fd, min(size, self.length), self.offset)
        self.offset += len(data)
        self.length -= len(data)
        return data

    def read_cached(self, size: int) -> bytes | None:
        """Like `read`, but only what needs no waiting for a disk; `None` if something does."""
        if not hasattr(os, "RWF_NOWAIT"):
            return None
        buffer = bytearray(min(size, self.length))
        try:
            count = os.preadv(self.fd, [buffer], self.offset, os.RWF_NOWAIT)
        except OSError:  # EAGAIN: not in memory; EOPNOTSUPP: a file system that cannot tell
            return None
        self.offset += count
        self.length -= count
        return bytes(memoryview(buffer)[:count])

    def close(self) -> None:
        """Give the descriptor back; further calls do nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
