"""Where a server listens: by its options, by inheritance, and for several workers."""

import os
import socket
from collections import Counter

import pytest

from httpkit.errors import ConfigurationError
from httpkit.server import listening
from httpkit.server.config import Config
from httpkit.server.embedded import serve
from httpkit.server.listening import open_for_workers, open_listeners, systemd_descriptors

from .live import Script, run
from .wire import Client, refuses


@pytest.fixture
def inherited():
    """Descriptors of listening sockets, as a parent process leaves them."""
    opened: list[socket.socket] = []

    def make(family=socket.AF_INET, address=("127.0.0.1", 0)) -> int:
        parent = socket.socket(family)
        opened.append(parent)
        parent.bind(address)
        parent.listen()
        return os.dup(parent.fileno())

    yield make
    for parent in opened:
        parent.close()


@pytest.fixture
def close():
    """Closes what a test has opened."""
    opened = []

    def keep(found):
        opened.extend(found)
        return found

    yield keep
    for each in opened:
        each.close()


# --- inherited -----------------------------------------------------------------------------------


def test_inherited_sockets_are_served(inherited, loop, tmp_path) -> None:
    """A Unix socket that was inherited stays where it is: somebody else has made it."""
    path = str(tmp_path / "socket")

    async def main() -> None:
        fds = f"{inherited()},{inherited(socket.AF_UNIX, path)}"
        async with serve(Script(), fd=fds, access_log=False) as server:
            assert [address.host for address in server.addresses] == ["127.0.0.1", path]
            for address in server.addresses:
                with socket.socket(socket.AF_INET if address.port else socket.AF_UNIX) as client:
                    client.setblocking(False)
                    await server.loop.sock_connect(client, address if address.port else path)
                    await server.loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    assert (await server.loop.sock_recv(client, 1000)).endswith(b"Hello")

    run(main(), loop)
    assert os.path.exists(tmp_path / "socket")


def test_one_wrong_descriptor_leaves_the_others_open(inherited) -> None:
    good = inherited()
    with pytest.raises(ConfigurationError, match="is not open"):
        open_listeners(Config(fd=f"{good},1048575"))
    os.close(good)


def test_systemd(inherited, monkeypatch, close) -> None:
    descriptor = inherited()
    monkeypatch.setattr(listening, "_FIRST_DESCRIPTOR", descriptor)
    for name, value in {"PID": str(os.getpid()), "FDS": "1", "FDNAMES": "web"}.items():
        monkeypatch.setenv(f"LISTEN_{name}", value)
    [found] = close([open_listeners(Config(fd="systemd:web"))])
    assert found.sockets[0].fileno() == descriptor
    assert not [name for name in os.environ if name.startswith("LISTEN_")]


