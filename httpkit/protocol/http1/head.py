"""The head guard: what a request head must pass before and after its parser, for both engines.

h11 alone accepts a bare LF, obs-fold, Content-Length with Transfer-Encoding and repeated
Content-Length; httptools alone accepts two spaces, HTTP/0.9, no Host or two, and Transfer-Encoding
on HTTP/1.0. Each of these is a way to make two servers see different requests in the same bytes
(request smuggling), so everything but the one spelling of RFC 9112 is refused here, once.

`check_request_line` and `check_lines` look at raw bytes, `check_fields` at the parsed fields.
All raise a subclass of `RemoteProtocolError` whose message is safe to show to the peer.
"""

import re

from httpkit.errors import (
    ConnectRefused,
    ExpectationFailed,
    HeadersTooLarge,
    MethodNotImplemented,
    RemoteProtocolError,
    TargetTooLong,
    UnsupportedTransferCoding,
    UnsupportedVersion,
)
from httpkit.headers import RawHeaders
from httpkit.limits import Limits
from httpkit.status import METHODS

__all__ = [
    "Framing",
    "check_fields",
    "check_lines",
    "check_partial_head",
    "check_request_line",
    "check_size",
]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
# RFC 9112 §3: single spaces; visible ASCII in the target.
_REQUEST_LINE = re.compile(rb"(%b++) ([\x21-\x7e]++) HTTP/1\.([01])\r\n" % _TOKEN)
_ANY_VERSION = re.compile(rb"%b++ [\x21-\x7e]++ HTTP/[0-9]\.[0-9]\r\n" % _TOKEN)
_METHOD = re.compile(rb"(%b++) " % _TOKEN)
# RFC 3986 §3.2.2: reg-name or IPv4 address, or an IP literal; then a port. Userinfo is refused.
_AUTHORITY = rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]++|\[[0-9A-Fa-f:.]++\])(?::[0-9]{0,5})?"
_HOST = re.compile(_AUTHORITY)
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://(" + _AUTHORITY + rb")(?:[/?][^#]*+)?")
_CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")
# Every byte that may stand in a line; what `translate` leaves are control characters.
_LINE_BYTES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
# The shortest line end that is not CRLF; used on heads that are not complete yet.
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")

#: Fields that decide how a message is framed or routed; all others just pass.
_FRAMING_FIELDS = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)
#: Room in a head for method, version, spaces and line ends.
_LINE_OVERHEAD = 64

# Hosts that passed the grammar lately: a server sees few, and asks for each request.
_known_hosts: set[bytes] = set()


class Framing:
    """What the fields of a head say about the message and the connection.

    Attributes:
        authority: host and port, from the target where that has one (RFC 9112 §3.2.2).
        content_length: announced length or `None`.
        chunked: the body has the chunked coding.
        keep_alive: the connection may go on after this exchange.
        said_keep_alive: the client sent `Connection: keep-alive` and may want to hear the terms.
        expect_continue: the client waits for 100 (Continue).
        upgrade: protocols offered, or `None`.
    """

    __slots__ = (
        "authority",
        "chunked",
        "content_length",
        "expect_continue",
        "keep_alive",
        "said_keep_alive",
        "upgrade",
    )

    def __init__(self, *, keep_alive: bool) -> None:
        self.authority = b""
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = keep_alive
        self.said_keep_alive = False
        self.expect_continue = False
        self.upgrade: bytes | None = None


def check_request_line(head: bytes, limits: Limits) -> tuple[str, bytes, bytes]:
    """Method, target and minor version (`b"0"` or `b"1"`) of a head (RFC 9112 §3)."""
    match = _REQUEST_LINE.match(head)
    if match is None:
        raise _classify_request_line(head, limits)
    raw_method, target, minor = match.groups()
    method = METHODS.get(raw_method)
    if method is None:
        raise MethodNotImplemented("The method is not known to this server.")
    if len(target) > limits.max_target:
        raise TargetTooLong("The request target is too long.")
    if target[0] != 0x2F or b"#" in target:
        _check_other_form(method, target)
    return method, target, minor


def _check_other_form(method: str, target: bytes) -> None:
    """Targets other than a plain origin-form (RFC 9112 §3.2)."""
    if method == "CONNECT":
        raise ConnectRefused("This server is not a proxy and opens no tunnels.")
    if target == b"*":
        if method != "OPTIONS":
            raise RemoteProtocolError("The target * belongs to OPTIONS alone.")
    elif not _ABSOLUTE.fullmatch(target):
        raise RemoteProtocolError("The request target is neither a path nor an absolute URL.")


def _classify_request_line(head: bytes, limits: Limits) -> RemoteProtocolError:
    """Why a request line was refused; slow, and only ever asked after a refusal."""
    line = head.partition(b"\n")[0]
    method = _METHOD.match(line)
    if method is None:
        return RemoteProtocolError("The request line is malformed.")
    if len(line) - method.end() > limits.max_target + _LINE_OVERHEAD:
        return TargetTooLong("The request target is too long.")
    if _ANY_VERSION.match(head):
        return UnsupportedVersion("This port speaks HTTP/1.1.")
    return RemoteProtocolError("The request line is malformed.")


def check_size(head: bytes, target: bytes, limits: Limits) -> None:
    """The header section fits; asked before it is parsed."""
    if len(head) - len(target) > limits.max_header_bytes + _LINE_OVERHEAD:
        raise HeadersTooLarge("The header section is too large.")


