"""What tests of TLS share: a client over TLS, and options of a server that speaks it."""

import ssl
from typing import Any

from httpkit.types import Address

from .certificates import Authority, Identity
from .live import LiveServer
from .wire import Client

HOST = "example.com"


def options(authority: Authority, *identities: Identity, **more: Any) -> dict[str, Any]:
    """`tls_cert` and `tls_key` for these certificates; for `HOST` without any."""
    pairs = [
        authority.save(each, f"server {number}")
        for number, each in enumerate(identities or (authority.server(HOST),))
    ]
    return {
        "tls_cert": tuple(chain for chain, _ in pairs),
        "tls_key": tuple(key for _, key in pairs),
        **more,
    }


def start_tls(client: Client, context: ssl.SSLContext, name: str | None = HOST, **more: Any) -> Any:
    """Make a plain connection one of TLS; the session's socket."""
    context.check_hostname = name is not None
    client.socket = context.wrap_socket(client.socket, server_hostname=name, **more)
    return client.socket


def connect(
    server: LiveServer,
    context: ssl.SSLContext,
    name: str | None = HOST,
    *,
    address: Address | None = None,
    **more: Any,
) -> Client:
    """A client whose handshake is through."""
    client = server.connect() if address is None else server.connect_to(address)
    start_tls(client, context, name, **more)
    return client
