"""`LiveServer`: real sockets, from plain and from asynchronous tests, and an end that tells."""

import asyncio
import contextlib
import http.client
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from httpkit import (
    App,
    ClientDisconnected,
    ConfigurationError,
    HTTPError,
    Limits,
    Request,
    Response,
    Upgrade,
)
from httpkit.testing import AsyncClient, Client, LiveServer
from httpkit.testing import live as live_module
from httpkit.transport.loop import new_event_loop
from tests.server.certificates import Authority


def fetch(server: LiveServer, path: str = "/") -> str:
    with urllib.request.urlopen(server.url + path, timeout=10) as answer:
        return answer.read().decode()


def get(server: LiveServer, path: str = "/") -> httpx.Response:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        return client.get(path)


def until(condition: Callable[[], bool]) -> None:
    """Wait until something becomes true."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# --- serving -------------------------------------------------------------------------------------


def test_other_peoples_clients(app: App) -> None:
    with LiveServer(app) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.addresses == [("127.0.0.1", server.port)]
        assert server.unix is None
        assert '"method":"GET"' in fetch(server)
        assert get(server, "/numbers").text == "1\n2\n"
        assert server.server.counters.requests_begun == 2
    assert app.state.events == ["entered", "left"]


@pytest.mark.parametrize("name", ["uvloop", "asyncio"])
def test_asynchronous_tests(app: App, name: Any) -> None:
    """The server has a loop of its own: also what blocks the loop of the test is answered."""

    async def main() -> None:
        async with LiveServer(app, loop=name) as server:
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
                assert (await client.get("/numbers")).text == "1\n2\n"
            assert '"method":"GET"' in fetch(server)

    with asyncio.Runner(loop_factory=lambda: new_event_loop(name)) as runner:
        runner.run(main())
    assert app.state.events == ["entered", "left"]


def test_many_servers_at_once(app: App) -> None:
    other = App()
    other.get("/")(lambda request: "other")
    with LiveServer(app) as first, LiveServer(other, http1="reference") as second:
        assert first.port != second.port
        assert fetch(second) == "other"
        assert fetch(first, "/numbers") == "1\n2\n"
        assert second.server.engines["HTTP/1.1"] == "reference"


def test_a_unix_socket(app: App, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with LiveServer(app, unix=path) as server:
        assert (server.unix, server.port, server.url) == (path, 0, "http://localhost")
        transport = httpx.HTTPTransport(uds=path)
        with httpx.Client(base_url=server.url, transport=transport) as client:
            assert client.get("/numbers").text == "1\n2\n"
    assert not Path(path).exists()


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.2", "127.0.0.2")])
def test_the_url_leads_to_the_server(app: App, host: str, shown: str) -> None:
    with LiveServer(app, host=host) as server:
        assert server.url == f"http://{shown}:{server.port}"
        assert fetch(server, "/numbers") == "1\n2\n"


def test_a_server_that_speaks_tls(app: App, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    chain, key = authority.save(authority.server("localhost"), "server")
    with LiveServer(app, host="localhost", tls_cert=chain, tls_key=key) as server:
        assert server.url.startswith("https://")
        url = f"https://localhost:{server.port}/numbers"
        with urllib.request.urlopen(url, context=authority.client_context()) as answer:
            assert answer.read() == b"1\n2\n"
    with LiveServer(app, unix=str(tmp_path / "tls"), tls_cert=chain, tls_key=key) as server:
        assert server.url == "https://localhost"


def test_options_of_limits(app: App) -> None:
    with LiveServer(app, limits=Limits(max_body=3)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", "/body", b"1234")
        assert connection.getresponse().status == 413
        connection.close()
        assert server.server.limits.shutdown_timeout == 1.0


def test_a_tap(app: App) -> None:
    seen: list[str] = []
    with LiveServer(app, tap=lambda number, way, data, now: seen.append(way)) as server:
        fetch(server)
    assert seen[:2] == ["received", "sent"]


# --- what goes wrong at the beginning ------------------------------------------------------------


def test_a_wrong_option_is_found_before_anything_runs(app: App) -> None:
    with pytest.raises(ConfigurationError, match="there is no option 'prot'"):
        LiveServer(app, prot=8000)
    with pytest.raises(ConfigurationError, match="need processes of their own"):
        LiveServer(app, workers=2)


def test_it_has_no_address_before_it_is_entered(app: App) -> None:
    server = LiveServer(app)
    assert server.addresses == []
    with pytest.raises(RuntimeError, match="enter the server first"):
        _ = server.url
    with pytest.raises(RuntimeError, match="enter the server first"):
        _ = server.port


def test_a_port_that_is_taken(app: App) -> None:
    with LiveServer(app) as server:
        second = LiveServer(app, port=server.port)
        with pytest.raises(ConfigurationError, match="is already in use"):
            second.__enter__()
        assert fetch(server, "/numbers") == "1\n2\n"


def failing_lifespan(*, at_start: bool) -> App:
    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        if at_start:
            raise ZeroDivisionError("at the start")
        yield
        raise ZeroDivisionError("at the end")

    return App(lifespan=lifespan)


def test_a_lifespan_that_fails() -> None:
    with pytest.raises(ZeroDivisionError, match="at the start"):
        LiveServer(failing_lifespan(at_start=True)).__enter__()
    server = LiveServer(failing_lifespan(at_start=False))
    server.__enter__()
    with pytest.raises(ZeroDivisionError, match="at the end"):
        server.__exit__(None, None, None)


def test_a_lifespan_that_fails_in_an_asynchronous_test() -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError, match="at the start"):
            await LiveServer(failing_lifespan(at_start=True)).__aenter__()
        server = await LiveServer(failing_lifespan(at_start=False)).__aenter__()
        with pytest.raises(ZeroDivisionError, match="at the end"):
            await server.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_lifespan_that_gives_up_in_the_middle() -> None:
    """A task group cancels the task that entered it; its failure is told at the end."""

    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        async def fail() -> None:
            raise ZeroDivisionError("in the middle")

        async with asyncio.TaskGroup() as group:
            yield group.create_task(fail())

    server = LiveServer(App(lifespan=lifespan))
    server.__enter__()
    with pytest.raises(ExceptionGroup) as caught:
        server.__exit__(None, None, None)
    assert caught.group_contains(ZeroDivisionError, match="in the middle")


def test_an_asynchronous_test_that_is_cancelled_while_it_starts() -> None:
    """The server stops by itself, and its lifespan ends."""
    events: list[str] = []
    entering, may_enter = threading.Event(), threading.Event()

    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        entering.set()
        await asyncio.to_thread(may_enter.wait, 10)
        yield
        events.append("left")

    async def main(server: LiveServer) -> None:
        task = asyncio.create_task(server.__aenter__())
        await asyncio.to_thread(entering.wait, 10)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        may_enter.set()

    server = LiveServer(App(lifespan=lifespan))
    asyncio.run(main(server))
    server._portal.left.result(10)
    assert events == ["left"]


# --- exceptions of the application ---------------------------------------------------------------


def test_an_unexpected_exception_is_raised_at_the_end(app: App) -> None:
    def run() -> None:
        with LiveServer(app) as server:
            assert get(server, "/fail").status_code == 500
            assert [str(error) for error in server.errors] == ["in the handler"]

    with pytest.raises(ZeroDivisionError, match="in the handler"):
        run()


def test_several_are_raised_together(app: App) -> None:
    async def main() -> None:
        async with LiveServer(app) as server, httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"{server.url}/fail")
            await client.get(f"{server.url}/fail/background")
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"{server.url}/fail/stream")

    with pytest.raises(ExceptionGroup, match="the application has failed") as caught:
        asyncio.run(main())
    for where in ("in the handler", "in the background", "in the body"):
        assert caught.group_contains(ZeroDivisionError, match=where)
    assert len(caught.value.exceptions) == 3


def test_what_the_test_expects_it_takes_out(app: App) -> None:
    with LiveServer(app) as server:
        get(server, "/fail")
        assert isinstance(server.errors.pop(), ZeroDivisionError)


def test_or_it_wants_none(app: App) -> None:
    with LiveServer(app, raise_server_exceptions=False) as server:
        get(server, "/fail")
        assert len(server.errors) == 1


def test_a_test_that_fails_shows_them_too(app: App) -> None:
    def run() -> None:
        with LiveServer(app) as server:
            assert get(server, "/fail").status_code == 200

    with pytest.raises(AssertionError) as caught:
        run()
    [note] = caught.value.__notes__
    assert "Meanwhile, in the application:" in note
    assert "ZeroDivisionError: in the handler" in note


def test_what_a_peer_causes_is_no_failure(app: App) -> None:
    async def read(request: Request) -> None:
        with pytest.raises(ClientDisconnected):
            await request.body()
        await request.body()

    app.post("/read")(read)
    with LiveServer(app) as server:
        assert get(server, "/fail/expected").status_code == 503
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.putrequest("POST", "/read")
        connection.putheader("content-length", "10")
        connection.endheaders()
        until(lambda: server.server.counters.requests_in_flight == 1)
        connection.close()
        until(lambda: server.server.counters.requests_in_flight == 0)
        assert server.errors == []


class Bare:
    """An application that is no `App`: what it raises, the server answers."""

    def handle(self, request: Request) -> Response:
        raise HTTPError(503)

    def lifespan(self) -> Any:
        return contextlib.nullcontext()

    def on_freeze(self) -> None:
        pass


def test_an_answer_that_is_raised_is_no_failure() -> None:
    with LiveServer(Bare()) as server:
        assert get(server).status_code == 503
        assert server.errors == []


class Ending(Bare):
    """An application with what it may have besides."""

    cancel_on_disconnect = False
    ended = False

    def begin_shutdown(self) -> None:
        self.ended = True


def test_what_an_application_may_have_besides_reaches_the_server() -> None:
    """Or subscriptions would hold up the stop, and ASGI applications would be cancelled."""
    application = Ending()
    with LiveServer(application) as server:
        assert server.server.cancel_on_disconnect is False
        assert not application.ended
    assert application.ended


def upgrading() -> App:
    app = App()

    @app.get("/")
    async def upgrade(request: Request) -> Response:
        async def session(stream: Any) -> None:
            await stream.receive()
            raise ZeroDivisionError("in the session")

        return Upgrade("raw", session)

    return app


def test_a_session_that_fails() -> None:
    def run() -> None:
        with LiveServer(upgrading()) as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("GET", "/", headers={"connection": "upgrade", "upgrade": "raw"})
            assert connection.getresponse().status == 101
            connection.sock.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                connection.sock.recv(1)
            connection.close()

    with pytest.raises(ZeroDivisionError, match="in the session"):
        run()


def test_a_session_that_fails_in_memory(road: dict[str, Any]) -> None:
    app = upgrading()
    with Client(app, **road) as client, client.upgrade("/", "raw") as stream:
        stream.send(b"x")
        with pytest.raises(ZeroDivisionError, match="in the session"):
            stream.receive()

    async def main() -> None:
        async with (
            AsyncClient(app, raise_server_exceptions=False, http1="reference") as client,
            client.upgrade("/", "raw") as stream,
        ):
            await stream.send(b"x")
            assert await stream.receive() == b""

    asyncio.run(main())


# --- the end -------------------------------------------------------------------------------------


def test_stop(app: App) -> None:
    with LiveServer(app) as server:
        assert fetch(server, "/numbers") == "1\n2\n"
        server.stop()
        assert app.state.events == ["entered", "left"]
        with pytest.raises(urllib.error.URLError, match="refused"):
            fetch(server)


def hanging() -> App:
    """An application whose handlers do not end."""
    app = App()

    @app.get("/hang")
    async def hang(request: Request) -> None:
        await asyncio.Event().wait()

    @app.get("/stubborn")
    async def stubborn(request: Request) -> None:
        while not stubborn_may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    @app.get("/block")
    def block(request: Request) -> None:
        stubborn_may_end.wait()

    return app


stubborn_may_end = threading.Event()


def begin(server: LiveServer, path: str) -> http.client.HTTPConnection:
    """Send a request, and wait until it runs."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path)
    until(lambda: server.server.counters.requests_in_flight == 1)
    return connection


