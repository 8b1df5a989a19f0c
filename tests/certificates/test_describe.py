"""Certificates and keys in words; nothing in them reaches a terminal as it is."""

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from httpkit.certificates.describe import describe, describe_key, find_extension, short_name
from httpkit.certificates.reading import read_contents

from .chains import DAY, EC_KEY, ECDSA_SHA256, NOW, SHA1_CHAIN, alter, dsa_key, make, make_chain


def test_a_leaf_in_words() -> None:
    chain = make_chain()
    shown = describe(chain.leaf.certificate, NOW)
    assert shown.title == "www.example.test"
    assert (shown.subject, shown.issuer) == ("CN=www.example.test", "CN=Test intermediate")
    assert (shown.key, shown.signature_algorithm) == ("ECDSA P-256", "ECDSA with SHA-256")
    assert (shown.not_before, shown.not_after) == (NOW - 10 * DAY, NOW + 90 * DAY)
    assert shown.days_left == 90
    assert shown.names == ("www.example.test",)
    assert shown.key_usage == ("digital signature",)
    assert shown.purposes == ("servers",)
    assert (shown.authority, shown.path_length) == (False, None)
    assert shown.serial == f"{chain.leaf.certificate.serial_number:x}"
    assert len(shown.sha256) == 64


def test_an_authority_in_words() -> None:
    shown = describe(make_chain().intermediate.certificate, NOW)
    assert (shown.authority, shown.path_length) == (True, 0)
    assert shown.key_usage == ("signs certificates", "signs revocation lists")


def test_days_are_negative_after_the_end() -> None:
    assert describe(make("x").certificate, NOW + 91 * DAY).days_left == -1


def test_usages_that_have_no_name_are_numbers() -> None:
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, x509.ObjectIdentifier("1.2.3.4")]
    assert describe(make("x", purposes=purposes).certificate, NOW).purposes == (
        "clients",
        "1.2.3.4",
    )


def test_old_signatures_have_names() -> None:
    leaf = read_contents(SHA1_CHAIN).certificates[0]
    assert describe(leaf, NOW).signature_algorithm == "ECDSA with SHA-1"


def test_algorithms_that_nobody_knows() -> None:
    made = make("x").certificate
    shown = describe(alter(made, ECDSA_SHA256), NOW)
    assert shown.signature_algorithm == "unknown (1.2.840.10045.4.3.127)"
    assert describe(alter(made, EC_KEY), NOW).key == "of an unknown kind"


def test_escape_sequences_do_not_come_through() -> None:
    """CVE-2003-0063 and its like: text that terminals obey."""
    names = x509.SubjectAlternativeName([x509.DNSName("\x1b[2J.test")])
    made = make("evil\x1b]0;title\x07", extensions=[names])
    shown = describe(made.certificate, NOW)
    texts = [shown.title, shown.subject, shown.issuer, *shown.names]
    assert all(text.isprintable() for text in texts)
    assert shown.title == "evil\ufffd]0;title\ufffd"


def test_names_that_cannot_be_parsed_are_left_out() -> None:
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\x87\x01\x01")
    made = make("x", extensions=[broken])
    assert describe(made.certificate, NOW).names == ()
    assert find_extension(made.certificate, x509.SubjectAlternativeName) is None


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        (x509.Name([]), (), "(no name)"),
        (x509.Name([]), ("a.test", "b.test"), "a.test"),
        (x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Org")]), (), "Org"),
        (x509.Name([x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "DE")]), (), "C=DE"),
    ],
)
def test_what_people_call_it(name: x509.Name, names: tuple[str, ...], expected: str) -> None:
    assert short_name(name, names) == expected


@pytest.mark.parametrize(
    ("make_key", "text"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "RSA 2048 bits"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ECDSA P-384"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "ECDSA secp256k1"),
        (dsa_key, "DSA 2048 bits"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
        (ed448.Ed448PrivateKey.generate, "Ed448"),
    ],
    ids="rsa p384 k1 dsa ed25519 ed448".split(),
)
def test_keys(make_key: Callable[[], rsa.RSAPrivateKey], text: str) -> None:
    assert describe_key(make_key().public_key()) == text
    assert describe_key(None) == "of an unknown kind"
