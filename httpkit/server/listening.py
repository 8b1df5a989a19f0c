"""What a server listens on: opened as `Config` says, inherited, or given.

Theory of operation: one `Listening` stands for one set of sockets. Who opened a Unix socket's file
removes it, unless another one has taken its place; who was given the sockets does not.

Called by `Server`, and by the supervisor, which keeps everything open for its workers.
"""

import os
import socket
from collections.abc import Iterable, MutableMapping
from contextlib import suppress

from httpkit.errors import ConfigurationError
from httpkit.server.config import Config
from httpkit.transport.acceptor import ACCEPT_BATCH
from httpkit.transport.sockets import (
    TCPOptions,
    adopt_listener,
    listening_address,
    open_tcp_listeners,
    open_unix_listener,
)
from httpkit.types import Address

__all__ = ["Listening", "open_for_workers", "open_listeners", "systemd_descriptors"]

#: The first descriptor that systemd passes on (sd_listen_fds).
_FIRST_DESCRIPTOR = 3
#: Of workers that share sockets each takes one connection at a time: else the first one that
#: wakes up takes all that wait.
SHARED_ACCEPT_BATCH = 1
#: A port, what it speaks, and the option that names it.
_Port = tuple[int, str, str]
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Listening:
    """Listening sockets and where they listen.

    Args:
        sockets: non-blocking; closed by whoever accepts from them, or by `close`.
        unix_path: file to remove at the end, if it is ours.
        schemes: what each socket speaks, `http` or `https`; empty: what `Config.main_scheme` says.
        accept_batch: connections to take at once, see `Acceptor`.
    """

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        unix_path: str | None = None,
        *,
        schemes: Iterable[str] = (),
        accept_batch: int = ACCEPT_BATCH,
    ) -> None:
        self.sockets = list(sockets)
        self.addresses: list[Address] = [listening_address(each) for each in self.sockets]
        self.schemes = list(schemes)
        self.accept_batch = accept_batch
        self._unix_path = unix_path
        #: What the file was when it was opened.
        self._unix_file = None if unix_path is None else os.stat(unix_path)

    def join(self, other: "Listening") -> None:
        """Take over the sockets of another one."""
        self.sockets += other.sockets
        self.addresses += other.addresses
        self.schemes += other.schemes

    def unlink(self) -> None:
        """Remove the Unix socket's file, before the sockets are closed.

        As long as somebody listens nobody else takes its place, unless the file has been removed.
        """
        if self._unix_path is not None and self._unix_file is not None:
            with suppress(OSError):
                if os.path.samestat(os.stat(self._unix_path), self._unix_file):
                    os.unlink(self._unix_path)
            self._unix_path = None

    def close(self) -> None:
        """Remove the file and close the sockets."""
        self.unlink()
        for listener in self.sockets:
            listener.close()


def open_listeners(config: Config) -> Listening:
    """Open, or take over, what the options name.

    Raises:
        ConfigurationError: it cannot be used; the message says what to do.
    """
    main = config.main_scheme
    if config.fd is not None:
        adopted = _adopt(config, config.fd)
        opened = Listening(adopted, schemes=[main] * len(adopted))
    elif config.unix is not None:
        listener = open_unix_listener(
            config.unix, mode=config.unix_mode, owner=config.unix_owner, backlog=config.backlog
        )
        opened = Listening([listener], config.unix, schemes=[main])
    else:
        return _open_ports(config, _all_ports(config))
    try:
        opened.join(_open_ports(config, _other_ports(config)))
    except ConfigurationError:
        opened.close()
        raise
    return opened


def _all_ports(config: Config) -> list[_Port]:
    return [(config.port, config.main_scheme, "--port"), *_other_ports(config)]


def _other_ports(config: Config) -> list[_Port]:
    """The ports beside the main one."""
    ports: list[_Port] = []
    if config.tls_port is not None:
        ports.append((config.tls_port, "https", "--tls-port"))
    if config.redirect_http is not None:
        ports.append((config.redirect_http, "http", "--redirect-http"))
    return ports


