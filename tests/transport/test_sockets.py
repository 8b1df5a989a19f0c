"""Listening sockets: what they are, and what is said when they cannot be had."""

import errno
import grp
import os
import pwd
import socket
import stat

import pytest

from httpkit.errors import ConfigurationError
from httpkit.transport import sockets
from httpkit.transport.sockets import (
    TCPOptions,
    adopt_listener,
    listening_address,
    open_tcp_listeners,
    open_unix_listener,
)

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def tcp():
    """`open_tcp_listeners` whose sockets are closed after the test."""
    opened: list[socket.socket] = []

    def open_listeners(host, port=0, *, backlog=10, shared_port=False, **options):
        found = open_tcp_listeners(
            host, port, backlog=backlog, options=TCPOptions(**options), shared_port=shared_port
        )
        opened.extend(found)
        return found

    yield open_listeners
    for each in opened:
        each.close()


@pytest.fixture
def unix():
    """`open_unix_listener` whose sockets are closed after the test."""
    opened: list[socket.socket] = []

    def open_listener(path, *, mode=0o600, owner=None, backlog=10):
        opened.append(open_unix_listener(str(path), mode=mode, owner=owner, backlog=backlog))
        return opened[-1]

    yield open_listener
    for each in opened:
        each.close()


def fake_resolver(*addresses):
    """What the system's resolver would say."""

    def getaddrinfo(host, port, **options):
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port, *rest))
            for family, address, *rest in addresses
        ]

    return getaddrinfo


# --- TCP -----------------------------------------------------------------------------------------


def test_an_address(tcp) -> None:
    [found] = tcp("127.0.0.1")
    assert found.family == socket.AF_INET
    assert found.getsockname()[0] == "127.0.0.1"
    assert found.getblocking() is False
    assert found.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_an_ipv6_address_is_for_ipv6_alone(tcp) -> None:
    [found] = tcp("::1")
    assert found.family == socket.AF_INET6
    assert found.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


@pytest.mark.parametrize("host", [None, ""])
def test_all_addresses(tcp, host) -> None:
    """One socket for both families."""
    [found] = tcp(host)
    assert found.getsockname()[0] == "::"
    assert not found.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    for address in ("127.0.0.1", "::1"):
        socket.create_connection((address, found.getsockname()[1]), 5).close()


def test_all_addresses_without_ipv6(tcp, monkeypatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    [found] = tcp("")
    assert found.getsockname()[0] == "0.0.0.0"


def test_a_name_with_several_addresses_has_one_port(tcp, monkeypatch) -> None:
    resolver = fake_resolver(
        (socket.AF_INET6, "::1", 0, 0),
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "127.0.0.1"),  # as for every protocol of a name
        (socket.AF_INET, "127.0.0.2"),
    )
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    found = tcp("several")
    assert [each.getsockname()[0] for each in found] == ["::1", "127.0.0.1", "127.0.0.2"]
    assert len({each.getsockname()[1] for each in found}) == 1


def test_a_free_port_is_free_on_every_address(tcp, monkeypatch) -> None:
    """The kernel finds one that is free on the first address; it may be taken on the next."""
    monkeypatch.setattr(
        socket, "getaddrinfo", fake_resolver((socket.AF_INET, "127.0.0.1"), (2, "127.0.0.2"))
    )
    taken: list[socket.socket] = []
    original = sockets._listen_tcp

    def listen(family, address, *args, **options):
        if address[0] == "127.0.0.2" and len(taken) < 3:
            taken.append(socket.create_server(address))
        return original(family, address, *args, **options)

    monkeypatch.setattr(sockets, "_listen_tcp", listen)
    try:
        found = tcp("several")
        assert len(taken) == 3
        assert len({each.getsockname()[1] for each in found}) == 1
    finally:
        for each in taken:
            each.close()


def test_a_port_that_is_never_free(tcp, monkeypatch) -> None:
    def listen(*args, **options):
        raise OSError(errno.EADDRINUSE, "in use")

    monkeypatch.setattr(sockets, "_listen_tcp", listen)
    with pytest.raises(ConfigurationError, match="already in use"):
        tcp("127.0.0.1")


def test_an_address_of_a_family_that_is_off_is_left_out(tcp, monkeypatch) -> None:
    """As in containers without IPv6 whose /etc/hosts has ::1 for localhost."""
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        fake_resolver((socket.AF_INET6, "2001:db8::1", 0, 0), (socket.AF_INET, "127.0.0.1")),
    )
    [found] = tcp("localhost")
    assert found.getsockname()[0] == "127.0.0.1"


def test_one_address_that_cannot_be_had_closes_the_others(tcp, monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        resolver = fake_resolver((socket.AF_INET, "127.0.0.2"), (socket.AF_INET, "127.0.0.1"))
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        with pytest.raises(ConfigurationError, match=f"several:{port} is already in use"):
            tcp("several", port)
        socket.create_server(("127.0.0.2", port)).close()


def test_a_port_can_be_had_again_at_once(tcp) -> None:
    [first] = tcp("127.0.0.1")
    port = first.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port), 5)
    first.setblocking(True)
    accepted, _ = first.accept()
    accepted.close()  # this side closes first, so that it is the one in TIME-WAIT
    client.close()
    first.close()
    assert tcp("127.0.0.1", port)


