"""Backpressure in both directions, and streams that do not end well."""

import asyncio
import threading

import pytest

from httpkit.errors import ClientDisconnected
from httpkit.response import Response

from .wire import chunked, make_request

MIB = 1 << 20


class Buffered:
    """The most that the server has held for its only connection, looked at where it may grow."""

    def __init__(self, server) -> None:
        self.most = 0
        self._server = server
        self.connection = server.the_connection()

    def look(self) -> None:
        engine = self.connection.engine
        body = next(iter(self.connection.streams.values())).body
        self.most = max(
            self.most,
            len(engine._buffer)
            + engine._queued
            + sum(map(len, body._chunks if body is not None else ()))
            + self.connection.transport.get_write_buffer_size(),
        )


def transfer_up(live, size: int) -> None:
    """Upload to a handler that is slower than the client."""

    async def handler(request):
        received = 0
        async for chunk in request.stream():
            received += len(chunk)
            if buffered is not None:
                buffered.look()
            await asyncio.sleep(0)
        return Response(str(received))

    buffered: Buffered | None = None
    server = live(handler, max_body=None, min_body_rate=None)
    client = server.connect()
    client.get()
    buffered = Buffered(server)
    piece = b"a" * MIB
    client.request("/", f"Content-Length: {size}", method="POST")
    sender = threading.Thread(target=lambda: [client.send(piece) for _ in range(size // MIB)])
    sender.start()
    answer = client.receive()
    sender.join()
    assert answer.body == b"%d" % size
    # The body buffer, and one read beyond it; uvloop reads 256 KiB at once.
    assert buffered.most <= 131_072 + 2 * 262_144


def transfer_down(live, size: int) -> None:
    """Download by a client that is slower than the handler."""

    async def body():
        piece = b"a" * 65_536
        for _ in range(size // len(piece)):
            yield piece
            buffered.look()

    server = live(lambda request: Response(body() if request.path == "/big" else b""))
    client = server.connect(receive_buffer=262_144)
    client.get()
    buffered = Buffered(server)
    client.request("/big", version="1.0")
    client.receive_until(b"\r\n\r\n")
    received = len(client.leftover)
    client.leftover = b""
    while data := client.socket.recv(MIB):
        received += len(data)
    assert received == size
    # The engine's queue and the transport's, and in each one piece beyond.
    assert buffered.most <= 2 * (65_536 + 65_536)


def test_upload_in_bounded_memory(live) -> None:
    transfer_up(live, 64 * MIB)


def test_download_in_bounded_memory(live) -> None:
    transfer_down(live, 64 * MIB)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_upload_of_a_gibibyte(live) -> None:
    transfer_up(live, 1024 * MIB)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_download_of_a_gibibyte(live) -> None:
    transfer_down(live, 1024 * MIB)


# --- backpressure --------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_reading_pauses_while_the_handler_is_slow(live, framing) -> None:
    async def handler(request):
        await released.wait()
        return Response(str(len(await request.body())))

    released = asyncio.Event()
    server = live(handler, body_buffer=10_000, max_body=None)
    client = server.connect(send_buffer=65_536)
    body = b"a" * 30_000_000
    if framing == "chunked":
        client.request("/", "Transfer-Encoding: chunked", method="POST")
        body = chunked(*[b"a" * 10_000] * 3000)
    else:
        client.request("/", f"Content-Length: {len(body)}", method="POST")
    sent = client.fill(body, server.reading_is_paused)
    assert sent < len(body)
    connection = server.the_connection()
    # One read may go beyond the limit.
    assert server.call(lambda: connection.engine._unconsumed) <= 10_000 + 262_144
    # While the server does not read, the client is not late.
    server.pass_time(1000, 1000)
    server.call(released.set)
    client.send(body[sent:])
    assert client.receive().body == b"30000000"


def test_the_handler_waits_while_the_client_is_slow(live) -> None:
    async def body():
        for _ in range(1000):
            produced.append(1)
            yield b"a" * 50_000

    produced: list[int] = []
    server = live(lambda request: Response(body()))
    client = server.connect(receive_buffer=65_536)
    client.request(version="1.0")
    connection = server.the_connection()
    server.until(lambda: connection.blocked)
    before = len(produced)
    assert before < 1000
    client.receive_until(b"\r\n\r\n")
    client.receive_exactly(20_000_000)
    server.until(lambda: len(produced) > before)
    client.receive_exactly(30_000_000)
    client.expect_end()
    assert len(produced) == 1000


def test_an_answer_may_begin_before_the_request_ends(live) -> None:
    async def handler(request):
        async def body():
            async for chunk in request.stream():
                yield chunk.upper()

        return Response(body())

    client = live(handler).connect()
    client.request("/", "Transfer-Encoding: chunked", method="POST")
    client.receive_until(b"\r\n\r\n")
    for word in (b"one", b"two", b"three"):
        client.send(b"%x\r\n%b\r\n" % (len(word), word))
        assert client.receive_until(b"\r\n") == b"%x\r\n" % len(word)
        assert client.receive_until(b"\r\n") == word.upper() + b"\r\n"
    client.send(b"0\r\n\r\n")
    assert client.receive_until(b"0\r\n\r\n")
    assert client.get().status == 200


def test_a_blocking_client_that_sends_all_before_it_reads(live) -> None:
    """The answer fills the socket while the body still comes: both have to flow."""
    server = live(lambda request: Response(b"a" * 12_000_000), drain_bytes=20_000_000)
    client = server.connect(receive_buffer=65_536, send_buffer=65_536)
    client.request("/", "Content-Length: 15000000", method="POST")
    client.send(b"b" * 15_000_000)
    assert len(client.receive().body) == 12_000_000
    assert client.get("/", "Connection: close").status == 200


def test_a_stalled_reader_is_cut_off(live) -> None:
    async def body():
        try:
            while True:
                yield b"a" * 100_000
        finally:
            ended.append(1)

    ended: list[int] = []
    server = live(lambda request: Response(body()), write_stall=60)
    client = server.connect(receive_buffer=65_536)
    client.request()
    connection = server.the_connection()
    server.until(lambda: connection.blocked)
    server.pass_time(59)
    assert not ended
    taken = server.call(lambda: connection.bytes_sent)
    client.receive_exactly(10_000_000)
    server.until(lambda: connection.bytes_sent > taken and connection.blocked)
    server.pass_time(59)
    assert not ended
    # While the kernels pass on what was written, that is progress.
    server.pass_time_until(lambda: ended, 61, "the end of the stalled reader")
    server.until(lambda: server.connection() is None)
    client.expect_reset()  # the kernel has forgotten what it had to offer


def test_a_stalled_reader_of_a_whole_answer_is_cut_off(live) -> None:
    server = live(lambda request: Response(b"a" * 12_000_000), write_stall=60)
    client = server.connect(receive_buffer=65_536)
    client.request("/", "Connection: close")
    server.until(lambda: server.requests)
    server.pass_time_until(lambda: server.connection() is None, 61, "the end of the connection")


# --- streams that do not end well ----------------------------------------------------------------


async def failing():
    yield b"so far"
    raise ValueError("broken stream")


def test_a_stream_that_breaks_has_no_last_chunk(live, caplog) -> None:
    server = live(lambda request: Response(failing()))
    client = server.connect()
    client.request()
    client.receive_until(b"\r\n\r\n")
    assert client.receive_rest() == b"6\r\nso far\r\n"
    assert caplog.text.count("ValueError: broken stream") == caplog.text.count("Traceback") == 1
    assert server.connect().get("/", method="HEAD").status == 200


def test_a_stream_that_breaks_on_http_1_0_resets(live, caplog) -> None:
    """There the end of the connection is the end of the body: an orderly one would be a lie."""
    client = live(lambda request: Response(failing())).connect()
    client.request(version="1.0")
    assert not client.expect_reset().endswith(b"0\r\n\r\n")
    assert "broken stream" in caplog.text


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"abcdef", "longer than its Content-Length"), (b"abc", "shorter than its Content-Length")],
)
def test_a_stream_of_another_length_than_announced(live, caplog, body, message) -> None:
    async def stream():
        yield body

    client = live(lambda request: Response(stream(), headers={"content-length": "5"})).connect()
    client.request()
    client.receive_until(b"\r\n\r\n")
    assert len(client.receive_rest()) < 5
    assert message in caplog.text


async def failing_at_once():
    raise ValueError("broken stream")
    yield b""


async def failing_after_a_while():
    await asyncio.sleep(0)
    raise ValueError("broken stream")
    yield b""


class FailingIterator:
    """Not a generator: it has no `aclose`, and its step is a plain iterator."""

    def __aiter__(self):
        return self

    def __anext__(self):
        raise ValueError("broken stream")


@pytest.mark.parametrize("make", [failing_at_once, FailingIterator])
def test_a_stream_that_breaks_before_its_first_chunk_is_500(live, caplog, make) -> None:
    client = live(lambda request: Response(make())).connect()
    answer = client.get()
    assert (answer.status, answer.closes) == (500, False)
    assert "broken stream" in caplog.text
    assert client.get().status == 500


def test_the_head_does_not_wait_for_the_first_chunk(live, caplog) -> None:
    client = live(lambda request: Response(failing_after_a_while())).connect()
    client.request()
    assert b" 200 OK\r\n" in client.receive_until(b"\r\n\r\n")
    client.expect_end()
    assert "broken stream" in caplog.text


async def nothing():
    return
    yield b""


async def nothing_after_a_while():
    await asyncio.sleep(0)
    return
    yield b""


@pytest.mark.parametrize("make", [nothing, nothing_after_a_while])
def test_a_stream_without_a_chunk(live, make) -> None:
    client = live(lambda request: Response(make())).connect()
    for _ in range(2):
        answer = client.get()
        assert (answer.status, answer.body) == (200, b"")


def test_a_stream_that_waits_is_ended_if_its_head_is_refused(live, caplog) -> None:
    async def body():
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            ended.append(True)

    def handler(request):
        response = Response(body())
        response.raw_headers = [(b"x", b"a\nb")]
        return response

    ended: list[bool] = []
    server = live(handler)
    assert server.connect().get().status == 500
    assert ended == [True]


@pytest.mark.parametrize("chunk", [5, None, object()])
def test_a_chunk_that_is_no_bytes(live, caplog, chunk) -> None:
    async def stream():
        yield chunk

    client = live(lambda request: Response(stream())).connect()
    client.request()
    client.receive_until(b"\r\n\r\n")
    client.expect_end()
    assert "a bytes-like object is required" in caplog.text


@pytest.mark.parametrize("where", ["yielding", "waiting"])
def test_an_abandoned_stream_is_closed(live, where) -> None:
    """Its `finally` runs when the client goes, not whenever the collector comes by."""

    async def stream():
        try:
            yield b"first"
            if where == "waiting":
                await asyncio.Event().wait()
            while True:
                yield b"a" * 1_000_000
        finally:
            await asyncio.sleep(0)
            events.append("closed")

    events: list[str] = []
    server = live(lambda request: Response(stream()))
    client = server.connect(receive_buffer=65_536)
    client.request()
    client.receive_until(b"first")
    if where == "yielding":
        connection = server.the_connection()
        server.until(lambda: connection.blocked)
    client.reset()
    server.until(lambda: events)


def test_an_iterator_that_is_no_generator(live) -> None:
    class Countdown:
        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self):
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return str(self.left)

    assert live(lambda request: Response(Countdown())).connect().get().body == b"210"


