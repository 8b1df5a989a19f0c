"""The field section of a request: checked and read, the same for every library.

What RFC 9113 §8.1.1 calls malformed raises `RemoteProtocolError` itself, and resets the stream.
Its subclasses have a status of their own: the request is understood, and answered with that.
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
    UnsupportedProtocol,
)
from httpkit.headers import RawHeaders
from httpkit.limits import Limits
from httpkit.protocol.http2.session import Fields
from httpkit.protocol.incoming import CONTENT_LENGTH, ORIGIN_METHODS, is_authority
from httpkit.request import RequestHead
from httpkit.urls import origin_of

__all__ = ["ReceivedHead", "check_trailers", "read_request"]

# RFC 9113 §8.2.1: lower case only.
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]++")
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++")
_PATH = re.compile(rb"/[\x21\x22\x24-\x7e]*+")
# Octets that a value may have; the line feed is what values are joined with to look at them all.
_VALUE_OCTETS = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])

_REQUEST_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
#: Fields about one connection (RFC 9113 §8.2.2).
_FORBIDDEN = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
#: Fields that are looked at; all others just pass.
_SPECIAL = _FORBIDDEN | {b"host", b"content-length", b"te", b"expect", b"cookie"}
#: Fields that would make another message of this one, if anybody believed them.
_SMUGGLED = frozenset({b"content-length", b"host"})

# Names that passed the grammar lately, as in `incoming`.
_known_names: set[bytes] = set()
_MAX_KNOWN = 1024
_MAX_KNOWN_SIZE = 64


class ReceivedHead(msgspec.Struct, eq=False, gc=False):
    """What a field section says.

    Attributes:
        head: for the request.
        content_length: announced length or `None`.
        expect_continue: the client waits for 100 (Continue).
        upgrade: the `:protocol` of an extended CONNECT (RFC 8441), or `None`.
    """

    head: RequestHead
    content_length: int | None = None
    expect_continue: bool = False
    upgrade: bytes | None = None


def read_request(fields: Fields, limits: Limits) -> ReceivedHead:
    """Check and read the field section of a request (RFC 9113 §8.2, §8.3).

    Raises:
        RemoteProtocolError: the request is malformed, or one that is refused with a status.
    """
    pseudo, headers, special = _sort_fields(fields)
    _check_values(fields)
    received = ReceivedHead(_NO_HEAD)
    host = _read_special(received, special, headers) if special else None
    authority = pseudo.get(b":authority")
    if authority is None:
        authority = host
    elif (
        host is not None
        and host != authority
        and not _is_same(host, authority, pseudo.get(b":scheme", b""))
    ):
        raise RemoteProtocolError("Host and :authority differ.")
    if authority is None or not is_authority(authority):
        raise RemoteProtocolError("The authority is missing or invalid.")
    raw_method = pseudo.get(b":method", b"")
    path = _check_pseudo(raw_method, pseudo)
    # It is well-formed; whether it is served is another question.
    _check_limits(headers, path, limits)
    method = ORIGIN_METHODS.get(raw_method) or _read_connect(received, raw_method, pseudo)
    if special:
        _read_expectation(received, special)
    if host is None:
        headers.insert(0, (b"host", authority))
    protocol = None if received.upgrade is None else received.upgrade.decode("ascii")
    received.head = RequestHead(method, path, authority, tuple(headers), "", "2", protocol)
    return received


_NO_HEAD = RequestHead("", b"")


def _is_same(host: bytes, authority: bytes, scheme: bytes) -> bool:
    """Whether they name the same host, in other letters or with the port that is the default.

    RFC 9113 §8.3.1: normalized before they are compared (RFC 3986 §6.2.2.1, §6.2.3).
    """
    one, other = (
        origin_of(scheme.decode("latin-1"), each.decode("latin-1")) for each in (host, authority)
    )
    return one == other and is_authority(host)


def _sort_fields(fields: Fields) -> tuple[dict[bytes, bytes], RawHeaders, RawHeaders]:
    """Pseudo-header fields, all others, and of them those that mean something here."""
    pseudo: dict[bytes, bytes] = {}
    headers: RawHeaders = []
    special: RawHeaders = []
    for field in fields:
        name, value = field
        if name in _REQUEST_PSEUDO:
            if headers or name in pseudo:
                raise RemoteProtocolError("A pseudo-header field is repeated or comes late.")
            pseudo[name] = value
            continue
        headers.append(field)
        if name in _SPECIAL:
            special.append(field)
        elif name not in _known_names:
            _check_name(name)
    return pseudo, headers, special


def _check_limits(headers: RawHeaders, path: bytes, limits: Limits) -> None:
    size = sum([len(name) + len(value) + 32 for name, value in headers])  # §6.5.2
    if len(headers) > limits.max_headers or size > limits.max_header_bytes:
        raise HeadersTooLarge("The section of fields is too large.")
    if len(path) > limits.max_target:
        raise TargetTooLong("The request target is too long.")


def _check_name(name: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise RemoteProtocolError("The name of a field is malformed.")
    if len(name) <= _MAX_KNOWN_SIZE:
        if len(_known_names) >= _MAX_KNOWN:
            _known_names.clear()
        _known_names.add(name)


def _check_values(fields: Fields) -> None:
    """No control characters, no blanks at the ends (RFC 9113 §8.2.1); looked at in one go."""
    values = b"\n".join([value for _, value in fields])
    if len(values.translate(None, _VALUE_OCTETS)) != max(0, len(fields) - 1):
        raise RemoteProtocolError("The value of a field has a control character.")
    if b" " in values or b"\t" in values:
        values = b"\n%b\n" % values
        if b" \n" in values or b"\n " in values or b"\t\n" in values or b"\n\t" in values:
            raise RemoteProtocolError("The value of a field begins or ends with a blank.")


def _read_special(received: ReceivedHead, special: RawHeaders, headers: RawHeaders) -> bytes | None:
    """The fields that mean something here; the result is Host."""
    host: bytes | None = None
    crumbs: list[bytes] = []
    for name, value in special:
        if name == b"cookie":
            crumbs.append(value)
        elif name == b"host":
            if host is not None:
                raise RemoteProtocolError("There is more than one Host field.")
            host = value
        elif name == b"content-length":
            if received.content_length is not None or not CONTENT_LENGTH.fullmatch(value):
                raise RemoteProtocolError("Content-Length is malformed or repeated.")
            received.content_length = int(value)
        elif name != b"expect" and (name != b"te" or value.lower() != b"trailers"):
            raise RemoteProtocolError("A field about the connection has no place in HTTP/2.")
    if len(crumbs) > 1:  # RFC 9113 §8.2.3
        headers[:] = [field for field in headers if field[0] != b"cookie"]
        headers.append((b"cookie", b"; ".join(crumbs)))
    return host


def _read_expectation(received: ReceivedHead, special: RawHeaders) -> None:
    """RFC 9110 §10.1.1."""
    for name, value in special:
        if name == b"expect":
            if value.lower() != b"100-continue":
                raise ExpectationFailed("The only expectation this server meets is 100-continue.")
            received.expect_continue = True


def _check_pseudo(method: bytes, pseudo: dict[bytes, bytes]) -> bytes:
    """Method, scheme and path; the result is the path (RFC 9113 §8.3.1, §8.5, RFC 8441 §4)."""
    if not _METHOD.fullmatch(method) or (b":protocol" in pseudo and method != b"CONNECT"):
        raise RemoteProtocolError("The method is missing or malformed.")
    if method == b"CONNECT" and b":protocol" not in pseudo:
        if b":path" in pseudo or b":scheme" in pseudo or b":authority" not in pseudo:
            raise RemoteProtocolError("CONNECT has an authority, and no path or scheme.")
        return b""
    if b":protocol" in pseudo and (
        b":authority" not in pseudo or not _METHOD.fullmatch(pseudo[b":protocol"])
    ):
        raise RemoteProtocolError("An extended CONNECT has an authority, its protocol is a token.")
    if pseudo.get(b":scheme") not in (b"http", b"https"):
        raise RemoteProtocolError("The scheme is missing, or neither http nor https.")
    path = pseudo.get(b":path", b"")
    if not _PATH.fullmatch(path) and (path != b"*" or method != b"OPTIONS"):
        raise RemoteProtocolError("The path is missing or malformed.")
    return path


def _read_connect(received: ReceivedHead, method: bytes, pseudo: dict[bytes, bytes]) -> str:
    """An extended CONNECT is a GET that offers an upgrade, as in HTTP/1.1; others are refused."""
    if method != b"CONNECT":
        raise MethodNotImplemented("The method is not known to this server.")
    protocol = pseudo.get(b":protocol")
    if protocol is None:
        raise ConnectRefused("This server is not a proxy and opens no tunnels.")
    if protocol.lower() != b"websocket":
        raise UnsupportedProtocol("This server speaks no such protocol.")
    if received.content_length is not None:
        # A library may hold the bytes of the tunnel against it.
        raise RemoteProtocolError("An extended CONNECT has no content.")
    received.upgrade = b"websocket"
    return "GET"


def check_trailers(fields: Fields) -> None:
    """Trailers are fields without pseudo-header fields (RFC 9113 §8.1).

    Raises:
        RemoteProtocolError: they are malformed.
    """
    for name, value in fields:
        if name in _FORBIDDEN or (name == b"te" and value.lower() != b"trailers"):
            raise RemoteProtocolError("A field about the connection has no place in HTTP/2.")
        if name in _SMUGGLED:
            # RFC 9110 §6.5.1; as in HTTP/1.1. nghttp2 would hold them against the head.
            raise RemoteProtocolError("Trailers neither frame nor route a request.")
        if name not in _known_names:
            _check_name(name)
    _check_values(fields)
