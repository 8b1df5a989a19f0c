"""The registry of servers. To add a peer, add an entry to ``_SERVERS``.

Each server runs with one worker on one core, on uvloop, without an access log, and with the
settings that its own documentation names as the fastest for that. What a server does for each
request by default and httpkit does not (proxy headers, a Server header) is switched off; what
every HTTP server should send (Date) stays on. Over TLS all have the certificate of the run and
their own choice of everything else.
"""

from collections.abc import Collection
from dataclasses import dataclass

from benchmarks.cases import CASES, Case
from benchmarks.credentials import Credentials

HTTPKIT = ("httpkit", "run")
HTTPKIT_APP = ("benchmarks.apps.httpkit_app:app",)
HTTPKIT_OPTIONS = ("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning")
HTTPKIT_NATIVE = ("--http1", "native", "--http2", "native")
HTTPKIT_REFERENCE = ("--http1", "reference", "--http2", "reference")
HTTPKIT_TLS = ("--tls-cert", "{certificate}", "--tls-key", "{key}")
UVICORN_OPTIONS = (
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--loop", "uvloop"),
    *("--interface", "asgi3", "--lifespan", "off", "--ws", "none", "--log-level", "warning"),
    *("--no-access-log", "--no-proxy-headers", "--no-server-header", "--backlog", "2048"),
)
GRANIAN_OPTIONS = (
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--loop", "uvloop"),
    *("--no-ws", "--no-access-log", "--log-level", "warning", "--runtime-threads", "1"),
    *("--backlog", "2048"),
)
GRANIAN_HTTP1 = ("--http", "1", "--runtime-mode", "st", "--http1-pipeline-flush")
#: The mode of the runtime is the one that granian itself chooses for HTTP/2.
GRANIAN_HTTP2 = ("--http", "2", "--runtime-mode", "mt")
GRANIAN_TLS = ("--ssl-certificate", "{certificate}", "--ssl-keyfile", "{key}")

HTTP1 = tuple(name for name, case in CASES.items() if case.protocol == "http1" and not case.tls)
#: Without a router, a table of routes is nothing to measure.
BARE = tuple(name for name in HTTP1 if not CASES[name].routes)
HTTP1_TLS = tuple(name for name, case in CASES.items() if case.protocol == "http1" and case.tls)
HTTP2 = tuple(name for name, case in CASES.items() if case.protocol == "http2")
WEBSOCKET = tuple(name for name, case in CASES.items() if case.protocol == "websocket")


@dataclass(frozen=True, slots=True)
class Server:
    """One server in one configuration.

    ``command`` follows ``python -m``, and after it come ``http1``, ``http2`` or ``websocket`` by
    the protocol of the case and ``tls`` if the case has it; an option that comes twice is meant as
    it comes last. ``{port}``, ``{case}``, ``{certificate}`` and ``{key}`` are filled in.
    ``requires`` names the modules without which the server is left out. ``canned`` says that it
    answers the case and nothing else; ``access_log`` that it has to log each request. ``only``
    names its cases.
    """

    name: str
    family: str
    title: str
    command: tuple[str, ...]
    requires: tuple[str, ...]
    canned: bool = False
    access_log: bool = False
    only: Collection[str] = HTTP1
    http1: tuple[str, ...] = ()
    http2: tuple[str, ...] = ()
    websocket: tuple[str, ...] = ()
    tls: tuple[str, ...] = ()

    def arguments(self, port: int, case: Case, credentials: Credentials) -> list[str]:
        """Return the command that follows ``python -m``."""
        options = {"http1": self.http1, "http2": self.http2, "websocket": self.websocket}
        return [
            part.format(
                port=port,
                case=case.name,
                certificate=credentials.certificate,
                key=credentials.key,
            )
            for part in (*self.command, *options[case.protocol], *(self.tls if case.tls else ()))
        ]


