"""The registry of servers. To add a peer, add an entry to ``_SERVERS``.

Each server runs with one worker on one core, on uvloop, without an access log, and with the
settings that its own documentation names as the fastest for that. What a server does for each
request by default and httpkit does not (proxy headers, a Server header) is switched off; what
every HTTP server should send (Date) stays on.
"""

from collections.abc import Collection
from dataclasses import dataclass

from benchmarks.cases import CASES

HTTPKIT = ("httpkit", "run", "benchmarks.apps.httpkit_app:app")
HTTPKIT_OPTIONS = ("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning")
UVICORN_OPTIONS = (
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--loop", "uvloop"),
    *("--interface", "asgi3", "--lifespan", "off", "--ws", "none", "--log-level", "warning"),
    *("--no-access-log", "--no-proxy-headers", "--no-server-header"),
)
GRANIAN_OPTIONS = (
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--loop", "uvloop"),
    *("--http", "1", "--no-ws", "--no-access-log", "--log-level", "warning"),
    *("--runtime-threads", "1", "--runtime-mode", "st", "--http1-pipeline-flush"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """One server in one configuration.

    ``command`` follows ``python -m``; ``{port}`` and ``{case}`` are filled in. ``requires`` names
    the modules without which the server is left out. ``canned`` says that it answers the case and
    nothing else; ``access_log`` that it has to log each request; ``only`` limits its cases.
    """

    name: str
    family: str
    title: str
    command: tuple[str, ...]
    requires: tuple[str, ...]
    canned: bool = False
    access_log: bool = False
    only: Collection[str] = tuple(CASES)

    def arguments(self, port: int, case: str) -> list[str]:
        """Return the command that follows ``python -m``."""
        return [part.format(port=port, case=case) for part in self.command]


_SERVERS = (
    Server(
        "limit",
        "limit",
        "a bare uvloop protocol that writes a canned answer and parses nothing",
        ("benchmarks.servers.limit", "--port", "{port}", "--case", "{case}"),
        ("uvloop",),
        canned=True,
    ),
    Server(
        "httpkit",
        "httpkit",
        "httpkit with its native HTTP/1.1 engine and a routed application",
        (*HTTPKIT, *HTTPKIT_OPTIONS, "--http1", "native", "--no-access-log"),
        ("httpkit", "httptools"),
    ),
    Server(
        "httpkit-access-log",
        "httpkit",
        "the same with the access log on, written to /dev/null",
        (*HTTPKIT, *HTTPKIT_OPTIONS, "--http1", "native", "--access-log"),
        ("httpkit", "httptools"),
        access_log=True,
        only=("plaintext",),
    ),
    Server(
        "httpkit-reference",
        "httpkit",
        "httpkit with its reference HTTP/1.1 engine (h11)",
        (*HTTPKIT, *HTTPKIT_OPTIONS, "--http1", "reference", "--no-access-log"),
        ("httpkit", "h11"),
    ),
    Server(
        "granian-rsgi",
        "granian",
        "granian with a bare RSGI application, no routing",
        ("granian", "--interface", "rsgi", *GRANIAN_OPTIONS, "benchmarks.apps.bare_rsgi:app"),
        ("granian",),
    ),
    Server(
        "uvicorn-httptools",
        "uvicorn",
        "uvicorn on httptools with a bare ASGI application, no routing",
        ("uvicorn", "--http", "httptools", *UVICORN_OPTIONS, "benchmarks.apps.bare_asgi:app"),
        ("uvicorn", "httptools"),
    ),
    Server(
        "uvicorn-h11",
        "uvicorn",
        "uvicorn on h11 with a bare ASGI application, no routing",
        ("uvicorn", "--http", "h11", *UVICORN_OPTIONS, "benchmarks.apps.bare_asgi:app"),
        ("uvicorn", "h11"),
    ),
    Server(
        "uvicorn-starlette",
        "uvicorn",
        "uvicorn on httptools with a routed Starlette application",
        ("uvicorn", "--http", "httptools", *UVICORN_OPTIONS, "benchmarks.apps.starlette_app:app"),
        ("uvicorn", "httptools", "starlette"),
    ),
)

SERVERS = {server.name: server for server in _SERVERS}
