"""The load generators. To add one, add an entry to ``_GENERATORS``.

Each puts a case on a verified server and tells how many requests were answered. A run in which
anything went wrong is a :class:`LoadError` and never a number.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.load import download, fanout, h2load, handshake, holding, websocket, wrk
from benchmarks.load.result import Load, LoadError, LoadResult

__all__ = ["GENERATORS", "Generator", "Load", "LoadError", "LoadResult"]


@dataclass(frozen=True, slots=True)
class Generator:
    """One way to put load on a server.

    ``package`` is the Debian package of the program, empty if the generator is part of this one.
    ``holds`` says that it holds connections instead of sending requests: what is measured is how
    much the server grows by them, so the server gets no load before, and CPU time means nothing.
    """

    name: str
    run: Callable[[Load], LoadResult]
    version: Callable[[], str]
    package: str = ""
    holds: bool = False

    @property
    def installed(self) -> bool:
        """Tell whether there is a program to run."""
        return not self.package or shutil.which(self.name) is not None


_GENERATORS = (
    Generator("wrk", wrk.run, wrk.version, "wrk"),
    Generator("h2load", h2load.run, h2load.version, "nghttp2-client"),
    Generator("handshake", handshake.run, handshake.version),
    Generator("download", download.run, download.version),
    Generator("websocket", websocket.run, websocket.version),
    Generator("fanout", fanout.run, fanout.version),
    Generator("idle", holding.hold_websockets, websocket.version, holds=True),
    Generator("slow-readers", holding.read_slowly, websocket.version, holds=True),
)
GENERATORS = {generator.name: generator for generator in _GENERATORS}
