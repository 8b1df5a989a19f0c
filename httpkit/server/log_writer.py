"""Where the lines of the access log go, off the hot path.

A pipe's reader, a terminal or a socket may make a writer wait, and a waiting writer would hold up
every request: a thread of its own writes there. If it cannot keep up, lines are dropped and
counted rather than kept without end. A regular file takes lines into memory at once, so they are
written on the spot: handing them to a thread would cost more than the write.

Called by `access_log`.
"""

import os
import queue
import stat
import threading
from contextlib import suppress
from typing import Protocol, TextIO

__all__ = ["LogWriter", "open_writer"]

#: Batches that may wait for the thread.
_MAX_WAITING = 256
#: Seconds that a thread which cannot go on gets at the end, twice.
_LAST_WORDS = 1.0


class LogWriter(Protocol):
    """Takes batches of lines.

    Attributes:
        dropped: lines that could not be written.
    """

    dropped: int

    def write(self, text: str) -> None:
        """Write whole lines, now or soon."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


def open_writer(stream: TextIO, *, close_stream: bool) -> LogWriter:
    """The writer that suits a stream; it closes the stream at the end if it is told to."""
    kind = DirectWriter if _takes_lines_at_once(stream) else ThreadWriter
    return kind(stream, close_stream=close_stream)


def _takes_lines_at_once(stream: TextIO) -> bool:
    try:
        status = os.fstat(stream.fileno())
        null = os.stat(os.devnull)
    except (OSError, ValueError):  # ValueError: closed, or only in memory
        return False
    return stat.S_ISREG(status.st_mode) or status.st_rdev == null.st_rdev != 0


class DirectWriter:
    """Writes on the spot; see `open_writer`."""

    def __init__(self, stream: TextIO, *, close_stream: bool) -> None:
        self._stream = stream
        self._close_stream = close_stream
        self.dropped = 0

    def write(self, text: str) -> None:
        """Write lines; what cannot be written is counted."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the disk is full, the reader gone, or the file closed
            self.dropped += text.count("\n")

    def close(self) -> None:
        """Close the stream if it is ours."""
        if self._close_stream:
            with suppress(OSError):
                self._stream.close()


class ThreadWriter(DirectWriter):
    """Writes in a thread; see `open_writer`."""

    def __init__(self, stream: TextIO, *, close_stream: bool) -> None:
        super().__init__(stream, close_stream=close_stream)
        self._batches: queue.Queue[str | None] = queue.Queue(_MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="httpkit-access-log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Hand lines to the thread, if it keeps up."""
        try:
            self._batches.put_nowait(text)
        except queue.Full:
            self.dropped += text.count("\n")

    def _run(self) -> None:
        while (text := self._batches.get()) is not None:
            super().write(text)
        super().close()

    def close(self) -> None:
        """End the thread; one that cannot go on is left behind, with its stream."""
        with suppress(queue.Full):
            self._batches.put(None, timeout=_LAST_WORDS)
        self._thread.join(_LAST_WORDS)