def test_a_handler_that_hangs_is_cancelled_and_named() -> None:
    server = LiveServer(hanging(), shutdown_timeout=0.05)
    server.__enter__()
    connection = begin(server, "/hang")
    with pytest.warns(RuntimeWarning, match=r"still running 0\.05 s .* cancelled: GET /hang$"):
        server.__exit__(None, None, None)
    connection.close()
    with warnings.catch_warnings(action="error"):
        server.stop()  # told once


@pytest.mark.parametrize(
    ("path", "told"),
    [("/stubborn", "GET /stubborn ignores the end"), ("/block", r"in block\n +stubborn_may_end")],
)
def test_a_handler_that_cannot_be_stopped_does_not_hang_the_test(
    monkeypatch: pytest.MonkeyPatch, path: str, told: str
) -> None:
    monkeypatch.setattr(live_module, "_PATIENCE", 0.5)
    stubborn_may_end.clear()
    server = LiveServer(hanging(), shutdown_timeout=0.05)
    server.__enter__()
    connection = begin(server, path)
    try:
        with pytest.raises(RuntimeError, match=f"its thread is left behind(?s:.*){told}"):
            server.stop()
    finally:
        stubborn_may_end.set()
        server._portal.thread.join(10)
        connection.close()
    assert not server._portal.thread.is_alive()


