"""Bodies that are not plain bytes: files."""

import os
import stat
from os import PathLike

__all__ = ["FileBody"]


class FileBody:
    """A span of an open regular file, sent without loading it whole.

    The descriptor belongs to this object: `close` gives it back, at the latest when the object
    is collected.

    Raises:
        OSError: the file cannot be opened.
        FileNotFoundError: it is a directory, a device, a FIFO or a socket.
    """

    __slots__ = ("fd", "length", "mtime", "offset", "size")

    def __init__(
        self, path: str | PathLike[str], offset: int = 0, length: int | None = None
    ) -> None:
        self.fd = -1
        # O_NONBLOCK: opening a FIFO must not wait for a writer before fstat can refuse it.
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        self.fd = os.open(path, flags)
        info = os.fstat(self.fd)
        if not stat.S_ISREG(info.st_mode):
            self.close()
            raise FileNotFoundError(f"{os.fspath(path)!r} is not a regular file")
        #: Size of the whole file in bytes, and its modification time as a Unix timestamp.
        self.size: int = info.st_size
        self.mtime: float = info.st_mtime
        #: First byte and number of bytes to send.
        self.offset = offset
        self.length: int = max(0, self.size - offset) if length is None else length

    def read(self, size: int) -> bytes:
        """Take up to `size` bytes from the front of what is left. Blocks: call it off the loop."""
        data = os.pread(self.fd, min(size, self.length), self.offset)
        self.offset += len(data)
        self.length -= len(data)
        return data

    def close(self) -> None:
        """Give the descriptor back; further calls do nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
