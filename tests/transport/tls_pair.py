"""TLS without sockets: a client's session and a server's transport, joined in memory."""

import asyncio
import ssl
from contextlib import suppress
from typing import Any

from httpkit.transport.tls import TLSSession, TLSTransport
from tests.server.certificates import Authority

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def make_contexts(authority: Authority) -> Contexts:
    """Of a server for `a.example`, and of its clients."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.sslobject_class = TLSSession
    server.load_cert_chain(*authority.save(authority.server("a.example"), "server"))
    return server, authority.client_context()


class Raw(asyncio.Transport):
    """The transport below: keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 7)})
        self.written = b""
        self.events: list[str] = []
        self.waiting = 0

    def write(self, data: Any) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def close(self) -> None:
        self.events.append("closed")

    def abort(self) -> None:
        self.events.append("aborted")

    def is_closing(self) -> bool:
        return bool(self.events)

    def get_write_buffer_size(self) -> int:
        return self.waiting


class TLSPair:
    """A client's session, and the server's transport behind its handshake.

    Args:
        contexts: of both sides.
        above: the server's connection.
    """

    def __init__(self, contexts: Contexts, above: asyncio.Protocol) -> None:
        server, client = contexts
        self.to_client, self.from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self.to_client, self.from_client, server_hostname="a.example")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = server.wrap_bio(incoming, outgoing, server_side=True)
        assert isinstance(session, TLSSession)
        for side in (self.client, session, self.client, session):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            incoming.write(self.from_client.read())
            self.to_client.write(outgoing.read())
        self.raw = Raw()
        self.transport = TLSTransport(self.raw, session, incoming, outgoing, above)
        self.transport.begin()

    def records(self, data: bytes) -> bytes:
        """What a client that writes this sends."""
        self.client.write(data)
        return self.from_client.read()

    def received_by_client(self) -> bytes:
        """What a client gets of what has been written; ends with `END` after a close_notify."""
        self.to_client.write(self.raw.written)
        self.raw.written = b""
        found = b""
        try:
            while piece := self.client.read(65_536):
                found += piece
        except ssl.SSLWantReadError:
            return found
        return found + b"END"
