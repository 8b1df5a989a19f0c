"""The access log, off the hot path.

A request leaves an entry here when it ends; entries are formatted in batches and given to a
`LogWriter`.
"""

import logging
import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO

import msgspec
from msgspec.structs import replace

from httpkit.protocol.outgoing import NO_CONTENT
from httpkit.server.log_writer import open_writer

if TYPE_CHECKING:
    from httpkit.server.exchange import Exchange

logger = logging.getLogger("httpkit")

__all__ = ["AccessLog", "Entry", "format_combined", "format_common", "format_json"]

#: Entries in a batch; a timer flushes earlier.
_BATCH = 128
#: What the log calls an answer that nobody waited for (nginx).
CLIENT_CLOSED_REQUEST = 499

_UNSAFE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
#: Month names of the log's format, whatever the locale of the process is.
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

#: Lines repeat their parts; so many different ones are known in their escaped form.
_MAX_ESCAPED = 512


#: The usual times: formatting a float costs as much as half of the line.
_TENTHS = [f"{tenths / 10:.1f}" for tenths in range(1000)]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of the log, before it is formatted: text and numbers, nothing that lives on.

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


@lru_cache(_MAX_ESCAPED)
def escape(text: str) -> str:
    r"""Quotes, backslashes, control and non-ASCII characters as `\xhh` (Apache's way).

    Without it a client could forge lines, or send escape sequences to a terminal.
    """
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def format_common(entry: Entry, stamp: str) -> str:
    """Apache's common log format, then milliseconds and request id."""
    return f"{_common_fields(entry, stamp)} {_show_ms(entry.ms)} {entry.id}\n"


def format_combined(entry: Entry, stamp: str) -> str:
    """Apache's combined log format, then milliseconds and request id."""
    return (
        f'{_common_fields(entry, stamp)} "{escape(entry.referer or "-")}" '
        f'"{escape(entry.user_agent or "-")}" {_show_ms(entry.ms)} {entry.id}\n'
    )


def _common_fields(entry: Entry, stamp: str) -> str:
    return (
        f"{_escape_client(entry.client)} - - [{stamp}] "
        f'"{entry.method} {escape(entry.target)} {entry.protocol}" {entry.status} {entry.bytes}'
    )


def _show_ms(ms: float) -> str:
    """Milliseconds with one decimal."""
    tenths = int(ms * 10 + 0.5)
    return _TENTHS[tenths] if tenths < len(_TENTHS) else f"{ms:.1f}"


@lru_cache(_MAX_ESCAPED)
def _escape_client(client: str) -> str:
    """On a Unix socket the client's name is a path of its choice; it must stay one field."""
    return escape(client).replace(" ", "\\x20")


_encode_json = msgspec.json.Encoder().encode


def format_json(entry: Entry, stamp: str) -> str:  # noqa: ARG001 - same shape as the others
    """One JSON object; `time` is a Unix timestamp. JSON escapes whatever needs it."""
    rounded = replace(entry, time=round(entry.time, 3), ms=round(entry.ms, 3))
    return _encode_json(rounded).decode() + "\n"


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
        self._format = _FORMATS[style]
        self._with_headers = style != "common"
        self._clock = clock
        self._wall = wall
        self._entries: list[Entry] = []
        #: From the server's clock to Unix time.
        self._offset = wall() - clock()
        self._writer = open_writer(stream, close_stream=close_stream)

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""
        return self._writer.dropped

    def record(self, exchange: "Exchange") -> None:
        """Note that a request has ended."""
        entries = self._entries
        request, response, client = exchange.request, exchange.response, exchange.connection.peer
        method = request.method
        status = CLIENT_CLOSED_REQUEST if response is None else response.status
        end = self._clock()
        entry = Entry(
            end + self._offset,
            client.host if client is not None and client.host else "-",
            method,
            request.target.decode("latin-1"),
            "HTTP/" + request.http_version,
            status,
            0 if method == "HEAD" or status in NO_CONTENT else exchange.body_sent,
            (end - exchange.started) * 1000,
            exchange.request_id,
        )
        if self._with_headers:
            headers = request.headers
            entry = replace(
                entry, referer=headers.get("referer"), user_agent=headers.get("user-agent")
            )
        entries.append(entry)
        if len(entries) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Format what has come and hand it to the writer."""
        entries = self._entries
        if not entries:
            return
        self._entries = []
        wall = self._wall()
        self._offset = wall - self._clock()
        local = time.localtime(wall)
        month = _MONTHS[local.tm_mon - 1]
        stamp = time.strftime(f"%d/{month}/%Y:%H:%M:%S %z", local)
        form = self._format
        self._writer.write("".join([form(entry, stamp) for entry in entries]))

    def close(self) -> None:
        """Write what is left, and say how many lines were lost."""
        self.flush()
        self._writer.close()
        if self.dropped:
            logger.warning("the access log lost %d lines: they could not be written", self.dropped)
