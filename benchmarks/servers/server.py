"""What a server is to the harness: a command, and the cases that it is measured in."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.credentials import Credentials
from benchmarks.files import PREFIX


@dataclass(frozen=True, slots=True)
class Materials:
    """What a run has for its servers: a certificate, and a directory with the static files.

    Beside ``root``, in the directory of the run, is room for files of a server itself.
    """

    credentials: Credentials
    root: Path

    @property
    def files(self) -> Path:
        """Return the directory that is served at the prefix."""
        return self.root / PREFIX.strip("/")


@dataclass(frozen=True, slots=True)
class Server:
    """One server in one configuration.

    ``command`` follows ``python -m``, and after it come ``http1``, ``http2`` or ``websocket`` by
    the protocol of the case and ``tls`` if the case has it; an option that comes twice is meant as
    it comes last. ``{port}``, ``{case}``, ``{certificate}``, ``{key}``, ``{root}`` and ``{files}``
    are filled in. ``requires`` names the modules without which the server is left out, and
    ``program`` the program with its Debian package. ``canned`` says that it answers the case and
    nothing else; ``access_log`` that it has to log each request. ``only`` names its cases.
    """

    name: str
    family: str
    title: str
    command: tuple[str, ...]
    requires: tuple[str, ...]
    only: Collection[str]
    canned: bool = False
    access_log: bool = False
    http1: tuple[str, ...] = ()
    http2: tuple[str, ...] = ()
    websocket: tuple[str, ...] = ()
    tls: tuple[str, ...] = ()
    program: tuple[str, str] | None = None

    def arguments(self, port: int, case: Case, materials: Materials) -> list[str]:
        """Return the command that follows ``python -m``."""
        options = {"http1": self.http1, "http2": self.http2, "websocket": self.websocket}
        return [
            part.format(
                port=port,
                case=case.name,
                certificate=materials.credentials.certificate,
                key=materials.credentials.key,
                root=materials.root,
                files=materials.files,
            )
            for part in (*self.command, *options[case.protocol], *(self.tls if case.tls else ()))
        ]