def test_an_asynchronous_test_does_not_hang_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "_PATIENCE", 0.05)
    stubborn_may_end.clear()

    async def main() -> LiveServer:
        async with LiveServer(hanging(), shutdown_timeout=0.01) as server:
            connection = await asyncio.to_thread(begin, server, "/block")
            try:
                with pytest.raises(RuntimeError, match="blocked ignores the end"):
                    await server.__aexit__(None, None, None)
            finally:
                monkeypatch.undo()  # the second end may take its time
                stubborn_may_end.set()
                connection.close()
        return server

    server = asyncio.run(main())
    server._portal.thread.join(10)
    assert not server._portal.thread.is_alive()


# --- pytest --------------------------------------------------------------------------------------

SUITE = """
    import urllib.request
    import httpkit

    app = httpkit.App()

    @app.get("/")
    async def index(request):
        return "Hello"

    @app.get("/fail")
    async def fail(request):
        raise ZeroDivisionError

    def test_it(live_server):
        first, second = live_server(app), live_server(app, http1="reference")
        assert first.port != second.port
        assert urllib.request.urlopen(first.url).read() == b"Hello"

    def test_failure(live_server):
        server = live_server(app)
        try:
            urllib.request.urlopen(server.url + "/fail")
        except OSError:
            pass
"""


def run_pytest(directory: Path, *arguments: str) -> str:
    (directory / "test_it.py").write_text(textwrap.dedent(SUITE))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
    result = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=50, check=False
    )
    return result.stdout


def test_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["httpkit.testing.pytest_plugin"]\n')
    output = run_pytest(tmp_path)
    assert "2 passed, 1 error" in output, output
    assert "ERROR test_it.py::test_failure - ZeroDivisionError" in output, output


def test_nobody_gets_the_fixture_unasked(tmp_path: Path) -> None:
    assert "fixture 'live_server' not found" in run_pytest(tmp_path)