@pytest.mark.parametrize(("name", "expected"), [("", [3, 4, 5]), ("web", [3, 5]), ("admin", [4])])
def test_systemd_names(name, expected) -> None:
    """sd_listen_fds_with_names(3)."""
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:admin:web", "A": ""}
    assert systemd_descriptors(environ, 7, name) == expected
    assert environ == {"A": ""}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "LISTEN_FDS is not set; the service needs a socket unit"),
        ({"LISTEN_FDS": "0", "LISTEN_PID": "7"}, "LISTEN_FDS is not set"),
        ({"LISTEN_FDS": "x", "LISTEN_PID": "7"}, "LISTEN_FDS is not set"),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "8"}, "LISTEN_PID is 8, this process is 7; start"),
        ({"LISTEN_FDS": "1"}, "LISTEN_PID is not set, this process is 7"),
        (
            {"LISTEN_FDS": "1", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web"},
            "--fd systemd:other: no socket has this FileDescriptorName, only web",
        ),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "7"}, "FileDescriptorName, only none"),
    ],
)
def test_activation_that_is_none(environ, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        systemd_descriptors(environ, 7, "other")


# --- for workers ---------------------------------------------------------------------------------


def test_every_worker_has_a_socket_on_the_same_port(close) -> None:
    """The kernel spreads connections over them, so that keep-alive connections are spread too."""
    found = close(open_for_workers(Config(port=0, workers=4)))
    assert len({each.addresses[0] for each in found}) == 1
    address = found[0].addresses[0]
    clients = [socket.create_connection(address, 5) for _ in range(200)]
    waiting: Counter[int] = Counter()
    for number, each in enumerate(found):
        assert each.accept_batch > 1
        while True:
            try:
                accepted, _ = each.sockets[0].accept()
            except BlockingIOError:
                break
            accepted.close()
            waiting[number] += 1
    for client in clients:
        client.close()
    assert waiting.total() == 200
    assert min(waiting.values()) > 10  # 50 expected; less than 20 in one of 10^7 runs


def test_a_port_that_another_group_of_workers_has(close) -> None:
    """SO_REUSEPORT alone would let the second server join the first."""
    port = close(open_for_workers(Config(port=0, workers=2)))[0].addresses[0].port
    with pytest.raises(ConfigurationError, match="already in use"):
        open_for_workers(Config(port=port, workers=2))


def test_what_is_taken_in_between_leaves_nothing_open(monkeypatch) -> None:
    opened = []

    def open_tcp(config, port, option, *, shared_port=False):
        if len(opened) == 2:
            raise ConfigurationError("taken")
        opened.append(socket.create_server(("127.0.0.1", 0)))
        return [opened[-1]]

    monkeypatch.setattr(listening, "_open_tcp", open_tcp)
    with pytest.raises(ConfigurationError, match="taken"):
        open_for_workers(Config(port=0, workers=3))
    assert [each.fileno() for each in opened] == [-1, -1]


def test_a_unix_socket_is_shared(close, tmp_path) -> None:
    path = str(tmp_path / "socket")
    first, second = close(open_for_workers(Config(unix=path, workers=2)))
    assert first is second
    assert first.accept_batch == 1
    first.close()
    assert not os.path.exists(path)
    first.close()


def test_a_file_that_has_taken_the_place_of_ours_stays(close, tmp_path) -> None:
    """As where a start script removes the file before it starts the next version."""
    path = str(tmp_path / "socket")
    [first] = close([open_listeners(Config(unix=path))])
    os.unlink(path)
    [second] = close([open_listeners(Config(unix=path))])
    first.close()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    second.close()
    assert not os.path.exists(path)


def test_inherited_sockets_are_shared(close, inherited) -> None:
    first, second = close(open_for_workers(Config(fd=str(inherited()), workers=2)))
    assert first is second


def test_a_system_without_the_option_shares(close, monkeypatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    first, second = close(open_for_workers(Config(port=0, workers=2)))
    assert first is second


def test_one_worker_has_all(close) -> None:
    [found] = close(open_for_workers(Config(port=0)))
    assert found.accept_batch > 1


def test_a_server_with_given_sockets_binds_nothing(loop, close) -> None:
    async def main() -> None:
        [given] = close([open_listeners(Config(port=0))])
        server = serve(Script(), port=1, access_log=False)  # not ours to bind
        await server.start(listening=given)
        assert server.addresses == given.addresses
        await server.stop()
        assert refuses(given.addresses[0])

    run(main(), loop)


@pytest.mark.parametrize("options", [{"workers": 2}, {"reload": True}])
def test_an_embedded_server_has_one_process(options) -> None:
    with pytest.raises(ConfigurationError, match="workers and reload need processes"):
        serve(Script(), **options)


def test_servers_share_a_listener(live, tmp_path) -> None:
    """One connection at a time is taken from a queue that others wait at too."""
    server = live(unix=str(tmp_path / "socket"))
    server.server._acceptor._batch = 1
    clients = [Client(server.address) for _ in range(5)]
    for client in clients:
        assert client.get().status == 200
        client.close()
