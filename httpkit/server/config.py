"""How a server is set up: one typed struct, checked when it is made."""

import os
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from httpkit.errors import ConfigurationError
from httpkit.limits import Limits, field_types
from httpkit.protocol.http1 import HTTP1Choice
from httpkit.protocol.http2 import HTTP2Choice
from httpkit.semantics.forwarded import ForwardedField, Networks
from httpkit.transport.loop import LoopChoice

__all__ = ["AccessLogFormat", "ClientAuth", "Config", "Path"]

AccessLogFormat = Literal["common", "combined", "json"]
ClientAuth = Literal["none", "optional", "required"]

# What Linux accepts (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPCNT).
_KeepAliveTime = Annotated[int, Meta(ge=1, le=32767)]
_KeepAliveCount = Annotated[int, Meta(ge=1, le=127)]

# What the command line and configuration files need to know beyond the type, see cli/values.py.
Path = Annotated[str, Meta(extra={"path": True})]
_Port = Annotated[int, Meta(ge=0, le=65535)]
_HOST_NAME = re.compile(r"(\*\.)?[^*:/]+")
_Permissions = Annotated[int, Meta(ge=0, le=0o777, extra={"octal": True})]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one server.

    Raises:
        ConfigurationError: by `checked`, with a message that says what to change.
    """

    host: str = "127.0.0.1"
    """Address or name to listen on; `*` or empty for all addresses, IPv4 and IPv6."""

    port: _Port = 8000
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

    tls: bool = False
    """Speak TLS on the port, or whatever else is listened on. Without `tls_cert` the certificate is
    one of a development CA of this machine."""

    tls_port: _Port | None = None
    """A TLS port beside the plain one; 0 for a free one. It listens on the addresses of `host`."""

    redirect_http: _Port | None = None
    """A plain port beside that of `tls`, usually 80, that answers every request with 308 to the
    https address of the same host."""

    tls_cert: tuple[Path, ...] = ()
    """PEM files of certificates, each with its intermediates behind it, which switches `tls` on
    unless there is a `tls_port`. The first is the default; others are chosen by the name that a
    client asks for (SNI)."""

    tls_key: tuple[Path, ...] = ()
    """PEM files of their keys, in the same order; without any, each stands in the file of its
    certificate."""

    tls_min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS (RFC 9325 §3.1.1: 1.2, older ones must not be used)."""

    tls_client_auth: ClientAuth = "none"
    """Whether clients are asked for a certificate: `none`, `optional` (who gives one must have a
    valid one), or `required`."""

    tls_client_ca: Path | None = None
    """PEM file of the authorities that sign certificates of clients."""

    tls_client_crl: Path | None = None
    """PEM file of revocation lists, one from each authority in the chain of a client's
    certificate."""

    tls_client_auth_hosts: tuple[str, ...] = ()
    """Host names that need a client certificate where others do not: they answer 403 without one.
    `*.` in front stands for one label. TLS ports then speak TLS 1.3 alone and resume no session."""

    hsts: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    """Strict-Transport-Security with this max-age in seconds, in every answer of the application
    over TLS that has none (RFC 6797). Off: browsers would insist on https for so long."""

    workers: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Processes that serve; more than one are watched over by a supervisor. Limits such as
    max_connections hold for each of them."""

    worker_start_timeout: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    """How long a worker may take until it accepts connections, before it counts as failed."""

    max_requests: Annotated[int, Meta(ge=1)] | None = None
    """Requests after which a worker is replaced by a new one, without losing any, so that what
    leaks does not grow for ever; a process without a supervisor stops gracefully. It may be a few
    more, since this is looked at twice a second (gunicorn: max_requests, off)."""

    max_requests_jitter: Annotated[int, Meta(ge=0)] = 0
    """Up to so many requests more, by chance, so that workers are not replaced all at once."""

    reload: bool = False
    """Start again when a file changes: for development only, with one worker."""

    reload_dir: tuple[Path, ...] = ()
    """Directories to watch. Without any it is the one that modules are imported from."""

    reload_include: tuple[str, ...] = ("*.py",)
    """Patterns of the names of files whose changes count."""

    reload_exclude: tuple[str, ...] = (".*", "__pycache__", "node_modules", "venv")
    """Patterns of the names of files and directories that are left out."""

    proxy_headers: bool = False
    """Believe proxies what they say about the client, in the fields that forwarded_field names:
    address, scheme and host of a request are then those."""

    forwarded_field: ForwardedField = "x-forwarded"
    """Fields that the proxies write: `x-forwarded` (X-Forwarded-For, -Proto, -Host, -Port) or
    `forwarded` (RFC 7239). Those of the other kind are the client's and not believed."""

    forwarded_allow_ips: tuple[str, ...] = ("127.0.0.0/8", "::1", "unix")
    """Proxies that are believed: networks in CIDR notation, addresses, `unix` for a Unix socket,
    `*` for everybody who can connect."""

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
                # `httpkit run` has more: debug is the app's, workers are the command's.
                raise ConfigurationError(
                    f"there is no option {name!r}: a server has the fields of Config and Limits"
                )
        if limits:
            given = options.get("limits", Limits())
            if not isinstance(given, Limits):
                raise ConfigurationError("limits: expected Limits beside options that belong there")
            options["limits"] = msgspec.structs.replace(given, **limits)
        for name in ("tls_cert", "tls_key"):
            given = options.get(name)
            if isinstance(given, str | os.PathLike):
                given = (given,)
            if isinstance(given, tuple | list):
                options[name] = tuple(map(_path_text, given))
        return cls(**options).checked()  # type: ignore[arg-type]

    def checked(self) -> "Config":
        """The same options in their plain form, if every value is possible.

        Raises:
            ConfigurationError: a wrong value, by the name of its option.
        """
        checked: dict[str, Any] = {}
        for name, kind in field_types(Config).items():
            try:
                checked[name] = msgspec.convert(getattr(self, name), kind)
            except msgspec.ValidationError as error:
                reason = str(error)
                raise ConfigurationError(f"{name}: {reason[:1].lower()}{reason[1:]}") from None
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
        try:
            Networks(self.forwarded_allow_ips)
        except ValueError as error:
            raise ConfigurationError(f"forwarded_allow_ips: {error}") from None
        if self.reload and self.workers > 1:
            raise ConfigurationError("reload works with one worker: leave out one of the two")
        if self.max_requests_jitter and self.max_requests is None:
            raise ConfigurationError("max_requests_jitter has no effect without max_requests")
        config = Config(**checked)
        _check_tls(config)
        return config

    @property
    def supervised(self) -> bool:
        """Whether this takes a supervisor and processes below it."""
        return self.workers > 1 or self.reload

    @property
    def main_scheme(self) -> Literal["http", "https"]:
        """What the port speaks, or the Unix or inherited sockets instead of it."""
        return "https" if self.tls or (self.tls_cert and self.tls_port is None) else "http"

    @property
    def asks_for_certificates(self) -> bool:
        """Whether clients may give a certificate."""
        return self.tls_client_auth != "none" or bool(self.tls_client_auth_hosts)

    @property
    def serves_tls(self) -> bool:
        """Whether any port speaks TLS."""
        return self.main_scheme == "https" or self.tls_port is not None


