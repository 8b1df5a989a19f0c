"""From an accepted socket to a TLS connection: the first byte, the handshake, ALPN.

Owns sockets of a TLS port until HTTP begins. Refuses what is no TLS with one clear answer, and a
handshake that fails with the alert that says why. Called by `server.tls_port`.

Theory of operation:

1. Nothing comes before TLS here; a PROXY header would, and be taken off `Handshake.data_received`
   before its first byte is looked at.
2. 0x16 is a handshake record (RFC 8446 §5.1). Anything else gets an answer in plain HTTP.
3. What was refused is read on for `linger_timeout`: closing with unread input would reset the
   connection and may destroy the alert, or the answer, before the peer has read it.
4. The deadline is absolute and begins with the connection. There is no timer: the reaper comes by.
5. At most `max_handshakes` are under way. One more closes the oldest: an honest one is through
   within a few round trips, so the oldest is the one most likely to be held open on purpose.
6. A client that brings a key of a large finite field, and none before it of a curve, is refused:
   OpenSSL would spend 20 ms on one of 8192 bits, which costs the client nothing (CVE-2002-20001).
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Protocol, cast

from httpkit.limits import Limits
from httpkit.transport.client_hello import ClientHello
from httpkit.transport.connection import Connection
from httpkit.transport.sockets import address_of
from httpkit.transport.tls import TLSSession, TLSTransport, explain
from httpkit.types import Address

__all__ = ["Handshake", "HandshakeOwner", "Handshakes"]

#: The type of a handshake record.
_HANDSHAKE_RECORD = 0x16
#: The random of a ServerHello that asks for another ClientHello (§4.1.3), and where it stands.
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_RANDOM = slice(11, 43)
#: A fatal alert, as OpenSSL sends it for other names that are none (RFC 6066 §3).
_UNRECOGNIZED_NAME = b"\x15\x03\x03\0\2\2\x70"
#: Another, as OpenSSL sends it where there is no group in common (RFC 8446 §4.1.1).
_HANDSHAKE_FAILURE = b"\x15\x03\x03\0\2\2\x28"


class HandshakeOwner(Protocol):
    """The TLS port of a server, as a handshake sees it."""

    limits: Limits
    clock: Callable[[], float]

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake."""
        ...

    def make_connection(self, protocol: str) -> Connection:
        """A connection for what ALPN has chosen; empty if it has chosen nothing."""
        ...

    def refuse_plaintext(self, peer: Address | None) -> bytes:
        """The answer, in plain HTTP, to a client that does not speak TLS."""
        ...

    def handshake_begun(self) -> None:
        """Count it."""
        ...

    def handshake_failed(self, peer: Address | None, reason: str) -> None:
        """Count it; the reason goes to the log."""
        ...

    def handshake_left(self) -> None:
        """A socket has become a connection, or is closed."""
        ...


class _Phase(Enum):
    FIRST_BYTE = auto()
    HANDSHAKE = auto()
    #: Refused; what still comes is thrown away.
    LINGER = auto()
    #: A connection by now, or closed.
    OVER = auto()


class Handshakes:
    """Those under way on one port; makes one for each socket.

    Args:
        owner: the port.
    """

    def __init__(self, owner: HandshakeOwner) -> None:
        self.owner = owner
        # In the order in which they began.
        self._running: dict[Handshake, None] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator["Handshake"]:
        return iter(list(self._running))

    def make(self) -> "Handshake":
        """For a socket that is accepted."""
        return Handshake(self)

    def add(self, handshake: "Handshake") -> None:
        """One more is under way; it may be one too many."""
        if len(self._running) >= self.owner.limits.max_handshakes:
            next(iter(self._running)).give_up("more than max_handshakes are under way")
        self._running[handshake] = None

    def remove(self, handshake: "Handshake") -> None:
        """This one is through, or closed."""
        if self._running.pop(handshake, handshake) is None:
            self.owner.handshake_left()

    def abort(self) -> None:
        """Close all of them at once."""
        for handshake in self:
            handshake.give_up("the server stops")


