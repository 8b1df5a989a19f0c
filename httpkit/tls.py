"""What a request knows of the TLS session it came through; plain data."""

import msgspec

__all__ = ["TLSInfo"]


class TLSInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One TLS session, as its handshake ended; shared by all requests of the connection.

    Attributes:
        version: `TLSv1.3` or `TLSv1.2`.
        cipher: the cipher suite, by the name that OpenSSL gives it.
        alpn: what ALPN (RFC 7301) chose: `h2`, `http/1.1` or `http/1.0`; `None` if the client
            named nothing.
        server_name: the host name that the client asked for (SNI, RFC 6066 §3), lower case,
            without a dot at the end; `None` if it named none.
        client_certificate: the client's certificate as DER, verified by the server; `None` if it
            gave none, or was not asked.
        client_chain: the verified chain as DER, from that certificate to the root; `None` where
            Python cannot tell it, which is before 3.13.
    """

    version: str
    cipher: str
    alpn: str | None = None
    server_name: str | None = None
    client_certificate: bytes | None = None
    client_chain: tuple[bytes, ...] | None = None
