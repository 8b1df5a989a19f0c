"""Chains that the development CA has made for other programs, and the record of them.

Owns `issued.json` in the directory of the CA, which makes it possible to list and renew what stands
elsewhere. Refuses to overwrite a file that is not what it has written there before. Called by
`httpkit.cli.cert`.
"""

import os
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
from cryptography import x509

from httpkit.certificates.development import RENEW_BEFORE, DevelopmentCA
from httpkit.certificates.issue import LEAF_VALIDITY
from httpkit.certificates.store import locked, write_file
from httpkit.errors import ConfigurationError

__all__ = ["Export", "Exports"]


class Export(msgspec.Struct, frozen=True):
    """One chain and its key, in files."""

    names: tuple[str, ...]
    days: int
    chain: str
    """Absolute path."""
    key: str
    """Absolute path."""
    serial: str
    """Serial number of the certificate, in hexadecimal."""

    def load(self) -> x509.Certificate | None:
        """The certificate, or None if that is no longer what stands in the file."""
        try:
            certificate = x509.load_pem_x509_certificate(Path(self.chain).read_bytes())
        except (OSError, ValueError):
            return None
        return certificate if f"{certificate.serial_number:x}" == self.serial else None


class Exports:
    """The exported chains of a development CA."""

    def __init__(self, authority: DevelopmentCA) -> None:
        self._authority = authority
        self._record = authority.directory / "issued.json"

    def create(
        self,
        names: Sequence[str],
        directory: Path,
        days: int = LEAF_VALIDITY.days,
        *,
        overwrite: bool = False,
    ) -> Export:
        """Make a certificate, and write it with its intermediate and its key.

        The files are called after the first name: `NAME.pem` and `NAME-key.pem`.

        Args:
            names: as `parse_name` gives them.
            directory: created if it is missing.
            days: validity, 397 at most.
            overwrite: replace files that are there.

        Raises:
            ConfigurationError: a file cannot be written, or is there already.
        """
        stem = re.sub(r"[^a-z0-9._-]", "_", names[0].replace("*", "wildcard"))
        directory = directory.absolute()
        chain, key = directory / f"{stem}.pem", directory / f"{stem}-key.pem"
        with locked(self._authority.directory):
            for path in (chain, key):
                if path.exists() and not overwrite:
                    raise ConfigurationError(f"{path} is there already; --force replaces it")
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(f"{directory}: {error.strerror}") from error
            made = self._write(Export(tuple(names), days, str(chain), str(key), ""))
            others = [each for each in self.load() if each.chain != made.chain]
            self._save([*others, made])
        return made

    def load(self) -> list[Export]:
        """What has been exported, in the order of the first time.

        Raises:
            ConfigurationError: the record cannot be read.
        """
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=list[Export])
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigurationError(f"{self._record}: {error.strerror}") from error
        except msgspec.DecodeError as error:
            raise ConfigurationError(
                f"{self._record} is not what httpkit has written ({error}); delete it to begin anew"
            ) from error

    def renew(self, *, everything: bool = False) -> list[Export]:
        """Make those anew that end within a month, in their files; forget those that are gone.

        Args:
            everything: also those that are good for longer.

        Returns:
            What has been renewed.

        Raises:
            ConfigurationError: a file cannot be written.
        """
        with locked(self._authority.directory):
            kept, renewed = [], []
            for export in self.load():
                certificate = export.load()
                if certificate is None:
                    continue
                if everything or self._ends_soon(certificate):
                    kept.append(self._write(export))
                    renewed.append(kept[-1])
                else:
                    kept.append(export)
            if os.path.exists(self._record):
                self._save(kept)
        return renewed

    def _ends_soon(self, certificate: x509.Certificate) -> bool:
        return certificate.not_valid_after_utc - self._authority.now <= RENEW_BEFORE

    def _write(self, export: Export) -> Export:
        authority = self._authority
        issued = authority.issue(export.names, timedelta(days=export.days))
        authority.write(Path(export.chain), Path(export.key), issued)
        serial = f"{issued[0].certificate.serial_number:x}"
        return msgspec.structs.replace(export, serial=serial)

    def _save(self, exports: list[Export]) -> None:
        data = msgspec.json.format(msgspec.json.encode(exports), indent=2)
        write_file(self._record, data, private=True)
