"""The path from a certificate to a root, link by link (RFC 5280 §6, seen by a reader).

Owns who signs whom. Refuses nothing: a path that breaks is what is to be shown. A link says where
its certificate was found and whether the next one's key has signed it; whether the path is good is
for `findings` to say. Called by `report`, and by `development` for its own.

Rules:

1. The path begins at the first certificate that may not sign others, or else at the first.
2. The signer is looked for by name: among the roots, then among what was given. One whose key has
   made the signature comes before all others of that name.
3. The path ends at a trusted certificate, at one that has signed itself, at one whose signer is
   not there. Each certificate stands in it once, so it ends.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from httpkit.certificates.describe import is_authority
from httpkit.certificates.roots import Roots, Trust

__all__ = ["Link", "Path", "build_path", "is_signed_by"]

#: The first three are about the key of the next link, where `unverifiable` is an algorithm that the
#: library does not check, or not any more (SHA-1); `self` is by its own.
Signature = Literal["valid", "invalid", "unverifiable", "self", "missing signer"]


class Link(NamedTuple):
    """One certificate of a path."""

    certificate: x509.Certificate
    position: int | None
    """Among what was given, from 0; None if it comes out of a store of roots."""
    trust: Trust | None
    """Who trusts this very certificate, which ends the path."""
    signature: Signature


class Path(NamedTuple):
    """A path, and what was given and does not belong to it."""

    links: list[Link]
    unused: list[int]
    """Positions."""

    @property
    def trust(self) -> Trust | None:
        """Who trusts the end of it."""
        return self.links[-1].trust


def build_path(certificates: Sequence[x509.Certificate], roots: Roots) -> Path:
    """The path from the server's own certificate to a root, as far as it goes.

    Args:
        certificates: at least one, in the order in which they were sent or read.
        roots: where a path may end.
    """
    leaf = next((n for n, each in enumerate(certificates) if not is_authority(each)), 0)
    left = dict(enumerate(certificates))
    links: list[Link] = []
    position: int | None = leaf
    current: x509.Certificate | None = left.pop(leaf)
    while current is not None:
        trust = roots.trust(current)
        signature: Signature
        following: tuple[int | None, x509.Certificate | None] = (None, None)
        if _check(current, current) in {"valid", "unverifiable"}:
            signature = "self"
        elif signer := _find_signer(current, left, roots):
            signature, following = _check(current, signer[1]), signer
        else:
            signature = "missing signer"
        if trust is not None and signature != "self":
            # Trusted as it is: nobody asks who has signed it.
            signature, following = "valid", (None, None)
        links.append(Link(current, position, trust, signature))
        position, current = following
        if position is not None:
            del left[position]
    return Path(links, sorted(left))


def is_signed_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    """Whether a certificate names another as its issuer, whose key has made its signature."""
    return _check(certificate, signer) == "valid"


def _check(
    certificate: x509.Certificate, signer: x509.Certificate
) -> Literal["valid", "invalid", "unverifiable"]:
    if certificate.issuer != signer.subject:
        return "invalid"
    try:
        certificate.verify_directly_issued_by(signer)
    except InvalidSignature:
        return "invalid"
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "unverifiable"
    return "valid"


def _find_signer(
    certificate: x509.Certificate, given: dict[int, x509.Certificate], roots: Roots
) -> tuple[int | None, x509.Certificate] | None:
    named: list[tuple[int | None, x509.Certificate]] = [
        (_position(root, given), root) for root in roots.named(certificate.issuer)
    ]
    named += [item for item in given.items() if item[1].subject == certificate.issuer]
    for candidate in named:
        if is_signed_by(certificate, candidate[1]):
            return candidate
    return named[0] if named else None


def _position(certificate: x509.Certificate, given: dict[int, x509.Certificate]) -> int | None:
    return next((n for n, each in given.items() if each == certificate), None)
