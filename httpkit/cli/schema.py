"""Every option that can be set: its names, kind, default, section and text.

The structs are the one source of truth: `Target`, `Config` and `Limits`. The command line, the
environment, configuration files, `httpkit config` and the reference page are made from what stands
here, so a new field of a struct is an option everywhere at once. Nothing is written down twice.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
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
    "SECTIONS",
    "SETTINGS",
    "VARIABLE_PREFIX",
    "Setting",
    "Target",
    "describe_fields",
    "find_closest",
]

VARIABLE_PREFIX = "HTTPKIT_"

#: Where sections begin: at this field, up to the next that is named here. A new field belongs to
#: the section of the one before it.
SECTIONS = {
    "app": "Application",
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
    """Path below which a proxy has mounted an ASGI or WSGI application, which it has cut off."""

    threads: Annotated[int, Meta(ge=1, le=10_000)] = 40
    """Requests that a WSGI application has at a time, each in a thread (anyio: 40)."""


@dataclass(frozen=True)
class Setting:
    """One option."""

    name: str
    type: Any
    default: object
    section: str
    #: What stands below the field, as one line.
    text: str
    #: Whether it belongs to `Limits`.
    is_limit: bool

    @property
    def is_argument(self) -> bool:
        """Whether it stands on the command line without a flag."""
        return self.name == "app"

    @property
    def flag(self) -> str:
        """How the command line calls it."""
        return "MODULE:APP" if self.is_argument else f"--{self.name.replace('_', '-')}"

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
        return VARIABLE_PREFIX + self.name.upper()

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
        plain = re.sub(r" ?\([^()]*\)", "", self.text).replace("`", "")
        return plain.partition(". ")[0].rstrip(".")

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


def describe_fields(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The text below each field of a struct, joined to one line; empty without the source."""
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
    for struct in (Target, Config, Limits):
        texts = describe_fields(struct)
        for field in msgspec.structs.fields(struct):
            if field.name != "limits":
                section = SECTIONS.get(field.name, section)
                yield Setting(
                    field.name,
                    field.type,
                    field.default,
                    section,
                    texts.get(field.name, ""),
                    is_limit=struct is Limits,
                )


#: By name, in the order of the structs.
SETTINGS = {setting.name: setting for setting in _settings()}
