"""Certificates for tests: an authority with an intermediate, leaves, clients, revocation lists.

Made once for each file of a directory; keys are P-256, which takes no time.
"""

import datetime as dt
import ssl
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
_DAY = dt.timedelta(days=1)


class Identity:
    """A certificate and its key, and who has signed it (`None`: it has itself)."""

    def __init__(
        self,
        subject: str,
        issuer: "Identity | None" = None,
        *,
        names: Iterable[str] = (),
        is_authority: bool = False,
        for_clients: bool = False,
        days: int = 30,
    ) -> None:
        self.issuer = issuer
        self.key = ec.generate_private_key(ec.SECP256R1())
        signer = issuer or self
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if issuer is None else issuer.certificate.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW - 10 * _DAY)
            .not_valid_after(_NOW + days * _DAY)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
                critical=False,
            )
        )
        if is_authority:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        else:
            usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
            purpose = ExtendedKeyUsageOID.CLIENT_AUTH
            if not for_clients:
                purpose = ExtendedKeyUsageOID.SERVER_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(usage, critical=True)
        if names:
            alternatives = [x509.DNSName(each) for each in names]
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def chain_pem(self) -> bytes:
        """The certificate, and every issuer below the root."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        if self.issuer is not None and self.issuer.issuer is not None:
            pem += self.issuer.chain_pem()
        return pem

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            encryption = serialization.BestAvailableEncryption(passphrase)
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )

    def crl_pem(self, *revoked: "Identity") -> bytes:
        """The revocation list of this authority."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(_NOW - _DAY)
            .next_update(_NOW + 30 * _DAY)
        )
        for each in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(each.certificate.serial_number)
                .revocation_date(_NOW - _DAY)
                .build()
            )
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


class Authority:
    """A root, an intermediate that signs servers, and files of them in a directory.

    Attributes:
        root: signs the intermediate, and clients.
        ca: path of the root's certificate.
    """

    def __init__(self, directory: Path, subject: str = "httpkit test") -> None:
        self.directory = directory
        self.root = Identity(f"{subject} root", is_authority=True)
        self.intermediate = Identity(f"{subject} intermediate", self.root, is_authority=True)
        self.ca = self.write(f"{subject} root.pem", self.root.chain_pem())

    def write(self, name: str, content: bytes) -> str:
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def server(self, *names: str, days: int = 30) -> Identity:
        return Identity(names[0] if names else "nobody", self.intermediate, names=names, days=days)

    def client(self, subject: str = "a client") -> Identity:
        return Identity(subject, self.root, for_clients=True)

    def save(self, identity: Identity, name: str) -> tuple[str, str]:
        """Paths of the chain and the key."""
        chain = self.write(f"{name}.pem", identity.chain_pem())
        return chain, self.write(f"{name}.key", identity.key_pem())

    def client_context(
        self, client: Identity | None = None, *, alpn: Iterable[str] = ("http/1.1",)
    ) -> ssl.SSLContext:
        """What a client of these servers has, perhaps with a certificate of its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        context.set_alpn_protocols(list(alpn))
        if client is not None:
            context.load_cert_chain(*self.save(client, f"client {id(client)}"))
        return context