_SERVERS = (
    Server(
        "limit",
        "limit",
        "a bare uvloop protocol that writes a canned answer and parses nothing",
        ("benchmarks.servers.limit", "--port", "{port}", "--case", "{case}"),
        ("uvloop",),
        canned=True,
        only=(*HTTP1, *HTTP1_TLS),
        tls=("--certificate", "{certificate}", "--key", "{key}"),
    ),
    Server(
        "httpkit",
        "httpkit",
        "httpkit with its native engines (httptools, ngh2) and a routed application",
        (*HTTPKIT, *HTTPKIT_OPTIONS, *HTTPKIT_NATIVE, "--no-access-log"),
        ("httpkit", "httptools", "ngh2"),
        only=(*HTTP1, *HTTP1_TLS, *HTTP2, *WEBSOCKET),
        http1=HTTPKIT_APP,
        http2=HTTPKIT_APP,
        websocket=("benchmarks.apps.httpkit_websocket_app:app",),
        tls=HTTPKIT_TLS,
    ),
    Server(
        "httpkit-access-log",
        "httpkit",
        "the same with the access log on, written to /dev/null",
        (*HTTPKIT, *HTTPKIT_OPTIONS, *HTTPKIT_NATIVE, "--access-log"),
        ("httpkit", "httptools", "ngh2"),
        access_log=True,
        only=("plaintext",),
        http1=HTTPKIT_APP,
    ),
    Server(
        "httpkit-reference",
        "httpkit",
        "httpkit with its reference engines (h11, h2)",
        (*HTTPKIT, *HTTPKIT_OPTIONS, *HTTPKIT_REFERENCE, "--no-access-log"),
        ("httpkit", "h11", "h2"),
        only=(*HTTP1, "h2c-16x32"),
        http1=HTTPKIT_APP,
        http2=HTTPKIT_APP,
    ),
    Server(
        "granian-rsgi",
        "granian",
        "granian with a bare RSGI application, no routing",
        ("granian", "--interface", "rsgi", *GRANIAN_OPTIONS, "benchmarks.apps.bare_rsgi:app"),
        ("granian",),
        only=(*BARE, *HTTP1_TLS, *HTTP2, *WEBSOCKET),
        http1=GRANIAN_HTTP1,
        http2=GRANIAN_HTTP2,
        websocket=(*GRANIAN_HTTP1, "--ws"),
        tls=GRANIAN_TLS,
    ),
    Server(
        "granian-asgi",
        "granian",
        "granian with a bare ASGI application, no routing",
        ("granian", "--interface", "asginl", *GRANIAN_OPTIONS, "benchmarks.apps.bare_asgi:app"),
        ("granian",),
        only=BARE,
        http1=GRANIAN_HTTP1,
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
        http1=GRANIAN_HTTP1,
    ),
    Server(
        "uvicorn-httptools",
        "uvicorn",
        "uvicorn on httptools with a bare ASGI application, no routing",
        ("uvicorn", "--http", "httptools", *UVICORN_OPTIONS, "benchmarks.apps.bare_asgi:app"),
        ("uvicorn", "httptools"),
        only=(*BARE, *HTTP1_TLS, *WEBSOCKET),
        websocket=("--ws", "websockets-sansio"),
        tls=("--ssl-certfile", "{certificate}", "--ssl-keyfile", "{key}"),
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
        "hypercorn (h11, h2) with a bare ASGI application, no routing",
        (
            *("hypercorn", "--bind", "127.0.0.1:{port}", "--workers", "1"),
            *("--worker-class", "uvloop", "--backlog", "2048", "--log-level", "warning"),
            *("--config", "benchmarks/servers/hypercorn.toml", "benchmarks.apps.bare_asgi:app"),
        ),
        ("hypercorn", "uvloop"),
        only=(*BARE, *HTTP1_TLS, *HTTP2),
        tls=("--certfile", "{certificate}", "--keyfile", "{key}"),
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
        only=(*HTTP1, *WEBSOCKET),
    ),
)

SERVERS = {server.name: server for server in _SERVERS}
