"""The live line of `httpkit serve`: requests, bytes and hits of each second, at the bottom.

Owns one line of a terminal and who may write there meanwhile. Theory of operation:

1. What is written through a guarded stream takes the line's place; the line follows below it.
2. Text that does not end a line leaves no place for the line, so it waits for the end.
3. All of it happens under one lock, which the signal handler of the same thread may enter again.
4. The line is drawn by a thread of its own: a terminal that has been stopped (Ctrl-S) makes that
   one wait, and not the server.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, NamedTuple, TextIO, cast

import click

from httpkit.server.server import Server
from httpkit.static.listing import format_size

__all__ = ["LiveLine", "Reading", "StatusLine", "describe", "is_live", "read_server"]

#: Seconds between two readings.
_INTERVAL = 1.0
#: Back to the first column, and nothing to the right of it.
_ERASE = "\r\x1b[2K"


def is_live(stream: TextIO) -> bool:
    """Whether a line can be erased there: on a terminal that understands how."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class StatusLine:
    """The last line of a terminal.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._text = ""
        self._drawn = False
        #: Somebody has begun a line and not ended it.
        self._interrupted = False

    def show(self, text: str) -> None:
        """Put a text in the place of the last one; an empty one removes the line."""
        with self._lock:
            self._text = text
            if not self._interrupted:
                self._draw()
                self._stream.flush()

    def write(self, stream: TextIO, text: str) -> int:
        """Write to a stream on the same terminal, above the line."""
        with self._lock:
            if self._drawn:
                self._erase()
                self._stream.flush()
            written = stream.write(text)
            if text:
                self._interrupted = not text.endswith("\n")
            if not self._interrupted and self._text:
                stream.flush()
                self._draw()
                self._stream.flush()
            return written

    def _draw(self) -> None:
        self._erase()
        if self._text:
            text = self._text[: self._columns() - 1]
            self._stream.write(click.style(text, dim=not os.environ.get("NO_COLOR")))
            self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(_ERASE)
            self._drawn = False

    def _columns(self) -> int:
        """The width: a longer text would become two lines, of which one could be erased."""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):  # ValueError: no descriptor
            columns = 0
        return columns or 80  # serial lines and some programs that pose as one do not say

    @contextmanager
    def guard(self, stdout: TextIO, stderr: TextIO) -> Iterator[None]:
        """Let whatever is written to the standard streams pass by the line, as far as it can."""
        with ExitStack() as stack:
            if stdout.isatty():
                stack.enter_context(redirect_stdout(cast("TextIO", _Guarded(stdout, self))))
            stack.enter_context(redirect_stderr(cast("TextIO", _Guarded(stderr, self))))
            try:
                yield
            finally:
                self.show("")


class _Guarded:
    """A stream whose text goes by a status line; in all else it is the stream."""

    def __init__(self, stream: TextIO, line: StatusLine) -> None:
        self._stream = stream
        self._line = line

    def write(self, text: str) -> int:
        return self._line.write(self._stream, text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Reading(NamedTuple):
    """What a server has done since its start.

    Attributes:
        requests: that have begun.
        size: bytes that were sent.
        misses: requests for which the disk was read.
        connections: that are open now.
    """

    requests: int = 0
    size: int = 0
    misses: int = 0
    connections: int = 0


def read_server(server: Server, misses: Callable[[], int]) -> Reading:
    """A reading; from any thread."""
    counters = server.counters
    return Reading(counters.requests_begun, server.bytes_sent, misses(), counters.connections_open)


def describe(before: Reading, now: Reading, seconds: float) -> str:
    """What has happened between two readings, as one line; hits are those since the start."""
    requests = (now.requests - before.requests) / seconds
    # A connection that is being closed may be missing in one of two readings.
    size = format_size(max(0, round((now.size - before.size) / seconds)))
    words = [
        f"{requests:,.0f} {'request' if round(requests) == 1 else 'requests'}/s",
        f"{size}/s",
    ]
    if now.requests:
        hits = max(0, now.requests - now.misses)
        # Not rounded up: 100% would say that nothing was ever missed.
        words.append(f"{100 * hits // now.requests}% hits")
    words.append(f"{now.connections:,} open")
    words.append(f"{now.requests:,} in all")
    return "  " + " · ".join(words)


class LiveLine:
    """Reads a server once a second and shows what it sees.

    Args:
        line: where.
        read: gives a reading; called in a thread.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        line: StatusLine,
        read: Callable[[], Reading],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line = line
        self._read = read
        self._clock = clock
        self._last = clock(), Reading()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="httpkit-live-line", daemon=True)

    def start(self) -> None:
        """Show it from now on."""
        self._last = self._clock(), self._read()
        self._thread.start()

    def tick(self) -> None:
        """Show what has happened since the last time."""
        (then, before), (now, reading) = self._last, (self._clock(), self._read())
        if now > then:
            self._line.show(describe(before, reading, now - then))
            self._last = now, reading

    def close(self) -> None:
        """Remove the line; it stays away."""
        self._ended.set()
        self._line.show("")

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL):
            self.tick()
        self._line.show("")  # close may have come in the middle of a tick