class Handshake(asyncio.Protocol):
    """One socket on its way to a connection.

    Args:
        registry: where it is listed.
    """

    _raw: asyncio.Transport
    _session: TLSSession
    #: While it is not complete.
    _hello: ClientHello | None = None

    def __init__(self, registry: Handshakes) -> None:
        self._registry = registry
        self._owner = registry.owner
        self._phase = _Phase.FIRST_BYTE
        self._since = 0.0
        self._peer: Address | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    # --- called by the transport -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._raw = cast("asyncio.Transport", transport)
        self._peer = address_of(transport.get_extra_info("peername"))
        self._since = self._owner.clock()
        self._registry.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer."""
        if self._phase is _Phase.FIRST_BYTE:
            if data[0] != _HANDSHAKE_RECORD:
                self._linger(self._owner.refuse_plaintext(self._peer))
                return
            self._phase = _Phase.HANDSHAKE
            self._owner.handshake_begun()
            session = self._owner.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            self._session = cast("TLSSession", session)
            self._hello = ClientHello()
        if self._phase is _Phase.HANDSHAKE and self._hello is not None:
            self._read_hello(self._hello, data)
        # Again, since the ClientHello may have been refused.
        if self._phase is _Phase.HANDSHAKE:
            self._incoming.write(data)
            self._go_on()

    def eof_received(self) -> bool:
        """The peer sends no more: nothing can come of this."""
        self.give_up("the peer has closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whichever side."""
        self._fail("the peer has reset the connection" if exc else "the connection was closed")
        self._phase = _Phase.OVER
        self._registry.remove(self)

    # --- called by the port ------------------------------------------------------------------

    def check_deadlines(self, now: float) -> None:
        """The reaper passes by, at `now` seconds on the server's clock."""
        limits = self._owner.limits
        if self._phase is _Phase.LINGER:
            if now - self._since > limits.linger_timeout:
                self.give_up("")
        elif now - self._since > limits.handshake_timeout:
            self.give_up(f"it was not through after {limits.handshake_timeout:g} s")

    def abort(self) -> None:
        """Close at once."""
        self.give_up("")

    def give_up(self, reason: str) -> None:
        """Close at once; the reason is told if a handshake had begun."""
        self._fail(reason)
        self._phase = _Phase.OVER
        self._raw.abort()
        self._registry.remove(self)

    # --- inside ------------------------------------------------------------------------------

    def _read_hello(self, hello: ClientHello, data: bytes) -> None:
        offer = hello.receive_data(data)
        if offer is not None:
            self._session.offer = offer
            self._hello = None
            if not hello.name.isascii():
                self._refuse(
                    "SNI names a host in bytes that are no ASCII (RFC 6066 §3)", _UNRECOGNIZED_NAME
                )
            elif hello.has_costly_key:
                self._refuse("its key is of a large finite field", _HANDSHAKE_FAILURE)

    def _refuse(self, reason: str, alert: bytes) -> None:
        """End the handshake without OpenSSL, which would go on."""
        self._fail(reason)
        self._linger(alert)

    def _go_on(self) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            if self._outgoing.pending:
                answer = self._outgoing.read()
                if answer[_RANDOM] == _RETRY:
                    self._hello = ClientHello()  # of the next one
                self._raw.write(answer)
        except ssl.SSLError as error:
            self._fail(self._session.refusal or explain(error))
            self._linger(self._outgoing.read())
        else:
            self._finish()

    def _finish(self) -> None:
        """The handshake is through: HTTP begins."""
        self._phase = _Phase.OVER
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())
        connection = self._owner.make_connection(self._session.selected_alpn_protocol() or "")
        transport = TLSTransport(
            self._raw, self._session, self._incoming, self._outgoing, connection
        )
        self._raw.set_protocol(transport)
        self._registry.remove(self)
        transport.begin()

    def _fail(self, reason: str) -> None:
        if self._phase is _Phase.HANDSHAKE:
            self._owner.handshake_failed(self._peer, reason)

    def _linger(self, last_words: bytes) -> None:
        self._phase = _Phase.LINGER
        self._since = self._owner.clock()
        self._raw.write(last_words)
        try:
            self._raw.write_eof()
        except OSError:  # the peer has reset it, which the loop will notice in a moment
            self._raw.abort()
