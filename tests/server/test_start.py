"""Starting: what can go wrong, what is left open then: nothing; and where a server listens."""

import asyncio
import contextlib
import gc
import os
import socket
from contextlib import asynccontextmanager

import pytest

from httpkit.errors import ConfigurationError
from httpkit.response import Response
from httpkit.server.embedded import serve
from httpkit.server.server import Server

from .live import LiveServer, Script, run
from .wire import PATIENCE, Client, make_request, refuses


def descriptors() -> set[str]:
    """What is open, as Linux names it."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed them
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


def test_stop_during_start(loop) -> None:
    """The stop waits until the lifespan can be left; no request is ever accepted."""

    class Application(Script):
        @asynccontextmanager
        async def lifespan(self):
            self.events.append("entering")
            entering.set()
            await released.wait()
            self.events.append("entered")
            yield
            self.events.append("leave")

    async def main() -> None:
        application = Application()
        server = serve(application, port=0, access_log=False)
        start = asyncio.create_task(server.start())
        await entering.wait()
        stop = asyncio.create_task(server.stop())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not stop.done()
        released.set()
        await stop
        assert application.events == ["freeze", "entering", "entered", "leave"]
        await start
        assert refuses(server.addresses[0])

    entering, released = asyncio.Event(), asyncio.Event()
    run(main(), loop)


def test_a_start_that_is_cancelled(loop) -> None:
    class Application(Script):
        @asynccontextmanager
        async def lifespan(self):
            self.events.append("entering")
            entering.set()
            try:
                await asyncio.Event().wait()
                yield
            finally:
                self.events.append("cleaned up")

    async def main() -> None:
        application = Application()
        server = serve(application, port=0, access_log=False)
        start = asyncio.create_task(server.start())
        await entering.wait()
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert application.events[-1] == "cleaned up"
        assert refuses(server.addresses[0])
        await server.stop()

    entering = asyncio.Event()
    run(main(), loop)


def test_a_port_in_use(loop, tmp_path) -> None:
    """Nothing is left open, and the lifespan was never entered."""

    async def main(port: int) -> None:
        gc.collect()  # what other tests have left is not counted
        before = descriptors()
        application = Script()
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port} is already in use"):
            async with serve(application, port=port, access_log_file=str(tmp_path / "log")):
                raise AssertionError("started")
        assert application.events == ["freeze"]
        assert descriptors() == before

    with socket.create_server(("127.0.0.1", 0)) as taken:
        run(main(taken.getsockname()[1]), loop)


@pytest.mark.parametrize("unix", [False, True])
def test_a_lifespan_that_fails(loop, tmp_path, unix) -> None:
    class Application(Script):
        @asynccontextmanager
        async def lifespan(self):
            raise ValueError("broken lifespan")
            yield

    async def main() -> None:
        gc.collect()  # what other tests have left is not counted
        before = descriptors()
        options = {"unix": str(tmp_path / "socket")} if unix else {"port": 0}
        server = serve(Application(), access_log_file=str(tmp_path / "log"), **options)
        with pytest.raises(ValueError, match="broken lifespan"):
            await server.start()
        assert descriptors() == before
        assert not (tmp_path / "socket").exists()
        await server.stop()

    run(main(), loop)


def test_an_application_that_refuses_to_freeze(loop) -> None:
    class Application(Script):
        def on_freeze(self) -> None:
            raise ConfigurationError("two routes for one path")

    async def main() -> None:
        server = serve(Application(), port=0)
        with pytest.raises(ConfigurationError, match="two routes"):
            await server.start()
        assert server.addresses == []

    run(main(), loop)


def test_an_access_log_that_cannot_be_opened(loop, tmp_path) -> None:
    async def main() -> None:
        for path in (str(tmp_path), str(tmp_path / "no" / "log"), "a\0b"):
            server = serve(Script(), port=0, access_log_file=path)
            with pytest.raises(ConfigurationError, match="access_log_file"):
                await server.start()
            assert refuses(server.addresses[0])

    run(main(), loop)


def test_a_server_that_was_never_started(loop) -> None:
    run(serve(Script(), port=0).stop(), loop)


def test_a_server_starts_once(loop) -> None:
    async def main() -> None:
        server = serve(Script(), port=0, access_log=False)
        await server.start()
        with pytest.raises(RuntimeError, match="can be started once"):
            await server.start()
        await server.stop()
        with pytest.raises(RuntimeError, match="can be started once"):
            await server.start()

    run(main(), loop)


def test_two_servers_in_one_loop(live) -> None:
    first = live(lambda request: Response("first"))

    async def start() -> Server:
        server = serve(Script(lambda request: Response("second")), port=0, access_log=False)
        await server.start()
        return server

    second = first.wait(start())
    with Client(second.addresses[0]) as client:
        assert client.get().body == b"second"
        assert first.connect().get().body == b"first"
    first.wait(second.stop())
    assert first.connect().get().body == b"first"


def test_the_parser_has_a_name(live, engine) -> None:
    assert live().server.engines["HTTP/1.1"] == engine


def test_without_listening(live) -> None:
    """Connections can be made by hand, as the testing client does."""

    async def start_and_stop() -> list:
        server = serve(Script(), access_log=False)
        await server.start(listen=False)
        addresses = list(server.addresses)
        connection = server.make_connection("https")
        left, right = socket.socketpair()
        with right:
            left.setblocking(False)
            await server.loop.connect_accepted_socket(lambda: connection, left)
            loop = asyncio.get_running_loop()
            right.setblocking(False)
            await loop.sock_sendall(right, make_request("/", "Connection: close"))
            data = await loop.sock_recv(right, 1000)
        await server.stop()
        return [addresses, data[:15], connection.scheme]

    server = live()
    assert server.wait(start_and_stop()) == [[], b"HTTP/1.1 200 OK", "https"]


# --- addresses -----------------------------------------------------------------------------------


def test_a_unix_socket(live, tmp_path) -> None:
    def handler(request):
        return Response(f"{request.client!r} {request.server!r}")

    path = str(tmp_path / "socket")
    server = live(handler, unix=path)
    assert server.address == (path, 0)
    client = server.connect()
    assert client.get().body.decode() == f"Address(host='', port=0) Address(host={path!r}, port=0)"
    named = server.connect(bind=str(tmp_path / "client\n"))
    assert b"client\\\\n" in named.get().body
    stopped = server.begin_stop()
    client.expect_end()
    stopped.result(PATIENCE)
    assert not os.path.exists(path)


def test_ipv6(live) -> None:
    def handler(request):
        return Response(f"{request.client} {request.server}")

    server = live(handler, host="::1")
    client = server.connect()
    port = client.port
    assert client.get().body.decode() == f"[::1]:{port} [::1]:{server.address.port}"


def test_all_addresses(live) -> None:
    server = live(lambda request: Response(str(request.client)), host="")
    port = server.address.port
    for host in ("127.0.0.1", "::1"):
        with Client(server.address._replace(host=host)) as client:
            assert host in client.get().body.decode()
    assert port


def test_localhost_with_a_free_port(live) -> None:
    server = live(host="localhost")
    ports = {address.port for address in server.server.addresses}
    assert len(ports) == 1
    for address in server.server.addresses:
        with Client(address) as client:
            assert client.get().status == 200


def test_serve_as_a_context_manager(loop) -> None:
    async def main() -> None:
        application = Script()
        async with serve(application, port=0, access_log=False) as server:
            assert isinstance(server, Server)
            reader, writer = await asyncio.open_connection(*server.addresses[0])
            writer.write(make_request("/", "Connection: close"))
            assert (await reader.read()).endswith(b"Hello")
            writer.close()
        assert application.events == ["freeze", "enter", "leave"]

    run(main(), loop)


def test_a_broken_start_is_raised_in_the_test() -> None:
    """Of the tests' own server: a failing start must not hang."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigurationError):
        LiveServer(port=taken.getsockname()[1]).__enter__()
