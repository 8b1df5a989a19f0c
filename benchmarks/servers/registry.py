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
    *("--no-access-log", "--no-proxy-headers", "--no-server-header", "--backlog", "2048"),
)
GRANIAN_OPTIONS = (
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--loop", "uvloop"),
    *("--http", "1", "--no-ws", "--no-access-log", "--log-level", "warning"),
    *("--runtime-threads", "1", "--runtime-mode", "st", "--http1-pipeline-flush"),
    *("--backlog", "2048"),
)
#: Without a router, a table of routes is nothing to measure.
BARE = tuple(name for name, case in CASES.items() if not case.routes)


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
        only=BARE,
    ),
    Server(
        "granian-asgi",
        "granian",
        "granian with a bare ASGI application, no routing",
        ("granian", "--interface", "asginl", *GRANIAN_OPTIONS, "benchmarks.apps.bare_asgi:app"),
        ("granian",),
        only=BARE,
    ),
    Server(
        "granian-starlette",
        "granian",
        "granian with a routed Starlette application",
        (
            *("granian", "--interface", "asginl", *GRANIAN_OPTIONS),
            "benchmarks.apps.starlette_app:app",
        ),
        ("granian", "starlette"),
    ),
    Server(
        "uvicorn-httptools",
        "uvicorn",
        "uvicorn on httptools with a bare ASGI application, no routing",
        ("uvicorn", "--http", "httptools", *UVICORN_OPTIONS, "benchmarks.apps.bare_asgi:app"),
        ("uvicorn", "httptools"),
        only=BARE,
    ),
    Server(
        "uvicorn-h11",
        "uvicorn",
        "uvicorn on h11 with a bare ASGI application, no routing",
        ("uvicorn", "--http", "h11", *UVICORN_OPTIONS, "benchmarks.apps.bare_asgi:app"),
        ("uvicorn", "h11"),
        only=BARE,
    ),
    Server(
        "uvicorn-zttp",
        "uvicorn",
        "uvicorn on zttp with a bare ASGI application, no routing",
        ("uvicorn", "--http", "zttp", *UVICORN_OPTIONS, "benchmarks.apps.bare_asgi:app"),
        ("uvicorn", "zttp"),
        only=BARE,
    ),
    Server(
        "uvicorn-starlette",
        "uvicorn",
        "uvicorn on httptools with a routed Starlette application",
        ("uvicorn", "--http", "httptools", *UVICORN_OPTIONS, "benchmarks.apps.starlette_app:app"),
        ("uvicorn", "httptools", "starlette"),
    ),
    Server(
        "hypercorn",
        "hypercorn",
        "hypercorn (h11) with a bare ASGI application, no routing",
        (
            *("hypercorn", "--bind", "127.0.0.1:{port}", "--workers", "1"),
            *("--worker-class", "uvloop", "--backlog", "2048", "--log-level", "warning"),
            *("--config", "benchmarks/servers/hypercorn.toml", "benchmarks.apps.bare_asgi:app"),
        ),
        ("hypercorn", "uvloop"),
        only=BARE,
    ),
    Server(
        "sanic",
        "sanic",
        "Sanic with its server and a routed application",
        (
            *("sanic", "benchmarks.apps.sanic_app:app", "--host", "127.0.0.1", "--port", "{port}"),
            *("--single-process", "--no-access-logs", "--no-motd"),
        ),
        ("sanic", "uvloop"),
    ),
    Server(
        "aiohttp",
        "aiohttp",
        "aiohttp with its server and a routed application",
        ("benchmarks.apps.aiohttp_app", "--port", "{port}"),
        ("aiohttp", "uvloop"),
    ),
)

SERVERS = {server.name: server for server in _SERVERS}
