"""The chain that a server sends, and what a handshake with it agrees on.

Owns one TLS handshake as a client that verifies nothing: what cannot be trusted is what people want
to see. No byte of an application is sent or read. Called by `httpkit.cli.cert_show`.

Why the `ssl` module and a name with an underscore: before Python 3.13 it shows the chain as it was
sent only by `_ssl`'s own `get_unverified_chain`, which 3.13 made public without a change. Parsing
the Certificate message instead would mean TLS 1.2 at most (in 1.3 it is encrypted), so a server of
1.3 alone could not be looked at, and pyOpenSSL would be one more dependency for one call.
"""

import socket
import ssl
from typing import Any, NamedTuple

from cryptography import x509

from httpkit.certificates.reading import load_certificate

__all__ = ["Peer", "connect"]


class Peer(NamedTuple):
    """A server, and what it has sent in the handshake."""

    address: str
    """The IP address."""
    certificates: list[x509.Certificate]
    """In the order in which they were sent."""
    version: str | None
    """Of TLS; None if there was no agreement."""
    cipher: str | None
    alpn: str | None
    failure: str | None
    """Why the handshake failed after the certificates, e.g. for want of a client certificate."""


def connect(host: str, port: int, server_name: str, timeout: float) -> Peer:
    """Shake hands with a server once, and hang up.

    Args:
        host: a name or an IP address.
        port: of TCP.
        server_name: what is asked for (SNI, RFC 6066 §3); addresses are not sent.
        timeout: seconds for connecting to each address, and for the handshake.

    Raises:
        ConnectionError: there is nothing to see; the text is a sentence for people.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        connection = socket.create_connection((host, port), timeout)
    except TimeoutError:
        raise ConnectionError(f"{where} does not answer within {timeout:g} s") from None
    except socket.gaierror as error:
        raise ConnectionError(f"{host} cannot be resolved: {error.strerror}") from error
    except OSError as error:
        raise ConnectionError(f"{where}: {error.strerror or error}") from error
    with connection:
        try:
            address = str(connection.getpeername()[0])
            session = _context().wrap_socket(
                connection, server_hostname=server_name, do_handshake_on_connect=False
            )
        except OSError as error:
            raise ConnectionError(f"{where} hangs up at once: {error.strerror}") from error
        with session:
            return _shake_hands(session, address, where, timeout)


def _shake_hands(session: ssl.SSLSocket, address: str, where: str, timeout: float) -> Peer:
    failure = None
    try:
        session.do_handshake()
    except TimeoutError:
        raise ConnectionError(
            f"{where} accepts connections, and no handshake is done within {timeout:g} s: it may "
            "not speak TLS"
        ) from None
    except ssl.SSLError as error:
        failure = _explain(error)
    except OSError as error:
        failure = f"it closes the connection ({error.strerror or error})"
    try:
        certificates = _sent_chain(session)
    except ValueError as error:
        raise ConnectionError(f"{where} sends a certificate that cannot be parsed") from error
    if not certificates:
        raise ConnectionError(f"{where} shows no certificate: {failure or 'it has none'}")
    cipher = session.cipher()
    return Peer(
        address,
        certificates,
        session.version() if failure is None else None,
        cipher[0] if cipher and failure is None else None,
        session.selected_alpn_protocol() if failure is None else None,
        failure,
    )


def _context() -> ssl.SSLContext:
    """A client that takes whatever a server offers, old versions and weak keys among it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def _sent_chain(session: ssl.SSLSocket) -> list[x509.Certificate]:
    # Public in 3.13, where it gives bytes; before, objects that are converted by this number.
    holder: Any = session if hasattr(session, "get_unverified_chain") else session._sslobj  # type: ignore[attr-defined]  # noqa: SLF001
    chain = holder.get_unverified_chain() or ()
    return [
        load_certificate(each if isinstance(each, bytes) else each.public_bytes(_DER))
        for each in chain
    ]


#: `_ssl.ENCODING_DER`.
_DER = 2


#: What OpenSSL says of bytes that are no TLS records.
_NO_TLS = {"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}


def _explain(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if reason in _NO_TLS:
        return "it does not speak TLS on this port"
    if isinstance(error, ssl.SSLEOFError):
        return "it closes the connection during the handshake"
    text = reason.lower().replace("_", " ")
    return f"the handshake fails ({text or error.strerror})"
