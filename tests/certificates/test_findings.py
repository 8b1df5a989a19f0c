"""Findings: each rule with a chain that breaks it, and none for a chain that is good."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from httpkit.certificates.chain import build_path
from httpkit.certificates.findings import Case, Finding, find
from httpkit.certificates.reading import ReadKey, read_contents
from httpkit.certificates.roots import Roots

from .chains import (
    DAY,
    EC_KEY,
    ECDSA_SHA256,
    NOW,
    SHA1_CHAIN,
    Chain,
    Made,
    alter,
    dsa_key,
    make,
    make_chain,
)

HOST = "www.example.test"
GOOD = make_chain()


def look(
    certificates: list[x509.Certificate],
    root: Made = GOOD.root,
    *,
    host: str | None = HOST,
    now: dt.datetime = NOW,
    development: bool = False,
    **case: Any,
) -> list[Finding]:
    trusted = [root.certificate]
    roots = Roots([], trusted) if development else Roots(trusted)
    return find(Case(certificates, build_path(certificates, roots), host, now, **case))


def codes(findings: list[Finding]) -> list[str]:
    return [f"{finding.level} {finding.code}" for finding in findings]


def look_at(chain: Chain, **options: Any) -> list[Finding]:
    return look(chain.sent, chain.root, **options)


def test_a_good_chain_gives_no_finding() -> None:
    assert look_at(GOOD) == []
    assert look_at(GOOD, host=None) == []
    assert look_at(GOOD, sent=False) == []


def test_a_root_alone_is_judged_by_no_name() -> None:
    assert look([GOOD.root.certificate], host=None, sent=False) == []


def test_expired() -> None:
    [finding] = look_at(make_chain(ends=NOW - 3 * DAY))
    assert (finding.code, finding.level, finding.certificate) == ("expired", "error", 0)
    assert finding.text == "“www.example.test” has expired 3 days ago, on 2030-05-29 12:00 UTC."


@pytest.mark.parametrize(
    ("ago", "text"), [(dt.timedelta(hours=1), "expired today"), (DAY, "expired 1 day ago")]
)
def test_how_long_ago(ago: dt.timedelta, text: str) -> None:
    [finding] = look_at(make_chain(ends=NOW - ago))
    assert text in finding.text


def test_validity_includes_its_ends() -> None:
    """RFC 5280 §4.1.2.5: through notAfter, inclusive."""
    chain = make_chain(begins=NOW, ends=NOW)
    assert codes(look_at(chain)) == ["warning expires-soon"]


def test_an_expired_intermediate_is_found_too() -> None:
    [finding] = look_at(GOOD, now=NOW + 701 * DAY)[:1]
    assert finding.code == "expired"
    found = {finding.certificate for finding in look_at(GOOD, now=NOW + 701 * DAY)}
    assert found == {0, 1}


def test_not_valid_yet() -> None:
    [finding] = look_at(make_chain(begins=NOW + DAY))
    assert (finding.code, finding.level) == ("not-yet-valid", "error")
    assert "not valid before 2030-06-02 12:00 UTC" in finding.text


def test_expires_soon() -> None:
    assert codes(look_at(make_chain(ends=NOW + 13 * DAY))) == ["warning expires-soon"]
    assert codes(look_at(make_chain(ends=NOW + 14 * DAY))) == []


def test_another_name() -> None:
    [finding] = look_at(GOOD, host="other.test")
    assert (finding.code, finding.level) == ("wrong-name", "error")
    assert finding.text == "The certificate is for www.example.test, not for other.test."


def test_many_names_are_cut() -> None:
    chain = make_chain(names=[f"n{n}.test" for n in range(9)])
    [finding] = look_at(chain)
    assert "n5.test, …, not for" in finding.text


def test_a_common_name_is_no_name() -> None:
    """RFC 9525 §2."""
    [finding] = look_at(make_chain(names=[]))
    assert (finding.code, finding.level) == ("no-names", "error")


def test_names_that_cannot_be_parsed() -> None:
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\x87\x01\x01")
    chain = make_chain(names=[], extensions=[broken])
    [finding] = look_at(chain)
    assert (finding.code, finding.level) == ("bad-names", "error")


def test_an_incomplete_chain() -> None:
    [finding] = look(GOOD.sent[:1])
    assert (finding.code, finding.level, finding.certificate) == ("incomplete", "error", 0)
    assert (
        "is signed by “Test intermediate”, which is neither sent nor trusted here." in finding.text
    )
    [finding] = look(GOOD.sent[:1], sent=False)
    assert "neither in the file nor trusted" in finding.text


@pytest.mark.parametrize(
    ("url", "shown"),
    [("http://ca.test/i.der", True), ("http://ca.test/\x1b[31m", False)],
)
def test_where_the_missing_one_stands(url: str, shown: bool) -> None:
    ocsp = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.test/")
    )
    issuers = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url)
    )
    chain = make_chain(extensions=[x509.AuthorityInformationAccess([ocsp, issuers])])
    [finding] = look(chain.sent[:1], chain.root)
    assert (f"It stands at {url}" in finding.text) is shown
    assert "\x1b" not in finding.text


def test_self_signed() -> None:
    made = make("www.example.test", names=[HOST])
    [finding] = look([made.certificate])
    assert (finding.code, finding.level) == ("self-signed", "error")


def test_self_signed_and_trusted() -> None:
    """As somebody has told this machine to."""
    made = make("www.example.test", names=[HOST])
    assert look([made.certificate], made) == []


def test_a_root_that_nobody_trusts() -> None:
    sent = [*GOOD.sent, GOOD.root.certificate]
    found = look(sent, make("Another root", authority=True))
    assert codes(found) == ["error untrusted-root", "note root-sent"]
    assert found[0].text == "The chain ends at “Test root”, which this machine does not trust."


def test_a_root_in_a_file_that_nobody_trusts() -> None:
    found = look([GOOD.root.certificate], make("Other", authority=True), host=None, sent=False)
    assert codes(found) == ["error untrusted-root"]


def test_the_development_root() -> None:
    [finding] = look_at(GOOD, development=True)
    assert (finding.code, finding.level, finding.certificate) == ("development-root", "note", 2)


def test_a_signature_by_another_key() -> None:
    impostor = make("Test intermediate", GOOD.root, authority=True)
    found = look([GOOD.leaf.certificate, impostor.certificate])
    assert codes(found) == ["error bad-signature"]
    assert "not by the key of “Test intermediate”" in found[0].text


def test_a_signer_that_is_no_authority() -> None:
    """CVE-2002-0862: anybody with a certificate could sign for everybody."""
    middle = make("Middle", GOOD.root, names=["middle.test"])
    leaf = make("www.example.test", middle, names=[HOST])
    found = look([leaf.certificate, middle.certificate])
    assert codes(found) == ["error not-an-authority"]


def test_a_signer_that_may_not_sign() -> None:
    middle = make("Middle", GOOD.root, authority=True, signs=False)
    leaf = make("www.example.test", middle, names=[HOST])
    assert codes(look([leaf.certificate, middle.certificate])) == ["error may-not-sign"]


def test_too_many_authorities() -> None:
    """RFC 5280 §4.2.1.9."""
    under = make("Under", GOOD.intermediate, authority=True)
    leaf = make("www.example.test", under, names=[HOST])
    found = look([leaf.certificate, under.certificate, GOOD.intermediate.certificate])
    assert codes(found) == ["error path-too-long"]
    assert "allows 0 further authorities below it, and there are 1" in found[0].text


@pytest.mark.parametrize(
    ("make_key", "text"),
    [
        (
            lambda: rsa.generate_private_key(65537, 1024),
            "RSA 1024 bits, and 2048 bits is the least",
        ),
        (
            lambda: ec.generate_private_key(ec.SECP192R1()),
            "ECDSA P-192, and 256 bits is the least",
        ),
        (dsa_key, "DSA 2048 bits, and RSA of 2048 bits or ECDSA"),
    ],
    ids=["RSA", "ECDSA", "DSA"],
)
def test_weak_keys(make_key: Callable[[], Any], text: str) -> None:
    [finding] = look_at(make_chain(key=make_key()))
    assert (finding.code, finding.level) == ("weak-key", "error")
    assert text in finding.text


def test_a_weak_signature() -> None:
    """RFC 9155."""
    leaf, signer = read_contents(SHA1_CHAIN).certificates
    sent = [leaf, signer]
    found = find(Case(sent, build_path(sent, Roots([signer])), "old.test", NOW))
    assert codes(found)[0] == "error weak-signature"
    assert "signed with SHA-1" in found[0].text
    assert "unverifiable" not in {finding.code for finding in found}


def test_a_signature_that_nobody_knows() -> None:
    """What cannot be checked is not accepted."""
    leaf = alter(GOOD.leaf.certificate, ECDSA_SHA256)
    found = look([leaf, GOOD.intermediate.certificate])
    assert codes(found) == ["error unverifiable"]


def test_a_key_that_nobody_knows() -> None:
    middle = alter(GOOD.intermediate.certificate, EC_KEY)
    found = look([GOOD.leaf.certificate, middle])
    assert codes(found) == ["error unverifiable", "error bad-signature"]


def test_not_for_servers() -> None:
    chain = make_chain(purposes=[ExtendedKeyUsageOID.CLIENT_AUTH])
    assert codes(look_at(chain)) == ["error not-for-servers"]


def test_no_purposes_are_all_of_them() -> None:
    """RFC 5280 §4.2.1.12."""
    assert codes(look_at(make_chain(purposes=[]))) == []


def test_valid_for_too_long() -> None:
    chain = make_chain(ends=NOW + 400 * DAY)
    assert codes(look_at(chain)) == ["warning long-validity"]


def test_the_wrong_order() -> None:
    found = look([GOOD.intermediate.certificate, GOOD.leaf.certificate])
    assert codes(found) == ["warning wrong-order"]
    assert (
        "wrong order: each belongs before the one that has signed it, here 2, 1." in found[0].text
    )


def test_what_is_not_needed() -> None:
    stranger = make("Stranger", names=["stranger.test"]).certificate
    found = look([*GOOD.sent, stranger, GOOD.leaf.certificate])
    assert codes(found) == ["note superfluous", "note superfluous"]
    assert found[0].text == "Certificate 3 of those sent, “Stranger”, is not needed."
    assert found[1].text == "Certificate 4 of those sent, “www.example.test”, is there twice."


def test_a_root_that_is_sent() -> None:
    assert codes(look([*GOOD.sent, GOOD.root.certificate])) == ["note root-sent"]
    assert look([*GOOD.sent, GOOD.root.certificate], sent=False) == []


def test_keys() -> None:
    def about(key: Any) -> list[Finding]:
        return look_at(GOOD, keys=[ReadKey(key)])

    assert codes(about(GOOD.leaf.key.public_key())) == ["note key-fits"]
    assert codes(about(None)) == ["note key-encrypted"]
    [finding] = about(GOOD.root.key.public_key())
    assert (finding.code, finding.level) == ("key-mismatch", "error")


@pytest.mark.parametrize(("permitted", "level"), [("example.test", None), ("other.test", "error")])
def test_name_constraints(permitted: str, level: str | None) -> None:
    """RFC 5280 §4.2.1.10: the rules do not know them, path validation does."""
    constraints = x509.NameConstraints([x509.DNSName(permitted)], None)
    middle = make("Middle", GOOD.root, authority=True, extensions=[constraints])
    leaf = make("www.example.test", middle, names=[HOST])
    found = look([leaf.certificate, middle.certificate])
    strict = [finding.level for finding in found if finding.code == "strict"]
    assert strict == ([level] if level else [])


def test_the_gravest_come_first() -> None:
    chain = make_chain(ends=NOW + 400 * DAY)
    found = look([*chain.sent, chain.root.certificate], chain.root, host="other.test")
    assert [finding.level for finding in found] == ["error", "warning", "note"]


@pytest.mark.parametrize(
    "leaf",
    [
        {},
        {"names": ["*.example.test"]},
        {"names": ["other.test"]},
        {"names": []},
        {"ends": NOW - DAY},
        {"begins": NOW + DAY},
        {"purposes": [ExtendedKeyUsageOID.CLIENT_AUTH]},
        {"key": rsa.generate_private_key(65537, 2048)},
        {"issuer": "Somebody else"},
    ],
    ids="good wildcard name unnamed expired future client rsa issuer".split(),
)
def test_the_verdict_is_that_of_path_validation(leaf: dict[str, Any]) -> None:
    """An independent implementation says the same: the library's, of the whole path.

    Weak keys are left out here: it looks at those of authorities only, where OpenSSL looks at all.
    """
    chain = make_chain(**leaf)
    found = look_at(chain)
    policy = PolicyBuilder().store(Store([chain.root.certificate])).time(NOW)
    try:
        policy.build_server_verifier(x509.DNSName(HOST)).verify(chain.sent[0], chain.sent[1:])
    except VerificationError:
        accepted = False
    else:
        accepted = True
    assert (not any(finding.level in {"error", "warning"} for finding in found)) is accepted