def test_options_of_accepted_sockets(tcp) -> None:
    [found] = tcp("127.0.0.1", keep_alive=(61, 11, 3))
    with socket.create_connection(found.getsockname(), 5):
        found.setblocking(True)
        accepted, _ = found.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 61
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 11
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


def test_no_keep_alive(tcp) -> None:
    [found] = tcp("127.0.0.1", keep_alive=None)
    assert not found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_system_without_all_options(tcp, monkeypatch) -> None:
    monkeypatch.delattr(socket, "TCP_KEEPIDLE")
    [found] = tcp("127.0.0.1", keep_alive=(61, 11, 3))
    assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


def failing_with(number: int):
    def listen(*args, **options):
        raise OSError(number, os.strerror(number))

    return listen


@pytest.mark.parametrize(
    ("host", "port", "error", "message"),
    [
        ("127.0.0.1", 80, errno.EADDRINUSE, "127.0.0.1:80 is already in use: .* with --port"),
        ("", 80, errno.EADDRINUSE, r"\*:80 is already in use"),
        ("127.0.0.1", 80, errno.EACCES, "ports below 1024 need a privilege; .* --port"),
        ("127.0.0.1", 8080, errno.EACCES, "127.0.0.1:8080: permission denied"),
        ("127.0.0.1", 0, errno.EPERM, "127.0.0.1:0: permission denied"),
        ("127.0.0.1", 80, errno.EADDRNOTAVAIL, "this machine has no such address; .* --host"),
        ("127.0.0.1", 80, errno.EINVAL, "127.0.0.1:80 cannot be opened: Invalid argument"),
    ],
)
def test_messages(tcp, monkeypatch, host, port, error, message) -> None:
    monkeypatch.setattr(sockets, "_listen_tcp", failing_with(error))
    with pytest.raises(ConfigurationError, match=message):
        tcp(host, port)


def test_messages_of_the_real_thing(tcp) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigurationError, match="already in use"),
    ):
        tcp("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ConfigurationError, match="no such address"):
        tcp("192.0.2.1")


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", "a\0b"])
def test_names_that_cannot_be(tcp, host) -> None:
    """The resolver raises whatever it likes for them."""
    with pytest.raises(ConfigurationError, match=r"cannot be opened|no such address"):
        tcp(host)


def test_a_name_that_is_not_known(tcp, monkeypatch) -> None:
    def getaddrinfo(*args, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ConfigurationError, match="unknown:80: this machine has no such address"):
        tcp("unknown", 80)


# --- Unix sockets --------------------------------------------------------------------------------


def mode_of(path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777])
def test_mode(unix, tmp_path, mode) -> None:
    before = os.umask(0o022)
    try:
        unix(tmp_path / "socket", mode=mode)
        assert os.umask(0o022) == 0o022, "the mask of the process was changed"
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "socket") == mode


def test_the_mode_is_right_from_the_first_moment(unix, tmp_path, monkeypatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(os, "chmod", lambda path, mode: seen.append(mode_of(path)))
    before = os.umask(0)
    try:
        unix(tmp_path / "socket", mode=0o600)
    finally:
        os.umask(before)
    assert seen == [0o600]


@pytest.mark.parametrize("form", ["{uid}", "{uid}:{gid}", ":{gid}", "{user}:{group}", ":{group}"])
def test_owner(unix, tmp_path, form) -> None:
    uid, gid = os.geteuid(), os.getegid()
    user, group = pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name
    unix(tmp_path / "socket", owner=form.format(uid=uid, gid=gid, user=user, group=group))
    assert os.stat(tmp_path / "socket").st_uid == uid
    assert os.stat(tmp_path / "socket").st_gid == gid


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_another_owner(unix, tmp_path) -> None:
    unix(tmp_path / "socket", owner="12345:23456")
    info = os.stat(tmp_path / "socket")
    assert (info.st_uid, info.st_gid) == (12345, 23456)


@pytest.mark.parametrize(
    ("owner", "message"),
    [
        ("no-such-user", "--unix-owner 'no-such-user': getpwnam"),
        (":no-such-group", "--unix-owner ':no-such-group': getgrnam"),
        ("²", "--unix-owner '²'"),
        ("9" * 30, "cannot be opened"),
    ],
)
def test_an_owner_that_cannot_be(unix, tmp_path, owner, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        unix(tmp_path / "socket", owner=owner)
    assert not (tmp_path / "socket").exists()


def test_what_fails_after_binding_leaves_no_file(unix, tmp_path, monkeypatch) -> None:
    def chown(*args):
        raise PermissionError(errno.EPERM, "not yours to give")

    monkeypatch.setattr(os, "chown", chown)
    with pytest.raises(ConfigurationError, match="permission denied"):
        unix(tmp_path / "socket", owner="0")
    assert not (tmp_path / "socket").exists()


def test_a_socket_of_a_dead_process_is_replaced(unix, tmp_path) -> None:
    unix(tmp_path / "socket").close()
    assert (tmp_path / "socket").exists()
    unix(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "socket"))


def test_a_socket_of_a_live_process_is_not(unix, tmp_path) -> None:
    alive = unix(tmp_path / "socket")
    with pytest.raises(ConfigurationError, match=r"socket is already in use: .* with --unix"):
        unix(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "socket"))
    assert alive.getsockname() == str(tmp_path / "socket")


