"""Listening sockets: opened by address or path, or inherited. Addresses of sockets in one form.

Every way in which opening fails is a `ConfigurationError` that says what to change. Called by
`server.listening`; who accepts is `transport.acceptor`. Connections ask for addresses.
"""

import errno
import grp
import os
import pwd
import socket
import stat
from typing import Any, NamedTuple

from httpkit.errors import ConfigurationError
from httpkit.types import Address

__all__ = [
    "KeepAlive",
    "TCPOptions",
    "address_of",
    "adopt_listener",
    "listening_address",
    "open_tcp_listeners",
    "open_unix_listener",
]

#: A free port of one address may be taken on the next; how often another one is tried.
_PORT_TRIES = 10
#: An address of a family that this machine does not use, e.g. ::1 where IPv6 is off.
_NO_FAMILY = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}

#: SO_KEEPALIVE: idle seconds, seconds between probes, lost probes until the peer counts as dead.
KeepAlive = tuple[int, int, int]


class TCPOptions(NamedTuple):
    """Options of TCP listeners, and of what they accept.

    Attributes:
        keep_alive: of SO_KEEPALIVE, or `None` to switch it off.
        fast_open: queue of TCP_FASTOPEN, or `None`.
        defer_accept: seconds of TCP_DEFER_ACCEPT, or `None`.
    """

    keep_alive: KeepAlive | None = None
    fast_open: int | None = None
    defer_accept: int | None = None


def open_tcp_listeners(
    host: str | None,
    port: int,
    *,
    backlog: int,
    options: TCPOptions,
    shared_port: bool = False,
    option: str = "--port",
) -> list[socket.socket]:
    """Listening sockets for every address of a host.

    Args:
        host: an address or a name; `None` or empty for all addresses, IPv4 and IPv6 on one
            dual-stack socket where the system has it.
        port: 0 for a free one, the same for every address.
        backlog: queue of connections that are not accepted yet.
        options: of the sockets.
        shared_port: SO_REUSEPORT: several calls may open the same port, and the kernel spreads
            connections over them. Whoever else has the same user may do so too.
        option: names the port, in messages.

    Raises:
        ConfigurationError: the address cannot be used; the message says what to do.
    """
    try:
        addresses = _resolve(host, port)
        for _ in range(_PORT_TRIES - 1):
            try:
                return _listen_all(addresses, port, backlog, options, not host, shared_port)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE:
                    raise
        return _listen_all(addresses, port, backlog, options, not host, shared_port)
    except (OSError, ValueError) as error:  # ValueError: a name that DNS cannot have
        where = f"{host or '*'}:{port}"
        raise ConfigurationError(_explain(error, where, port, option)) from error


def _listen_all(
    addresses: list[tuple[socket.AddressFamily, tuple[Any, ...]]],
    port: int,
    backlog: int,
    options: TCPOptions,
    dual: bool,  # noqa: FBT001
    shared_port: bool,  # noqa: FBT001
) -> list[socket.socket]:
    """Listen on all addresses, or on none if one of them fails."""
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, found in addresses:
            # A free port that the kernel chose for the first address serves the others too.
            chosen = sockets[0].getsockname()[1] if sockets else port
            address = (found[0], chosen, *found[2:])
            try:
                sockets.append(_listen_tcp(family, address, backlog, options, dual, shared_port))
            except OSError as error:
                if error.errno not in _NO_FAMILY:
                    raise
                missing = error
        if missing is not None and not sockets:
            raise missing
    except (OSError, ConfigurationError):
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _resolve(host: str | None, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    if not host:
        if socket.has_dualstack_ipv6():
            return [(socket.AF_INET6, ("::", port))]
        return [(socket.AF_INET, ("0.0.0.0", port))]  # noqa: S104 - asked for: all addresses
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listen_tcp(
    family: socket.AddressFamily,
    address: tuple[Any, ...],
    backlog: int,
    options: TCPOptions,
    dual: bool,  # noqa: FBT001
    shared_port: bool,  # noqa: FBT001
) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        if shared_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _set_tcp_options(listener, options)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except (OSError, ConfigurationError):
        listener.close()
        raise
    return listener


def _set_tcp_options(listener: socket.socket, options: TCPOptions) -> None:
    # Accepted sockets inherit both: answers are written whole, so waiting for more to fill a
    # segment only delays them; and a peer that vanished without a word is found out.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if options.keep_alive is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        for name, value in zip(names, options.keep_alive, strict=True):
            if hasattr(socket, name):  # not every system has all three
                listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    _set_asked_option(listener, "tcp_fast_open", "TCP_FASTOPEN", options.fast_open)
    _set_asked_option(listener, "tcp_defer_accept", "TCP_DEFER_ACCEPT", options.defer_accept)


def _set_asked_option(listener: socket.socket, option: str, name: str, value: int | None) -> None:
    """Set what is off unless somebody asks for it, and say so where it cannot be had."""
    if value is None:
        return
    if not hasattr(socket, name):
        raise ConfigurationError(f"{option}: this system has no {name}; leave the option out")
    try:
        listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except OSError as error:
        raise ConfigurationError(f"{option}: {error.strerror}; leave the option out") from error


def open_unix_listener(path: str, *, mode: int, owner: str | None, backlog: int) -> socket.socket:
    """A listening Unix socket.

    Args:
        path: where; a socket left over by a dead process is replaced, a live one is not.
        mode: permission bits of the socket file.
        owner: `user`, `user:group` or `:group`, by name or number; needs the privilege.
        backlog: queue of connections that are not accepted yet.

    Raises:
        ConfigurationError: the path cannot be used; the message says what to do.
    """
    ids = None if owner is None else _parse_owner(owner)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound = False
    try:
        _remove_stale(path)
        # The socket must never be open to more users than asked for, not even for a moment.
        mask = os.umask(0o777 & ~mode)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        bound = True
        os.chmod(path, mode)
        if ids is not None:
            os.chown(path, *ids)
        listener.listen(backlog)
        listener.setblocking(False)
    except (OSError, ValueError, OverflowError, ConfigurationError) as error:
        listener.close()
        if bound:
            os.unlink(path)
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(_explain(error, path, None, "--unix")) from error
    return listener


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise ConfigurationError(
                f"{path} exists and is not a socket; choose another --unix path"
            )
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a server whose queue is full lives, and would make us wait
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, "in use", path)


