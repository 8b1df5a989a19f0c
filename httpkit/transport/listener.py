"""Listening sockets: opening them, and accepting from them.

The loops' own `create_server` cannot pause: out of descriptors, libuv accepts and closes what
waits, and asyncio logs once for each try. Here `Acceptor` takes sockets itself and hands them to
the loop, so it can stop taking them, for a while or for good, and the kernel keeps the queue.
"""

import asyncio
import errno
import grp
import logging
import os
import pwd
import socket
import stat
from collections.abc import Callable
from typing import Any

from httpkit.errors import ConfigurationError

__all__ = ["Acceptor", "KeepAlive", "open_tcp_listeners", "open_unix_listener"]

logger = logging.getLogger("httpkit")

#: Sockets taken in one turn of the loop, so that a storm of connections does not starve answers.
_ACCEPT_BATCH = 64
#: How long to wait before trying again when descriptors or memory ran out.
_PAUSE = 0.25
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
#: Seconds without such a failure after which the next one is an incident of its own.
_INCIDENT = 10.0
#: A free port of one address may be taken on the next; how often another one is tried.
_PORT_TRIES = 10
#: An address of a family that this machine does not use, e.g. ::1 where IPv6 is off.
_NO_FAMILY = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}

#: SO_KEEPALIVE: idle seconds, seconds between probes, lost probes until the peer counts as dead.
KeepAlive = tuple[int, int, int]


def open_tcp_listeners(
    host: str | None, port: int, *, backlog: int, keep_alive: KeepAlive | None
) -> list[socket.socket]:
    """Listening sockets for every address of a host.

    Args:
        host: an address or a name; `None` or empty for all addresses, IPv4 and IPv6 on one
            dual-stack socket where the system has it.
        port: 0 for a free one, the same for every address.
        backlog: queue of connections that are not accepted yet.
        keep_alive: options of SO_KEEPALIVE, or `None` to switch it off.

    Raises:
        ConfigurationError: the address cannot be used; the message says what to do.
    """
    try:
        addresses = _resolve(host, port)
        for _ in range(_PORT_TRIES - 1):
            try:
                return _listen_all(addresses, port, backlog, keep_alive, dual=not host)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE:
                    raise
        return _listen_all(addresses, port, backlog, keep_alive, dual=not host)
    except (OSError, ValueError) as error:  # ValueError: a name that DNS cannot have
        raise ConfigurationError(_explain(error, f"{host or '*'}:{port}", port)) from error


def _listen_all(
    addresses: list[tuple[socket.AddressFamily, tuple[Any, ...]]],
    port: int,
    backlog: int,
    keep_alive: KeepAlive | None,
    *,
    dual: bool,
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
                sockets.append(_listen_tcp(family, address, backlog, keep_alive, dual=dual))
            except OSError as error:
                if error.errno not in _NO_FAMILY:
                    raise
                missing = error
        if missing is not None and not sockets:
            raise missing
    except OSError:
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
    keep_alive: KeepAlive | None,
    *,
    dual: bool,
) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        # Accepted sockets inherit both: answers are written whole, so waiting for more to fill a
        # segment only delays them; and a peer that vanished without a word is found out.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if keep_alive is not None:
            _set_keep_alive(listener, keep_alive)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _set_keep_alive(listener: socket.socket, options: KeepAlive) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), options, strict=True):
        if hasattr(socket, name):  # not every system has all three
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


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
        raise ConfigurationError(_explain(error, path, None)) from error
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


def _explain(error: Exception, where: str, port: int | None) -> str:
    """An error of resolving or binding as a sentence that says what to do."""
    if not isinstance(error, OSError):
        return f"{where} cannot be opened: {error}"
    if error.errno == errno.EADDRINUSE:
        advice = "stop the process that has it, or choose another" + (
            " port with --port" if port is not None else " path with --unix"
        )
        return f"{where} is already in use: {advice}"
    if error.errno in (errno.EACCES, errno.EPERM):
        if port is not None and 0 < port < 1024:
            return f"{where}: ports below 1024 need a privilege; choose another with --port"
        return f"{where}: permission denied"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine has no such address; choose another with --host"
    return f"{where} cannot be opened: {error.strerror or error}"


class Acceptor:
    """Accepts from listening sockets.

    Args:
        loop: where connections live.
        listeners: non-blocking listening sockets; closed by `close`.
        make_protocol: called for each connection.
        may_accept: asked before each batch how many connections there is room for.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listeners: list[socket.socket],
        make_protocol: Callable[[], asyncio.Protocol],
        may_accept: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._listeners = listeners
        self._make_protocol = make_protocol
        self._may_accept = may_accept
        self._accepting = False
        self._full = False
        # When descriptors or memory ran out last, on the loop's clock.
        self._exhausted_at: float | None = None
        self._retry: asyncio.TimerHandle | None = None
        # Sockets on their way to a protocol.
        self._opening: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Accept (again)."""
        if not self._accepting and self._listeners:
            self._accepting = True
            for listener in self._listeners:
                self._loop.add_reader(listener, self._accept, listener)

    def pause(self) -> None:
        """Accept no more; what comes waits in the kernel's queue."""
        if self._accepting:
            self._accepting = False
            for listener in self._listeners:
                self._loop.remove_reader(listener)

    def make_room(self) -> None:
        """A connection has ended: accept again if there was no room before."""
        if self._full:
            self._full = False
            self.resume()

    def close(self) -> None:
        """Accept no more and close the listening sockets."""
        self.pause()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.close()

    async def wait_closed(self) -> None:
        """Close, and wait until every socket that was accepted has its protocol."""
        self.close()
        if self._opening:
            await asyncio.wait(self._opening)

    def _accept(self, listener: socket.socket) -> None:
        room = self._may_accept() - len(self._opening)
        if room <= 0:
            self._full = True
            self.pause()
            return
        for _ in range(min(room, _ACCEPT_BATCH)):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._accept_failed(error)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opened)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError as error:
            # The peer may be gone already, or descriptors are.
            logger.debug("a connection was lost while it was opened: %s", error)
            connection.close()

    def _opened(self, task: asyncio.Task[None]) -> None:
        # While it was opened it may have been counted twice, and if opening failed, once too many.
        self._opening.discard(task)
        self.make_room()

    def _accept_failed(self, error: OSError) -> None:
        """Out of descriptors or memory: wait for some to come back. One line for an incident."""
        if error.errno not in _EXHAUSTED:
            logger.error("accepting failed: %s", error)
        else:
            now = self._loop.time()
            if self._exhausted_at is None or now - self._exhausted_at > _INCIDENT:
                logger.error(
                    "accepting paused: %s; new connections wait (raise `ulimit -n` or lower "
                    "max_connections)",
                    error.strerror,
                )
            self._exhausted_at = now
        self.pause()
        self._retry = self._loop.call_later(_PAUSE, self.resume)