def test_nor_one_whose_queue_is_full(unix, tmp_path) -> None:
    """Connecting to it would wait for as long as that process is busy."""
    unix(tmp_path / "socket", backlog=0)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    try:
        for client in clients:
            client.setblocking(False)
        clients[0].connect(str(tmp_path / "socket"))
        with pytest.raises(BlockingIOError):
            clients[1].connect(str(tmp_path / "socket"))
        with pytest.raises(ConfigurationError, match="already in use"):
            unix(tmp_path / "socket")
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("kind", ["file", "directory", "fifo"])
def test_what_is_no_socket_is_left_alone(unix, tmp_path, kind) -> None:
    path = tmp_path / "precious"
    {"file": path.touch, "directory": path.mkdir, "fifo": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises(ConfigurationError, match="precious exists and is not a socket"):
        unix(path)
    assert path.exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no/such/folder", "there is no directory '.*/no/such': create it"),
        ("x" * 200, "too long"),
        ("a\0b", "null byte"),
    ],
)
def test_paths_that_cannot_be(unix, tmp_path, path, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        unix(tmp_path / path)


# --- options that are off by default -------------------------------------------------------------


def test_options_that_are_asked_for(tcp) -> None:
    [found] = tcp("127.0.0.1", fast_open=16, defer_accept=7)
    assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN) == 16
    assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) >= 7
    [plain] = tcp("127.0.0.1")
    assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN) == 0
    assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) == 0


@pytest.mark.parametrize("option", ["fast_open", "defer_accept"])
def test_an_option_that_the_system_lacks(tcp, monkeypatch, option) -> None:
    monkeypatch.delattr(socket, f"TCP_{option.replace('_', '').upper()}", raising=False)
    monkeypatch.delattr(socket, f"TCP_{option.upper()}", raising=False)
    with pytest.raises(ConfigurationError, match=f"tcp_{option}: this system has no TCP_"):
        tcp("127.0.0.1", **{option: 1})


def test_an_option_that_the_system_refuses(tcp, monkeypatch) -> None:
    monkeypatch.setattr(socket, "TCP_FASTOPEN", 9999)
    with pytest.raises(ConfigurationError, match=r"tcp_fast_open: Protocol .*; leave the option"):
        tcp("127.0.0.1", fast_open=1)


def test_a_shared_port(tcp) -> None:
    [first] = tcp("127.0.0.1", shared_port=True)
    port = first.getsockname()[1]
    [second] = tcp("127.0.0.1", port, shared_port=True)
    assert second.getsockname() == first.getsockname()
    with pytest.raises(ConfigurationError, match="already in use"):
        tcp("127.0.0.1", port)


# --- inherited sockets ---------------------------------------------------------------------------


def adopt(descriptor: int) -> socket.socket:
    return adopt_listener(descriptor, TCPOptions(keep_alive=(61, 11, 3), defer_accept=7))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_inherited_listener(family) -> None:
    with socket.socket(family) as parent:
        parent.listen()
        descriptor = os.dup(parent.fileno())
        os.set_inheritable(descriptor, True)
        with adopt(descriptor) as found:
            assert found.getsockname() == parent.getsockname()
            assert not found.getblocking()
            assert not found.get_inheritable()
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 61
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) >= 7


def test_an_inherited_unix_listener(unix, tmp_path) -> None:
    with adopt(os.dup(unix(tmp_path / "socket").fileno())) as found:
        assert listening_address(found) == (str(tmp_path / "socket"), 0)


def test_an_abstract_unix_listener() -> None:
    with socket.socket(socket.AF_UNIX) as parent:
        parent.bind(b"\0httpkit-test-%d" % os.getpid())
        parent.listen()
        with adopt(os.dup(parent.fileno())) as found:
            assert listening_address(found) == (f"@httpkit-test-{os.getpid()}", 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (socket.socket, r"is not listening \(in systemd: Accept=no\)"),
        (
            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            r"is not a stream socket \(in systemd: ListenStream\)",
        ),
        (
            lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
            "is a socket of family .*; TCP and Unix sockets can be served",
        ),
        (lambda: open(os.devnull), "is not a socket"),  # noqa: SIM115 - closed by the test
    ],
    ids=["not listening", "datagrams", "another family", "a file"],
)
def test_what_cannot_be_inherited_stays_open(make, message) -> None:
    with make() as other:
        with pytest.raises(
            ConfigurationError, match=f"--fd: descriptor {other.fileno()} {message}"
        ):
            adopt(other.fileno())
        os.fstat(other.fileno())


def test_a_descriptor_that_is_not_open() -> None:
    with pytest.raises(ConfigurationError, match="descriptor 1048575 is not open; the parent"):
        adopt(1_048_575)