def _check_tls(config: Config) -> None:
    """What options of TLS have to do with each other.

    Raises:
        ConfigurationError: they contradict each other, or have no effect.
    """
    asks = config.asks_for_certificates
    if config.tls and config.tls_port is not None:
        problem = "tls makes the port speak TLS, tls_port adds one that does: leave out one of them"
    elif config.redirect_http is not None and config.main_scheme == "http":
        problem = "redirect_http redirects to a port that speaks TLS instead of HTTP: use tls"
    elif config.tls_key and len(config.tls_key) != len(config.tls_cert):
        problem = (
            f"tls_key: tls_cert has {len(config.tls_cert)} files and this {len(config.tls_key)}; "
            "give one for each, or none where the files have the keys too"
        )
    elif not config.serves_tls and (asks or config.hsts is not None):
        problem = "tls_client_auth and hsts have no effect without tls or tls_port"
    elif config.tls_client_auth_hosts and config.tls_client_auth == "required":
        problem = "tls_client_auth is required for every host: leave out tls_client_auth_hosts"
    elif asks and config.tls_client_ca is None:
        problem = "tls_client_auth: tls_client_ca has to name the authorities that sign clients"
    elif not asks and (config.tls_client_ca or config.tls_client_crl):
        problem = "tls_client_ca and tls_client_crl have no effect without tls_client_auth"
    elif not all(map(_HOST_NAME.fullmatch, config.tls_client_auth_hosts)):
        problem = "tls_client_auth_hosts: expected names as in admin.example.com or *.example.com"
    else:
        return
    raise ConfigurationError(problem)


def _path_text(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value
