"""WebSocket: verified with wsproto, loaded with raw frames, against good servers and bad ones."""

import asyncio
import dataclasses

import pytest
from benchmark_peers import Echo, make_load, serving
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, CloseConnection, Ping, RejectConnection, Request

from benchmarks.cases import CASES
from benchmarks.clients import VerificationError
from benchmarks.endpoint import Endpoint
from benchmarks.load import GENERATORS, LoadError, connections, websocket
from benchmarks.load.frames import CLOSE, MASK, TEXT, serialize_frame
from benchmarks.load.websocket import EchoProtocol, Script
from benchmarks.verify import verify
from tests.ports import refusing_port

NAMES = [name for name, case in CASES.items() if case.generator == "websocket"]
CASE = CASES["ws-echo-32"]
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class Reject(Echo):
    def answer(self, event):
        return self.connection.send(RejectConnection(status_code=403))


class Everywhere(Echo):
    def answer(self, event):
        if isinstance(event, Request):
            return self.connection.send(AcceptConnection())
        return super().answer(event)


class Upper(Echo):
    def echo(self, event):
        return super().echo(event).upper()


class Pinging(Echo):
    def echo(self, event):
        return self.connection.send(Ping())


class Fragmenting(Echo):
    def echo(self, event):
        whole = super().echo(event)
        return serialize_frame(0x01, whole[2:3]) + serialize_frame(0x80, whole[3:])


class Garbage(Echo):
    def echo(self, event):
        return serialize_frame(0x83, b"")  # a reserved opcode (RFC 6455 §5.2)


class Leaving(Echo):
    def echo(self, event):
        raise ConnectionAbortedError


class Silent(Echo):
    def answer(self, event):
        raise ConnectionAbortedError


class Clinging(Echo):
    def answer(self, event):
        return b"" if isinstance(event, CloseConnection) else super().answer(event)


def load(case, endpoint, enough=None):
    """Load until the server has had enough; without such a server until the load fails."""

    async def wait():
        await (asyncio.to_thread(enough.wait, 30) if enough else asyncio.sleep(30))

    return asyncio.run(websocket.send_messages(case, endpoint, wait))


def test_cases_of_websocket_are_what_the_load_can_send():
    assert NAMES == ["ws-echo-32", "ws-echo-16-in-flight", "ws-echo-4k", "ws-echo-64k"]
    sizes = [len(CASES[name].answer.body) for name in NAMES]
    assert sizes == [32, 32, 4096, 65536]
    for name in NAMES:
        case = CASES[name]
        assert (case.generator, case.tls, len(case.requests())) == ("websocket", False, 1)
        assert case.depth == (16 if "in-flight" in name else 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_good_server_is_verified(name):
    with serving(Echo) as (_, endpoint):
        verify(CASES[name], endpoint, canned=False)


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        (Reject, "refused with 403"),
        (Everywhere, "a WebSocket on /no-such-route"),
        (Upper, "the echo of 'a' is 'A'"),
        (Pinging, "the server sent Ping"),
        (Garbage, "the server sent CloseConnection|no proper WebSocket"),
        (Leaving, "closed the connection before it answered"),
        (Silent, "closed the connection before it answered"),
    ],
)
def test_a_server_that_does_not_echo_is_found_out(behavior, reason):
    with serving(behavior) as (_, endpoint), pytest.raises(VerificationError, match=reason):
        verify(CASE, endpoint, canned=False)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
@pytest.mark.parametrize("mask", [MASK, b""])
def test_frames_are_serialized_as_wsproto_reads_them(size, mask):
    text = ("abc" * size)[:size]
    reader = Connection(ConnectionType.SERVER if mask else ConnectionType.CLIENT)
    reader.receive_data(serialize_frame(TEXT, text.encode(), mask))
    events = list(reader.events())
    assert "".join(event.data for event in events) == text
    assert [event.message_finished for event in events][-1:] == [True]


