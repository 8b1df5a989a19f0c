"""The authorities that this machine trusts, and the root of the development CA.

Owns finding them. What is trusted is what Python's `ssl` trusts by default on this system, with
SSL_CERT_FILE and SSL_CERT_DIR; browsers may have stores of their own. Called by `report`,
`httpkit.cli.cert_show`, and a server that takes the certificate of this machine.
"""

import os
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from cryptography import x509

from httpkit.certificates.reading import read_contents

__all__ = ["Roots", "Trust", "is_trusted", "system_roots"]

#: Who trusts an authority: this machine, or whoever knows the development CA.
Trust = Literal["system", "development"]


class Roots:
    """Authorities that end a path, by their names.

    Args:
        system: what this machine trusts.
        development: the root of the development CA, if there is one.
    """

    def __init__(
        self, system: Iterable[x509.Certificate], development: Iterable[x509.Certificate] = ()
    ) -> None:
        self._trust: dict[x509.Certificate, Trust] = {}
        self._named: dict[x509.Name, list[x509.Certificate]] = {}
        # The machine's word comes second and stands: a development root that it trusts is trusted.
        kinds: tuple[tuple[Trust, Iterable[x509.Certificate]], ...] = (
            ("development", development),
            ("system", system),
        )
        for trust, certificates in kinds:
            for certificate in certificates:
                if certificate not in self._trust:
                    self._named.setdefault(certificate.subject, []).append(certificate)
                self._trust[certificate] = trust

    def trust(self, certificate: x509.Certificate) -> Trust | None:
        """Who trusts this very certificate."""
        return self._trust.get(certificate)

    def named(self, name: x509.Name) -> list[x509.Certificate]:
        """The authorities of a name."""
        return self._named.get(name, [])


def system_roots() -> list[x509.Certificate]:
    """What this machine trusts, as far as it can be parsed."""
    context = ssl.create_default_context()
    encoded = context.get_ca_certs(binary_form=True)
    # OpenSSL looks into a directory only when it needs a name, so a context shows none of it.
    if not encoded and (directory := ssl.get_default_verify_paths().capath):
        encoded = [Path(entry).read_bytes() for entry in os.scandir(directory) if entry.is_file()]
    return [certificate for data in encoded for certificate in _parse(data)]


def is_trusted(root: Path) -> bool:
    """Whether this machine trusts the certificate in a file (PEM), as the root of a chain."""
    return not set(_parse(root.read_bytes())).isdisjoint(system_roots())


def _parse(data: bytes) -> list[x509.Certificate]:
    # Stores hold certificates that a strict parser refuses; they cannot be the end of a path here.
    try:
        return read_contents(data).certificates
    except ValueError:
        return []
