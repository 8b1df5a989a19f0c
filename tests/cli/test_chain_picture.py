"""The picture of a chain: as it looks, at two widths and in ASCII."""

import click
import pytest

from httpkit.certificates.reading import ReadKey, read_contents
from httpkit.certificates.report import Handshake, Report, make_report
from httpkit.certificates.roots import Roots
from httpkit.cli.chain_picture import draw, draw_keys
from tests.certificates.chains import DAY, NOW, SHA1_CHAIN, make, make_chain

CHAIN = make_chain()
ROOTS = Roots([CHAIN.root.certificate])
HANDSHAKE = Handshake(
    "192.0.2.7", "www.example.test", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "h2", None
)

AT_72 = """\
www.example.test:443 (192.0.2.7) · TLSv1.3 · TLS_AES_256_GCM_SHA384 ·
ALPN h2

┌─ certificate ────────────────────────────────────────── sent: no. 1 ─┐
│ www.example.test                                                     │
│ subject   CN=www.example.test                                        │
│ issuer    CN=Test intermediate                                       │
│ names     www.example.test                                           │
│ valid     2030-05-22 to 2030-08-30, 90 days left                     │
│ key       ECDSA P-256                                                │
│ usage     digital signature, for servers                             │
└────┬─────────────────────────────────────────────────────────────────┘
     │ ✓ signed by the next one, ECDSA with SHA-256
┌─ intermediate ───────────────────────────────────────── sent: no. 2 ─┐
│ Test intermediate                                                    │
│ subject   CN=Test intermediate                                       │
│ issuer    CN=Test root                                               │
│ valid     2030-05-22 to 2032-05-01, 700 days left                    │
│ key       ECDSA P-256                                                │
│ usage     signs certificates, signs revocation lists                 │
└────┬─────────────────────────────────────────────────────────────────┘
     │ ✓ signed by the next one, ECDSA with SHA-256
┌─ root ──────────────────────────────────────────────── trusted here ─┐
│ Test root                                                            │
│ subject   CN=Test root                                               │
│ issuer    CN=Test root                                               │
│ valid     2030-05-22 to 2040-05-29, 3650 days left                   │
│ key       ECDSA P-256                                                │
│ usage     signs certificates, signs revocation lists                 │
└──────────────────────────────────────────────────────────────────────┘
     ✓ trusted by this machine

✓ Clients that ask for www.example.test accept this chain.
"""

INCOMPLETE_AT_40_IN_ASCII = """\
www.example.test:443 (192.0.2.7),
TLSv1.3, TLS_AES_256_GCM_SHA384, ALPN h2

+- certificate ---------- sent: no. 1 -+
| www.example.test                     |
| subject   CN=www.example.test        |
| issuer    CN=Test intermediate       |
| names     www.example.test           |
| valid     2030-05-22 to 2030-08-30,  |
|           90 days left               |
| key       ECDSA P-256                |
| usage     digital signature, for     |
|           servers                    |
+----+---------------------------------+
     | X signed with ECDSA with SHA-256
     |   by a certificate that is not
     |   here

X The chain is incomplete:
  "www.example.test" is signed by "Test
  intermediate", which is neither sent
  nor trusted here.
X Clients that ask for www.example.test
  refuse this chain.
"""


def report(
    *certificates: object, handshake: Handshake | None = HANDSHAKE, **options: object
) -> Report:
    options = {"roots": ROOTS, "now": NOW, "host": "www.example.test"} | options
    return make_report(
        "www.example.test:443",
        list(certificates),  # type: ignore[arg-type]
        handshake=handshake,
        **options,  # type: ignore[arg-type]
    )


def picture(made: Report, width: int = 80, *, unicode: bool = True) -> str:
    return "".join(f"{click.unstyle(line)}\n" for line in draw(made, width, unicode=unicode))


def test_a_good_chain() -> None:
    assert picture(report(*CHAIN.sent), 72) == AT_72


def test_an_incomplete_chain_on_a_narrow_terminal_without_unicode() -> None:
    shown = picture(report(*CHAIN.sent[:1]), 10, unicode=False)
    assert shown == INCOMPLETE_AT_40_IN_ASCII
    assert shown.isascii()


