"""What is wrong with a chain, in sentences: one function for each rule.

Owns the judgement. Errors are what makes clients refuse, warnings what makes some of them refuse or
will soon, notes what is good to know. The rules explain; the last word has path validation by
`cryptography` (RFC 5280 §6 and the profile of the CA/Browser Forum), which is asked about every
chain in which they find no error. Called by `httpkit.cli.cert_show`.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from httpkit.certificates.chain import Link, Path
from httpkit.certificates.describe import (
    describe_key,
    find_extension,
    is_authority,
    public_key,
    short_name,
)
from httpkit.certificates.names import general_name, matches, names_of
from httpkit.certificates.reading import ReadKey

__all__ = ["Case", "Finding", "find"]

#: Automatic renewal happens a month before the end; whoever is left with two weeks has none.
_SOON = timedelta(days=14)
#: What browsers accept at most, of authorities that they know (Baseline Requirements §6.3.2).
_MAX_VALIDITY = timedelta(days=398)
_WEAK_HASHES = {"md5", "sha1"}


class Finding(msgspec.Struct, frozen=True):
    """One thing that is to be said about a chain."""

    code: str
    """Of the rule; stable."""
    level: Literal["error", "warning", "note"]
    text: str
    certificate: int | None = None
    """Place in the path, from 0 for the server's own; None if it is about the whole."""


