"""The access log, off the hot path.

A request leaves a note here when it ends; notes are formatted in batches, and a thread of its own
writes them, since a pipe or a disk may block. If it cannot keep up, lines are dropped and counted
rather than kept without end.
"""

import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

import msgspec

from httpkit.protocol.outgoing import has_no_body
from httpkit.request import Request

if TYPE_CHECKING:
    from httpkit.server.exchange import Exchange

logger = logging.getLogger("httpkit")

__all__ = ["AccessLog", "Entry", "format_combined", "format_common", "format_json"]

#: Notes in a batch; a timer flushes earlier.
_BATCH = 128
#: Batches that may wait for the writer.
_MAX_WAITING = 256
#: Seconds that a writer which cannot go on gets at the end, twice.
_LAST_WORDS = 1.0
#: What the log calls an answer that nobody waited for (nginx).
CLIENT_CLOSED_REQUEST = 499

_UNSAFE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
#: Month names of the log's format, whatever the locale of the process is.
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

#: What is kept of a request until its line is written: the exchange, its request (which it
#: forgets), the status, the end on the server's clock.
_Note = tuple["Exchange", Request, int, float]


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
    return f"{_common_fields(entry, stamp)} {entry.ms:.1f} {entry.id}\n"


def format_combined(entry: Entry, stamp: str) -> str:
    """Apache's combined log format, then milliseconds and request id."""
    return (
        f'{_common_fields(entry, stamp)} "{escape(entry.referer or "-")}" '
        f'"{escape(entry.user_agent or "-")}" {entry.ms:.1f} {entry.id}\n'
    )


def _common_fields(entry: Entry, stamp: str) -> str:
    # On a Unix socket the client's name is a path of its choice; it must stay one field.
    client = escape(entry.client).replace(" ", "\\x20")
    return (
        f'{client} - - [{stamp}] "{entry.method} {escape(entry.target)} {entry.protocol}" '
        f"{entry.status} {entry.bytes}"
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
        close_stream: close the stream at the end.
    """

    def __init__(
        self,
        stream: TextIO,
        style: str,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
        *,
        close_stream: bool = False,
    ) -> None:
        self._stream = stream
        self._close_stream = close_stream
        self._format = _FORMATS[style]
        self._with_headers = style != "common"
        self._clock = clock
        self._wall = wall
        self._notes: list[_Note] = []
        self._batches: queue.Queue[str | None] = queue.Queue(_MAX_WAITING)
        self.dropped = 0
        self._thread = threading.Thread(target=self._write, name="httpkit-access-log", daemon=True)
        self._thread.start()

    def record(self, exchange: "Exchange") -> None:
        """Note that a request has ended."""
        notes = self._notes
        response = exchange.response
        status = CLIENT_CLOSED_REQUEST if response is None else response.status
        notes.append((exchange, exchange.request, status, self._clock()))
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
        local = time.localtime(wall)
        month = _MONTHS[local.tm_mon - 1]
        stamp = time.strftime(f"%d/{month}/%Y:%H:%M:%S %z", local)
        form, entry = self._format, self._entry
        text = "".join([form(entry(note, offset), stamp) for note in notes])
        try:
            self._batches.put_nowait(text)
        except queue.Full:
            self.dropped += len(notes)

    def _entry(self, note: _Note, offset: float) -> Entry:
        exchange, request, status, end = note
        headers = request.headers if self._with_headers else None
        client = exchange.client
        return Entry(
            round(end + offset, 3),
            client.host if client is not None and client.host else "-",
            request.method,
            request.target.decode("latin-1"),
            "HTTP/" + request.http_version,
            status,
            0 if has_no_body(request.method, status) else exchange.body_sent,
            round((end - exchange.started) * 1000, 3),
            exchange.request_id,
            None if headers is None else headers.get("referer"),
            None if headers is None else headers.get("user-agent"),
        )

    def close(self) -> None:
        """Write what is left and end the thread; one that cannot go on is left behind."""
        self.flush()
        with suppress(queue.Full):
            self._batches.put(None, timeout=_LAST_WORDS)
        self._thread.join(_LAST_WORDS)
        if self.dropped:
            logger.warning("the access log lost %d lines: they could not be written", self.dropped)

    def _write(self) -> None:
        while (text := self._batches.get()) is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # the pipe's reader is gone, or the file is closed
                self.dropped += text.count("\n")
        if self._close_stream:
            with suppress(OSError):
                self._stream.close()
