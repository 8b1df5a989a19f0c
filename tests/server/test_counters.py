"""`Counters` counts everything once, and what is in flight always comes down to nothing."""

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from httpkit.protocol.engine import Deadline
from httpkit.response import Response, Upgrade
from httpkit.server.counters import Counters

from .wire import chunked, make_request


def shown(server) -> dict[str, int]:
    """All counters that are not 0, as the server's thread sees them, but the bytes."""
    counters: Counters = server.server.counters
    values = server.call(lambda: {name: getattr(counters, name) for name in Counters.__slots__})
    return {name: value for name, value in values.items() if value and name != "bytes_sent"}


class Everything:
    """A handler for each fate that a request may have, by its path.

    Attributes:
        released: what `/wait` and the second half of `/stream` wait for.
    """

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def __call__(self, request: Any) -> Response:
        match request.path:
            case "/wait":
                await self.released.wait()
            case "/fail":
                raise ZeroDivisionError
            case "/read":
                return Response(await request.body())
            case "/stream":
                return Response(self.pieces())
            case "/broken":
                return Response(self.broken())
            case "/upgrade":
                return Upgrade("echo", self.echo)
            case "/never-offered":
                return Upgrade("other", self.echo)
        return Response("Hello")

    async def pieces(self):
        yield b"first"
        await self.released.wait()
        yield b"second"

    async def broken(self):
        yield b"first"
        raise ZeroDivisionError

    async def echo(self, stream: Any) -> None:
        while data := await stream.receive():
            if data == b"fail":
                raise ZeroDivisionError
            await stream.send(data)


@pytest.fixture
def handler() -> Everything:
    return Everything()


def test_nothing_has_happened(live) -> None:
    assert shown(live()) == {}


def test_accept_and_close(live) -> None:
    server = live()
    first, second = server.connect(), server.connect()
    server.until(lambda: server.server.counters.connections_open == 2)
    first.close()
    server.until(lambda: server.server.counters.connections_open == 1)
    second.reset()
    server.until(lambda: server.server.counters.connections_open == 0)
    assert shown(server) == {"connections_opened": 2}


def test_begin_and_finish(live, handler) -> None:
    server = live(handler)
    client = server.connect()
    client.request("/wait")
    server.until(lambda: server.server.counters.requests_begun)
    running = {"connections_opened": 1, "connections_open": 1, "requests_begun": 1}
    assert shown(server) == running | {"requests_in_flight": 1}
    server.call(handler.released.set)
    client.receive()
    assert shown(server) == running


def test_bytes_of_open_and_closed_connections(live) -> None:
    """As they come out of the sockets: heads, bodies, and answers that are not complete."""
    server = live(Everything())
    first, second = server.connect(), server.connect()
    server.until(lambda: server.server.counters.connections_open == 2)
    first.get()
    first.close()
    server.until(lambda: server.server.counters.connections_open == 1)
    closed = server.server.counters.bytes_sent
    assert closed == server.server.bytes_sent > len("Hello")
    second.request("/stream")
    received = len(second.receive_until(b"first\r\n"))
    assert server.server.bytes_sent == closed + received
    assert server.server.counters.bytes_sent == closed
    second.reset()
    server.until(lambda: server.server.counters.connections_open == 0)
    assert server.server.counters.bytes_sent == server.server.bytes_sent >= closed + received


def test_a_stream_is_in_flight_until_its_end(live, handler) -> None:
    server = live(handler)
    client = server.connect()
    client.request("/stream")
    client.receive_until(b"first\r\n")
    assert shown(server)["requests_in_flight"] == 1
    server.call(handler.released.set)
    client.receive_until(b"0\r\n\r\n")
    assert "requests_in_flight" not in shown(server)


@pytest.mark.parametrize("path", ["/fail", "/broken", "/never-offered"])
def test_a_request_that_fails(live, handler, path) -> None:
    server = live(handler)
    client = server.connect()
    client.request(path)
    with contextlib.suppress(ConnectionResetError):
        client.receive_until(b"\r\n\r\n")
    server.until(lambda: not server.server.counters.requests_in_flight)
    assert shown(server)["requests_begun"] == 1


def test_refused_by_the_engine(live) -> None:
    server = live()
    for data in (b"nonsense\r\n\r\n", make_request() + b"nonsense\r\n\r\n"):
        client = server.connect()
        client.send(data)
        client.receive_rest()
        client.close()
    server.until(lambda: server.server.counters.connections_open == 0)
    assert shown(server) == {"connections_opened": 2, "requests_begun": 1, "requests_refused": 2}


def test_refused_by_a_limit(live, handler) -> None:
    """Begun as well: it has an answer and a line in the access log."""
    server = live(handler, max_requests_in_flight=1)
    first, second = server.connect(), server.connect()
    first.request("/wait")
    server.until(lambda: server.server.counters.requests_in_flight)
    assert second.get().status == 503
    counters = shown(server)
    assert (counters["requests_begun"], counters["requests_refused"]) == (2, 1)
    assert counters["requests_in_flight"] == 1


