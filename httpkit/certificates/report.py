"""Everything that is known about one chain, for people and for programs.

Owns putting together what `chain`, `describe` and `findings` say. The fields are those of
`httpkit cert show --json`. Called by `httpkit.cli.cert_show`.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from cryptography import x509

from httpkit.certificates.chain import Signature, build_path
from httpkit.certificates.describe import Description, describe, describe_key
from httpkit.certificates.findings import Case, Finding, find
from httpkit.certificates.reading import ReadKey, oddities_allowed
from httpkit.certificates.roots import Roots, Trust

__all__ = ["Handshake", "Report", "ShownCertificate", "ShownKey", "make_report"]


class Handshake(msgspec.Struct, frozen=True):
    """What was agreed on with a server."""

    address: str
    server_name: str
    version: str | None
    cipher: str | None
    alpn: str | None
    failure: str | None
    """Why the handshake failed after the certificates; the three before it are then null."""


class ShownCertificate(msgspec.Struct, frozen=True):
    """A certificate in the path."""

    position: int | None
    """Among what was sent or read, from 0; null if it comes out of a store of roots."""
    trust: Trust | None
    """Who trusts this very certificate."""
    signature: Signature
    """Whether the next one's key has made its signature."""
    certificate: Description


class ShownKey(msgspec.Struct, frozen=True):
    """A private key, by its public half."""

    encrypted: bool
    key: str | None
    """Kind and size; null if it is encrypted."""


class Report(msgspec.Struct, frozen=True):
    """One chain."""

    source: str
    """What was looked at: files, or host and port."""
    host: str | None
    """The name by which it is judged."""
    handshake: Handshake | None
    """Null for files."""
    path: list[ShownCertificate]
    """From the server's own certificate to the root, as far as it goes."""
    keys: list[ShownKey]
    findings: list[Finding]
    trusted: Trust | None
    """Who trusts the end of the path."""
    accepted: bool
    """Whether a client would accept it: there is one, and no finding of level `error`."""


def make_report(
    source: str,
    certificates: Sequence[x509.Certificate],
    *,
    roots: Roots,
    now: datetime,
    host: str | None = None,
    handshake: Handshake | None = None,
    keys: Sequence[ReadKey] = (),
) -> Report:
    """Look at a chain.

    Args:
        source: what it is called.
        certificates: in the order in which they were sent or read; may be empty if there are keys.
        roots: where a path may end.
        now: aware.
        host: as `parse_name` gives it; None judges no name.
        handshake: with the server that has sent it; None if it comes out of files.
        keys: that were found with it.
    """
    shown = [ShownKey(key.public is None, _key_text(key)) for key in keys]
    if not certificates:
        return Report(source, host, handshake, [], shown, [], None, accepted=False)
    with oddities_allowed():
        path = build_path(certificates, roots)
        case = Case(certificates, path, host, now, sent=handshake is not None, keys=keys)
        findings = find(case)
        described = [describe(link.certificate, now) for link in path.links]
    return Report(
        source=source,
        host=host,
        handshake=handshake,
        path=[
            ShownCertificate(link.position, link.trust, link.signature, description)
            for link, description in zip(path.links, described, strict=True)
        ],
        keys=shown,
        findings=findings,
        trusted=path.trust,
        accepted=not any(finding.level == "error" for finding in findings),
    )


def _key_text(key: ReadKey) -> str | None:
    return None if key.public is None else describe_key(key.public)
