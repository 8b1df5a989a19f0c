"""The certificate of a run: ECDSA P-256, signed by itself, made anew each time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.endpoint import HOST

LIFETIME = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM files of a certificate and of its key (PKCS #8, not encrypted)."""

    certificate: Path
    key: Path


def make_credentials(directory: Path) -> Credentials:
    """Make a key and a certificate for the address of all servers, and write both."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    credentials = Credentials(directory / "certificate.pem", directory / "key.pem")
    credentials.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    credentials.key.touch(mode=0o600)
    credentials.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return credentials