def test_the_example_of_the_rfc():
    # RFC 6455 §5.7: "Hello", unmasked and masked
    assert serialize_frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert serialize_frame(TEXT, b"Hello", MASK) == bytes.fromhex("818537fa213d7f9f4d5158")


@pytest.mark.parametrize("name", NAMES)
def test_messages_are_counted_until_the_time_is_over(name):
    case = CASES[name]
    least = 3 * case.connections * case.depth
    with serving(Echo, enough=least) as (server, endpoint):
        result = load(case, endpoint, server.enough)
    # `left` fell by one for each message: each was echoed, counted, and none got lost at the end.
    assert result.requests == least - server.left
    assert result.requests_per_second > 0


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        (Reject, "the handshake is answered with b'HTTP/1.1 403"),
        (Upper, "the echo differs"),
        (Fragmenting, "the echo differs"),
        (Leaving, "the server closed a connection"),
        (Silent, "the server closed a connection"),
    ],
)
def test_anything_but_the_echo_is_never_a_number(behavior, reason):
    with serving(behavior) as (_, endpoint), pytest.raises(LoadError, match=reason):
        load(CASE, endpoint)


def test_a_server_that_never_closes_is_an_error(monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.3)
    with (
        serving(Clinging) as (server, endpoint),
        pytest.raises(LoadError, match="did not open or end"),
    ):
        load(dataclasses.replace(CASE, connections=2), endpoint, server.enough)


def test_nobody_listening_is_an_error():
    with refusing_port() as port, pytest.raises(LoadError, match="no connection"):
        GENERATORS["websocket"].run(make_load(CASE, Endpoint(port)))


class Transport:
    """Keeps what is written."""

    def __init__(self):
        self.written = b""

    def write(self, data):
        self.written += data


@pytest.mark.parametrize("size", [1, 2, 33, 34, 35, 1000])
def test_echoes_are_counted_wherever_they_are_cut(size):
    async def scenario():
        case = CASES["ws-echo-16-in-flight"]
        script = Script(case, Endpoint(8000))
        protocol, transport = EchoProtocol(script), Transport()
        protocol.connection_made(transport)
        assert transport.written == script.handshake
        for start in range(0, len(SWITCHED), size):
            protocol.data_received(SWITCHED[start : start + size])
        assert transport.written == script.handshake
        assert protocol.opened.is_set()
        protocol.begin()
        assert transport.written == script.handshake + script.frame * 16
        echoes = serialize_frame(TEXT, case.answer.body) * 16
        for start in range(0, len(echoes), size):
            protocol.data_received(echoes[start : start + size])
        assert protocol.completed == 16
        assert transport.written == script.handshake + script.frame * 32
        protocol.end()
        for start in range(0, len(echoes), size):
            protocol.data_received(echoes[start : start + size])
        assert protocol.completed == 32
        close = serialize_frame(CLOSE, b"\x03\xe8", MASK)
        assert transport.written == script.handshake + script.frame * 32 + close
        protocol.data_received(serialize_frame(CLOSE, b"\x03\xe8"))
        protocol.connection_lost(None)
        assert not script.failure.done()
        assert protocol.ended.is_set()

    asyncio.run(scenario())


def test_more_than_was_asked_for_is_a_failure():
    async def scenario():
        script = Script(CASE, Endpoint(8000))
        protocol = EchoProtocol(script)
        protocol.connection_made(Transport())
        protocol.data_received(SWITCHED + b"\x81")
        protocol.data_received(b"again")
        with pytest.raises(LoadError, match="the handshake is answered with"):
            await script.failure
        script.failure = asyncio.get_running_loop().create_future()
        protocol = EchoProtocol(script)
        protocol.connection_made(Transport())
        protocol.data_received(SWITCHED)
        protocol.begin()
        protocol.data_received(script.echoes + b"\x81")
        with pytest.raises(LoadError, match="the echo differs"):
            await script.failure

    asyncio.run(scenario())


def test_the_load_of_messages_needs_no_program():
    generator = GENERATORS["websocket"]
    assert generator.installed
    assert generator.version().startswith("uvloop ")
