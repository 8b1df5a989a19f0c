"""The engines of a server: which library each protocol has, and what its connections share."""

import logging
import time

from httpkit.limits import Limits
from httpkit.protocol.engine import Engine
from httpkit.protocol.http1 import HTTP1Engine, Preamble, choose_parser
from httpkit.protocol.http2 import AnswerFields, HTTP2Engine, choose_session
from httpkit.semantics.dates import format_http_date
from httpkit.server.config import Config

__all__ = ["Engines", "http_date"]

logger = logging.getLogger("httpkit")


def http_date() -> bytes:
    """The value of a Date field, now."""
    return format_http_date(time.time()).encode()


class Engines:
    """Makes the engines of one server.

    Args:
        config: of the server.

    Raises:
        ConfigurationError: a library is wanted that is not installed.
    """

    def __init__(self, config: Config) -> None:
        self._limits: Limits = config.limits
        self._parser = choose_parser(config.http1)
        self._session = choose_session(config.http2)
        date, server_header = http_date(), (config.server_header or "").encode()
        self._preamble = Preamble(date, server_header, config.limits.keep_alive_timeout)
        self._fields = AnswerFields(date, server_header)
        self._warned_of: set[bytes] = set()

    @property
    def names(self) -> dict[str, str]:
        """The libraries by protocol: `{"HTTP/1.1": "native", "HTTP/2": "reference"}`."""
        names = {"HTTP/1.1": self._parser.name}
        if self._session is not None:
            names["HTTP/2"] = self._session.name
        return names

    @property
    def protocols(self) -> tuple[str, ...]:
        """What ALPN may choose, the preferred one first."""
        http1 = ("http/1.1", "http/1.0")  # curl names the latter alone, if it is to speak it
        return http1 if self._session is None else ("h2", *http1)

    def make(self, protocol: str) -> Engine:
        """An engine for a protocol as ALPN names it; empty if the first bytes are to decide."""
        session = self._session
        if protocol == "h2" and session is not None:
            return HTTP2Engine(session, self._limits, self._fields)
        return HTTP1Engine(
            self._parser(),
            self._limits,
            self._preamble,
            knows_preface=session is not None and not protocol,
        )

    def tick(self) -> None:
        """Renew the date; called when the second changes."""
        date = http_date()
        self._preamble.refresh(date)
        self._fields.refresh(date)
        # Once for each name: the same application may be right on HTTP/1.1.
        for name in self._fields.dropped - self._warned_of:
            self._warned_of.add(name)
            logger.warning(
                "the application sets %r, which is about one connection of HTTP/1.1 and is not "
                "sent on HTTP/2",
                name.decode(),
            )
