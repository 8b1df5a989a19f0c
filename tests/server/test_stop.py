"""Starting and stopping: what is told to whom, in which order, and what is left open: nothing."""

import asyncio
import contextlib
import os
import socket
from contextlib import asynccontextmanager

import pytest

from httpkit.errors import ConfigurationError
from httpkit.protocol.engine import Deadline
from httpkit.response import Response, Upgrade
from httpkit.server.server import Server, serve
from httpkit.transport.loop import new_event_loop
from httpkit.types import Address

from .live import LiveServer, Script
from .wire import PATIENCE, Client, eventually, make_request


def refuses(address: Address) -> bool:
    """Whether nobody listens any more."""
    try:
        Client(address).close()
    except ConnectionRefusedError:
        return True
    return False


# --- graceful ------------------------------------------------------------------------------------


def test_idle_connections_are_closed_at_once(live) -> None:
    server = live()
    used, fresh = server.connect(), server.connect()
    used.get()
    server.until(lambda: server.server.counters.connections_open == 2)
    server.begin_stop().result(PATIENCE)
    used.expect_end()
    fresh.expect_end()
    assert refuses(server.address)
    assert server.application.events == ["freeze", "enter", "leave"]


def test_a_running_request_is_answered(live) -> None:
    async def handler(request):
        await released.wait()
        return Response(str(request.shutting_down))

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    stopped = server.begin_stop()
    eventually(lambda: refuses(server.address), "closed listeners")
    assert not stopped.done()
    assert server.application.events == ["freeze", "enter"]
    server.call(released.set)
    answer = client.receive()
    assert (answer.body, answer.closes) == (b"True", True)
    client.expect_end()
    client.close()
    stopped.result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "leave"]


def test_a_stream_may_end_in_its_own_time(live) -> None:
    async def handler(request):
        async def body():
            while not request.shutting_down:
                yield "tick\n"
                await asyncio.sleep(0.001)
            yield "bye\n"

        return Response(body())

    server = live(handler)
    client = server.connect()
    client.request()
    client.receive_until(b"tick")
    stopped = server.begin_stop()
    # Its head said nothing of an end, which comes behind the last chunk nevertheless.
    assert client.receive_rest().endswith(b"bye\n\r\n0\r\n\r\n")
    client.close()
    stopped.result(PATIENCE)


def test_pipelined_requests_that_are_here_get_one_answer(live) -> None:
    async def handler(request):
        await released.wait()
        return Response("done")

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.send(make_request() * 3)
    server.until(lambda: server.requests)
    stopped = server.begin_stop()
    server.call(released.set)
    assert client.receive().closes
    client.expect_end()
    client.close()
    stopped.result(PATIENCE)
    assert len(server.requests) == 1


def test_a_half_sent_request_is_answered(live) -> None:
    server = live()
    client = server.connect()
    client.send(make_request()[:20])
    server.until_receiving(Deadline.HEAD)
    stopped = server.begin_stop()
    client.send(make_request()[20:])
    answer = client.receive()
    assert (answer.status, answer.closes) == (200, True)
    client.close()
    stopped.result(PATIENCE)


def test_an_unread_body_does_not_hold_up_the_stop(live) -> None:
    server = live()
    client = server.connect()
    client.request("/", "Content-Length: 10", method="POST")
    assert not client.receive().closes
    server.until_receiving(Deadline.BODY)
    stopped = server.begin_stop()
    client.expect_end()
    client.close()
    stopped.result(PATIENCE)


def test_a_connection_that_is_just_being_opened(live) -> None:
    """It was accepted, so its end is waited for, too."""

    async def connect_accepted_socket(factory, sock):
        opening.set()
        await released.wait()
        return await original(factory, sock)

    opening, released = asyncio.Event(), asyncio.Event()
    server = live()
    original = server.loop.connect_accepted_socket
    server.loop.connect_accepted_socket = connect_accepted_socket
    client = server.connect()
    server.until(opening.is_set)
    stopped = server.begin_stop()
    assert server.application.events == ["freeze", "enter"]
    server.call(released.set)
    client.expect_end()
    stopped.result(PATIENCE)
    assert server.server.counters.connections_opened == 1


# --- the hard way --------------------------------------------------------------------------------


def test_what_takes_too_long_is_aborted(live, caplog) -> None:
    async def handler(request):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            server.application.events.append("cancelled")

    server = live(handler, shutdown_timeout=0.05)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.begin_stop().result(PATIENCE)
    with contextlib.suppress(ConnectionResetError):
        client.expect_end()
    assert server.application.events == ["freeze", "enter", "cancelled", "leave"]
    assert "after 0.05 s 1 connections were still open, aborted" in caplog.text


