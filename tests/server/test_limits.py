"""Limits on connections, requests and descriptors: what comes too many waits or is told so."""

import asyncio
import errno
import logging
import resource
import socket
import subprocess
import sys
import textwrap

import pytest

from httpkit.response import Response
from httpkit.transport import acceptor as acceptor_module

from .wire import make_request


def test_max_connections(live) -> None:
    server = live(max_connections=2)
    first, second = server.connect(), server.connect()
    assert first.get().status == second.get().status == 200
    third, fourth = server.connect(), server.connect()
    third.request("/third")
    fourth.request("/fourth")
    for _ in range(3):  # they wait while others are served
        assert first.get().status == 200
    third.expect_silence()
    fourth.expect_silence()
    assert server.server.counters.connections_opened == 2
    first.close()
    assert third.receive().status == 200
    fourth.expect_silence()
    second.close()
    assert fourth.receive().status == 200


def test_room_that_was_counted_twice_is_found_again(live) -> None:
    """For a moment a socket is a connection and still being opened."""

    async def connect_accepted_socket(factory, sock):
        result = await original(factory, sock)
        await released.wait()
        return result

    released = asyncio.Event()
    server = live(max_connections=2)
    original = server.loop.connect_accepted_socket
    server.loop.connect_accepted_socket = connect_accepted_socket
    assert server.connect().get().status == 200
    second = server.connect()
    second.request()
    server.until(lambda: server.server._acceptor._full)
    second.expect_silence()
    server.call(released.set)
    assert second.receive().status == 200


def test_a_connection_that_could_not_be_opened_makes_room(live, monkeypatch) -> None:
    server = live(max_connections=1)
    failures = 1

    async def connect_accepted_socket(factory, sock):
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.ENOTCONN, "gone already")
        return await original(factory, sock)

    original = server.loop.connect_accepted_socket
    server.loop.connect_accepted_socket = connect_accepted_socket
    first = server.connect()
    first.expect_end()
    assert server.connect().get().status == 200


def test_max_requests_in_flight(live) -> None:
    async def handler(request):
        await released.wait()
        return Response("done")

    released = asyncio.Event()
    server = live(handler, max_requests_in_flight=2)
    running = [server.connect() for _ in range(2)]
    for client in running:
        client.request()
    server.until(lambda: len(server.requests) == 2)
    refused = server.connect()
    for _ in range(2):
        answer = refused.get()
        assert (answer.status, answer["retry-after"], answer.closes) == (503, "1", False)
    assert server.server.counters.requests_refused == 2
    assert len(server.requests) == 2
    server.call(released.set)
    assert [client.receive().body for client in running] == [b"done", b"done"]
    assert refused.get().body == b"done"


def test_a_stream_counts_as_in_flight_until_it_ends(live) -> None:
    async def body():
        yield b"first"
        await released.wait()

    released = asyncio.Event()
    server = live(lambda request: Response(body()), max_requests_in_flight=1)
    client = server.connect()
    client.request()
    client.receive_until(b"first\r\n")
    other = server.connect()
    assert other.get().status == 503
    server.call(released.set)
    client.receive_until(b"0\r\n\r\n")
    other.request()
    assert b"200 OK" in other.receive_until(b"\r\n\r\n")


# --- descriptors ---------------------------------------------------------------------------------

