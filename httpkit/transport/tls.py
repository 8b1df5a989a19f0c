"""TLS between a socket's transport and a connection, once the handshake is through.

Owns records: bytes of the socket become bytes of HTTP, and the other way round, by OpenSSL on two
buffers in memory. Refuses what is no valid record, and output that piles up for a peer which reads
nothing. Made by `transport.handshake`.

Theory of operation:

1. Whatever one read of the socket contains is decrypted at once and handed on as one piece; one
   write of the connection becomes one write to the socket.
2. Buffers are the socket's: limits, pauses and sizes are those of the transport below, so nothing
   is kept here.
3. There is no half-close (RFC 8446 §6.1 allows the server to answer a close_notify with its own at
   once): the end of a session in whatever form cancels what runs.
4. A close says close_notify and does not wait for the peer's. An abort says nothing, so that a
   truncated answer can be told from a whole one.
"""

import asyncio
import logging
import re
import ssl
from contextlib import suppress
from typing import Any, cast

from httpkit.tls import TLSInfo
from httpkit.transport.sockets import address_of

__all__ = ["TLSSession", "TLSTransport", "explain"]

logger = logging.getLogger("httpkit")

#: More than a record holds: OpenSSL decrypts one at a time.
_RECORD = 16_384
#: What Python adds to an error of OpenSSL: the library before it, a place in its source behind it.
_PLACE = re.compile(r"^\[\w+\] | \(_ssl\.c:\d+\)$")
#: Stands for the connection that is lost.
_NOBODY = asyncio.Protocol()


class TLSSession(ssl.SSLObject):
    """One session of OpenSSL; contexts make it by their `sslobject_class`.

    Attributes:
        asked_name: the host name of the ClientHello, lower case, without a dot at the end, once a
            context has noted it.
        offer: the protocols that the ClientHello names for ALPN.
        refusal: why the context has ended the handshake, if it was the one to do so.
    """

    asked_name: str | None = None
    offer: tuple[bytes, ...] = ()
    refusal: str | None = None


class TLSTransport(asyncio.Transport, asyncio.Protocol):
    """A transport to the connection above, a protocol to the socket's transport below.

    Args:
        raw: the socket's transport.
        session: through with its handshake.
        incoming: where the session reads records from.
        outgoing: where it writes them.
        protocol: the connection.
    """

    def __init__(
        self,
        raw: asyncio.Transport,
        session: TLSSession,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        protocol: asyncio.Protocol,
    ) -> None:
        super().__init__()
        self._raw = raw
        self._session = session
        self._incoming = incoming
        self._outgoing = outgoing
        self._protocol = protocol
        self._closing = False
        self._writing_paused = False

    def begin(self) -> None:
        """Tell the connection, and give it what came with the end of the handshake."""
        # Read now: a session that has failed tells nothing, while handlers go on asking.
        self._info = _describe(self._session)
        self._protocol.connection_made(self)
        self.data_received(b"")

    # --- asyncio.Protocol: called by the transport below -------------------------------------

    def data_received(self, data: bytes) -> None:
        """Records, or parts of them."""
        self._incoming.write(data)
        read, waiting = self._session.read, self._session.pending
        pieces: list[bytes] = []
        ended, failure = False, None
        try:
            while self._incoming.pending or waiting():
                piece = read(_RECORD)
                if not piece:
                    ended = True  # a close_notify
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            failure = error
        if self._outgoing.pending:
            self._answer()
        if self._closing:
            return
        # What came before the bad record is good, but nothing can be answered any more.
        self._closing = failure is not None
        if pieces:
            self._protocol.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if failure is not None:
            self._fail(failure)
        elif ended:
            self.eof_received()

    def _answer(self) -> None:
        """Write what the session says by itself: alerts, answers to a KeyUpdate."""
        self._raw.write(self._outgoing.read())
        if self._writing_paused:
            # RFC 8446 §4.6.3: each KeyUpdate may demand one in return. Who reads none of them
            # would let them pile up.
            logger.info("%s makes TLS answer and reads nothing, closed", self._peer)
            self.abort()

    def _fail(self, error: ssl.SSLError) -> None:
        """What came is no TLS any more; the alert is written."""
        logger.info("the TLS session with %s failed: %s", self._peer, explain(error))
        self._protocol.eof_received()
        # An answer in between can be neither finished nor told from a whole one.
        if self._raw.get_write_buffer_size():
            self._raw.abort()
        else:
            self._raw.close()

    def eof_received(self) -> bool:
        """The peer has ended the session, or its socket."""
        if not self._closing:
            self._protocol.eof_received()
            self.close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._closing = True
        # It knows this transport: they would live until the garbage collector finds the circle.
        protocol, self._protocol = self._protocol, _NOBODY
        protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._writing_paused = True
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        self._writing_paused = False
        self._protocol.resume_writing()

    # --- asyncio.Transport: called by the connection above -----------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and write."""
        if self._closing or not data:
            return
        self._session.write(data)  # to memory, which takes everything
        self._raw.write(self._outgoing.read())

    def can_write_eof(self) -> bool:
        """No: see the rules above. So `write_eof` is what it is in asyncio: an error."""
        return False

    def close(self) -> None:
        """Say close_notify and close, once everything is written."""
        if self._closing:
            return
        self._closing = True
        with suppress(ssl.SSLError):  # it would wait for the peer's close_notify, or has failed
            self._session.unwrap()
        self._raw.write(self._outgoing.read())
        self._raw.close()

    def abort(self) -> None:
        """Close at once, without a word."""
        self._closing = True
        self._raw.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or being closed."""
        return self._closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Read no more."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When the connection is told to pause, in encrypted bytes."""
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Encrypted bytes that the socket has not taken."""
        return self._raw.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport below knows, and `tls`: a `TLSInfo`."""
        return self._info if name == "tls" else self._raw.get_extra_info(name, default)

    @property
    def _peer(self) -> object:
        return address_of(self._raw.get_extra_info("peername"))


def explain(error: ssl.SSLError) -> str:
    """The reason of an error of OpenSSL in words, without the place in its source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate was not accepted: {error.verify_message}"
    return (error.reason or _PLACE.sub("", str(error))).lower().replace("_", " ")


def _describe(session: TLSSession) -> TLSInfo:
    cipher = session.cipher()
    chain: Any = getattr(session, "get_verified_chain", None)
    certificate = session.getpeercert(binary_form=True)
    return TLSInfo(
        version=cast("str", session.version()),
        cipher=cipher[0] if cipher is not None else "",
        alpn=session.selected_alpn_protocol(),
        server_name=session.asked_name,
        client_certificate=certificate,
        client_chain=None if chain is None or certificate is None else tuple(chain()),
    )