def test_a_session_that_does_not_end_is_aborted(live) -> None:
    async def session(stream):
        try:
            await asyncio.Event().wait()
        finally:
            server.application.events.append("cancelled")

    server = live(lambda request: Upgrade("echo", session), shutdown_timeout=0.05)
    client = server.connect()
    client.request("/", "Connection: upgrade", "Upgrade: echo")
    client.receive_until(b"\r\n\r\n")
    server.begin_stop().result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "cancelled", "leave"]


def test_a_handler_that_ignores_its_cancellation_is_left_behind(live, caplog, monkeypatch) -> None:
    monkeypatch.setattr("httpkit.server.server._CLEANUP", 0.05)

    async def handler(request):
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()
        return Response("late")

    released = asyncio.Event()
    server = live(handler, shutdown_timeout=0.05)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.begin_stop().result(PATIENCE)
    assert "1 requests ignore their cancellation" in caplog.text
    assert server.application.events[-1] == "leave"
    server.call(released.set)
    server.until(lambda: server.server.counters.requests_in_flight == 0)


# --- background calls ----------------------------------------------------------------------------


def test_background_calls_run_after_the_answer(live, caplog) -> None:
    async def slow():
        await released.wait()
        events.append("slow")

    def handler(request):
        response = Response("answer", background=slow)
        response.add_background(events.append, "plain")
        response.add_background(lambda: 1 / 0)
        response.add_background(events.append, "last")
        return response

    events: list[str] = []
    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    assert client.get().body == b"answer"
    assert events == []
    server.call(released.set)
    server.until(lambda: len(events) == 3)
    assert events == ["slow", "plain", "last"]
    assert caplog.text.count("a background call failed") == 1
    assert "ZeroDivisionError" in caplog.text


def test_a_stop_waits_for_background_calls(live) -> None:
    async def background():
        await released.wait()
        server.application.events.append("background")

    released = asyncio.Event()
    server = live(lambda request: Response("answer", background=background))
    client = server.connect()
    client.get()
    stopped = server.begin_stop()
    client.expect_end()
    assert not stopped.done()
    server.call(released.set)
    stopped.result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "background", "leave"]


def test_background_calls_are_cancelled_in_the_end(live) -> None:
    async def background():
        try:
            await asyncio.Event().wait()
        finally:
            server.application.events.append("cancelled")

    server = live(lambda request: Response("a", background=background), shutdown_timeout=0.05)
    server.connect().get()
    server.begin_stop().result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "cancelled", "leave"]


# --- stop, called in every way -------------------------------------------------------------------


def test_whoever_stops_waits_for_the_end(live) -> None:
    async def handler(request):
        await released.wait()
        return Response("done", headers={"connection": "close"})

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    first, second = server.begin_stop(), server.begin_stop()
    for _ in range(10):
        server.call(lambda: None)
    assert not first.done()
    assert not second.done()
    server.call(released.set)
    client.receive()
    client.close()
    second.result(PATIENCE)
    assert server.application.events[-1] == "leave"
    first.result(PATIENCE)
    server.begin_stop().result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "leave"]


def test_a_cancelled_stop_stops_at_once(live) -> None:
    async def handler(request):
        try:
            await asyncio.Event().wait()
        finally:
            server.application.events.append("cancelled")

    async def stop_and_cancel():
        task = asyncio.create_task(server.server.stop())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    server = live(handler, shutdown_timeout=1000)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.wait(stop_and_cancel())
    assert server.application.events == ["freeze", "enter", "cancelled", "leave"]
    assert refuses(server.address)


def test_an_error_of_the_lifespan_comes_out_of_stop(loop) -> None:
    class Application(Script):
        @asynccontextmanager
        async def lifespan(self):
            yield
            raise ValueError("broken lifespan")

    async def main() -> None:
        server = serve(Application(), port=0, access_log=False)
        await server.start()
        with pytest.raises(ValueError, match="broken lifespan"):
            await server.stop()
        await server.stop()
        assert refuses(server.addresses[0])

    run(main(), loop)


# --- start ---------------------------------------------------------------------------------------


def run(coroutine, loop: str):
    with asyncio.Runner(loop_factory=lambda: new_event_loop(loop)) as runner:
        return runner.run(coroutine)


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
    assert live().server.parser_name == engine


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
