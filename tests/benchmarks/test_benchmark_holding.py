"""Loads that hold connections: what the server grows by, and what is never a number."""

import asyncio
import dataclasses
import resource

import pytest
from benchmark_peers import Echo, make_load, serving

from benchmarks.cases import CASES, Answer, Case
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.load import GENERATORS, LoadError, connections, holding
from benchmarks.load.frames import PING, TEXT, serialize_frame
from benchmarks.load.websocket import EchoProtocol, Script
from benchmarks.messages import Request
from tests.ports import refusing_port

IDLE = dataclasses.replace(CASES["ws-idle-memory"], connections=5)
BLOCK = bytes(range(256))
SLOW = Case(
    "s",
    "",
    lambda: [Request("GET", "/s")],
    Answer("", BLOCK, 1_000_000),
    connections=3,
    generator="slow-readers",
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 256000000\r\n\r\n"


async def at_once():
    """Be over at once."""


def hold(endpoint, resident, *, case=IDLE, wait=at_once):
    return asyncio.run(holding.hold_until(make_load(case, endpoint, resident=resident), wait))


def test_what_the_server_grows_by_is_the_most_that_it_has():
    left = [7.0, 9.0, 3.0, 4.0]
    enough = asyncio.Event()

    def resident():
        if len(left) == 2:
            enough.set()
        return left.pop(0)

    assert asyncio.run(holding.find_highest(resident, enough.wait)) == 9.0
    assert len(left) <= 1


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Look at the memory again and again, without an interval between."""
    monkeypatch.setattr(holding, "INTERVAL", 0)


def test_idle_connections_are_held_and_have_to_echo_then(monkeypatch):
    monkeypatch.setattr(connections, "BATCH", 2)
    with serving(Echo, enough=5) as (server, endpoint):
        result = hold(endpoint, [10.0, 12.5, 12.0])
        assert server.left == 0
    assert (result.requests, result.growth_mib) == (5, 2.5)
    assert (result.requests_per_second, result.latency_p50_ms) == (None, None)


@pytest.mark.parametrize(
    ("limit", "count"), [(100_000, 10_000), (10_200, 10_000), (10_199, 9_999), (1_024, 824)]
)
def test_as_many_are_held_as_the_limit_of_descriptors_allows(monkeypatch, limit, count):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    assert holding.affordable(10_000) == count


def test_the_server_may_ask_whether_anybody_is_there_and_nothing_else():
    async def scenario():
        script = Script(IDLE, Endpoint(8000))
        client = EchoProtocol(script)
        client.hold()
        client.data_received(serialize_frame(PING, b"there?"))
        assert not script.failure.done()
        client.data_received(serialize_frame(TEXT, b"hello"))
        with pytest.raises(LoadError, match=r"sent b'\\x81\\x05hello' for nothing"):
            await script.failure

    asyncio.run(scenario())


def test_an_end_of_an_idle_connection_is_a_failure():
    async def scenario():
        script = Script(IDLE, Endpoint(8000))
        client = EchoProtocol(script)
        client.hold()
        client.connection_lost(None)
        with pytest.raises(LoadError, match="the server closed a connection"):
            await script.unless_failed(asyncio.Event().wait())

    asyncio.run(scenario())


class Refusing(Echo):
    def answer(self, event):
        return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Deaf(Echo):
    def echo(self, event):
        raise ConnectionAbortedError


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [(Refusing, "answered with b'HTTP/1.1 503"), (Deaf, "the server closed a connection")],
)
def test_connections_that_are_not_there_are_never_a_number(behavior, reason):
    with serving(behavior) as (_, endpoint), pytest.raises(LoadError, match=reason):
        hold(endpoint, [1.0] * 9)


def read(answer, *, resident=(8.0, 9.5, 9.0), reads=3, case=SLOW):
    """Let slow readers read from a server that sends ``answer`` and then blocks, without end."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if len(answer) > len(HEAD) and answer.startswith(HEAD + BLOCK[:1]):
            while not writer.is_closing():
                writer.write(BLOCK * 256)
                await writer.drain()
        writer.close()

    paused = asyncio.Event()
    pauses = []

    async def pause():
        pauses.append(None)
        if len(pauses) >= reads * case.connections:
            paused.set()
        await asyncio.sleep(0)

    async def scenario():
        async with await asyncio.start_server(serve, HOST, 0) as server:
            endpoint = Endpoint(server.sockets[0].getsockname()[1])
            load = make_load(case, endpoint, resident=[*resident, *[resident[-1]] * 10_000])
            return await holding.read_until(load, paused.wait, pause)

    return asyncio.run(scenario())


def test_slow_readers_compare_what_they_read():
    result = read(HEAD + BLOCK)
    assert (result.requests, result.requests_per_second) == (3, None)
    assert result.growth_mib == 1.5


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "no answer but b''"),
        (BLOCK + HEAD, r"no answer but b'\\x00\\x01"),
        (HEAD[:-2], "no answer but b'HTTP/1.1 200 OK"),
        (HEAD.replace(b"200", b"404"), "the answer is b'HTTP/1.1 404"),
        (HEAD + b"wrong", "the body differs after 0 bytes: b'wrong'"),
        (HEAD + BLOCK + BLOCK[1:] * 300, "the body differs after"),
        (HEAD, "the answer ends after 0 bytes"),
    ],
)
def test_a_body_that_is_another_one_or_ends_is_never_a_number(answer, reason):
    with pytest.raises(LoadError, match=f"a slow reader failed: {reason}"):
        read(answer, reads=100)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000])
def test_bodies_are_compared_wherever_they_are_cut(size):
    body = BLOCK * 10
    check = holding.BodyCheck(SLOW.answer, HEAD + body[:size])
    for start in range(size, len(body), size):
        check.take(body[start : start + size])
    assert check.length == len(body)
    with pytest.raises(ValueError, match="differs after 2560 bytes"):
        check.take(b"\x01")


def test_an_answer_that_does_not_begin_is_an_error(monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.1)

    async def serve(reader, writer):
        await reader.read()
        writer.close()

    async def scenario():
        async with await asyncio.start_server(serve, HOST, 0) as server:
            endpoint = Endpoint(server.sockets[0].getsockname()[1])
            load = make_load(SLOW, endpoint, resident=[1.0])
            await holding.read_until(load, at_once, at_once)

    with pytest.raises(LoadError, match="an answer did not begin"):
        asyncio.run(scenario())


@pytest.mark.parametrize("name", ["idle", "slow-readers"])
def test_nobody_listening_is_an_error(name):
    case = IDLE if name == "idle" else SLOW
    failure = r"no connection|a slow reader failed"
    with refusing_port() as port, pytest.raises(LoadError, match=failure):
        GENERATORS[name].run(make_load(case, Endpoint(port), resident=[1.0]))


@pytest.mark.parametrize("name", ["idle", "slow-readers"])
def test_who_holds_connections_needs_no_program_and_no_load_before(name):
    generator = GENERATORS[name]
    assert generator.installed
    assert generator.holds
    assert generator.version().startswith("uvloop ")