class Case(NamedTuple):
    """A chain, and what it is judged by."""

    given: Sequence[x509.Certificate]
    path: Path
    host: str | None
    """The name that a client would ask for, as `parse_name` gives it; None if there is none."""
    now: datetime
    sent: bool = True
    """Whether a server has sent it; otherwise it comes out of files."""
    keys: Sequence[ReadKey] = ()
    """Private keys that were found with it."""

    @property
    def links(self) -> list[Link]:
        """The path, the server's own certificate first."""
        return self.path.links

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that the path begins with."""
        return self.path.links[0].certificate

    def title(self, place: int) -> str:
        """A certificate of the path as people call it."""
        certificate = self.links[place].certificate
        return f"“{short_name(certificate.subject, _safe_names(certificate))}”"


def find(case: Case) -> list[Finding]:
    """Everything that is to be said, the gravest first."""
    found = [finding for rule in _RULES for finding in rule(case)]
    if not any(finding.level == "error" for finding in found):
        found += _strict(case)
    levels = ("error", "warning", "note")
    return sorted(found, key=lambda finding: levels.index(finding.level))


def _validity(case: Case) -> Iterator[Finding]:
    for place, link in enumerate(case.links):
        begins, ends = link.certificate.not_valid_before_utc, link.certificate.not_valid_after_utc
        title = case.title(place)
        if case.now < begins:
            text = f"{title} is not valid before {begins:%Y-%m-%d %H:%M} UTC."
            yield Finding("not-yet-valid", "error", text, place)
        elif case.now > ends:
            days = (case.now - ends).days
            ago = f"{days} {'day' if days == 1 else 'days'} ago" if days else "today"
            text = f"{title} has expired {ago}, on {ends:%Y-%m-%d %H:%M} UTC."
            yield Finding("expired", "error", text, place)
        elif ends - case.now < _SOON:
            text = f"{title} expires soon, on {ends:%Y-%m-%d %H:%M} UTC."
            yield Finding("expires-soon", "warning", text, place)


def _host(case: Case) -> Iterator[Finding]:
    if is_authority(case.leaf) and case.host is None:
        return
    try:
        names = names_of(case.leaf)
    except ValueError:
        text = f"The names of {case.title(0)} (subjectAltName) cannot be parsed."
        yield Finding("bad-names", "error", text, 0)
        return
    if not names:
        text = (
            f"{case.title(0)} has no subjectAltName; the common name does not count any more "
            "(RFC 9525 §2)."
        )
        yield Finding("no-names", "error", text, 0)
    elif case.host is not None and not matches(case.host, names):
        shown = ", ".join(_safe_names(case.leaf)[:6]) + (", …" if len(names) > 6 else "")
        text = f"The certificate is for {shown}, not for {case.host}."
        yield Finding("wrong-name", "error", text, 0)


def _end(case: Case) -> Iterator[Finding]:
    """Where the path ends, if it is not at a certificate that is trusted."""
    place = len(case.links) - 1
    last = case.links[-1]
    title = case.title(place)
    if case.path.trust is not None:
        return
    if last.signature == "missing signer":
        issuer = short_name(last.certificate.issuer)
        how = "sent" if case.sent else "in the file"
        text = (
            f"The chain is incomplete: {title} is signed by “{issuer}”, which is neither {how} nor "
            "trusted here."
        )
        if url := _issuer_url(last.certificate):
            text += f" It stands at {url}; some browsers fetch it, most other clients do not."
        yield Finding("incomplete", "error", text, place)
    elif place == 0 and not (is_authority(last.certificate) and not case.sent):
        text = f"{title} is self-signed: nobody vouches for it but itself."
        yield Finding("self-signed", "error", text, place)
    else:
        text = f"The chain ends at {title}, which this machine does not trust."
        yield Finding("untrusted-root", "error", text, place)


def _signatures(case: Case) -> Iterator[Finding]:
    for place, link in enumerate(case.links):
        if link.signature == "invalid":
            text = (
                f"The signature of {case.title(place)} is not by the key of "
                f"{case.title(place + 1)}, though it says so."
            )
            yield Finding("bad-signature", "error", text, place)
        elif link.signature == "unverifiable" and _hash_name(link.certificate) not in _WEAK_HASHES:
            text = f"The signature of {case.title(place)} is of a kind that cannot be checked here."
            yield Finding("unverifiable", "error", text, place)


def _authorities(case: Case) -> Iterator[Finding]:
    for place in range(1, len(case.links)):
        certificate = case.links[place].certificate
        title = case.title(place)
        usage = find_extension(certificate, x509.KeyUsage)
        constraints = find_extension(certificate, x509.BasicConstraints)
        # A root of version 1 has no extensions; who trusts it says that it is an authority.
        if not is_authority(certificate) and case.links[place].trust is None:
            text = f"{title} is no authority (basicConstraints), so its signatures do not count."
            yield Finding("not-an-authority", "error", text, place)
        elif usage is not None and not usage.key_cert_sign:
            text = f"{title} may not sign certificates (keyUsage)."
            yield Finding("may-not-sign", "error", text, place)
        if constraints and constraints.path_length is not None:
            below = sum(
                link.certificate.subject != link.certificate.issuer for link in case.links[1:place]
            )
            if below > constraints.path_length:
                text = (
                    f"{title} allows {constraints.path_length} further authorities below it, "
                    f"and there are {below} (RFC 5280 §4.2.1.9)."
                )
                yield Finding("path-too-long", "error", text, place)


def _strength(case: Case) -> Iterator[Finding]:
    for place, link in enumerate(case.links):
        title = case.title(place)
        key = public_key(link.certificate)
        minimum = _minimum(key)
        if minimum is not None:
            text = f"The key of {title} is weak: {describe_key(key)}, and {minimum} is the least."
            yield Finding("weak-key", "error", text, place)
        # A root's own signature protects nothing; who trusts it knows its key.
        if link.trust is None and link.signature != "self":
            algorithm = _hash_name(link.certificate)
            if algorithm in _WEAK_HASHES:
                name = {"md5": "MD5", "sha1": "SHA-1"}[algorithm]
                text = f"{title} is signed with {name}, for which signatures can be forged."
                yield Finding("weak-signature", "error", text, place)


def _minimum(key: object) -> str | None:
    """The least size of a key of its kind, if it is smaller."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        return "2048 bits"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < 256:
        return "256 bits"
    if isinstance(key, dsa.DSAPublicKey):
        return "RSA of 2048 bits or ECDSA of 256"
    return None


def _purpose(case: Case) -> Iterator[Finding]:
    purposes = find_extension(case.leaf, x509.ExtendedKeyUsage)
    allowed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if purposes is not None and allowed.isdisjoint(purposes):
        text = f"{case.title(0)} is not for servers (extendedKeyUsage)."
        yield Finding("not-for-servers", "error", text, 0)
    validity = case.leaf.not_valid_after_utc - case.leaf.not_valid_before_utc
    if not is_authority(case.leaf) and validity > _MAX_VALIDITY:
        text = (
            f"{case.title(0)} is valid for {validity.days} days; browsers accept 398 at most, of "
            "authorities that they know."
        )
        yield Finding("long-validity", "warning", text, 0)


