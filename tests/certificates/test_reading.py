"""Files: PEM, DER and PKCS #7, keys, and everything that is none of these."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
)
from hypothesis import given
from hypothesis import strategies as st

from httpkit.certificates.reading import Contents, load_certificate, read_contents

from .chains import SHA1_CHAIN, make_chain, to_pem

CHAIN = make_chain()


def block(label: str, data: bytes = b"data") -> bytes:
    text = base64.encodebytes(data).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode()


def test_pem_with_a_chain_and_a_key_in_their_order() -> None:
    data = b"Some words\n" + CHAIN.leaf.key_pem + to_pem(CHAIN.sent)
    contents = read_contents(data)
    assert contents.certificates == CHAIN.sent
    assert [key.public for key in contents.keys] == [CHAIN.leaf.key.public_key()]


def test_lines_may_end_as_on_windows() -> None:
    data = to_pem(CHAIN.sent).replace(b"\n", b"\r\n")
    assert read_contents(data).certificates == CHAIN.sent


def test_der() -> None:
    leaf = CHAIN.leaf.certificate
    assert read_contents(leaf.public_bytes(Encoding.DER)) == Contents([leaf], [])


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_pkcs7(encoding: Encoding) -> None:
    data = pkcs7.serialize_certificates(CHAIN.sent, encoding)
    assert set(read_contents(data).certificates) == set(CHAIN.sent)


@pytest.mark.parametrize(
    ("encoding", "form"),
    [
        (Encoding.PEM, PrivateFormat.PKCS8),
        (Encoding.PEM, PrivateFormat.TraditionalOpenSSL),
        (Encoding.DER, PrivateFormat.PKCS8),
        (Encoding.DER, PrivateFormat.TraditionalOpenSSL),
    ],
)
def test_keys(encoding: Encoding, form: PrivateFormat) -> None:
    key = rsa.generate_private_key(65537, 2048)
    [read] = read_contents(key.private_bytes(encoding, form, NoEncryption())).keys
    assert read.public == key.public_key()


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_an_encrypted_key_is_reported_and_nobody_is_asked(encoding: Encoding) -> None:
    secret = BestAvailableEncryption(b"secret")
    data = CHAIN.leaf.key.private_bytes(encoding, PrivateFormat.PKCS8, secret)
    [read] = read_contents(data).keys
    assert read.public is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\x00\x01\x02", "is neither a certificate nor a key"),
        (b"GET / HTTP/1.1\r\n", "is neither a certificate nor a key"),
        (block("CERTIFICATE REQUEST"), "contains a certificate request, and no certificate"),
        (block("X509 CRL"), "contains a revocation list, and no certificate"),
        (block("STRANGE THING"), "contains a block STRANGE THING, and no certificate"),
        (block("TRUSTED CERTIFICATE"), "openssl x509 makes a plain one"),
        (block("CERTIFICATE"), "has a damaged PEM block, number 1: CERTIFICATE"),
        (to_pem(CHAIN.sent) + block("PRIVATE KEY"), "damaged PEM block, number 3: PRIVATE KEY"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB", "has a PEM block without an end"),
    ],
)
def test_what_is_no_certificate(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_contents(data)


def test_a_public_key_is_said_to_be_one() -> None:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    data = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="contains a public key, and no certificate"):
        read_contents(data)


def test_old_certificates_can_be_looked_at() -> None:
    assert len(read_contents(SHA1_CHAIN).certificates) == 2


def test_a_version_that_does_not_exist() -> None:
    """RFC 5280 §4.1.2.1: the library has an exception of its own for it."""
    der = CHAIN.leaf.certificate.public_bytes(Encoding.DER)
    version = bytes.fromhex("a003020102")
    assert der.count(version) == 1
    strange = der.replace(version, bytes.fromhex("a00302011b"))
    with pytest.raises(ValueError, match="27 is not a valid"):
        load_certificate(strange)
    with pytest.raises(ValueError, match="is neither a certificate nor a key"):
        read_contents(strange)
    with pytest.raises(ValueError, match="has a damaged PEM block, number 1"):
        read_contents(block("CERTIFICATE", strange))


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(is|has|contains) "):
        read_contents(data)


@given(st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    """One byte that is another: a `ValueError` or contents, nothing else."""
    pem = data.draw(st.sampled_from([CHAIN.leaf.pem, CHAIN.leaf.key_pem, SHA1_CHAIN]))
    if data.draw(st.booleans()):
        pem = base64.b64decode(b"".join(pem.split(b"-----")[2].split()))
    place = data.draw(st.integers(0, len(pem) - 1))
    byte = data.draw(st.integers(0, 255))
    try:
        contents = read_contents(pem[:place] + bytes([byte]) + pem[place + 1 :])
    except ValueError:
        return
    assert contents.certificates or contents.keys
