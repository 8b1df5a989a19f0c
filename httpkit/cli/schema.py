"""Every option that can be set: its names, kind, default, section and text.

The structs are the one source of truth: `Target`, `Site`, `Config` and `Limits`. The command line,
the environment, configuration files, `httpkit config` and the reference page are made from what
stands here, so a new field of a struct is an option everywhere at once. Nothing is written down
twice.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from httpkit.asgi import LifespanChoice
from httpkit.cli.values import Kind, kind_of, quote
from httpkit.errors import ConfigurationError
from httpkit.hosting import Interface
from httpkit.limits import Limits
from httpkit.server.config import Config, Path

__all__ = [
    "RUN_SETTINGS",
    "SECTIONS",
    "SERVE_SETTINGS",
    "SETTINGS",
    "VARIABLE_PREFIX",
    "Setting",
    "Site",
    "Target",
    "describe_fields",
    "find_closest",
    "summarize",
]

VARIABLE_PREFIX = "HTTPKIT_"

#: Where sections begin: at this field, up to the next that is named here. A new field belongs to
#: the section of the one before it.
SECTIONS = {
    "app": "Application",
    "directory": "Site",
    "host": "Listening",
    "tls": "TLS",
    "workers": "Processes",
    "proxy_headers": "Proxies",
    "http1": "Engines",
    "access_log": "Logging",
    "server_header": "Server",
    "max_connections": "Limits: connections",
    "max_target": "Limits: request heads",
    "max_body": "Limits: request bodies",
    "write_stall": "Limits: answers",
    "max_concurrent_streams": "Limits: HTTP/2",
    "websocket_max_message": "Limits: WebSocket",
    "shutdown_timeout": "Limits: shutdown",
}


#: What stands on a command line without a flag, and what the help calls it.
_ARGUMENTS = {"app": "MODULE:APP", "directory": "DIR"}

#: What options are called on uvicorn's command line, so that scripts go on working. The command
#: line alone knows these names.
ALIASES = {
    "unix": ("--uds",),
    "tls_key": ("--ssl-keyfile",),
    "tls_cert": ("--ssl-certfile",),
    "tls_client_ca": ("--ssl-ca-certs",),
    "websocket_max_message": ("--ws-max-size",),
    "ping_interval": ("--ws-ping-interval",),
    "ping_timeout": ("--ws-ping-timeout",),
    "keep_alive_timeout": ("--timeout-keep-alive",),
    "max_requests_in_flight": ("--limit-concurrency",),
    "max_requests": ("--limit-max-requests",),
    "max_requests_jitter": ("--limit-max-requests-jitter",),
    "shutdown_timeout": ("--timeout-graceful-shutdown",),
}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line serves; the rest of a configuration says how."""

    app: str | None = None
    """Application to serve: a module and a name in it, as in `main:app`."""

    app_dir: Path = "."
    """Directory that modules are imported from, and where a configuration file is looked for
    first."""

    debug: bool = False
    """Show tracebacks to clients: for development only."""

    interface: Interface = "auto"
    """What the application speaks: `httpkit`, `asgi` (version 3), `wsgi`, or whatever it looks
    like."""

    factory: bool = False
    """The name is that of a function without arguments that makes the application."""

    lifespan: LifespanChoice = "auto"
    """Lifespan of an ASGI application: `on` if it must have one, `off` if it is not to be asked,
    `auto` to go on without where it has none."""

    root_path: str = ""
    """Path below which a proxy has mounted the application, and which it has cut off."""

    threads: Annotated[int, Meta(ge=1, le=10_000)] = 40
    """Requests that a WSGI application has at a time, each in a thread (anyio: 40)."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What `httpkit serve` serves, and how; the rest of a configuration says where."""

    directory: Path = "."
    """Directory whose files are served."""

    index: str = "index.html"
    """File that answers for a directory."""

    spa: bool = False
    """Answer with the index for paths that are no files: for applications in the browser that have
    routes of their own."""

    clean_urls: bool = False
    """Serve `about.html` for `/about`, and redirect `/about.html` there."""

    not_found: str | None = "404.html"
    """Page for what is missing, sent with status 404 where it is there."""

    listing: bool = False
    """List directories without an index, as a page or, by `Accept`, as JSON."""

    dotfiles: bool = False
    """Serve and list names that begin with a dot, too; `.well-known` in DIR is served anyway."""

    symlinks: bool = False
    """Follow symbolic links that lead out of the directory."""

    precompressed: bool = False
    """Serve `app.js.br`, `app.js.zst` or `app.js.gz` in the place of `app.js`, where they stand
    beside it: `httpkit compress` makes them."""

    compress: bool = False
    """Compress what has no compressed file beside it, for each request anew."""

    cache: str | None = None
    """Value of `Cache-Control`, as in `no-cache` or `max-age=3600`."""

    immutable: bool = False
    """Let clients keep files with a hash in their name for good (RFC 8246), as in
    `app.3f2a9c1b.js`."""

    headers: Path | None = None
    """File with header fields by path, in the `_headers` shape: a pattern at the left margin, as in
    `/assets/*`, and `Name: value` indented below it."""

    cors: bool = False
    """Let the pages of any other site read what is served."""

    cors_origin: tuple[str, ...] = ()
    """Origins whose pages may, as in `https://app.example.com` or `https://*.example.com`."""

    live_reload: bool = False
    """Reload pages in browsers when a file changes: for development only."""

    open: bool = False
    """Open the address in the browser."""

    live_line: bool = True
    """Show requests, bytes and hits of the memory each second, where standard error is a terminal
    and one process serves."""


