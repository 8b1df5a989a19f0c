"""The extension `tls` of hosted applications (ASGI TLS 0.2)."""

import ssl

from cryptography import x509

from httpkit.asgi.scope import make_scope
from httpkit.request import Request, RequestHead
from httpkit.tls import TLSInfo
from tests.app.conftest import FakeChannel


def scope_of(info: TLSInfo | None, scheme: str = "https") -> dict:
    channel = FakeChannel()
    channel.tls = info
    request = Request.of(channel, RequestHead("GET", b"/"), scheme)
    return make_scope(request, None, None, ("", b""), {})


def test_a_plain_connection_has_no_tls() -> None:
    assert "tls" not in scope_of(None, "http")["extensions"]
    # Behind a proxy the scheme is what that says; the connection is plain all the same.
    assert "tls" not in scope_of(None)["extensions"]


def test_tls_without_a_client_certificate() -> None:
    scope = scope_of(TLSInfo(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384"))
    assert (scope["client"], scope["server"]) == (None, None)
    assert scope["extensions"]["tls"] == {
        "server_cert": None,
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": None,
    }


def test_a_client_certificate() -> None:
    der = make_certificate("Ada")
    for chain in (None, (der,)):
        info = TLSInfo(version="TLSv1.2", cipher="x", client_certificate=der, client_chain=chain)
        tls = scope_of(info)["extensions"]["tls"]
        assert tls["tls_version"] == 0x0303
        assert tls["client_cert_name"] == "CN=Ada"
        [pem] = tls["client_cert_chain"]
        assert ssl.PEM_cert_to_DER_cert(pem) == der
        assert x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string() == "CN=Ada"


def make_certificate(name: str) -> bytes:
    """Self-signed, as DER."""
    from datetime import UTC, datetime

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
