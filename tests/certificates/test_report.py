"""A report of anything that can be parsed: servers send what they like."""

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given, settings
from hypothesis import strategies as st

from httpkit.certificates.reading import read_contents
from httpkit.certificates.report import Report, make_report
from httpkit.certificates.roots import Roots
from httpkit.cli.chain_picture import draw

from .chains import NOW, make, make_chain

CHAIN = make_chain()
DER = [certificate.public_bytes(Encoding.DER) for certificate in CHAIN.sent]
ROOTS = Roots([CHAIN.root.certificate])


def report(certificates: list[x509.Certificate]) -> Report:
    return make_report("a.test:443", certificates, roots=ROOTS, now=NOW, host="www.example.test")


@settings(max_examples=400)
@given(
    which=st.integers(0, 1),
    place=st.floats(0, 1, exclude_max=True),
    byte=st.binary(min_size=1, max_size=3),
)
@example(which=0, place=0.5, byte=b"\xa3")
def test_a_damaged_certificate_is_reported_and_drawn(which: int, place: float, byte: bytes) -> None:
    der = list(DER)
    start = int(place * len(der[which]))
    der[which] = der[which][:start] + byte + der[which][start + len(byte) :]
    try:
        certificates = [each for data in der for each in read_contents(data).certificates]
    except ValueError:
        return
    made = report(certificates)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Report) == made
    assert all(line.isprintable() or "\x1b[" in line for line in draw(made, 80))


def test_an_extension_that_stands_there_twice() -> None:
    """RFC 5280 §4.2 forbids it, and the library says so when it is asked for any of them."""
    twice = make("x", names=["www.example.test"], purposes=[x509.ObjectIdentifier("2.5.29.17")])
    der = twice.certificate.public_bytes(Encoding.DER)
    # The identifier of the extended key usage becomes that of the subjectAltName.
    usage, names = bytes.fromhex("0603551d25"), bytes.fromhex("0603551d11")
    assert der.count(usage) == 1
    [certificate] = read_contents(der.replace(usage, names)).certificates
    made = report([certificate])
    assert made.path[0].certificate.names == ()
    assert {finding.code for finding in made.findings} >= {"bad-names"}


def test_a_kind_of_name_that_the_library_does_not_know() -> None:
    """An x400Address (RFC 5280 §4.2.1.6)."""
    strange = x509.UnrecognizedExtension(
        x509.SubjectAlternativeName.oid, bytes.fromhex("3004a3020400")
    )
    made = report([make("x", extensions=[strange]).certificate])
    assert {finding.code for finding in made.findings} >= {"bad-names"}