_Struct = type[msgspec.Struct]
_TABLES: dict[_Struct, str] = {Site: "serve", Limits: "limits"}


@dataclass(frozen=True)
class Setting:
    """One option."""

    name: str
    type: Any
    default: object
    section: str
    #: Whose field it is.
    struct: _Struct

    @property
    def text(self) -> str:
        """What stands below the field, as one line; empty without the source."""
        return describe_fields(self.struct).get(self.name, "")

    @property
    def table(self) -> str:
        """The table of a file in which it stands: `limits`, `serve`, or none."""
        return _TABLES.get(self.struct, "")

    @property
    def is_argument(self) -> bool:
        """Whether it stands on the command line without a flag."""
        return self.name in _ARGUMENTS

    @property
    def flag(self) -> str:
        """How the command line calls it."""
        return _ARGUMENTS.get(self.name) or f"--{self.name.replace('_', '-')}"

    @property
    def aliases(self) -> tuple[str, ...]:
        """How the command line calls it, too."""
        return ALIASES.get(self.name, ())

    @property
    def repeats(self) -> bool:
        """Whether it has any number of values, which may also come one by one."""
        return get_args(self.type)[-1:] == (...,)

    @property
    def variable(self) -> str:
        """How the environment calls it."""
        # Not only HTTPKIT_OPEN or HTTPKIT_CACHE, which say little to whoever comes across them.
        table = "SERVE_" if self.table == "serve" else ""
        return VARIABLE_PREFIX + table + self.name.upper()

    @cached_property
    def kind(self) -> Kind:
        """How its values are written."""
        return kind_of(self.type)

    @property
    def is_path(self) -> bool:
        """Whether values are paths, which a file means relative to itself."""
        return "PATH" in self.kind.metavar

    @property
    def summary(self) -> str:
        """The first sentence, without what is in parentheses: precedents belong to the docs."""
        return summarize(self.text)

    def show(self, value: object) -> str:
        """The text of a value, for people and for `parse`."""
        return self.kind.show(value)

    def parse(self, text: str) -> object:
        """The value of a text, as the command line and the environment have it.

        Raises:
            ConfigurationError: the text is not of the kind, or outside the range.
        """
        try:
            return msgspec.convert(self.kind.parse(text), self.type)
        except ValueError:  # ValidationError is one
            raise ConfigurationError(f"{text!r} is not {self.kind.expected}") from None

    def convert(self, value: object) -> object:
        """The value of a TOML value.

        Raises:
            ConfigurationError: it is of another type, or outside the range.
        """
        try:
            # What is in quotes is read as a text is, but numbers are not in quotes.
            read = self.kind.parse(value) if isinstance(value, str) else value
            converted: object = msgspec.convert(read, self.type)
            if isinstance(value, str) == self.kind.select(converted).quoted:
                return converted
        except ValueError:
            pass
        raise ConfigurationError(f"{quote(value)} is not {self.kind.expected}")


def summarize(text: str) -> str:
    """The first sentence of a text, without what is in parentheses."""
    plain = re.sub(r" ?\([^()]*\)", "", text).replace("`", "")
    return plain.partition(". ")[0].rstrip(".")


@cache
def describe_fields(struct: _Struct) -> dict[str, str]:
    """The text below each field of a struct, joined to one line; empty without the source.

    Only help asks for it: it means to parse the source, which no server and no worker needs.
    """
    try:
        source = textwrap.dedent(inspect.getsource(struct))
    except OSError:
        return {}
    texts: dict[str, str] = {}
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.ClassDef)
    previous: ast.stmt | None = None
    for statement in definition.body:
        if (
            isinstance(previous, ast.AnnAssign)
            and isinstance(previous.target, ast.Name)
            and isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
        ):
            texts[previous.target.id] = " ".join(str(statement.value.value).split())
        previous = statement
    return texts


def find_closest(name: str, names: Iterable[str]) -> str | None:
    """The name that somebody has probably meant who wrote another."""
    return next(iter(get_close_matches(name, list(names), 1)), None)


def _settings() -> Iterator[Setting]:
    section = ""
    for struct in (Target, Site, Config, Limits):
        for field in msgspec.structs.fields(struct):
            if field.name != "limits":
                section = SECTIONS.get(field.name, section)
                yield Setting(field.name, field.type, field.default, section, struct)


#: By name, in the order of the structs.
SETTINGS = {setting.name: setting for setting in _settings()}
#: Those of `httpkit run`.
RUN_SETTINGS = {name: each for name, each in SETTINGS.items() if each.table != "serve"}
#: Those of `httpkit serve`: whatever has to do with code or with what clients send is of no use.
SERVE_SETTINGS = {
    name: each
    for name, each in SETTINGS.items()
    if name not in Target.__struct_fields__
    and not name.startswith("reload")
    and each.section not in ("Limits: request bodies", "Limits: WebSocket")
}
