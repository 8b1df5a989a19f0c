"""Chains of every kind, good and bad, made by the library itself and not by what is tested."""

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from httpkit.certificates.names import general_name

NOW = dt.datetime(2030, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)

#: A certificate signed with SHA-1, valid from 2026 for 100 years, and its signer, which is not:
#: the library makes no such signatures any more.
SHA1_CHAIN = b"""\
-----BEGIN CERTIFICATE-----
MIIBkjCCATmgAwIBAgIUd0YPvm79ew8fFu0TURhHGJR4WdMwCQYHKoZIzj0EATAY
MRYwFAYDVQQDDA1PbGQgYXV0aG9yaXR5MCAXDTI2MTEyNjAxMjQzNloYDzIxMjYx
MTAyMDEyNDM2WjATMREwDwYDVQQDDAhvbGQudGVzdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABC1bWQKVJa0eYUTohQQVUdBIoPkysy4zN99zMMY5JY/SW7+zPrio
8LTBo3oOirfc1rwtdDBOBxcQW/D7n5RU7E6jZTBjMBMGA1UdEQQMMAqCCG9sZC50
ZXN0MAwGA1UdEwEB/wQCMAAwHQYDVR0OBBYEFL2nySaC0s0LVoAr4HDxyA5mRLpx
MB8GA1UdIwQYMBaAFMab4wUe5QSUiu+yA+WODukY6GyIMAkGByqGSM49BAEDSAAw
RQIgPsK7+JfAhvYFmDvoIaBmfs3FwOmRQlkO05DdV4rUCq8CIQD/vEEZaAs77AEj
L4sHPgChS+P2dWj8vlGrbtIM7Kt4WQ==
-----END CERTIFICATE-----
-----BEGIN CERTIFICATE-----
MIIBmDCCAT2gAwIBAgIUV0mzL+aa+pLCo1Db3RBjeS8ArDEwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNT2xkIGF1dGhvcml0eTAgFw0yNjExMjYwMTI0MzZaGA8yMTI2
MTEwMjAxMjQzNlowGDEWMBQGA1UEAwwNT2xkIGF1dGhvcml0eTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABOpJwjQXBxyM6WenvSDS2gbfxIAN9XSeQfIhXt7IbLV4
ERTpk94d6C6IB7aol9BLVGS7nO1yl4FYgOPHyeZol+CjYzBhMB0GA1UdDgQWBBTG
m+MFHuUElIrvsgPljg7pGOhsiDAfBgNVHSMEGDAWgBTGm+MFHuUElIrvsgPljg7p
GOhsiDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwICBDAKBggqhkjOPQQD
AgNJADBGAiEAuE+jg1fdS17mLTs0XlN/OtmEctwx6dKBM48cfdX7iHQCIQCE96IN
RaPwb/Txuc71oY27tJrfLXyD1VmuU3Hz3D9IrQ==
-----END CERTIFICATE-----
"""


@cache
def dsa_key() -> dsa.DSAPrivateKey:
    """One for all tests: its parameters take seconds to find."""
    return dsa.generate_private_key(2048)


class Made(NamedTuple):
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return to_pem([self.certificate])

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def to_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def subject(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def make(
    common: str,
    signer: Made | None = None,
    *,
    names: Sequence[str] = (),
    authority: bool = False,
    path_length: int | None = None,
    key: Any = None,
    issuer: str | None = None,
    begins: dt.datetime = NOW - 10 * DAY,
    ends: dt.datetime = NOW + 90 * DAY,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    signs: bool = True,
    extensions: Sequence[x509.ExtensionType] = (),
) -> Made:
    """A certificate by a signer, or by itself; with everything wrong that a test wants."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signing_key = signer.key if signer else key
    signer_name = signer.certificate.subject if signer else subject(common)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(common))
        .issuer_name(subject(issuer) if issuer else signer_name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(authority, path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
    )
    usages = dict.fromkeys(
        "content_commitment key_encipherment data_encipherment key_agreement encipher_only "
        "decipher_only".split(),
        False,
    )
    usage = x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority and signs,
        crl_sign=authority,
        **usages,
    )
    builder = builder.add_extension(usage, critical=True)
    if names:
        alternative = x509.SubjectAlternativeName([general_name(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Made(builder.sign(signing_key, SHA256()), key)


#: Object identifiers in DER: ECDSA with SHA-256, and keys on elliptic curves.
ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")
EC_KEY = bytes.fromhex("06072a8648ce3d0201")


def alter(certificate: x509.Certificate, identifier: bytes) -> x509.Certificate:
    """The same certificate with an algorithm that nobody knows; the signature does not fit."""
    unknown = identifier[:-1] + b"\x7f"
    der = certificate.public_bytes(Encoding.DER).replace(identifier, unknown)
    return x509.load_der_x509_certificate(der)


class Chain(NamedTuple):
    """A root, an intermediate and a certificate for www.example.test."""

    root: Made
    intermediate: Made
    leaf: Made

    @property
    def sent(self) -> list[x509.Certificate]:
        return [self.leaf.certificate, self.intermediate.certificate]


def make_chain(**leaf: Any) -> Chain:
    """A good one, unless the arguments of the leaf say otherwise."""
    root = make("Test root", authority=True, ends=NOW + 3650 * DAY)
    intermediate = make(
        "Test intermediate", root, authority=True, path_length=0, ends=NOW + 700 * DAY
    )
    options = {
        "names": ["www.example.test"],
        "purposes": [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH],
    } | leaf
    return Chain(root, intermediate, make("www.example.test", intermediate, **options))
