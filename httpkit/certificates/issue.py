"""Making keys and certificates: ECDSA on P-256, extensions as RFC 5280 and browsers want them.

Owns the contents of the three kinds of certificates of a development CA. Pure: the time is an
argument, nothing is read or written.

No name constraints: they would have to permit every name that `httpkit cert create` may be asked
for, and a constraint that permits everything protects from nothing. What protects is that the key
of the root is this user's alone, and that no certificate of it lives longer than browsers allow.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from httpkit.certificates.names import general_name

__all__ = [
    "INTERMEDIATE_VALIDITY",
    "LEAF_VALIDITY",
    "ROOT_VALIDITY",
    "SKEW",
    "Issuer",
    "key_to_pem",
    "make_intermediate",
    "make_leaf",
    "make_root",
]

ROOT_VALIDITY = timedelta(days=3650)
INTERMEDIATE_VALIDITY = timedelta(days=730)
#: Browsers accept 398 days at most (Apple since 2020, Baseline Requirements §6.3.2).
LEAF_VALIDITY = timedelta(days=397)
#: Validity begins this long ago: clocks of virtual machines and telephones are late.
SKEW = timedelta(hours=1)

_ORGANIZATION = "httpkit development CA"
#: The upper bound of a common name (RFC 5280, Appendix A.1).
_MAX_COMMON_NAME = 64


class Issuer(NamedTuple):
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_root(now: datetime) -> Issuer:
    """A self-signed root that may sign intermediates."""
    key = _make_key()
    subject = _name(_unique("httpkit development root", key))
    return _sign(_authority(_builder(now, ROOT_VALIDITY), path_length=1), subject, key, None)


def make_intermediate(root: Issuer, now: datetime) -> Issuer:
    """An intermediate that may sign servers' certificates and nothing else."""
    key = _make_key()
    subject = _name(_unique("httpkit development intermediate", key))
    builder = _authority(_builder(now, INTERMEDIATE_VALIDITY), path_length=0)
    return _sign(_for_servers(builder), subject, key, root)


def make_leaf(
    issuer: Issuer, names: Sequence[str], now: datetime, validity: timedelta = LEAF_VALIDITY
) -> Issuer:
    """A server's certificate.

    Args:
        issuer: the intermediate.
        names: at least one, as `parse_name` gives them.
        now: aware; validity begins a little before.
        validity: from now; it does not go beyond the issuer's.
    """
    # The common name is for people; clients do not look at it (RFC 9525 §2).
    common = names[0] if len(names[0]) <= _MAX_COMMON_NAME else None
    end = min(now + validity, issuer.certificate.not_valid_after_utc)
    builder = _builder(now, end - now)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_key_usage(digital_signature=True), critical=True)
    alternative = x509.SubjectAlternativeName([general_name(name) for name in names])
    builder = builder.add_extension(alternative, critical=False)
    return _sign(_for_servers(builder), _name(common), _make_key(), issuer)


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as unencrypted PKCS #8 (RFC 5958)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _unique(title: str, key: ec.EllipticCurvePrivateKey) -> str:
    """A title that no other key has: two roots of one name make clients guess between them."""
    digest = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    return f"{title} {digest[:4].hex()}"


def _name(common: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION)]
    if common is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common))
    return x509.Name(attributes)


def _builder(now: datetime, validity: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + validity)
    )


def _authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    builder = builder.add_extension(constraints, critical=True)
    return builder.add_extension(_key_usage(signs_certificates=True), critical=True)


def _for_servers(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return builder.add_extension(usage, critical=False)


def _key_usage(
    *, digital_signature: bool = False, signs_certificates: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(
    builder: x509.CertificateBuilder,
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: Issuer | None,
) -> Issuer:
    """Complete a certificate: names, both key identifiers, signature; without issuer its own."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    if issuer is None:
        issuer_name, signing_key, authority = subject, key, identifier
    else:
        issuer_name, signing_key = issuer.certificate.subject, issuer.key
        extensions = issuer.certificate.extensions
        authority = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority_identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority)
    builder = (
        builder.subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .add_extension(identifier, critical=False)
        .add_extension(authority_identifier, critical=False)
    )
    return Issuer(builder.sign(signing_key, SHA256()), key)