def check_lines(head: bytes) -> None:
    """Line ends are CRLF, there are no other control characters and no folded lines (§2.2, §5.2).

    `translate` and `count` look at a kilobyte in less time than one step of Python; what they
    leave of a clean head is exactly its CRLFs.
    """
    controls = head.translate(None, _LINE_BYTES)
    if len(controls) != 2 * head.count(b"\r\n"):
        raise RemoteProtocolError("The head has a bare CR or LF or another control character.")
    if b"\r\n " in head or b"\r\n\t" in head:
        raise RemoteProtocolError("A line of the head begins with whitespace.")


def check_partial_head(data: bytes, start: int, limits: Limits, *, line_checked: bool) -> bool:
    """Refuse a head early that cannot become a good one; the result says its first line is good.

    Without this a peer that ends its lines with LF would wait for the deadline. `start` is where
    the bytes begin that were not looked at before, so that drips stay linear.
    """
    first = data[:2]
    if first not in (b"\r", b"\r\n") and not _METHOD.match(first[:1] + b" "):
        raise RemoteProtocolError("This is not an HTTP request.")
    if _BARE.search(data, max(0, start - 1)):
        raise RemoteProtocolError("The head has a bare CR or LF.")
    if not line_checked and data.find(b"\r\n", max(0, start - 1)) > 0:
        check_request_line(data, limits)
        line_checked = True
    if not line_checked and len(data) > limits.max_target + _LINE_OVERHEAD:
        raise _classify_request_line(data, limits)
    if len(data) > limits.max_target + limits.max_header_bytes + _LINE_OVERHEAD:
        raise HeadersTooLarge("The header section is too large.")
    return line_checked


def check_fields(headers: RawHeaders, target: bytes, minor: bytes, limits: Limits) -> Framing:
    """Check the parsed fields and read what frames the message (RFC 9112 §3.2, §6, §9.3).

    Args:
        headers: lower case names and trimmed values.
        target: of the request.
        minor: version, `b"0"` or `b"1"`.
        limits: of the server.
    """
    if len(headers) > limits.max_headers:
        raise HeadersTooLarge("The header section has too many fields.")
    framing = Framing(keep_alive=minor == b"1")
    host: bytes | None = None
    coding: bytes | None = None
    for name, value in headers:
        if name in _FRAMING_FIELDS:
            if name == b"host":
                if host is not None:
                    raise RemoteProtocolError("There is more than one Host field.")
                host = value
            elif name == b"connection":
                _read_connection(framing, value)
            elif name == b"content-length":
                if framing.content_length is not None or not _CONTENT_LENGTH.fullmatch(value):
                    raise RemoteProtocolError("Content-Length is malformed or repeated.")
                framing.content_length = int(value)
            elif name == b"transfer-encoding":
                coding = value if coding is None else coding + b"," + value
            elif name == b"expect":
                _read_expect(framing, value, minor)
            else:
                framing.upgrade = (
                    value if framing.upgrade is None else framing.upgrade + b"," + value
                )
    _check_host(framing, host, target, minor)
    if coding is not None:
        _check_transfer_encoding(framing, coding, minor)
    if framing.upgrade is not None:
        _check_upgrade(framing, headers, minor)
    return framing


def _check_host(framing: Framing, host: bytes | None, target: bytes, minor: bytes) -> None:
    """RFC 9112 §3.2: exactly one valid Host on HTTP/1.1; an absolute target overrides it."""
    if host is None:
        if minor == b"1":
            raise RemoteProtocolError("The Host field is missing.")
    elif host not in _known_hosts:
        if not _HOST.fullmatch(host):
            raise RemoteProtocolError("The Host field is invalid.")
        if len(_known_hosts) >= 1024:
            _known_hosts.clear()
        _known_hosts.add(host)
    if target[0] != 0x2F and (match := _ABSOLUTE.fullmatch(target)):
        host = match[1]
    framing.authority = host or b""


def _check_transfer_encoding(framing: Framing, value: bytes, minor: bytes) -> None:
    """RFC 9112 §6.1 and §6.3: chunked and nothing else, never beside a Content-Length."""
    if minor == b"0":
        raise RemoteProtocolError("HTTP/1.0 has no Transfer-Encoding.")
    if framing.content_length is not None:
        raise RemoteProtocolError("Content-Length and Transfer-Encoding exclude each other.")
    codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
    if codings == [b"chunked"]:
        framing.chunked = True
    elif codings[-1] == b"chunked" and codings.count(b"chunked") == 1 and all(codings):
        raise UnsupportedTransferCoding("Only the chunked transfer coding is supported.")
    else:
        raise RemoteProtocolError("Transfer-Encoding is malformed or does not end in chunked.")


def _read_connection(framing: Framing, value: bytes) -> None:
    """RFC 9112 §9.3: `close` wins over everything; HTTP/1.0 is closed in any case."""
    options = value.lower()
    if options == b"keep-alive":
        framing.said_keep_alive = True
        return
    tokens = {token.strip(b" \t") for token in options.split(b",")}
    if b"close" in tokens:
        framing.keep_alive = False
    elif b"keep-alive" in tokens:
        framing.said_keep_alive = True


def _read_expect(framing: Framing, value: bytes, minor: bytes) -> None:
    """RFC 9110 §10.1.1: 100-continue is the only expectation; HTTP/1.0 has none."""
    if minor == b"0":
        return
    if value.lower() != b"100-continue":
        raise ExpectationFailed("The only expectation this server meets is 100-continue.")
    framing.expect_continue = True


def _check_upgrade(framing: Framing, headers: RawHeaders, minor: bytes) -> None:
    """RFC 9110 §7.8: an offer counts on HTTP/1.1, named in Connection, and without a body."""
    named = any(
        token.strip(b" \t").lower() == b"upgrade"
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    )
    if not named or minor == b"0" or framing.chunked or framing.content_length:
        framing.upgrade = None
