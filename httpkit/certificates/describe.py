"""What stands in a certificate or a key, in words.

Owns the names of algorithms and usages. Whatever comes out of a certificate was chosen by whoever
made it, so what is not printable is replaced here, once: no escape sequence reaches a terminal.
"""

from datetime import datetime
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import (
    ExtendedKeyUsageOID,
    NameOID,
    ObjectIdentifier,
    SignatureAlgorithmOID,
)

from httpkit.certificates.names import names_of

__all__ = [
    "Description",
    "describe",
    "describe_key",
    "find_extension",
    "is_authority",
    "public_key",
    "short_name",
]

Extension = TypeVar("Extension", bound=x509.ExtensionType)

_OID = SignatureAlgorithmOID
_SIGNATURES = {
    _OID.ECDSA_WITH_SHA1: "ECDSA with SHA-1",
    _OID.ECDSA_WITH_SHA256: "ECDSA with SHA-256",
    _OID.ECDSA_WITH_SHA384: "ECDSA with SHA-384",
    _OID.ECDSA_WITH_SHA512: "ECDSA with SHA-512",
    _OID.RSA_WITH_MD5: "RSA with MD5",
    _OID.RSA_WITH_SHA1: "RSA with SHA-1",
    _OID.RSA_WITH_SHA256: "RSA with SHA-256",
    _OID.RSA_WITH_SHA384: "RSA with SHA-384",
    _OID.RSA_WITH_SHA512: "RSA with SHA-512",
    _OID.RSASSA_PSS: "RSA-PSS",
    _OID.ED25519: "Ed25519",
    _OID.ED448: "Ed448",
}
_CURVES = {"secp192r1": "P-192", "secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_USAGES = {
    "digital_signature": "digital signature",
    "content_commitment": "content commitment",
    "key_encipherment": "key encipherment",
    "data_encipherment": "data encipherment",
    "key_agreement": "key agreement",
    "key_cert_sign": "signs certificates",
    "crl_sign": "signs revocation lists",
}
_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "servers",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clients",
    ExtendedKeyUsageOID.CODE_SIGNING: "code",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "mail",
    ExtendedKeyUsageOID.TIME_STAMPING: "time stamps",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSP",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anything",
}


class Description(msgspec.Struct, frozen=True):
    """One certificate in words; every text is printable."""

    title: str
    """The common name, or what stands for it."""
    subject: str
    """The whole name (RFC 4514)."""
    issuer: str
    serial: str
    """Hexadecimal."""
    sha256: str
    """Fingerprint, hexadecimal."""
    key: str
    signature_algorithm: str
    not_before: datetime
    not_after: datetime
    days_left: int
    """Whole days until it ends; negative after that."""
    names: tuple[str, ...]
    """DNS names and addresses (subjectAltName)."""
    key_usage: tuple[str, ...]
    purposes: tuple[str, ...]
    """The extended key usage: servers, clients, …"""
    authority: bool
    """Whether it may sign certificates (basicConstraints)."""
    path_length: int | None
    """How many further authorities may follow below it; None is any number."""


def describe(certificate: x509.Certificate, now: datetime) -> Description:
    """A certificate in words; what cannot be parsed is left out.

    Args:
        certificate: any.
        now: aware; for the days that are left.
    """
    constraints = find_extension(certificate, x509.BasicConstraints)
    usage = find_extension(certificate, x509.KeyUsage)
    purposes = find_extension(certificate, x509.ExtendedKeyUsage)
    try:
        names = names_of(certificate)
    except ValueError:
        names = ()
    return Description(
        title=short_name(certificate.subject, names),
        subject=_printable(certificate.subject.rfc4514_string()),
        issuer=_printable(certificate.issuer.rfc4514_string()),
        serial=f"{certificate.serial_number:x}",
        sha256=certificate.fingerprint(SHA256()).hex(),
        key=describe_key(public_key(certificate)),
        signature_algorithm=_signature_algorithm(certificate.signature_algorithm_oid),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        days_left=(certificate.not_valid_after_utc - now).days,
        names=tuple(map(_printable, names)),
        key_usage=tuple(text for name, text in _USAGES.items() if usage and getattr(usage, name)),
        purposes=tuple(_PURPOSES.get(each, each.dotted_string) for each in purposes or ()),
        authority=is_authority(certificate),
        path_length=constraints.path_length if constraints else None,
    )


def short_name(name: x509.Name, names: tuple[str, ...] = ()) -> str:
    """How people call the holder of a name: its common name, or what else there is.

    Args:
        name: of a certificate.
        names: of its subjectAltName, for those that have no other.
    """
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME):
        if found := name.get_attributes_for_oid(oid):
            return _printable(str(found[0].value))
    return _printable(names[0] if names else name.rfc4514_string()) or "(no name)"


def describe_key(key: PublicKeyTypes | None) -> str:
    """Kind and size of a public key."""
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size} bits"
        case ec.EllipticCurvePublicKey():
            return f"ECDSA {_CURVES.get(key.curve.name, key.curve.name)}"
        case dsa.DSAPublicKey():
            return f"DSA {key.key_size} bits"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
        case _:
            return "of an unknown kind"


def public_key(certificate: x509.Certificate) -> PublicKeyTypes | None:
    """The public key, or None if it is of a kind that is not supported."""
    try:
        return certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return None


def find_extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    """The value of an extension, or None if it is missing or cannot be parsed."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        return None


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether basicConstraints say that it may sign others (RFC 5280 §4.2.1.9)."""
    constraints = find_extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _signature_algorithm(oid: ObjectIdentifier) -> str:
    return _SIGNATURES.get(oid, f"unknown ({oid.dotted_string})")


def _printable(text: str) -> str:
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
