"""Requests sent before the answers to earlier ones: in order, in one write, within bounds."""

import asyncio
import threading

import pytest

from httpkit.protocol.engine import Deadline
from httpkit.response import Response

from .wire import make_request


def record_writes(server) -> list[int]:
    """Note the size of every write on connections from now on."""
    sizes: list[int] = []
    opened = server.server.connection_opened

    def connection_opened(connection) -> None:
        write = connection.transport.write

        class Recorder:
            def __getattr__(self, name):
                return getattr(transport, name)

            def write(self, data) -> None:
                sizes.append(len(data))
                write(data)

        transport = connection.transport
        connection.transport = Recorder()
        opened(connection)

    server.server.connection_opened = connection_opened
    return sizes


def echo_path(request):
    return Response(request.path)


async def echo_path_async(request):
    return Response(request.path)


async def echo_path_later(request):
    await asyncio.sleep(0)
    return Response(request.path)


@pytest.mark.parametrize("handler", [echo_path, echo_path_async, echo_path_later])
def test_answers_come_in_order(live, handler) -> None:
    client = live(handler).connect()
    client.send(b"".join(make_request(f"/{i}") for i in range(200)))
    assert [client.receive().body for _ in range(200)] == [b"/%d" % i for i in range(200)]


@pytest.mark.parametrize("handler", [echo_path, echo_path_async])
def test_one_write_for_a_complete_batch(live, handler) -> None:
    server = live(handler)
    writes = record_writes(server)
    client = server.connect()
    client.send(b"".join(make_request(f"/{i}") for i in range(16)))
    for i in range(16):
        assert client.receive().body == b"/%d" % i
    assert len(writes) == 1


def test_one_write_for_head_and_body(live) -> None:
    async def body():
        yield b"first"

    server = live(lambda request: Response(body()))
    writes = record_writes(server)
    assert server.connect().get().body == b"first"
    assert len(writes) == 1  # of a body that never waits


def test_a_head_does_not_wait_for_a_slow_body(live) -> None:
    async def body():
        await released.wait()
        yield b"late"

    released = asyncio.Event()
    server = live(lambda request: Response(body()))
    client = server.connect()
    client.request()
    assert b"200 OK" in client.receive_until(b"\r\n\r\n")
    client.expect_silence()
    server.call(released.set)
    assert client.receive_until(b"0\r\n\r\n") == b"4\r\nlate\r\n0\r\n\r\n"


def test_a_slow_request_holds_up_those_behind_it(live) -> None:
    async def handler(request):
        if request.path == "/slow":
            await released.wait()
        return Response(request.path)

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.send(make_request("/slow") + make_request("/fast") * 3)
    server.until(lambda: server.requests)
    client.expect_silence()
    assert server.requests == ["GET /slow"]
    server.call(released.set)
    assert [client.receive().body for _ in range(4)] == [b"/slow", b"/fast", b"/fast", b"/fast"]


def test_bodies_between_pipelined_requests(live) -> None:
    async def handler(request):
        return Response(await request.body())

    client = live(handler).connect()
    client.send(
        make_request(method="POST", body=b"one")
        + make_request()
        + make_request("/", "Transfer-Encoding: chunked", method="POST")
        + b"3\r\ntwo\r\n0\r\nX: y\r\n\r\n"
        + make_request(method="PUT", body=b"three")
    )
    assert [client.receive().body for _ in range(4)] == [b"one", b"", b"two", b"three"]


def test_pipelined_bodies_nobody_reads(live) -> None:
    client = live(echo_path).connect()
    client.send(b"".join(make_request(f"/{i}", method="POST", body=b"x" * 1000) for i in range(20)))
    assert [client.receive().body for _ in range(20)] == [b"/%d" % i for i in range(20)]


@pytest.mark.parametrize("depth", [1, 5])
def test_depth_of_a_batch_is_bounded(live, depth) -> None:
    """What one turn of the loop serves of one connection does not depend on what the peer sends."""
    server = live(echo_path, pipeline_depth=depth)
    batches: list[int] = []
    make_connection = server.server.make_connection

    def make_counting_connection(*args):
        connection = make_connection(*args)
        dispatch = connection._dispatch

        def counting_dispatch(events) -> None:
            before = len(server.requests)
            dispatch(events)
            batches.append(len(server.requests) - before)

        connection._dispatch = counting_dispatch
        return connection

    acceptor = server.server._acceptor
    acceptor._listeners = dict.fromkeys(acceptor._listeners, make_counting_connection)
    client = server.connect()
    client.send(make_request() * 100)
    for _ in range(100):
        client.receive()
    assert sum(batches) == 100
    assert max(batches) <= max(depth, 2)


