"""The development CA of this user: root, intermediate, and the certificate of this machine.

Owns what is created, renewed and issued, and when. Refuses to replace a root that it cannot use:
people have taught their browsers to trust it, so that is theirs to decide. Called by the command
line, and by a server that speaks TLS without a certificate of its own.

Rules:

1. A certificate is made anew if it is missing or does not fit its key, if it ends within a month,
   or if its issuer is another one now. The certificate of this machine also if the names of the
   machine have changed.
2. Nothing outlives what has signed it: an issuer that would is renewed first. So the intermediate
   is replaced in its last year and the root in its last two.
3. The key of the root is read for making an intermediate, and for nothing else. It may be kept
   elsewhere in between.
4. The key of a certificate is written before the certificate: whatever happens between the two,
   they do not fit, and rule 1 applies.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from httpkit.certificates.chain import is_signed_by
from httpkit.certificates.issue import (
    INTERMEDIATE_VALIDITY,
    LEAF_VALIDITY,
    Issuer,
    key_to_pem,
    make_intermediate,
    make_leaf,
    make_root,
)
from httpkit.certificates.names import machine_names, names_of
from httpkit.certificates.store import data_directory, locked, write_file
from httpkit.errors import ConfigurationError

__all__ = [
    "RENEW_BEFORE",
    "Clock",
    "DevelopmentCA",
    "DevelopmentCertificate",
    "ensure_development_certificate",
    "utc_now",
]

Clock = Callable[[], datetime]

#: Certificates that end within this time are renewed.
RENEW_BEFORE = timedelta(days=30)


class DevelopmentCertificate(NamedTuple):
    """Files of a certificate for this machine; they stay where they are when they are renewed."""

    chain: Path
    """PEM: the certificate and the intermediate that has signed it."""
    key: Path
    """PEM: the private key, unencrypted, readable for this user only."""
    root: Path
    """PEM: the root, for clients that shall trust it."""


def utc_now() -> datetime:
    """The time in UTC, aware."""
    return datetime.now(UTC)


def ensure_development_certificate(
    directory: Path | None = None,
    *,
    names: Sequence[str] | None = None,
    clock: Clock = utc_now,
) -> DevelopmentCertificate:
    """A certificate for this machine: what is missing is created, what ends soon is renewed.

    Safe when several processes start at once. Files only: nothing is installed anywhere.

    Args:
        directory: of the CA; by default that of this user, which `httpkit cert path` prints.
        names: host names in lower case and IP addresses that it shall hold for; by default those of
            this machine: `localhost`, the loopback addresses and the host name.
        clock: gives the time in UTC, aware.

    Raises:
        ConfigurationError: the directory cannot be used, or the root in it cannot.
    """
    return DevelopmentCA(directory or data_directory(), clock).ensure(
        machine_names() if names is None else names
    )


class DevelopmentCA:
    """A root, an intermediate and the certificate of this machine, in a directory.

    Args:
        directory: where they are kept; created when something is.
        clock: the time in UTC.
    """

    def __init__(self, directory: Path, clock: Clock = utc_now) -> None:
        self.directory = directory
        self._clock = clock
        self.root = directory / "root.pem"
        self.root_key = directory / "root-key.pem"
        self.intermediate = directory / "intermediate.pem"
        self.intermediate_key = directory / "intermediate-key.pem"
        self.machine = DevelopmentCertificate(
            directory / "machine.pem", directory / "machine-key.pem", self.root
        )

    @property
    def now(self) -> datetime:
        """The time by the clock of this CA."""
        return self._clock()

    def ensure(self, names: Sequence[str], *, anew: bool = False) -> DevelopmentCertificate:
        """The certificate of this machine; see `ensure_development_certificate`.

        Args:
            names: what it has to be for.
            anew: make a new one in any case.
        """
        with locked(self.directory):
            if anew or not self._is_machine_current(names):
                self.write(self.machine.chain, self.machine.key, self.issue(names))
        return self.machine

    def issue(
        self, names: Sequence[str], validity: timedelta = LEAF_VALIDITY
    ) -> tuple[Issuer, x509.Certificate]:
        """A new certificate and the intermediate behind it. The lock must be held."""
        issuer = self._intermediate_until(self.now + validity)
        return make_leaf(issuer, names, self.now, validity), issuer.certificate

    def write(self, chain: Path, key: Path, issued: tuple[Issuer, x509.Certificate]) -> None:
        """Write what `issue` has made, key first (rule 4)."""
        leaf, intermediate = issued
        write_file(key, key_to_pem(leaf.key), private=True)
        write_file(chain, b"".join(map(_to_pem, (leaf.certificate, intermediate))))

    def load_root(self) -> x509.Certificate | None:
        """The root, if there is one.

        Raises:
            ConfigurationError: there is a file, but no certificate in it.
        """
        chain = _load_chain(self.root)
        if chain is not None and not chain:
            raise ConfigurationError(
                f"{self.root} is no certificate; delete {self.directory}, and a new root is made "
                "(which has to be trusted anew)"
            )
        return chain[0] if chain else None

    def _is_machine_current(self, names: Sequence[str]) -> bool:
        leaf = load_pair(self.machine.chain, self.machine.key)
        intermediate = load_pair(self.intermediate, self.intermediate_key)
        return (
            leaf is not None
            and self._is_fresh(leaf.certificate)
            and intermediate is not None
            and is_signed_by(leaf.certificate, intermediate.certificate)
            and self._fits_root(intermediate.certificate)
            and set(names_of(leaf.certificate)) == set(names)
        )

    def _intermediate_until(self, end: datetime) -> Issuer:
        found = load_pair(self.intermediate, self.intermediate_key)
        if (
            found is not None
            and found.certificate.not_valid_after_utc >= end
            and self._is_fresh(found.certificate)
            and self._fits_root(found.certificate)
        ):
            return found
        root = self._root_until(self.now + INTERMEDIATE_VALIDITY)
        made = make_intermediate(root, self.now)
        self._write_issuer(self.intermediate, self.intermediate_key, made)
        return made

    def _root_until(self, end: datetime) -> Issuer:
        certificate = self.load_root()
        if certificate is None or certificate.not_valid_after_utc < end:
            made = make_root(self.now)
            self._write_issuer(self.root, self.root_key, made)
            return made
        found = load_pair(self.root, self.root_key)
        if found is None:
            raise ConfigurationError(
                f"a new intermediate is needed, and {self.root_key} is missing or is not the key "
                f"of {self.root}; put it back, or delete {self.directory} for a new root (which "
                "has to be trusted anew)"
            )
        return found

    def _write_issuer(self, certificate: Path, key: Path, issuer: Issuer) -> None:
        write_file(key, key_to_pem(issuer.key), private=True)
        write_file(certificate, _to_pem(issuer.certificate))

    def _is_fresh(self, certificate: x509.Certificate) -> bool:
        # A clock that was wrong once must not leave a certificate of the future behind.
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return begins <= self.now < ends - RENEW_BEFORE

    def _fits_root(self, intermediate: x509.Certificate) -> bool:
        root = self.load_root()
        return root is not None and is_signed_by(intermediate, root)


def load_pair(certificate: Path, key: Path) -> Issuer | None:
    """The first certificate of a file and its key, or None if they are missing or do not fit."""
    chain = _load_chain(certificate)
    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return None
    if not chain or not isinstance(private, ec.EllipticCurvePrivateKey):
        return None
    fits = chain[0].public_key() == private.public_key()
    return Issuer(chain[0], private) if fits else None


def _load_chain(path: Path) -> list[x509.Certificate] | None:
    """The certificates in a file; none if it is something else; None if there is no file."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except ValueError:
        return []


def _to_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
