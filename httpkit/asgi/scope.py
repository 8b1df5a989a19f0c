"""From a request to the `scope` of ASGI (HTTP, specification 2.5)."""

import base64
import textwrap
from typing import Any

from httpkit.request import Request
from httpkit.tls import TLSInfo
from httpkit.types import Address
from httpkit.urls import QUESTION_MARK, SLASH, split_target, unquote

__all__ = ["make_scope"]

#: What an application may send besides; `http.response.push` where the client could be told.
_EXTENSIONS: dict[str, dict[str, Any]] = {
    "http.response.trailers": {},
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
}
_WITH_PUSH = {**_EXTENSIONS, "http.response.push": {}}
_PERCENT = 0x25
#: What stands in front of the path `*`, which is no place below a root path.
_SERVER_ITSELF = ("", b"")
#: RFC 8446 §4.2.1, RFC 5246 §A.1.
_TLS_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def make_scope(
    request: Request,
    client: Address | None,
    server: Address | None,
    root: tuple[str, bytes],
    state: dict[str, Any],
) -> dict[str, Any]:
    """The scope of a request.

    Args:
        request: as the server got it.
        client: the peer.
        server: the local address.
        root: where the application is mounted, decoded and percent-encoded, without a last slash.
            The target does not have it; `path` and `raw_path` of the scope do.
        state: of the lifespan; the scope gets a shallow copy.
    """
    # Not through the properties of a request: this is the hot path.
    head = request._head  # noqa: SLF001 - a border may look behind the request
    path, query, before, headers = request.target, b"", root, head.headers
    if path[0] != SLASH or QUESTION_MARK in path:
        if path[0] != SLASH:
            headers = head.fields_by_target()
        path, query = split_target(path)
        if path == b"*":
            before = _SERVER_ITSELF
    plain = unquote(path) if _PERCENT in path else path
    version = head.version
    extensions = (_WITH_PUSH if version == "2" else _EXTENSIONS).copy()
    if request.scheme == "https" and (info := request.tls) is not None:
        extensions["tls"] = _describe_tls(info)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": version,
        "method": request.method,
        "scheme": request.scheme,
        "path": before[0] + plain.decode("utf-8", "replace"),
        "raw_path": before[1] + path,
        "query_string": query,
        "root_path": root[0],
        "headers": list(headers),
        # A peer on a Unix socket has no address that would mean anything.
        "client": None if client is None or client.is_unix else tuple(client),
        "server": None if server is None else (server[0], server[1] or None),
        "state": state.copy(),
        "extensions": extensions,
    }


def _describe_tls(info: TLSInfo) -> dict[str, Any]:
    """The extension `tls` (ASGI TLS 0.2); certificates as PEM."""
    chain = info.client_chain
    if chain is None:
        chain = () if info.client_certificate is None else (info.client_certificate,)
    return {
        "server_cert": None,
        "client_cert_chain": [_to_pem(each) for each in chain],
        "client_cert_name": None if not chain else _subject(chain[0]),
        "client_cert_error": None,
        "tls_version": _TLS_VERSIONS.get(info.version),
        "cipher_suite": None,
    }


def _to_pem(der: bytes) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def _subject(der: bytes) -> str:
    """The name of a certificate's subject (RFC 4514)."""
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415 - few clients have one

    return load_der_x509_certificate(der).subject.rfc4514_string()