def _parse_owner(owner: str) -> tuple[int, int]:
    user, _, group = owner.partition(":")
    try:
        uid = int(user) if user.isdecimal() else (pwd.getpwnam(user).pw_uid if user else -1)
        gid = int(group) if group.isdecimal() else (grp.getgrnam(group).gr_gid if group else -1)
    except KeyError as error:
        raise ConfigurationError(f"--unix-owner {owner!r}: {error.args[0]}") from None
    return uid, gid


def adopt_listener(descriptor: int, options: TCPOptions) -> socket.socket:
    """Take over a listening socket that the process was started with.

    Its backlog and its address are what they are; the options of TCP sockets are set.

    Raises:
        ConfigurationError: it is no listening TCP or Unix socket; the descriptor stays open.
    """
    where = f"--fd: descriptor {descriptor}"
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        if error.errno == errno.ENOTSOCK:
            raise ConfigurationError(f"{where} is not a socket") from error
        raise ConfigurationError(
            f"{where} is not open; the parent process has to pass it on"
        ) from error
    problem: str | None = None
    if listener.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        problem = f"is a socket of family {listener.family}; TCP and Unix sockets can be served"
    elif listener.type != socket.SOCK_STREAM:
        problem = "is not a stream socket (in systemd: ListenStream)"
    elif not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        problem = "is not listening (in systemd: Accept=no)"
    if problem is not None:
        listener.detach()
        raise ConfigurationError(f"{where} {problem}")
    os.set_inheritable(descriptor, False)
    listener.setblocking(False)
    if listener.family != socket.AF_UNIX:
        _set_tcp_options(listener, options)
    return listener


def address_of(name: object) -> Address | None:
    """What a transport calls peername or sockname; a Unix socket's path is its host.

    The peer chooses the path it is bound to, and logs show it: what cannot be printed is escaped.
    """
    if isinstance(name, tuple) and len(name) >= 2:
        return Address(str(name[0]), int(name[1]))
    if isinstance(name, str | bytes):
        path = os.fsdecode(name)
        return Address(path if path.isprintable() else ascii(path)[1:-1], 0)
    return None


def listening_address(listener: socket.socket) -> Address:
    """Where a socket listens; an abstract Unix socket is written with an `@` in front."""
    name: Any = listener.getsockname()
    if isinstance(name, bytes):
        return Address("@" + name[1:].decode("utf-8", "replace"), 0)
    return Address(name, 0) if isinstance(name, str) else Address(name[0], name[1])


def _explain(error: Exception, where: str, port: int | None, option: str) -> str:
    """An error of resolving or binding as a sentence that says what to do."""
    if not isinstance(error, OSError):
        return f"{where} cannot be opened: {error}"
    if error.errno == errno.EADDRINUSE:
        advice = "stop the process that has it, or choose another" + (
            f" port with {option}" if port is not None else f" path with {option}"
        )
        return f"{where} is already in use: {advice}"
    if error.errno in (errno.EACCES, errno.EPERM):
        if port is not None and 0 < port < 1024:
            return f"{where}: ports below 1024 need a privilege; choose another with {option}"
        return f"{where}: permission denied"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine has no such address; choose another with --host"
    if error.errno == errno.ENOENT and port is None:
        directory = os.path.dirname(where)
        return f"{where}: there is no directory {directory!r}: create it, or choose another path"
    return f"{where} cannot be opened: {error.strerror or error}"