def _open_ports(config: Config, ports: Iterable[_Port], *, shared_port: bool = False) -> Listening:
    """Open every port, or none if one of them fails."""
    opened = Listening([])
    try:
        for port, scheme, option in ports:
            sockets = _open_tcp(config, port, option, shared_port=shared_port)
            opened.join(Listening(sockets, schemes=[scheme] * len(sockets)))
    except ConfigurationError:
        opened.close()
        raise
    return opened


def open_for_workers(config: Config) -> list[Listening]:
    """What each worker accepts from: sockets of its own, or some that all share.

    TCP gets sockets for each worker on one port (SO_REUSEPORT), over which the kernel spreads
    connections evenly. Unix and inherited sockets are shared.

    Raises:
        ConfigurationError: it cannot be used; the message says what to do.
    """
    first = open_listeners(config)
    if config.workers == 1:
        return [first]
    if config.fd is not None or config.unix is not None or not hasattr(socket, "SO_REUSEPORT"):
        first.accept_batch = SHARED_ACCEPT_BATCH
        return [first] * config.workers
    # SO_REUSEPORT would join whoever of this user has the port already; what has been opened
    # without it says that nobody has.
    # Free ports are known now; each stands once for all its addresses.
    found = dict.fromkeys(address.port for address in first.addresses)
    named = zip(found, _all_ports(config), strict=True)
    ports = [(port, scheme, option) for port, (_, scheme, option) in named]
    first.close()
    opened: list[Listening] = []
    try:
        for _ in range(config.workers):
            opened.append(  # noqa: PERF401 - what is open when one fails has to be closed
                _open_ports(config, ports, shared_port=True)
            )
    except ConfigurationError:
        for each in opened:
            each.close()
        raise
    return opened


def systemd_descriptors(environ: MutableMapping[str, str], pid: int, name: str = "") -> list[int]:
    """The descriptors of socket activation (sd_listen_fds(3)); its variables are removed.

    Args:
        environ: of the process.
        pid: of the process, for which they must be meant.
        name: take only those with this FileDescriptorName; all of them if empty.

    Raises:
        ConfigurationError: there are none, or none of that name.
    """
    meant_for, count, names = (environ.pop(variable, "") for variable in _VARIABLES)
    if not count.isdecimal() or not int(count):
        raise ConfigurationError(
            "--fd systemd: LISTEN_FDS is not set; the service needs a socket unit"
        )
    if meant_for != str(pid):
        raise ConfigurationError(
            f"--fd systemd: LISTEN_PID is {meant_for or 'not set'}, this process is {pid}; "
            "start httpkit itself, without a shell or a wrapper in between"
        )
    found = range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count))
    if not name:
        return list(found)
    named = [each for each, its in zip(found, names.split(":"), strict=False) if its == name]
    if not named:
        raise ConfigurationError(
            f"--fd systemd:{name}: no socket has this FileDescriptorName, only {names or 'none'}"
        )
    return named


def _adopt(config: Config, source: str) -> list[socket.socket]:
    activator, _, name = source.partition(":")
    if activator == "systemd":
        descriptors = systemd_descriptors(os.environ, os.getpid(), name)
    else:
        descriptors = [int(number) for number in source.split(",")]
    adopted: list[socket.socket] = []
    try:
        for descriptor in descriptors:
            adopted.append(  # noqa: PERF401 - as above
                adopt_listener(descriptor, _tcp_options(config))
            )
    except ConfigurationError:
        for listener in adopted:
            listener.detach()
        raise
    return adopted


def _open_tcp(
    config: Config, port: int, option: str, *, shared_port: bool = False
) -> list[socket.socket]:
    return open_tcp_listeners(
        config.host,
        port,
        backlog=config.backlog,
        options=_tcp_options(config),
        shared_port=shared_port,
        option=option,
    )


def _tcp_options(config: Config) -> TCPOptions:
    return TCPOptions(config.tcp_keep_alive, config.tcp_fast_open, config.tcp_defer_accept)
