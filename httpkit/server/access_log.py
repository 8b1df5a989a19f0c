"""The access log, off the hot path.

A request leaves a line here when it ends; lines are given to a `LogWriter` in batches.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO

import msgspec

from httpkit.errors import ConfigurationError
from httpkit.protocol.outgoing import NO_CONTENT
from httpkit.server.config import Config
from httpkit.server.log_writer import open_writer

if TYPE_CHECKING:
    from httpkit.server.exchange import Exchange

logger = logging.getLogger("httpkit")

__all__ = [
    "AccessLog",
    "Ended",
    "Entry",
    "format_combined",
    "format_common",
    "format_json",
    "open_access_log",
]

#: Lines in a batch; a timer flushes earlier.
_BATCH = 128
#: What the log calls an answer that nobody waited for (nginx).
CLIENT_CLOSED_REQUEST = 499

_UNSAFE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_NON_ASCII = re.compile(r"[^\x00-\x7f]+")
#: Month names of the log's format, whatever the locale of the process is.
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

#: Lines repeat their parts; so many different ones are known in their escaped form.
_MAX_ESCAPED = 512
#: The usual times: formatting a float costs as much as half of the line.
_TENTHS = [f"{tenths / 10:.1f}" for tenths in range(1000)]


class Entry(msgspec.Struct, frozen=True):
    """One request in the JSON format.

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
    referer: str | None
    user_agent: str | None


class Ended(msgspec.Struct, frozen=True, gc=False):
    """What the log adds to an exchange that has ended.

    Attributes:
        time: when, as a Unix timestamp in seconds.
        stamp: the same in the common log format, as of this second.
        client: address of the peer.
        status: of the answer; 499 if the client did not wait for it.
        size: bytes of the body.
        ms: how long it took.
    """

    time: float
    stamp: str
    client: str
    status: int
    size: int
    ms: float


@lru_cache(_MAX_ESCAPED)
def escape(text: str) -> str:
    r"""Quotes, backslashes, control and non-ASCII characters as `\xhh` (Apache's way).

    Without it a client could forge lines, or send escape sequences to a terminal.
    """
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


@lru_cache(_MAX_ESCAPED)
def _escape_client(client: str) -> str:
    """On a Unix socket the client's name is a path of its choice; it must stay one field."""
    return escape(client).replace(" ", "\\x20")


@lru_cache(_MAX_ESCAPED)
def _escape_target(target: bytes) -> str:
    return escape(target.decode("latin-1"))


def _show_ms(ms: float) -> str:
    """Milliseconds with one decimal."""
    tenths = int(ms * 10 + 0.5)
    return _TENTHS[tenths] if tenths < len(_TENTHS) else f"{ms:.1f}"


def format_common(exchange: "Exchange", ended: Ended) -> str:
    """Apache's common log format, then milliseconds and request id."""
    request = exchange.request
    return (
        f'{_escape_client(ended.client)} - - [{ended.stamp}] "{request.method} '
        f'{_escape_target(request.target)} HTTP/{request.http_version}" '
        f"{ended.status} {ended.size} {_show_ms(ended.ms)} {exchange.request_id}\n"
    )


def format_combined(exchange: "Exchange", ended: Ended) -> str:
    """Apache's combined log format, then milliseconds and request id."""
    common, ms, name = format_common(exchange, ended).rsplit(" ", 2)
    headers = exchange.request.headers
    referer, user_agent = headers.get("referer", "-"), headers.get("user-agent", "-")
    return f'{common} "{escape(referer)}" "{escape(user_agent)}" {ms} {name}'


def format_json(exchange: "Exchange", ended: Ended) -> str:
    r"""One JSON object in ASCII; `time` is a Unix timestamp.

    Other characters are written as `\uhhhh`: among them are line ends of Unicode and controls of
    terminals, and standard output may have an encoding that lacks them.
    """
    request = exchange.request
    entry = Entry(
        round(ended.time, 3),
        ended.client,
        request.method,
        request.target.decode("latin-1"),
        f"HTTP/{request.http_version}",
        ended.status,
        ended.size,
        round(ended.ms, 3),
        exchange.request_id,
        request.headers.get("referer"),
        request.headers.get("user-agent"),
    )
    line = _encode_json(entry).decode()
    if not line.isascii():
        line = _NON_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], line)
    return line + "\n"


_encode_json = msgspec.json.Encoder().encode

_FORMATS: dict[str, Callable[["Exchange", Ended], str]] = {
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
        self._clock = clock
        self._wall = wall
        self._lines: list[str] = []
        self._read_clocks()
        self._writer = open_writer(stream, close_stream=close_stream)

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""
        return self._writer.dropped

    def record(self, exchange: "Exchange") -> None:
        """Note that a request has ended."""
        response, client = exchange.response, exchange.origin or exchange.connection.peer
        status = CLIENT_CLOSED_REQUEST if response is None else response.status
        no_content = status in NO_CONTENT or exchange.request.method == "HEAD"
        end = self._clock()
        ended = Ended(
            end + self._offset,
            self._stamp,
            client.host if client is not None and client.host else "-",
            status,
            0 if no_content else exchange.body_sent,
            (end - exchange.started) * 1000,
        )
        # Formatted at once: a line is one object to keep, what it is made of would be many.
        lines = self._lines
        lines.append(self._format(exchange, ended))
        if len(lines) >= _BATCH:
            self._write()

    def flush(self) -> None:
        """Hand what has come to the writer; called once a second at least."""
        self._read_clocks()
        if self._lines:
            self._write()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        self._writer.write("".join(lines))

    def _read_clocks(self) -> None:
        """What time it is, once for all lines of about a second."""
        wall = self._wall()
        #: From the server's clock to Unix time.
        self._offset = wall - self._clock()
        local = time.localtime(wall)
        month = _MONTHS[local.tm_mon - 1]
        self._stamp = time.strftime(f"%d/{month}/%Y:%H:%M:%S %z", local)

    def close(self) -> None:
        """Write what is left, and say how many lines were lost."""
        self.flush()
        self._writer.close()
        if self.dropped:
            logger.warning("the access log lost %d lines: they could not be written", self.dropped)


def open_access_log(config: Config, clock: Callable[[], float]) -> AccessLog | None:
    """The access log that the options ask for, or `None`.

    Args:
        config: checked options.
        clock: the clock of `Exchange.started`.

    Raises:
        ConfigurationError: its file cannot be opened.
    """
    if not config.access_log:
        return None
    path = config.access_log_file
    if path is None:
        if sys.stdout is None:  # closed when the program began
            return None
        stream: TextIO = sys.stdout
    else:
        try:
            stream = open(path, "a", encoding="utf-8")  # noqa: SIM115 - the log closes it
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(f"access_log_file {path}: {reason}") from error
    return AccessLog(stream, config.access_log_format, clock, close_stream=path is not None)
