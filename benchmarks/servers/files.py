"""The servers of static files: nginx, and what each framework has for it.

All serve one directory below one prefix. What they know of a file they may keep in memory if they
do so by default. granian gives no validators, knows no ranges and sends a file in chunks, so it is
left out where that matters.
"""

from benchmarks.files import PREFIX
from benchmarks.servers.options import (
    GRANIAN_HTTP1,
    GRANIAN_OPTIONS,
    HTTPKIT_FASTEST,
    HTTPKIT_MODULES,
    UVICORN_OPTIONS,
)
from benchmarks.servers.selection import FILES
from benchmarks.servers.server import Server

NGINX = ("benchmarks.servers.nginx", "--port", "{port}", "--root", "{root}")
NGINX_PROGRAM = ("nginx", "nginx-light")

FILE_SERVERS = (
    Server(
        "nginx",
        "nginx",
        "nginx with one worker and sendfile",
        NGINX,
        (),
        only=FILES,
        program=NGINX_PROGRAM,
    ),
    Server(
        "nginx-open-file-cache",
        "nginx",
        "the same with its cache of open files, which is off by default",
        (*NGINX, "--open-file-cache"),
        (),
        only=FILES,
        program=NGINX_PROGRAM,
    ),
    Server(
        "httpkit-static",
        "httpkit",
        "httpkit with app.static",
        (*HTTPKIT_FASTEST, "benchmarks.apps.httpkit_static_app:app"),
        HTTPKIT_MODULES,
        only=FILES,
    ),
    Server(
        "granian-static",
        "granian",
        "granian with its own files, which need no Python",
        (
            *("granian", "--interface", "rsgi", *GRANIAN_OPTIONS, *GRANIAN_HTTP1),
            *("--static-path-route", PREFIX.rstrip("/"), "--static-path-mount", "{files}"),
            "benchmarks.apps.bare_rsgi:app",
        ),
        ("granian",),
        only=("static-10k", "static-1000-files"),
    ),
    Server(
        "starlette-static",
        "uvicorn",
        "uvicorn on httptools with Starlette's StaticFiles",
        (
            *("uvicorn", "--http", "httptools", *UVICORN_OPTIONS),
            "benchmarks.apps.starlette_static_app:app",
        ),
        ("uvicorn", "httptools", "starlette"),
        only=FILES,
    ),
    Server(
        "aiohttp-static",
        "aiohttp",
        "aiohttp with its static resource",
        ("benchmarks.apps.aiohttp_static_app", "--port", "{port}"),
        ("aiohttp", "uvloop"),
        only=FILES,
    ),
)