def test_refused_by_a_deadline(live) -> None:
    server = live()
    client = server.connect()
    client.send(b"GET / HT")
    server.until_receiving(Deadline.HEAD)
    server.pass_time(server.server.limits.header_timeout + 1)
    assert client.receive().status == 408
    assert shown(server)["requests_refused"] == 1


def test_an_upgraded_stream_is_in_flight(live, handler) -> None:
    server = live(handler)
    client = server.connect()
    client.request("/upgrade", "Connection: upgrade", "Upgrade: echo")
    client.receive_until(b"\r\n\r\n")
    client.send(b"hello")
    assert client.receive_exactly(5) == b"hello"
    assert shown(server)["requests_in_flight"] == 1
    client.half_close()
    client.expect_end()
    server.until(lambda: server.server.counters.connections_open == 0)
    assert shown(server) == {"connections_opened": 1, "requests_begun": 1}


def test_abort(live, handler) -> None:
    server = live(handler)
    clients = [server.connect() for _ in range(3)]
    for client, path in zip(clients, ("/wait", "/stream", "/"), strict=True):
        client.request(path)
    server.until(lambda: server.server.counters.requests_begun == 3)
    server.call(server.server.abort)
    counters = server.server.counters
    server.until(lambda: not (counters.requests_in_flight or counters.connections_open))
    assert shown(server) == {"connections_opened": 3, "requests_begun": 3}


# --- whatever clients do -------------------------------------------------------------------------

UPGRADE = make_request("/upgrade", "Connection: upgrade", "Upgrade: echo")
SENT = [
    make_request(),
    make_request("/wait"),
    make_request("/fail"),
    make_request("/stream"),
    make_request("/broken"),
    make_request("/never-offered", "Connection: upgrade", "Upgrade: echo"),
    UPGRADE,
    UPGRADE + b"fail",
    make_request("/read", method="POST", body=b"abc"),
    make_request("/read", "Content-Length: 10", method="POST") + b"abc",
    make_request("/read", "Content-Length: 10", "Expect: 100-continue", method="POST"),
    make_request("/", method="POST", body=b"unread"),
    make_request("/read", "Transfer-Encoding: chunked", method="POST") + chunked(b"a", b"bc"),
    make_request("/read", "Transfer-Encoding: chunked", method="POST") + b"5\r\nab",
    make_request("/read", "Transfer-Encoding: chunked", method="POST") + b"nonsense\r\n",
    make_request("/", "Connection: close"),
    make_request("/", version="1.0"),
    make_request("/stream", method="HEAD"),
    make_request() * 5,
    make_request("/wait") * 3,
    b"GET / HT",
    b"nonsense\r\n\r\n",
    b"fail",
    b"\r\n",
]
ACTIONS = st.one_of(
    st.sampled_from(SENT),
    st.sampled_from(["receive", "half_close", "release", "pass_time"]),
)
#: What the clients do in turn, and how each of them leaves.
BEHAVIOR = st.tuples(
    st.lists(st.tuples(st.integers(0, 2), ACTIONS), min_size=4, max_size=12),
    st.tuples(*[st.sampled_from(["close", "reset", "half_close"])] * 3),
)


def act(server: Any, handler: Everything, client: Any, action: bytes | str) -> None:
    match action:
        case bytes():
            client.send(action)
        case "receive":
            client.socket.setblocking(False)
            client.socket.recv(1000)
        case "half_close":
            client.half_close()
        case "release":
            server.call(handler.released.set)
        case "pass_time":
            server.pass_time(3.0)


def test_nothing_stays_in_flight(live) -> None:
    handler = Everything()
    server = live(handler, max_requests_in_flight=4, request_timeout=20.0)
    counters = server.server.counters
    connected = 0

    # Without shrinking: each step of it would wait in vain.
    @settings(
        max_examples=100,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(BEHAVIOR)
    def behave(behavior: Any) -> None:
        nonlocal connected
        actions, leaving = behavior
        connected += len(leaving)
        clients = [server.connect() for _ in leaving]
        for number, action in actions:
            with contextlib.suppress(OSError):
                act(server, handler, clients[number], action)
        for client, how in zip(clients, leaving, strict=True):
            with contextlib.suppress(OSError):
                getattr(client, how)()
        server.call(handler.released.set)
        for client in clients:
            client.close()
        server.until(lambda: counters.connections_opened == connected)
        server.until(lambda: counters.connections_open == 0)
        server.until(lambda: counters.requests_in_flight == 0)
        server.call(handler.released.clear)

    behave()
    assert counters.requests_begun > 20
    assert counters.connections_opened > 100
