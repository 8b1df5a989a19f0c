"""Where a server listens, in the clear or with TLS, and how to connect to it."""

import socket
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HOST = "127.0.0.1"
TIMEOUT = 10.0
#: The one cipher suite of all measurements: the first choice of OpenSSL and rustls alike.
CIPHER = "TLS_AES_256_GCM_SHA384"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A port of this machine; with TLS if there is a ``certificate`` (a PEM file) to trust."""

    port: int
    certificate: Path | None = None

    @property
    def authority(self) -> str:
        """Return host and port, as in a Host field."""
        return f"{HOST}:{self.port}"

    @property
    def scheme(self) -> str:
        """Return the scheme of its URLs."""
        return "http" if self.certificate is None else "https"

    def url(self, target: str = "/") -> str:
        """Return the URL of a target."""
        return f"{self.scheme}://{self.authority}{target}"

    def connect(self, *alpn: str) -> socket.socket:
        """Connect; TLS is verified, and ALPN has to agree on one of the names that are given.

        Raises:
            OSError: There is no connection, or its TLS is not what is measured.
        """
        connection = socket.create_connection((HOST, self.port), TIMEOUT)
        if self.certificate is None:
            return connection
        try:
            # A request follows the last flight of the handshake and must not wait for its ACK.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secured = client_context(self.certificate, alpn).wrap_socket(
                connection, server_hostname=HOST
            )
        except BaseException:
            connection.close()
            raise
        if reason := _deviation(secured, alpn):
            secured.close()
            raise ssl.SSLError(reason)
        return secured


@cache
def client_context(certificate: Path, alpn: tuple[str, ...]) -> ssl.SSLContext:
    """Return a context that trusts one certificate only and speaks TLS 1.3 only."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _deviation(connection: ssl.SSLSocket, alpn: tuple[str, ...]) -> str | None:
    """Tell what of the handshake is not as measured; ratios of different ciphers mean nothing."""
    cipher = connection.cipher()
    if cipher is None or cipher[0] != CIPHER:
        return f"the cipher suite is {cipher and cipher[0]}, not {CIPHER}"
    if connection.session_reused:
        return "the handshake resumed a session"
    if alpn and connection.selected_alpn_protocol() not in alpn:
        return f"ALPN chose {connection.selected_alpn_protocol()}, not {' or '.join(alpn)}"
    return None
