"""SSL contexts made of the options: certificates by host name, client certificates, renewal.

Owns what a handshake is allowed to agree on: TLS 1.2 and 1.3, AEAD suites with forward secrecy, no
renegotiation, no compression. Refuses files that cannot be used, with a message that names them.
Called by `server.tls_port`.

Theory of operation:

1. The first pair of certificate and key is the default. Others are chosen by the name that a client
   asks for (SNI), as their certificates say: the exact name first, then a wildcard for one label.
2. Python's switch of contexts in the SNI callback changes the certificate and nothing else: whether
   a client certificate is asked for, and which sessions may be resumed, belongs to the first
   context. So these are the same for all names of a port. Where some names demand a client
   certificate and others do not (`tls_client_auth_hosts`), no session can be resumed at all, or a
   session of one name would open the door of another (CVE-2025-23419).
3. That callback also ends handshakes whose ALPN leads nowhere: Python's `ssl` would go on without,
   and what is meant for another protocol would be read as HTTP (RFC 9325 §3.7).
4. A context holds the keys of its session tickets: a new one has new ones, and no ticket of an old
   one is any good for it.
"""

import os
import ssl
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from httpkit.errors import ConfigurationError
from httpkit.server.config import Config
from httpkit.transport.tls import TLSSession, explain

__all__ = ["CertificatePair", "certificate_pairs", "make_context", "watched_files"]

#: AEAD with forward secrecy, the cheapest first; of TLS 1.3 OpenSSL offers nothing else. All are
#: allowed for HTTP/2 (RFC 9113 §9.2.2).
_SUITES = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
#: SSL_OP_PRIORITIZE_CHACHA, which Python has no name for: clients that put ChaCha20 first have no
#: AES in hardware, and get it.
_PRIORITIZE_CHACHA = 0x0020_0000
#: An alert that Python has no name for (RFC 7301 §3.2).
_NO_APPLICATION_PROTOCOL = 120
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class CertificatePair(NamedTuple):
    """A certificate with its chain, and its key: paths of PEM files, which may be the same."""

    chain: str
    key: str


def certificate_pairs(config: Config) -> list[CertificatePair]:
    """Pairs of certificates and keys, as the options name them."""
    keys = config.tls_key or config.tls_cert
    return [CertificatePair(*each) for each in zip(config.tls_cert, keys, strict=True)]


def watched_files(config: Config) -> list[str]:
    """Every file that contexts are made of."""
    others = (config.tls_client_ca, config.tls_client_crl)
    files = [*config.tls_cert, *config.tls_key, *(each for each in others if each is not None)]
    return list(dict.fromkeys(files))


def make_context(config: Config, protocols: Sequence[str]) -> ssl.SSLContext:
    """A context for a TLS port; reads files, so it may block.

    Args:
        config: checked options that name at least one certificate.
        protocols: for ALPN, the preferred one first.

    Raises:
        ConfigurationError: a file cannot be used.
    """
    pairs = certificate_pairs(config)
    default, *others = (_plain_context(config, protocols, pair) for pair in pairs)
    names: dict[str, ssl.SSLContext] = {}
    for context, pair in zip((default, *others), pairs, strict=True):
        if others:
            for name in _names_of(pair):
                names.setdefault(name, context)

    spoken = frozenset(name.encode() for name in protocols)

    def choose(
        session: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> int | None:
        if not isinstance(session, TLSSession):
            return None
        if session.offer and spoken.isdisjoint(session.offer):
            session.refusal = "ALPN names no protocol that is spoken here"
            return _NO_APPLICATION_PROTOCOL
        if name is None:
            return None
        # RFC 6066 §3 wants no dot at the end; some clients send what stands in their URL.
        session.asked_name = name = name.lower().removesuffix(".")
        found = names.get(name) or names.get(f"*.{name.partition('.')[2]}")
        if found is not None:
            session.context = found
        return None

    default.sni_callback = choose
    return default


def _plain_context(
    config: Config, protocols: Sequence[str], pair: CertificatePair
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = TLSSession
    context.minimum_version = _VERSIONS[config.tls_min_version]
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | _PRIORITIZE_CHACHA
    context.set_alpn_protocols(list(protocols))
    _load_pair(context, pair)
    context.verify_mode = _VERIFY[config.tls_client_auth]
    if config.tls_client_auth_hosts:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if config.tls_client_ca is not None:
        _load_authorities(context, "tls_client_ca", config.tls_client_ca)
        if not context.cert_store_stats()["x509"]:
            raise ConfigurationError(f"tls_client_ca {config.tls_client_ca}: no certificate in it")
    if config.tls_client_crl is not None:
        _load_revocation_lists(context, config.tls_client_crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if key_log := os.environ.get("SSLKEYLOGFILE"):
        try:
            context.keylog_filename = key_log
        except OSError as error:
            raise ConfigurationError(f"SSLKEYLOGFILE {key_log}: {error.strerror}") from error
    return context


def _load_pair(context: ssl.SSLContext, pair: CertificatePair) -> None:
    asked = False

    def refuse() -> str:
        # Without this OpenSSL would ask at the terminal.
        nonlocal asked
        asked = True
        return ""

    _check_readable("tls_cert", pair.chain)
    _check_readable("tls_key", pair.key)
    try:
        context.load_cert_chain(pair.chain, pair.key, refuse)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        if asked:
            raise ConfigurationError(
                f"tls_key {pair.key}: the key is encrypted; write it without a passphrase "
                "(openssl pkey), readable for the server alone"
            ) from error
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(
                f"tls_key {pair.key}: the key does not belong to the certificate {pair.chain}"
            ) from error
        raise ConfigurationError(
            f"tls_cert {pair.chain}, tls_key {pair.key}: not a certificate and its key in PEM "
            f"({_reason(error)})"
        ) from error


def _load_authorities(context: ssl.SSLContext, option: str, path: str) -> None:
    _check_readable(option, path)
    try:
        context.load_verify_locations(path)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"{option} {path}: not PEM ({_reason(error)})") from error


def _load_revocation_lists(context: ssl.SSLContext, path: str) -> None:
    authorities = context.cert_store_stats()["x509"]
    _load_authorities(context, "tls_client_crl", path)
    loaded = context.cert_store_stats()
    # OpenSSL takes authorities out of any file. Those that it had are not counted again.
    if loaded["x509"] > authorities:
        raise ConfigurationError(
            f"tls_client_crl {path}: authorities in it that are not in tls_client_ca would be "
            "trusted, too"
        )
    if not loaded["crl"]:
        raise ConfigurationError(f"tls_client_crl {path}: no revocation list in it")


def _check_readable(option: str, path: str) -> None:
    """Say which file it is; errors of OpenSSL do not."""
    try:
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{option} {path}: {reason}") from error


def _reason(error: Exception) -> str:
    return explain(error) if isinstance(error, ssl.SSLError) else str(error)


def _names_of(pair: CertificatePair) -> Iterable[str]:
    """The host names of a certificate (RFC 9525 §2: subjectAltName, never the common name)."""
    # Imported here: it takes long, and few need it.
    from cryptography import x509  # noqa: PLC0415

    from httpkit.certificates.names import names_of  # noqa: PLC0415

    try:
        with open(pair.chain, "rb") as file:
            return names_of(x509.load_pem_x509_certificate(file.read()))
    except (OSError, ValueError, x509.InvalidVersion) as error:
        raise ConfigurationError(
            f"tls_cert {pair.chain}: the names in it cannot be read ({error})"
        ) from error