def test_a_flood_does_not_starve_others(live) -> None:
    """Between two batches of one connection every other one has its turn."""
    server = live(echo_path, pipeline_depth=10)
    flood, other = server.connect(), server.connect()
    total = 5_000
    flood.send(make_request("/flood"))
    flood.receive()
    [connection] = [each for each in server.server._connections if each.engine.last_stream_id]
    # The turns of the loop in which the flood is served: if batches were not bounded, or more of
    # them were booked with every read, they would be few.
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        if connection.engine.last_stream_id < total:
            server.loop.call_soon(count)

    server.call(count)
    threads = [
        threading.Thread(target=flood.send, args=(make_request("/flood") * total,)),
        threading.Thread(target=drain, args=(flood,)),
    ]
    for thread in threads:
        thread.start()
    for _ in range(5):
        assert other.get("/other").status == 200
    server.until(lambda: connection.engine.last_stream_id == total + 1)
    flood.half_close()
    for thread in threads:
        thread.join()
    # Two batches a turn at most: one for what was read, one for what was left over.
    assert turns >= total / 20


def drain(client) -> None:
    while client.socket.recv(1 << 18):
        pass


def test_requests_ahead_are_read_within_bounds(live) -> None:
    """While a handler runs, no more than the input buffer is taken from its connection."""

    async def handler(request):
        await released.wait()
        return Response("done")

    released = asyncio.Event()
    server = live(handler, input_buffer=10_000)
    client = server.connect(send_buffer=65_536)
    client.request()
    server.until(lambda: server.requests)
    flood = make_request("/ahead") * 1_000_000
    assert client.fill(flood, server.reading_is_paused) < len(flood)
    engine = server.the_connection().engine
    # One read may go beyond the limit; uvloop reads 256 KiB at once.
    assert server.call(lambda: len(engine._buffer)) <= 10_000 + 262_144
    assert server.requests == ["GET /"]
    client.reset()


def test_a_peer_that_reads_no_answers_gets_no_more(live) -> None:
    """Neither requests nor answers pile up for a peer that sends without reading."""
    server = live(lambda request: Response(b"a" * 10_000), write_buffer=65_536)
    client = server.connect(send_buffer=65_536, receive_buffer=65_536)
    flood = make_request() * 1_000_000
    assert client.fill(flood, server.reading_is_paused) < len(flood)
    connection = server.the_connection()

    def buffered() -> int:
        waiting = connection.transport.get_write_buffer_size()
        return len(connection.engine._buffer) + connection.engine._queued + waiting

    # The limits, and for each of them one step beyond: a read of uvloop, and a batch of answers.
    assert server.call(buffered) < 65_536 + 262_144 + 2 * (65_536 + 64 * 10_300)
    assert server.call(lambda: connection.engine.deadline_kind) is Deadline.NONE
    served = len(server.requests)
    # When it reads, the rest is served.
    while len(server.requests) == served:
        assert client.receive().body == b"a" * 10_000
    client.reset()


def test_requests_sent_before_the_end_are_all_answered(live) -> None:
    """A client may send everything, close its side, and then read (as `nc` does)."""
    server = live(echo_path, pipeline_depth=4)
    client = server.connect()
    client.send(b"".join(make_request(f"/{i}") for i in range(300)))
    client.half_close()
    answers = [client.receive() for _ in range(300)]
    assert [answer.body for answer in answers] == [b"/%d" % i for i in range(300)]
    # The last answer says so too, unless it was written before the end of input was read.
    assert not any(answer.closes for answer in answers[:-1])
    client.expect_end()


def test_slow_requests_sent_before_the_end_are_all_answered(live) -> None:
    server = live(echo_path_later)
    client = server.connect()
    client.send(b"".join(make_request(f"/{i}") for i in range(10)))
    client.half_close()
    assert [client.receive().body for _ in range(10)] == [b"/%d" % i for i in range(10)]
    client.expect_end()


def test_a_refusal_comes_after_the_answers_before_it(live) -> None:
    server = live(echo_path_later)
    client = server.connect()
    client.send(make_request("/0") + make_request("/1") + b"nonsense\r\n\r\n")
    assert [client.receive().status for _ in range(3)] == [200, 200, 400]
    client.expect_end()


def test_a_refusal_behind_a_full_socket_is_written_too(live) -> None:
    """The peer sends nonsense, closes its side, and only then reads: nothing is lost."""
    big = b"a" * 12_000_000
    server = live(lambda request: Response(big))
    client = server.connect(receive_buffer=65_536)
    client.send(make_request() + b"nonsense\r\n\r\n")
    client.half_close()
    server.until(lambda: server.requests)
    connection = server.the_connection()
    server.until(lambda: connection.transport.get_write_buffer_size() > 0)
    assert client.receive().body == big
    assert client.receive().status == 400
    client.expect_end()