OUT_OF_DESCRIPTORS = """
    import logging, os, resource, sys
    sys.path[:0] = {path!r}
    from httpkit.transport import acceptor as acceptor_module
    from tests.server.live import LiveServer
    from tests.server.wire import eventually

    acceptor_module._PAUSE = 0.01
    lines = []
    class Handler(logging.Handler):
        def emit(self, record):
            if record.levelno >= logging.WARNING:
                lines.append(record.getMessage())
    logging.getLogger("httpkit").addHandler(Handler())

    with LiveServer(loop={loop!r}, http1={engine!r}) as server:
        failures = []
        acceptor = server.server._acceptor
        accept_failed = acceptor._accept_failed
        acceptor._accept_failed = lambda error: (failures.append(error), accept_failed(error))
        first = server.connect()
        assert first.get().status == 200
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        hoard = []
        try:
            while True:
                hoard.append(os.dup(0))
        except OSError:
            os.close(hoard.pop())
        late = server.connect()  # takes the last descriptor
        late.request()
        eventually(lambda: len(failures) > 5, "failures to accept")
        late.expect_silence()
        assert first.get().status == 200  # who is connected is served on
        for descriptor in hoard:
            os.close(descriptor)
        assert late.receive().status == 200
        assert server.connect().get().status == 200
    assert len(lines) == 1, lines
    assert lines[0].startswith("accepting paused: Too many open files"), lines
    print("done")
"""


def test_out_of_descriptors(engine, loop) -> None:
    """Accepting pauses, says so once, and goes on when descriptors come back."""
    program = textwrap.dedent(OUT_OF_DESCRIPTORS).format(
        path=[path for path in sys.path if path], loop=loop, engine=engine
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert result.stdout == "done\n", result.stderr


class FailingListener:
    """A listening socket whose `accept` fails for as long as it is told to."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.error: OSError | None = None

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self):
        if self.error is not None:
            raise self.error
        return self._listener.accept()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def failing(live, monkeypatch):
    """A server, and its listener that can be made to fail; it tries again at once."""
    monkeypatch.setattr(acceptor_module, "_PAUSE", 0.001)
    server = live()
    acceptor = server.server._acceptor

    def replace() -> FailingListener:
        acceptor.pause()
        [(listener, make_protocol)] = acceptor._listeners.items()
        failing = FailingListener(listener)
        acceptor._listeners = {failing: make_protocol}
        acceptor.resume()
        return failing

    return server, server.call(replace)


def test_one_line_for_an_incident(failing, caplog) -> None:
    """Also when descriptors come back one by one and run out again at once."""
    server, listener = failing
    for _ in range(3):
        listener.error = OSError(errno.EMFILE, "Too many open files")
        client = server.connect()
        client.request()
        server.until(lambda: server.server._acceptor._retry)
        listener.error = None
        assert client.receive().status == 200
        server.call(lambda: setattr(server.server._acceptor, "_retry", None))
    assert caplog.text.count("accepting paused") == 1


def test_the_next_incident_has_a_line_of_its_own(failing, caplog, monkeypatch) -> None:
    monkeypatch.setattr(acceptor_module, "_INCIDENT", -1.0)
    server, listener = failing
    listener.error = OSError(errno.ENFILE, "File table overflow")
    client = server.connect()
    client.request()
    server.until(lambda: caplog.text.count("accepting paused: File table overflow") > 1)
    listener.error = None
    assert client.receive().status == 200


def test_accept_fails_for_another_reason(failing, caplog) -> None:
    server, listener = failing
    listener.error = OSError(errno.EPERM, "a firewall says no")
    client = server.connect()
    client.request()
    server.until(lambda: "accepting failed: [Errno 1] a firewall says no" in caplog.text)
    listener.error = None
    assert client.receive().status == 200


def test_a_client_that_gave_up_in_the_queue_is_passed_over(failing) -> None:
    server, listener = failing
    listener.error = ConnectionAbortedError()
    client = server.connect()
    client.request()
    server.call(lambda: None)
    listener.error = None
    assert client.receive().status == 200


# --- many ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_thousand_idle_connections(engine, loop, live, caplog) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 11_000:
        pytest.skip("needs 11000 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    caplog.set_level(logging.WARNING)
    try:
        server = live()
        clients = [server.connect() for _ in range(5_000)]
        for client in clients:
            client.send(make_request())
        for client in clients:
            assert client.receive_until(b"Hello")
        assert server.server.counters.connections_open == 5_000
        server.pass_time(74, 2)
        for client in clients:
            client.expect_end()
        server.until(lambda: server.server.counters.connections_open == 0)
        for client in clients:
            client.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caplog.text == ""
