"""Certificates and private keys out of files: PEM (RFC 7468), DER, PKCS #7 (RFC 2315).

Owns telling what a file contains. Refuses what is neither, with a sentence that says what it is
instead, as far as that can be seen. A key that is encrypted is reported as such: nobody is asked
for a passphrase. Called by `httpkit.cli.cert_show`.
"""

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
    pkcs7,
)
from cryptography.utils import CryptographyDeprecationWarning

__all__ = ["Contents", "ReadKey", "load_certificate", "oddities_allowed", "read_contents"]

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
#: What people take for certificates, by the label of its PEM block.
_OTHERS = {
    b"CERTIFICATE REQUEST": "a certificate request",
    b"NEW CERTIFICATE REQUEST": "a certificate request",
    b"X509 CRL": "a revocation list",
    b"PUBLIC KEY": "a public key",
    b"RSA PUBLIC KEY": "a public key",
    b"DH PARAMETERS": "Diffie-Hellman parameters",
    b"EC PARAMETERS": "parameters of a curve",
    b"TRUSTED CERTIFICATE": "a TRUSTED CERTIFICATE (openssl x509 makes a plain one of it)",
}


#: How the library says that it cannot parse something.
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)


class ReadKey(NamedTuple):
    """A private key, of which only the public half is kept."""

    public: PublicKeyTypes | None
    """None if the key is encrypted: it cannot be compared with anything."""


class Contents(NamedTuple):
    """What a file contains, each kind in its order."""

    certificates: list[x509.Certificate]
    keys: list[ReadKey]


def read_contents(data: bytes) -> Contents:
    """The certificates and private keys in the bytes of a file.

    Raises:
        ValueError: there are none, or one cannot be parsed; the text is the end of a sentence about
            the file.
    """
    if not data.strip():
        raise ValueError("is empty")
    with oddities_allowed():
        return _read_pem(data) if b"-----BEGIN " in data else _read_der(data)


def load_certificate(der: bytes) -> x509.Certificate:
    """A certificate of somebody else, in DER.

    Raises:
        ValueError: it cannot be parsed.
    """
    with oddities_allowed():
        try:
            return _checked(x509.load_der_x509_certificate(der))
        except x509.InvalidVersion as error:
            raise ValueError(str(error)) from error


def _checked(certificate: x509.Certificate) -> x509.Certificate:
    """Parse now what the library would parse later, when nobody expects an error any more."""
    _ = certificate.subject, certificate.issuer, certificate.not_valid_after_utc
    return certificate


@contextlib.contextmanager
def oddities_allowed() -> Iterator[None]:
    """Look at what the library warns of, such as a serial number of zero, without the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def _read_pem(data: bytes) -> Contents:
    contents = Contents([], [])
    others: list[str] = []
    for number, found in enumerate(_BLOCK.finditer(data), 1):
        label, block = found[1], found[0] + b"\n"
        try:
            if label == b"CERTIFICATE":
                contents.certificates.append(_checked(x509.load_pem_x509_certificate(block)))
            elif label == b"PKCS7":
                found_inside = pkcs7.load_pem_pkcs7_certificates(block)
                contents.certificates.extend(map(_checked, found_inside))
            elif label.endswith(b"PRIVATE KEY"):
                contents.keys.append(_load_key(block, load_pem_private_key))
            else:
                others.append(_OTHERS.get(label, f"a block {label.decode()}"))
        except _UNREADABLE as error:
            raise ValueError(
                f"has a damaged PEM block, number {number}: {label.decode()}"
            ) from error
    if not contents.certificates and not contents.keys:
        what = f"contains {others[0]}" if others else "has a PEM block without an end"
        raise ValueError(f"{what}, and no certificate")
    return contents


def _read_der(data: bytes) -> Contents:
    try:
        return Contents([load_certificate(data)], [])
    except ValueError:
        pass
    try:
        return Contents([], [_load_key(data, load_der_private_key)])
    except _UNREADABLE:
        pass
    try:
        return Contents([*map(_checked, pkcs7.load_der_pkcs7_certificates(data))], [])
    except _UNREADABLE:
        raise ValueError("is neither a certificate nor a key, in PEM or in DER") from None


def _load_key(data: bytes, load: Callable[[bytes, None], PrivateKeyTypes]) -> ReadKey:
    try:
        return ReadKey(load(data, None).public_key())
    except TypeError:
        # That is how the library says that it wants a passphrase.
        return ReadKey(None)