def _order(case: Case) -> Iterator[Finding]:
    """What was sent, beside what was needed (RFC 8446 §4.4.2)."""
    positions = [link.position for link in case.links if link.position is not None]
    where = "sent" if case.sent else "in the file"
    if positions != sorted(positions) or positions[0] != 0:
        order = ", ".join(str(position + 1) for position in positions)
        text = (
            f"The certificates are {where} in the wrong order: each belongs before the one that "
            f"has signed it, here {order}. Some clients do not sort them."
        )
        yield Finding("wrong-order", "warning", text)
    for position in case.path.unused:
        certificate = case.given[position]
        name = short_name(certificate.subject, _safe_names(certificate))
        what = "is there twice" if certificate in case.given[:position] else "is not needed"
        text = f"Certificate {position + 1} of those {where}, “{name}”, {what}."
        yield Finding("superfluous", "note", text)
    last = case.links[-1]
    if len(case.links) > 1 and last.position is not None and last.signature == "self" and case.sent:
        text = f"The root {case.title(len(case.links) - 1)} is sent; whoever trusts it has it."
        yield Finding("root-sent", "note", text, len(case.links) - 1)


def _development(case: Case) -> Iterator[Finding]:
    if case.path.trust == "development":
        text = (
            f"{case.title(len(case.links) - 1)} is the root of your development CA, which this "
            "machine does not trust yet: httpkit cert trust."
        )
        yield Finding("development-root", "note", text, len(case.links) - 1)


def _keys(case: Case) -> Iterator[Finding]:
    for key in case.keys:
        if key.public is None:
            text = (
                "The private key is encrypted; whether it fits cannot be seen without a passphrase."
            )
            yield Finding("key-encrypted", "note", text)
        elif key.public == public_key(case.leaf):
            yield Finding("key-fits", "note", f"The private key is that of {case.title(0)}.", 0)
        else:
            text = f"The private key ({describe_key(key.public)}) is not that of {case.title(0)}."
            yield Finding("key-mismatch", "error", text, 0)


_RULES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _validity,
    _host,
    _end,
    _signatures,
    _authorities,
    _strength,
    _purpose,
    _order,
    _development,
    _keys,
)


def _strict(case: Case) -> Iterator[Finding]:
    """What path validation by the library says where the rules have nothing against a chain."""
    host = case.host or next((n.replace("*", "www") for n in _safe_names(case.leaf)), None)
    if host is None or is_authority(case.leaf):
        return
    subject = general_name(host)
    assert isinstance(subject, x509.DNSName | x509.IPAddress)
    certificates = [link.certificate for link in case.links]
    try:
        # The last one is trusted, or there would be an error.
        policy = PolicyBuilder().store(Store(certificates[-1:])).time(case.now)
        policy.build_server_verifier(subject).verify(certificates[0], certificates[1:-1])
    except (VerificationError, ValueError) as error:
        # That an authority is constrained has to be understood by every client (RFC 5280
        # §4.2.1.10); much else that the profile asks for is of no concern to most of them.
        bound = any(find_extension(each, x509.NameConstraints) for each in certificates)
        text = f"Strict clients refuse the chain: {str(error).removeprefix('validation failed: ')}."
        yield Finding("strict", "error" if bound else "warning", text)


def _issuer_url(certificate: x509.Certificate) -> str | None:
    """Where the signer's certificate can be fetched (RFC 5280 §4.2.2.1)."""
    access = find_extension(certificate, x509.AuthorityInformationAccess)
    for description in access or ():
        location = description.access_location
        if description.access_method == AuthorityInformationAccessOID.CA_ISSUERS and isinstance(
            location, x509.UniformResourceIdentifier
        ):
            return location.value if location.value.isprintable() else None
    return None


def _hash_name(certificate: x509.Certificate) -> str | None:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    return algorithm.name if algorithm else None


def _safe_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        return tuple(name for name in names_of(certificate) if name.isprintable())
    except ValueError:
        return ()
