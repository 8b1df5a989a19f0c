"""The native parser: httptools, which is llhttp, the parser of Node.js."""

import re
from typing import Any

import httptools

from httpkit.errors import RemoteProtocolError
from httpkit.headers import RawHeaders
from httpkit.protocol.http1.serialize import serialize_fields

__all__ = ["HttptoolsParser"]

# The lookbehind keeps long runs of blanks linear.
_TRAILING_BLANKS = re.compile(rb"(?<![ \t])[ \t]++(?=\r\n)")


class _Found:
    """What httptools calls. It holds this; a parser would wait for the garbage collector.

    Attributes:
        fields: header or trailer fields, since it was set.
        data: pieces of the decoded body.
    """

    __slots__ = ("data", "fields")

    def __init__(self) -> None:
        self.fields: RawHeaders = []
        self.data: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called for header and trailer fields alike."""
        self.fields.append((name.lower(), value))

    def on_body(self, data: bytes) -> None:
        """Called for pieces of the decoded body."""
        self.data.append(data)


class HttptoolsParser:
    """Parses heads and bodies that the guards let through; see `engine.MessageParser`."""

    __slots__ = ("_found", "_parser")

    name = "native"
    has_fast_lane = True

    def __init__(self) -> None:
        # Both are made for the first head that is not plain. Most connections never have one, and
        # they take as much memory as all else that an idle one needs here.
        self._parser: Any = None
        self._found: _Found

    def _start(self) -> None:
        self._found = _Found()
        self._parser = httptools.HttpRequestParser(self._found)
        # Whether a connection goes on is the engine's decision. llhttp would refuse the request
        # after one that said close, and takes the word of Proxy-Connection and of trailers too.
        self._parser.set_dangerous_leniencies(lenient_keep_alive=True)

    def parse_head(self, head: bytes) -> RawHeaders:
        """The fields of one complete head."""
        if b" \r\n" in head or b"\t\r\n" in head:
            # RFC 9112 §5.1: no part of the value. llhttp leaves them there, and refuses a tab
            # behind `chunked`.
            head = _TRAILING_BLANKS.sub(b"", head)
        if self._parser is None:
            self._start()
        fields: RawHeaders = []
        self._found.fields = fields
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self._go_on_after_upgrade(fields)
        except httptools.HttpParserError as error:
            raise RemoteProtocolError("A header field is malformed.") from error
        return fields

    def _go_on_after_upgrade(self, fields: RawHeaders) -> None:
        """Expect the body, or the next request, of a request that offered an upgrade.

        llhttp ends every message that offers one at its head. But whether the upgrade happens
        is the application's decision, and a body is a body: a fresh parser is told its framing.
        """
        framing = [f for f in fields if f[0] in (b"content-length", b"transfer-encoding")]
        self._start()
        try:
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % serialize_fields(framing))
        except httptools.HttpParserError as error:
            # llhttp looks at what frames the body only where it expects one.
            raise RemoteProtocolError("A header field is malformed.") from error

    def parse_body(self, raw: bytes) -> bytes:
        """Decode framed bytes of the body."""
        found = self._found
        found.fields = []
        try:
            self._parser.feed_data(raw)
        except httptools.HttpParserError as error:
            raise RemoteProtocolError("The body is malformed.") from error
        data, found.data = found.data, []
        return data[0] if len(data) == 1 else b"".join(data)

    def forget(self) -> None:
        """There is nothing more to parse."""
        self._parser = None

    def trailers(self) -> RawHeaders:
        """The trailer fields of the body that has just ended."""
        return [(name, value.rstrip(b" \t")) for name, value in self._found.fields]
