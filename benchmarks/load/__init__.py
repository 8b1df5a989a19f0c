"""The load generators. To add one, add an entry to ``_GENERATORS``.

Each puts a case on a verified server and tells how many requests were answered. A run in which
anything went wrong is a :class:`LoadError` and never a number.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.endpoint import Endpoint
from benchmarks.load import h2load, handshake, websocket, wrk
from benchmarks.load.result import LoadError, LoadResult

__all__ = ["GENERATORS", "Generator", "LoadError", "LoadResult"]


@dataclass(frozen=True, slots=True)
class Generator:
    """One way to put load on a server.

    ``run`` takes the case, where the server is, seconds, and a directory for its files.
    ``package`` is the Debian package of the program, empty if the generator is part of this one.
    """

    name: str
    run: Callable[[Case, Endpoint, int, Path], LoadResult]
    version: Callable[[], str]
    package: str = ""

    @property
    def installed(self) -> bool:
        """Tell whether there is a program to run."""
        return not self.package or shutil.which(self.name) is not None


_GENERATORS = (
    Generator("wrk", wrk.run, wrk.version, "wrk"),
    Generator("h2load", h2load.run, h2load.version, "nghttp2-client"),
    Generator("handshake", handshake.run, handshake.version),
    Generator("websocket", websocket.run, websocket.version),
)
GENERATORS = {generator.name: generator for generator in _GENERATORS}
