"""Paths: who signs whom, where they end, whatever was sent and in whichever order."""

import itertools

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from httpkit.certificates.chain import Path, build_path
from httpkit.certificates.reading import read_contents
from httpkit.certificates.roots import Roots

from .chains import SHA1_CHAIN, make, make_chain

CHAIN = make_chain()
ROOT = CHAIN.root.certificate
TRUSTING = Roots([ROOT])
NOBODY = Roots([])


def outline(path: Path) -> list[tuple[int | None, str, str | None]]:
    return [(link.position, link.signature, link.trust) for link in path.links]


def test_a_good_path_ends_in_the_store() -> None:
    path = build_path(CHAIN.sent, TRUSTING)
    assert outline(path) == [
        (0, "valid", None),
        (1, "valid", None),
        (None, "self", "system"),
    ]
    assert path.unused == []
    assert path.trust == "system"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_makes_the_same_path(order: tuple[int, ...]) -> None:
    certificates = [*CHAIN.sent, ROOT]
    path = build_path([certificates[n] for n in order], TRUSTING)
    assert [link.certificate for link in path.links] == certificates
    assert [link.position for link in path.links] == [order.index(n) for n in range(3)]
    assert path.unused == []


def test_the_root_of_the_development_ca() -> None:
    assert build_path(CHAIN.sent, Roots([], [ROOT])).trust == "development"


def test_a_development_root_that_the_machine_trusts_is_trusted() -> None:
    assert build_path(CHAIN.sent, Roots([ROOT], [ROOT])).trust == "system"


def test_a_signer_that_is_missing() -> None:
    path = build_path(CHAIN.sent[:1], TRUSTING)
    assert outline(path) == [(0, "missing signer", None)]


def test_a_root_that_nobody_trusts() -> None:
    path = build_path([*CHAIN.sent, ROOT], NOBODY)
    assert outline(path)[-1] == (2, "self", None)


def test_a_trusted_certificate_ends_the_path_whoever_has_signed_it() -> None:
    path = build_path(CHAIN.sent, Roots([CHAIN.intermediate.certificate]))
    assert outline(path) == [(0, "valid", None), (1, "valid", "system")]


def test_a_signature_by_another_key_of_the_same_name() -> None:
    other = make("Test intermediate", CHAIN.root, authority=True)
    path = build_path([CHAIN.leaf.certificate, other.certificate], TRUSTING)
    assert outline(path)[0] == (0, "invalid", None)


def test_among_namesakes_the_one_that_has_signed_is_taken() -> None:
    other = make("Test intermediate", CHAIN.root, authority=True)
    sent = [CHAIN.leaf.certificate, other.certificate, CHAIN.intermediate.certificate]
    path = build_path(sent, TRUSTING)
    assert outline(path)[:2] == [(0, "valid", None), (2, "valid", None)]
    assert path.unused == [1]


def test_a_namesake_among_the_roots_is_passed_over() -> None:
    impostor = make("Test root", authority=True)
    path = build_path(CHAIN.sent, Roots([impostor.certificate, ROOT]))
    assert path.links[-1].certificate == ROOT
    assert build_path(CHAIN.sent, Roots([impostor.certificate])).links[1].signature == "invalid"


def test_cross_signed_a_trusted_root_comes_first() -> None:
    """As of Let's Encrypt: the same name and key, self-signed here and signed by another there."""
    elder = make("Elder root", authority=True)
    crossed = make("Test root", elder, authority=True, key=CHAIN.root.key)
    path = build_path([*CHAIN.sent, crossed.certificate], TRUSTING)
    assert path.trust == "system"
    assert path.unused == [2]
    # For whoever knows only the elder one, the cross-signed one is the way.
    path = build_path([*CHAIN.sent, crossed.certificate], Roots([elder.certificate]))
    assert [link.position for link in path.links] == [0, 1, 2, None]
    assert path.trust == "system"


def test_two_that_have_signed_each_other_do_not_make_a_circle() -> None:
    a, b = make("A", authority=True), make("B", authority=True)
    a_by_b = make("A", b, authority=True, key=a.key)
    b_by_a = make("B", a, authority=True, key=b.key)
    path = build_path([a_by_b.certificate, b_by_a.certificate], NOBODY)
    assert outline(path) == [(0, "valid", None), (1, "missing signer", None)]


def test_a_certificate_twice_is_used_once() -> None:
    path = build_path([CHAIN.leaf.certificate, *CHAIN.sent], TRUSTING)
    assert path.unused == [1]


def test_a_signature_of_a_kind_that_is_not_checked_any_more() -> None:
    """SHA-1 (RFC 9155): not wrong, but not to be checked either."""
    leaf, signer = read_contents(SHA1_CHAIN).certificates
    path = build_path([leaf, signer], NOBODY)
    assert path.links[0].signature in {"unverifiable", "valid"}
    assert path.links[1].signature == "self"


@given(st.lists(st.sampled_from([*CHAIN.sent, ROOT, make("Stranger").certificate]), min_size=1))
def test_every_certificate_stands_in_the_path_or_beside_it(
    certificates: list[x509.Certificate],
) -> None:
    path = build_path(certificates, TRUSTING)
    positions = [link.position for link in path.links if link.position is not None]
    assert sorted(positions + path.unused) == list(range(len(certificates)))