@pytest.mark.parametrize("width", [1, 40, 57, 80, 100, 500])
@pytest.mark.parametrize("unicode", [True, False])
def test_no_line_is_wider_than_the_terminal(width: int, unicode: bool) -> None:
    long = "x" * 60 + ".example.test"
    chain = make_chain(names=[long, *(f"name-{n}.example.test" for n in range(20))])
    shown = picture(report(*chain.sent, CHAIN.root.certificate), width, unicode=unicode)
    assert max(map(len, shown.splitlines())) <= max(40, min(width, 100))


def test_boxes_are_closed() -> None:
    lines = picture(report(*CHAIN.sent), 60).splitlines()
    boxes = [line for line in lines if line[0:1] in {"┌", "│", "└"}]
    assert {len(line) for line in boxes} == {60}


def test_colors_say_what_marks_say() -> None:
    good = "\n".join(draw(report(*CHAIN.sent), 80))
    assert click.style("✓", fg="green", bold=True) in good
    bad = "\n".join(draw(report(*make_chain(ends=NOW - DAY).sent), 80))
    assert click.style("✗", fg="red", bold=True) in bad
    assert "\x1b[31m" in next(line for line in bad.splitlines() if "expired" in line)


def test_a_file_and_the_development_ca() -> None:
    shown = picture(
        report(*CHAIN.sent, handshake=None, host=None, roots=Roots([], [CHAIN.root.certificate]))
    )
    assert "─ read: no. 1 ─┐" in shown
    assert "─ development CA ─┐" in shown
    assert "     ✓ the root of your development CA\n" in shown
    assert shown.endswith("✓ Clients that trust your development CA accept this chain.\n")


def test_a_chain_that_some_refuse() -> None:
    sent = make_chain(ends=NOW + 400 * DAY)
    shown = picture(report(*sent.sent, roots=Roots([sent.root.certificate])))
    assert "! “www.example.test” is valid for 410 days" in shown
    assert "accept this chain, though not all of them." in shown.replace("\n  ", " ")


def test_a_root_that_nobody_trusts() -> None:
    shown = picture(report(*CHAIN.sent, CHAIN.root.certificate, roots=Roots([])))
    assert "     ✗ not trusted by this machine\n" in shown


def test_one_that_is_self_signed() -> None:
    shown = picture(report(make("x", authority=True, names=["www.example.test"]).certificate))
    assert "┌─ self-signed authority ─" in shown


def test_a_signature_by_another_key() -> None:
    impostor = make("Test intermediate", CHAIN.root, authority=True)
    shown = picture(report(CHAIN.leaf.certificate, impostor.certificate))
    assert "     │ ✗ not signed by the next one\n" in shown


def test_a_signature_that_is_not_checked_any_more() -> None:
    shown = picture(report(*read_contents(SHA1_CHAIN).certificates, host=None))
    assert "signed by the next one" in shown
    assert "✗ “old.test” is signed with SHA-1" in shown


def test_a_handshake_that_failed_and_another_name() -> None:
    failed = Handshake("192.0.2.7", "other.test", None, None, None, "the handshake fails (why)")
    shown = picture(report(*CHAIN.sent, handshake=failed))
    assert shown.startswith(
        "www.example.test:443 (192.0.2.7) · asked for other.test\n"
        "! The handshake was not completed: the handshake fails (why).\n"
    )


def test_without_alpn() -> None:
    plain = Handshake("192.0.2.7", "www.example.test", "TLSv1.2", None, None, None)
    assert "TLSv1.2 · no cipher · no ALPN" in picture(report(*CHAIN.sent, handshake=plain))


def test_keys_alone() -> None:
    made = report(
        handshake=None, host=None, keys=[ReadKey(CHAIN.leaf.key.public_key()), ReadKey(None)]
    )
    assert list(draw_keys(made)) == [
        "www.example.test:443: a private key (ECDSA P-256, not encrypted), and no certificate",
        "www.example.test:443: a private key (encrypted), and no certificate",
    ]
    assert not made.accepted
