"""The head guard: what a request head must pass before and after its parser, for both engines.

h11 alone accepts a bare LF, obs-fold, Content-Length with Transfer-Encoding and repeated
Content-Length; httptools alone accepts two spaces, HTTP/0.9, no Host or two, and Transfer-Encoding
on HTTP/1.0. Each of these is a way to make two servers see different requests in the same bytes
(request smuggling), so everything but the one spelling of RFC 9112 is refused here, once.

`check_request_line` and `check_lines` look at raw bytes, `check_fields` at the parsed fields.
All raise a subclass of `RemoteProtocolError` whose message is safe to show to the peer. Which one
depends on the bytes alone, never on how the network cut them: the fault that the shortest
beginning of the head shows is the one that is answered.
"""

import re

import msgspec

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
from httpkit.protocol.incoming import CONTENT_LENGTH, ORIGIN_METHODS, is_authority

__all__ = [
    "FIELD_LINE",
    "FRAMING_FIELDS",
    "Framing",
    "check_fields",
    "check_lines",
    "check_partial_head",
    "check_request_line",
    "check_section_end",
    "check_size",
    "classify_fields",
    "split_fields",
]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
# RFC 9112 §3: single spaces; visible ASCII in the target.
_REQUEST_LINE = re.compile(rb"(%b++) ([\x21-\x7e]++) HTTP/1\.([01])\r\n" % _TOKEN)
_ANY_VERSION = re.compile(rb"(%b++) ([\x21-\x7e]++) HTTP/([0-9]\.[0-9])\r\n" % _TOKEN)
_METHOD = re.compile(rb"%b++(?= |\Z)" % _TOKEN)
_NAME = re.compile(rb"%b++" % _TOKEN)
#: One whole field line (RFC 9112 §5): no space around the name, no fold, no control characters.
FIELD_LINE = rb"%b++:[\t\x20-\x7e\x80-\xff]*+\r\n" % _TOKEN
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]++)(?:[/?][^#]*+)?")
# Every byte that may stand in a line; what `translate` leaves are control characters.
_LINE_BYTES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
# The shortest line end that is not CRLF; a CR at the very end may still get its LF.
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")

#: Fields that decide how a message is framed or routed; all others just pass.
FRAMING_FIELDS = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)
#: Room in a head for method, version, spaces and line ends.
_LINE_OVERHEAD = 64


class Framing(msgspec.Struct, eq=False, gc=False):
    """What the fields of a head say about the message and the connection.

    Attributes:
        keep_alive: the connection may go on after this exchange.
        said_keep_alive: the client sent `Connection: keep-alive` and may want to hear the terms.
        content_length: announced length or `None`.
        chunked: the body has the chunked coding.
        authority: host and port, from the target where that has one (RFC 9112 §3.2.2).
        expect_continue: the client waits for 100 (Continue).
        upgrade: protocols offered, or `None`.
    """

    keep_alive: bool
    said_keep_alive: bool = False
    content_length: int | None = None
    chunked: bool = False
    authority: bytes = b""
    expect_continue: bool = False
    upgrade: bytes | None = None


def check_request_line(head: bytes, limits: Limits) -> tuple[str, bytes, bytes]:
    """Method, target and minor version (`b"0"` or `b"1"`) of a head (RFC 9112 §3)."""
    match = _REQUEST_LINE.match(head)
    if match is None:
        raise _classify_request_line(head, limits)
    raw_method, target, minor = match.groups()
    method = ORIGIN_METHODS.get(raw_method)
    if method is None or len(target) > limits.max_target:
        raise _classify_request_line(head, limits)
    if target[0] != 0x2F or b"#" in target:
        _check_other_form(method, target)
    return method, target, minor


def _check_other_form(method: str, target: bytes) -> None:
    """Targets other than a plain origin-form (RFC 9112 §3.2)."""
    if target == b"*":
        if method != "OPTIONS":
            raise RemoteProtocolError("The target * belongs to OPTIONS alone.")
    else:
        match = _ABSOLUTE.fullmatch(target)
        if match is None or not is_authority(match[1]):
            raise RemoteProtocolError("The request target is neither a path nor an absolute URL.")


def _classify_request_line(head: bytes, limits: Limits) -> RemoteProtocolError:
    """Why a request line was refused; slow, and only ever asked after a refusal."""
    beginning = head[: limits.max_target + _LINE_OVERHEAD + 1]
    if b"\n" not in beginning:
        return _classify_long_line(beginning)
    match = _ANY_VERSION.match(head)
    if match is None:
        return RemoteProtocolError("The request line is malformed.")
    raw_method, target, version = match.groups()
    if len(target) > limits.max_target:
        return TargetTooLong("The request target is too long.")
    if version not in (b"1.0", b"1.1"):
        return UnsupportedVersion("This port speaks HTTP/1.1.")
    if raw_method == b"CONNECT":
        return ConnectRefused("This server is not a proxy and opens no tunnels.")
    return MethodNotImplemented("The method is not known to this server.")


def _classify_long_line(beginning: bytes) -> RemoteProtocolError:
    """RFC 9112 §3: 501 for a method longer than any known one, 414 for such a target."""
    method = _METHOD.match(beginning)
    if method is None or _BARE.search(beginning):
        return RemoteProtocolError("The request line is malformed.")
    if method.end() == len(beginning):
        return MethodNotImplemented("The method is not known to this server.")
    return TargetTooLong("The request target is too long.")


def check_size(head: bytes, target: bytes, limits: Limits) -> None:
    """The header section fits; asked before it is parsed."""
    if len(head) - len(target) > limits.max_header_bytes + _LINE_OVERHEAD:
        check_section_end(head, 0, _longest_head(limits))
        raise HeadersTooLarge("The section of fields is too large.")


def _longest_head(limits: Limits) -> int:
    return limits.max_target + limits.max_header_bytes + _LINE_OVERHEAD


def check_section_end(data: bytes, start: int, limit: int) -> None:
    """Refuse the first bad line end from `start` on, or else more than `limit` bytes.

    A bad line end within the limit comes first whether the bytes came one by one or at once.
    """
    too_long = len(data) > limit
    if _BARE.search(data[: limit + 1] if too_long else data, start):
        raise RemoteProtocolError("A line ends with a bare CR or LF.")
    if too_long:
        raise HeadersTooLarge("The section of fields is too large.")


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
    start = max(0, start - 1)
    if not line_checked:
        if not _NAME.match(data, 0, 1):
            # RFC 8446 §5.1: a handshake record. https:// with a plain port is an easy mistake.
            if data.startswith(b"\x16"):
                raise RemoteProtocolError("This is TLS, and the port speaks plain HTTP.")
            raise RemoteProtocolError("This is not an HTTP request.")
        line_checked = data.find(b"\r\n", start) >= 0
        if line_checked or len(data) > limits.max_target + _LINE_OVERHEAD:
            check_request_line(data, limits)
    check_section_end(data, start, _longest_head(limits))
    return line_checked


def check_fields(headers: RawHeaders, target: bytes, minor: bytes, limits: Limits) -> Framing:
    """Check the parsed fields and read what frames the message (RFC 9112 §3.2, §6, §9.3).

    Args:
        headers: lower case names and trimmed values, as they were sent.
        target: of the request.
        minor: version, `b"0"` or `b"1"`.
        limits: of the server.
    """
    if len(headers) > limits.max_headers:
        raise HeadersTooLarge("The header section has too many fields.")
    framing = Framing(keep_alive=minor == b"1")
    host: bytes | None = None
    has_rare = False
    for name, value in headers:
        if name in FRAMING_FIELDS:
            if name == b"host":
                if host is not None:
                    raise RemoteProtocolError("There is more than one Host field.")
                host = value
            elif name == b"connection":
                _read_connection(framing, value)
            elif name == b"content-length":
                if framing.content_length is not None or not CONTENT_LENGTH.fullmatch(value):
                    raise RemoteProtocolError("Content-Length is malformed or repeated.")
                framing.content_length = int(value)
            else:
                has_rare = True
    _check_host(framing, host, target, minor)
    if has_rare:
        _read_rare_fields(framing, headers, minor)
    return framing


def classify_fields(
    head: bytes, target: bytes, minor: bytes, limits: Limits
) -> RemoteProtocolError:
    """Why a parser refused the fields of a head; slow, and only ever asked after a refusal.

    The parsers refuse different faults by themselves, and one head can have several.
    """
    fields = split_fields(head)
    if all(_NAME.fullmatch(name) for name, _ in fields):
        try:
            check_fields(fields, target, minor, limits)
        except RemoteProtocolError as error:
            return error
    return RemoteProtocolError("A header field is malformed.")


def split_fields(head: bytes) -> RawHeaders:
    """The field lines of a complete head cut at their colons, nothing checked."""
    fields: RawHeaders = []
    for line in head.split(b"\r\n")[1:-2]:
        name, _, value = line.partition(b":")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def _check_host(framing: Framing, host: bytes | None, target: bytes, minor: bytes) -> None:
    """RFC 9112 §3.2: exactly one valid Host on HTTP/1.1; an absolute target overrides it."""
    if host is None:
        if minor == b"1":
            raise RemoteProtocolError("The Host field is missing.")
    elif not is_authority(host):
        raise RemoteProtocolError("The Host field is invalid.")
    if target[0] != 0x2F and (match := _ABSOLUTE.fullmatch(target)):
        host = match[1]
    framing.authority = host or b""


def _read_rare_fields(framing: Framing, headers: RawHeaders, minor: bytes) -> None:
    """Fields that plain requests do not have; what frames the message is judged first."""
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        _check_transfer_encoding(framing, b",".join(codings), minor)
    for name, value in headers:
        if name == b"expect":
            _read_expect(framing, value, minor)
    offers = [value for name, value in headers if name == b"upgrade"]
    if offers:
        _read_upgrade(framing, b",".join(offers), headers, minor)


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


def _read_upgrade(framing: Framing, offers: bytes, headers: RawHeaders, minor: bytes) -> None:
    """RFC 9110 §7.8: an offer counts on HTTP/1.1, named in Connection, and without a body."""
    if minor == b"0" or framing.chunked or framing.content_length:
        return
    named = any(
        token.strip(b" \t").lower() == b"upgrade"
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    )
    if named and offers.strip(b" \t,"):
        framing.upgrade = offers
