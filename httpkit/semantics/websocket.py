"""The opening handshake of WebSocket (RFC 6455 §4.2, RFC 8441 §5, RFC 7692 §7): pure functions.

Owns the answer to three questions: does a request ask for a WebSocket correctly, may its origin,
and what of its offers is taken. Refuses with `HTTPError`. Called by WebSocket routes.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Collection, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from httpkit.errors import HTTPError
from httpkit.headers import Headers
from httpkit.semantics.parameters import TOKEN, split_list

__all__ = [
    "DeflateAgreement",
    "DeflateOptions",
    "accept_key",
    "check_handshake",
    "check_origin",
    "choose_subprotocol",
    "is_token",
    "negotiate_deflate",
    "read_subprotocols",
]

#: RFC 6455 §1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: 16 bytes in base64: 22 characters, the last of which carries four bits.
_KEY = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
_TOKEN = re.compile(TOKEN)
#: RFC 6455 §9.1: a value in quotes has to be a token without them.
_PARAMETER = re.compile(
    rf'[ \t]*+;[ \t]*+({TOKEN})(?:[ \t]*+=[ \t]*+(?:({TOKEN})|"({TOKEN})"))?+[ \t]*+'
)
_WINDOW_BITS = re.compile(r"[89]|1[0-5]")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class DeflateOptions(NamedTuple):
    """What a route wants of permessage-deflate (RFC 7692 §7.1); the client's offer may take away.

    With a context, a message is compressed with what came before it in mind. Many small messages
    that are alike shrink a lot more, and each idle WebSocket holds memory of zlib's: for sending
    2^(bits + 2) + 16 384 bytes (32 KiB with 12 bits, 144 KiB with 15), for receiving 2^bits and
    some 7 KiB.

    Attributes:
        server_context_takeover: what the server sends has a context.
        client_context_takeover: what the client sends has one.
        server_max_window_bits: of what the server sends, 9 to 15: 2^bits bytes. 4 KiB by default:
            what is worth finding again in a message of a few KiB.
        client_max_window_bits: of what the client sends, where it can be told so, 9 to 15.
    """

    server_context_takeover: bool = False
    client_context_takeover: bool = False
    server_max_window_bits: int = 12
    client_max_window_bits: int = 15


class DeflateAgreement(NamedTuple):
    """permessage-deflate as both sides will speak it (RFC 7692).

    Attributes:
        window_bits: of what the server sends, 9 to 15.
        answer: for `Sec-WebSocket-Extensions`.
        server_context_takeover: what the server sends has a context.
        client_context_takeover: what the client sends may have one.
        client_window_bits: of what the client sends, 8 to 15.
    """

    window_bits: int
    answer: str
    server_context_takeover: bool = False
    client_context_takeover: bool = False
    client_window_bits: int = 15


def check_handshake(
    method: str, version: str, headers: Headers, protocol: str | None
) -> str | None:
    """Check that a request asks for a WebSocket; its key.

    Args:
        method: of the request; GET for an extended CONNECT, too.
        version: of HTTP.
        headers: of the request.
        protocol: of an extended CONNECT (RFC 8441), which needs no key; `None` on HTTP/1.1.

    Returns:
        The key that is to be answered, `None` for an extended CONNECT.

    Raises:
        HTTPError: 400 for a malformed handshake, 426 for none at all (RFC 9110 §15.5.22) and for
            another version of the protocol (RFC 6455 §4.4).
    """
    if protocol is None:
        if version != "1.1":
            raise HTTPError(400, "A WebSocket is opened on HTTP/1.1, or by extended CONNECT.")
        if "websocket" not in _tokens(headers, "upgrade"):
            # To HEAD as to GET (RFC 9110 §9.3.2).
            raise HTTPError(426, "This is a WebSocket.", {"upgrade": "websocket"})
        if method != "GET":
            raise HTTPError(400, "A WebSocket is opened with GET.")
        if "upgrade" not in _tokens(headers, "connection"):
            raise HTTPError(400, "Connection does not say upgrade.")
        # Some clients say of every request how long its content is (RFC 9110 §8.6).
        if "transfer-encoding" in headers or headers.getlist("content-length") not in ([], ["0"]):
            raise HTTPError(400, "A WebSocket is opened without content.")
    versions = headers.getlist("sec-websocket-version")
    if versions != ["13"]:
        raise HTTPError(
            426,
            "Only version 13 of the WebSocket protocol is spoken.",
            {"sec-websocket-version": "13"}
            | ({"upgrade": "websocket"} if protocol is None else {}),
        )
    if protocol is not None:
        return None
    keys = headers.getlist("sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise HTTPError(400, "Sec-WebSocket-Key is not one key of 16 bytes in base64.")
    return keys[0]


def accept_key(key: str) -> str:
    """The value of `Sec-WebSocket-Accept` (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return b64encode(digest).decode("ascii")


def check_origin(headers: Headers, authority: str, allowed: Collection[str]) -> None:
    """Check that a browser's page may open a WebSocket here (RFC 6455 §10.2).

    The same-origin policy of browsers does not cover WebSockets, and their cookies are sent along:
    a page of anybody's could speak in its visitor's name.

    Args:
        headers: of the request; without `Origin` it is no browser's.
        authority: host and port as the client named them: pages from there may.
        allowed: origins such as `https://example.com` that may, too; `*` for all of them.

    Raises:
        HTTPError: 403.
    """
    origins = headers.getlist("origin")
    if not origins or "*" in allowed:
        return
    if len(origins) == 1:
        origin = origins[0].lower()
        host = _authority(origin)
        if origin in allowed or (host and host == _authority(f"//{authority}", origin)):
            return
    raise HTTPError(403, "This origin may not open a WebSocket here.")


def _authority(url: str, origin: str = "") -> tuple[str, int] | None:
    """Host and port of a URL; the port of the origin's scheme by default. `None` if malformed."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme or urlsplit(origin).scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None


def read_subprotocols(headers: Headers) -> tuple[str, ...]:
    """What `Sec-WebSocket-Protocol` offers, the client's favorite first.

    Raises:
        HTTPError: 400 for what is no token, or is offered twice (RFC 6455 §4.1).
    """
    offered = tuple(split_list(",".join(headers.getlist("sec-websocket-protocol"))))
    if len(set(offered)) < len(offered) or not all(map(is_token, offered)):
        raise HTTPError(400, "Sec-WebSocket-Protocol is not a list of different tokens.")
    return offered


def is_token(name: str) -> bool:
    """Whether a name can stand in `Sec-WebSocket-Protocol` (RFC 9110 §5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def choose_subprotocol(offered: Collection[str], spoken: Sequence[str]) -> str | None:
    """The first one that is spoken here and was offered."""
    return next((name for name in spoken if name in offered), None)


def negotiate_deflate(headers: Headers, options: DeflateOptions) -> DeflateAgreement | None:
    """Take the first acceptable offer of permessage-deflate (RFC 7692 §5, §7.1).

    An offer with a parameter that is unknown, repeated or invalid is declined, as is one that asks
    for a window of 256 bytes, which zlib cannot make.

    Args:
        headers: of the request.
        options: what the route wants; an offer may ask for less memory, never for more.
    """
    for offer in split_list(",".join(headers.getlist("sec-websocket-extensions"))):
        parameters = _read_parameters(offer)
        if parameters is not None and _acceptable(parameters):
            return _agree(parameters, options)
    return None


def _agree(offer: dict[str, str | None], options: DeflateOptions) -> DeflateAgreement:
    """The answer to an acceptable offer.

    That there is no context, and the window of the server, may stand in an answer whether or not
    they were offered (§7.1.1, §7.1.2.1); the window of the client only if it was (§7.1.2.2).
    """
    answer = ["permessage-deflate"]
    server_context = options.server_context_takeover and "server_no_context_takeover" not in offer
    client_context = options.client_context_takeover and "client_no_context_takeover" not in offer
    if not server_context:
        answer.append("server_no_context_takeover")
    if not client_context:
        answer.append("client_no_context_takeover")
    wanted = offer.get("server_max_window_bits")
    bits = options.server_max_window_bits
    if wanted:
        bits = min(int(wanted), bits)
        answer.append(f"server_max_window_bits={bits}")
    client_bits = 15
    if client_context and "client_max_window_bits" in offer:
        offered = int(offer["client_max_window_bits"] or 15)
        client_bits = min(offered, options.client_max_window_bits)
        if client_bits < 15:
            answer.append(f"client_max_window_bits={client_bits}")
    return DeflateAgreement(bits, "; ".join(answer), server_context, client_context, client_bits)


def _read_parameters(offer: str) -> dict[str, str | None] | None:
    """The parameters of an offer of permessage-deflate; `None` if it is none, or malformed."""
    name, semicolon, rest = offer.partition(";")
    if name.strip(" \t").lower() != "permessage-deflate":
        return None
    parameters: dict[str, str | None] = {}
    text = semicolon + rest
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            return None
        position = match.end()
        name = match[1].lower()
        if name in parameters:
            return None
        parameters[name] = match[2] or match[3]
    return parameters


def _acceptable(parameters: dict[str, str | None]) -> bool:
    for name, value in parameters.items():
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            valid = value is None
        elif name == "client_max_window_bits":
            valid = value is None or _WINDOW_BITS.fullmatch(value) is not None
        elif name == "server_max_window_bits":
            valid = value is not None and value != "8" and bool(_WINDOW_BITS.fullmatch(value))
        else:
            valid = False
        if not valid:
            return False
    return True


def _tokens(headers: Headers, name: str) -> list[str]:
    return [token.lower() for token in split_list(",".join(headers.getlist(name)))]
