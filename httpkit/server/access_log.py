"""The access log, off the hot path.

A request leaves a note here when it ends; notes are formatted in batches, and a thread of its own
writes them, since a pipe or a disk may block. If it cannot keep up, lines are dropped and counted
rather than kept without end.
"""

import queue
import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

import msgspec

if TYPE_CHECKING:
    from httpkit.server.exchange import Exchange

__all__ = ["AccessLog", "Entry", "format_combined", "format_common", "format_json"]

#: Notes in a batch; a timer flushes earlier.
_BATCH = 128
#: Batches that may wait for the writer.
_MAX_WAITING = 256
#: What the log calls an answer that nobody waited for (nginx).
CLIENT_CLOSED_REQUEST = 499

_UNSAFE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class Entry(msgspec.Struct, frozen=True):
    """One line of the log, before it is formatted.

    Attributes:
        time: end of the request as a Unix timestamp in seconds.
        client: address of the peer.
        method: of the request.
        target: as received.
        protocol: e.g. `HTTP/1.1`.
        status: of the answer; 499 if the client did not wait for it.
        bytes: of the body.
        ms: from the end of the request's head to the end of the answer, in milliseconds.
        id: the request's id.
        referer: or `None`.
        user_agent: or `None`.
    """

    time: float
    client: str
    method: str
    target: str
    protocol: str
    status: int
    bytes: int
    ms: float
    id: str
    referer: str | None = None
    user_agent: str | None = None


def escape(text: str) -> str:
    r"""Quotes, backslashes, control and non-ASCII characters as `\xhh` (Apache's way).

    Without it a client could forge lines, or send escape sequences to a terminal.
    """
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def format_common(entry: Entry, stamp: str) -> str:
    """Apache's common log format, then milliseconds and request id."""
    return (
        f'{entry.client} - - [{stamp}] "{entry.method} {escape(entry.target)} {entry.protocol}" '
        f"{entry.status} {entry.bytes} {entry.ms:.1f} {entry.id}\n"
    )


def format_combined(entry: Entry, stamp: str) -> str:
    """Apache's combined log format, then milliseconds and request id."""
    return (
        f'{entry.client} - - [{stamp}] "{entry.method} {escape(entry.target)} {entry.protocol}" '
        f'{entry.status} {entry.bytes} "{escape(entry.referer or "-")}" '
        f'"{escape(entry.user_agent or "-")}" {entry.ms:.1f} {entry.id}\n'
    )


_encode_json = msgspec.json.Encoder().encode


def format_json(entry: Entry, stamp: str) -> str:  # noqa: ARG001 - same shape as the others
    """One JSON object; `time` is a Unix timestamp. JSON escapes whatever needs it."""
    return _encode_json(entry).decode() + "\n"


_FORMATS: dict[str, Callable[[Entry, str], str]] = {
    "common": format_common,
    "combined": format_combined,
    "json": format_json,
}


class AccessLog:
    """Collects, formats and writes.

    Args:
        stream: where lines go.
        style: `common`, `combined` or `json`.
        clock: the clock of `Exchange.started`.
        wall: Unix time.
    """

    def __init__(
        self,
        stream: TextIO,
        style: str,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._stream = stream
        self._format = _FORMATS[style]
        self._with_headers = style != "common"
        self._clock = clock
        self._wall = wall
        self._notes: list[tuple[Exchange, float]] = []
        self._batches: queue.Queue[str | None] = queue.Queue(_MAX_WAITING)
        self.dropped = 0
        self._thread = threading.Thread(target=self._write, name="httpkit-access-log", daemon=True)
        self._thread.start()

    def record(self, exchange: "Exchange") -> None:
        """Note that a request has ended."""
        notes = self._notes
        notes.append((exchange, self._clock()))
        if len(notes) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Format what is noted and hand it to the writer."""
        notes = self._notes
        if not notes:
            return
        self._notes = []
        wall = self._wall()
        offset = wall - self._clock()
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(wall))
        form, entry = self._format, self._entry
        text = "".join([form(entry(exchange, end, offset), stamp) for exchange, end in notes])
        try:
            self._batches.put_nowait(text)
        except queue.Full:
            self.dropped += len(notes)

    def _entry(self, exchange: "Exchange", end: float, offset: float) -> Entry:
        request = exchange.request
        response = exchange.response
        headers = request.headers if self._with_headers else None
        client = exchange.client
        return Entry(
            round(end + offset, 3),
            client.host if client is not None and client.host else "-",
            request.method,
            request.target.decode("latin-1"),
            "HTTP/" + request.http_version,
            CLIENT_CLOSED_REQUEST if response is None else response.status,
            exchange.body_sent,
            round((end - exchange.started) * 1000, 3),
            exchange.request_id,
            None if headers is None else headers.get("referer"),
            None if headers is None else headers.get("user-agent"),
        )

    def close(self) -> None:
        """Write what is left and end the thread."""
        self.flush()
        self._batches.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (text := self._batches.get()) is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # the pipe's reader is gone, or the file is closed
                self.dropped += text.count("\n")