def test_a_stream_that_goes_on_for_a_client_that_is_gone(live) -> None:
    """Whoever swallows the cancellation is told by the next write."""

    async def stream():
        try:
            yield b"first"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
        try:
            yield b"second"
        except GeneratorExit:
            events.append("closed")
            raise

    events: list[str] = []
    server = live(lambda request: Response(stream()))
    client = server.connect()
    client.request()
    client.receive_until(b"first")
    client.reset()
    server.until(lambda: len(events) == 2)
    assert events == ["cancelled", "closed"]


def test_reading_a_body_whose_sender_is_gone(live) -> None:
    async def handler(request):
        try:
            await request.body()
        except asyncio.CancelledError:
            events.append("cancelled")
        try:
            await request._channel.receive_body()
        except ClientDisconnected:
            events.append("gone")
        return Response("nobody reads this")

    events: list[str] = []
    server = live(handler)
    client = server.connect()
    client.request("/", "Content-Length: 10", method="POST")
    server.until(lambda: server.requests)
    client.reset()
    server.until(lambda: len(events) == 2)
    assert events == ["cancelled", "gone"]


def test_pipelined_requests_behind_a_broken_stream_are_not_served(live, caplog) -> None:
    server = live(lambda request: Response(failing()))
    client = server.connect()
    client.send(make_request("/broken") + make_request("/next"))
    client.receive_rest()
    assert server.requests == ["GET /broken"]
