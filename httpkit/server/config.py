"""How a server is set up: one typed struct, checked when it is made."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from httpkit.errors import ConfigurationError
from httpkit.limits import Limits
from httpkit.protocol.http1 import HTTP1Choice
from httpkit.protocol.http2 import HTTP2Choice
from httpkit.transport.loop import LoopChoice

__all__ = ["AccessLogFormat", "Config", "Path"]

AccessLogFormat = Literal["common", "combined", "json"]

# What Linux accepts (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPCNT).
_KeepAliveTime = Annotated[int, Meta(ge=1, le=32767)]
_KeepAliveCount = Annotated[int, Meta(ge=1, le=127)]

# What the command line and configuration files need to know beyond the type, see cli/values.py.
Path = Annotated[str, Meta(extra={"path": True})]
_Permissions = Annotated[int, Meta(ge=0, le=0o777, extra={"octal": True})]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one server.

    Raises:
        ConfigurationError: by `checked`, with a message that says what to change.
    """

    host: str = "127.0.0.1"
    """Address or name to listen on; `*` or empty for all addresses, IPv4 and IPv6."""

    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    """TCP port; 0 for a free one."""

    unix: Path | None = None
    """Path of a Unix socket to listen on instead of TCP."""

    unix_mode: _Permissions = 0o660
    """Permission bits of the Unix socket: owner and group may connect, as with php-fpm."""

    unix_owner: str | None = None
    """Owner of the Unix socket: `user`, `user:group` or `:group`."""

    backlog: Annotated[int, Meta(ge=1)] = 2048
    """Queue of connections that are not accepted yet (uvicorn: 2048; capped by somaxconn)."""

    tcp_keep_alive: tuple[_KeepAliveTime, _KeepAliveTime, _KeepAliveCount] | None = (60, 10, 5)
    """SO_KEEPALIVE: idle seconds before the first probe, seconds between probes, lost probes
    until the peer counts as dead: 110 seconds in all, where the kernel's default is two hours."""

    tcp_fast_open: Annotated[int, Meta(ge=1)] | None = None
    """TCP_FASTOPEN: how many clients may send a request in their first packet, which saves them a
    round trip (nginx: fastopen). Off: such a packet may arrive twice and would run a request twice,
    some middleboxes drop it, and net.ipv4.tcp_fastopen has to allow it."""

    tcp_defer_accept: Annotated[int, Meta(ge=1, le=32767)] | None = None
    """TCP_DEFER_ACCEPT: seconds for which the kernel keeps a connection until its first bytes come,
    so that silent ones cost nothing here (Apache: AcceptFilter). Off: header_timeout starts only
    after it, and the kernel's queue is shorter than max_connections."""

    fd: str | None = None
    """Inherited listening sockets instead of an address: descriptors as in `3` or `3,4`, or
    `systemd` for those of socket activation, `systemd:NAME` for those with that name."""

    workers: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Processes that serve; more than one are watched over by a supervisor. Limits such as
    max_connections hold for each of them."""

    worker_start_timeout: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    """How long a worker may take until it accepts connections, before it counts as failed."""

    reload: bool = False
    """Start again when a file changes: for development only, with one worker."""

    reload_dir: tuple[Path, ...] = ()
    """Directories to watch. Without any it is the one that modules are imported from."""

    reload_include: tuple[str, ...] = ("*.py",)
    """Patterns of the names of files whose changes count."""

    reload_exclude: tuple[str, ...] = (".*", "__pycache__", "node_modules", "venv")
    """Patterns of the names of files and directories that are left out."""

    http1: HTTP1Choice = "auto"
    """Engine for HTTP/1.1: `native` (httptools), `reference` (h11), or whichever is fastest."""

    http2: HTTP2Choice = "auto"
    """Engine for HTTP/2: `native` (ngh2), `reference` (h2), whichever is fastest, or `off`. On a
    port without TLS clients have to know beforehand (curl: --http2-prior-knowledge)."""

    loop: LoopChoice = "auto"
    """Event loop: uvloop where it is installed, else asyncio's."""

    access_log: bool = True
    """Write a line for every request."""

    access_log_format: AccessLogFormat = "common"
    """`common`, `combined` (with referer and user agent) or `json`."""

    access_log_file: Path | None = None
    """File the access log is appended to; off: standard output."""

    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    """Level of the `httpkit` logger."""

    server_header: str | None = "httpkit"
    """Value of the `Server` field; off or empty for none."""

    limits: Limits = Limits()
    """Limits and deadlines."""

    @classmethod
    def of(cls, **options: object) -> "Config":
        """Build and check from keyword options; those of `Limits` may stand beside the others.

        Raises:
            ConfigurationError: an unknown option or a wrong value.
        """
        known = set(cls.__struct_fields__)
        limits = {name: options.pop(name) for name in Limits.__struct_fields__ if name in options}
        for name in options:
            if name not in known:
                raise ConfigurationError(f"there is no option {name!r}; see httpkit run --help")
        if limits:
            given = options.get("limits", Limits())
            if not isinstance(given, Limits):
                raise ConfigurationError("limits: expected Limits beside options that belong there")
            options["limits"] = msgspec.structs.replace(given, **limits)
        return cls(**options).checked()  # type: ignore[arg-type]

    def checked(self) -> "Config":
        """The same options in their plain form, if every value is possible.

        Raises:
            ConfigurationError: a wrong value, by the name of its option.
        """
        checked: dict[str, Any] = {}
        for field in msgspec.structs.fields(self):
            try:
                checked[field.name] = msgspec.convert(getattr(self, field.name), field.type)
            except msgspec.ValidationError as error:
                reason = str(error)
                raise ConfigurationError(
                    f"{field.name}: {reason[:1].lower()}{reason[1:]}"
                ) from None
        if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?|", self.server_header or ""):
            raise ConfigurationError("server_header must be visible ASCII text")
        if checked["host"] == "*":
            checked["host"] = ""
        if self.fd is not None and not re.fullmatch(r"[0-9]+(,[0-9]+)*|systemd(:.+)?", self.fd):
            raise ConfigurationError(
                "fd: expected numbers as in 3 or 3,4, systemd, or systemd:NAME"
            )
        if self.fd is not None and self.unix is not None:
            raise ConfigurationError("fd and unix: give one or the other")
        if self.reload and self.workers > 1:
            raise ConfigurationError("reload works with one worker: leave out one of the two")
        return Config(**checked)

    @property
    def supervised(self) -> bool:
        """Whether this takes a supervisor and processes below it."""
        return self.workers > 1 or self.reload
