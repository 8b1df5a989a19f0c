"""WebSockets of clients that are slow, silent, greedy or gone: limits, backpressure, deadlines."""

import asyncio
import zlib

import pytest

from httpkit import App, WebSocket, WebSocketClosed
from httpkit.errors import ConfigurationError
from httpkit.transport.loop import new_event_loop
from tests.echoing import echo, make_app
from tests.frames import BINARY, PING, PONG, TEXT, close, frame
from tests.test_hops import HANDSHAKE, connected

from .test_websocket import Socket


def session_of(server):
    server.until(lambda: server.connection() and server.connection()._sessions)
    return server.call(lambda: server.connection()._sessions[0])


def test_a_message_too_big(live) -> None:
    server = live(make_app(echo), websocket_max_message=1000)
    socket = Socket(server.connect())
    socket.send(frame(TEXT, b"a" * 1000))
    assert socket.receive() == (TEXT, b"a" * 1000)
    socket.send(frame(TEXT, b"a" * 1001)[:8])
    assert socket.expect_close(1009) == "the message is too big"
    socket.client.expect_end()


def test_a_route_has_limits_of_its_own(live) -> None:
    app = App()
    app.websocket("/small", max_message=10)(echo)
    app.websocket("/any", max_message=None)(echo)
    server = live(app, websocket_max_message=100)
    socket = Socket(server.connect(), target="/small")
    socket.send(frame(TEXT, b"a" * 11))
    socket.expect_close(1009)
    socket = Socket(server.connect(), target="/any")
    socket.send(frame(TEXT, b"a" * 101))
    assert socket.receive() == (TEXT, b"a" * 101)


@pytest.mark.parametrize(
    "options",
    [
        {"max_message": -1},
        {"slow_client": "wait"},
        {"ping_interval": 0},
        {"max_size": 1},
        {"subprotocols": ["a b"]},
        {"origins": ["example.com"]},
    ],
)
def test_mistakes_of_a_route_are_found_at_once(options) -> None:
    with pytest.raises(ConfigurationError):
        make_app(echo, **options)


def test_a_handler_has_to_be_async() -> None:
    with pytest.raises(ConfigurationError, match="write async def"):
        make_app(lambda ws: None)


def test_a_flood_of_pings(live) -> None:
    socket = Socket(live(make_app(echo), websocket_control_rate=10).connect())
    socket.send(frame(PING, b"a") * 11)
    for _ in range(10):
        assert socket.receive() == (PONG, b"a")
    socket.expect_close(1008)


# --- backpressure ----------------------------------------------------------------------------


class Late:
    """A handler that takes messages once it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.sizes: list[int] = []
        self.codes: list[int | None] = []

    async def __call__(self, ws: WebSocket) -> None:
        await ws.accept()
        await self.released.wait()
        self.sizes.extend([len(message) async for message in ws])
        self.codes.append(ws.close_code)


def test_reading_pauses_while_messages_wait(live) -> None:
    late = Late()
    server = live(make_app(late, receive_buffer=10_000), body_buffer=10_000)
    socket = Socket(server.connect(send_buffer=65_536))
    session = session_of(server)
    message = frame(BINARY, b"a" * 1000)
    flood = message * 30_000
    sent = socket.client.fill(flood, server.reading_is_paused)
    assert sent < len(flood)
    assert server.call(lambda: session._queued) < 1_000_000
    server.pass_time(1000, 1000, 1000)  # nobody is blamed for what is not read
    server.call(late.released.set)
    rest = len(message) - sent % len(message)
    socket.send(flood[sent : sent + rest % len(message)], close())
    socket.expect_close(1000)
    server.until(lambda: late.sizes)
    assert late.sizes == [1000] * -(-sent // len(message))


def make_bomb(size: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(BINARY | 0x40, data[:-4])


OFFER = "Sec-WebSocket-Extensions: permessage-deflate"


def test_cwe409_bombs_are_inflated_as_the_handler_takes_them(live) -> None:
    """A read of a few KB brings 20 messages of 1 MB each."""

    late = Late()
    server = live(make_app(late, receive_buffer=10_000))
    socket = Socket(server.connect(), OFFER)
    session = session_of(server)
    socket.send(make_bomb(1 << 20) * 20, close(1001))
    server.until(lambda: session._queued)
    assert server.call(lambda: session._queued) < 2 << 20
    server.call(late.released.set)
    socket.expect_close(1001)
    server.until(lambda: late.sizes)
    assert late.sizes == [1 << 20] * 20


def test_cwe409_bombs_for_a_handler_that_is_through_are_not_kept(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()

    server = live(make_app(handler, receive_buffer=10_000))
    socket = Socket(server.connect(), OFFER)
    session = session_of(server)
    socket.send(make_bomb(1 << 20) * 5)
    socket.expect_close(1000)
    socket.send(make_bomb(1 << 20) * 5)
    server.until(lambda: session._heard >= 2)
    assert server.call(lambda: session._queued) == 0
    socket.send(frame(TEXT, b"a"), close(1000))
    socket.client.expect_end()


def test_bombs_of_a_client_that_is_gone_are_taken_all_the_same(live) -> None:
    """With a Ping and a Close behind them that nobody answers any more."""

    late = Late()
    server = live(make_app(late, receive_buffer=10_000))
    socket = Socket(server.connect(), OFFER)
    session = session_of(server)
    socket.send(make_bomb(1 << 20) * 3, frame(PING, b"?"), close(1001))
    server.until(lambda: session._queued)
    socket.client.close()
    server.until(lambda: session.close_code is not None)
    server.call(late.released.set)
    server.until(lambda: late.codes)
    assert late.sizes == [1 << 20] * 3
    assert late.codes == [1001]


def test_the_smallest_buffer_lets_messages_through(live) -> None:
    socket = Socket(live(make_app(echo, receive_buffer=1)).connect())
    for _ in range(5):
        socket.send(frame(TEXT, b"a" * 100_000))
        assert socket.receive() == (TEXT, b"a" * 100_000)


async def send_until_slow(ws: WebSocket, outcome: list) -> None:
    await ws.accept()
    try:
        for _ in range(200):
            await ws.send(b"a" * 100_000)
            outcome.append("sent")
    except WebSocketClosed:
        outcome.append("closed")


def test_a_slow_client_blocks_the_handler(live) -> None:
    """Until it takes what was sent; none of it is lost."""
    outcome: list[str] = []
    server = live(make_app(lambda_handler(outcome), slow_client="block"))
    socket = Socket(server.connect(receive_buffer=65_536))
    counters = server.server.counters
    server.until(lambda: counters.websocket_sends_blocked)
    assert len(outcome) < 200
    for _ in range(200):
        assert socket.receive() == (BINARY, b"a" * 100_000)
    socket.expect_close(1000)


def lambda_handler(outcome: list):
    async def handler(ws: WebSocket) -> None:
        await send_until_slow(ws, outcome)

    return handler


def test_messages_for_a_slow_client_are_dropped(live) -> None:
    outcome: list[str] = []
    server = live(make_app(lambda_handler(outcome), slow_client="drop"))
    socket = Socket(server.connect(receive_buffer=65_536))
    server.until(lambda: len(outcome) == 200)
    dropped = server.call(lambda: server.server.counters.websocket_messages_dropped)
    assert 0 < dropped < 200
    for _ in range(200 - dropped):
        assert socket.receive() == (BINARY, b"a" * 100_000)
    socket.expect_close(1000)


def test_a_slow_client_is_closed(live) -> None:
    outcome: list[str] = []
    server = live(make_app(lambda_handler(outcome), slow_client="close"))
    socket = Socket(server.connect(receive_buffer=65_536))
    server.until(lambda: "closed" in outcome)
    assert server.server.counters.websockets_closed_as_slow == 1
    for _ in outcome[:-1]:
        assert socket.receive() == (BINARY, b"a" * 100_000)
    assert socket.expect_close(1013) == "the client is too slow"
    socket.send(close(1013))
    socket.client.expect_end()


def test_a_blocked_handler_learns_that_the_client_is_gone(live) -> None:
    outcome: list[str] = []
    server = live(make_app(lambda_handler(outcome)))
    socket = Socket(server.connect(receive_buffer=65_536))
    server.until(lambda: server.server.counters.websocket_sends_blocked)
    socket.client.reset()
    server.until(lambda: "closed" in outcome)


def test_a_blocked_handler_that_is_cancelled_frees_the_others(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()

        async def send() -> None:
            for _ in range(100):
                await ws.send(b"a" * 100_000)

        first, second = asyncio.create_task(send()), asyncio.create_task(send())
        tasks.extend([first, second])
        await asyncio.wait([first, second])

    tasks: list[asyncio.Task] = []
    server = live(make_app(handler))
    socket = Socket(server.connect(receive_buffer=65_536))
    server.until(lambda: server.server.counters.websocket_sends_blocked >= 2)
    server.call(tasks[0].cancel)
    server.until(tasks[0].done)
    while socket.receive() == (BINARY, b"a" * 100_000):
        pass
    server.until(tasks[1].done)
    assert tasks[1].exception() is None


def test_only_the_latest_ping_of_a_slow_client_is_answered(live) -> None:
    """RFC 6455 §5.5.3."""
    outcome: list[str] = []
    server = live(make_app(lambda_handler(outcome)))
    socket = Socket(server.connect(receive_buffer=65_536))
    session = session_of(server)
    server.until(lambda: server.server.counters.websocket_sends_blocked)
    socket.send(*(frame(PING, b"%d" % n) for n in range(100)))
    server.until(lambda: session._pong == b"99")
    pongs = []
    while True:
        first, payload = socket.receive()
        if first == PONG:
            pongs.append(payload)
        elif first != BINARY:
            break
    assert pongs == [b"99"]


# --- deadlines -------------------------------------------------------------------------------


def test_a_silent_client_is_pinged_and_then_cut_off(live) -> None:
    server = live(make_app(echo), ping_interval=30, ping_timeout=20)
    socket = Socket(server.connect())
    session = session_of(server)
    server.pass_time(31)
    assert socket.receive() == (PING, b"")
    socket.send(frame(PONG))
    server.until(lambda: session._heard == 1)
    server.pass_time(31)
    assert socket.receive() == (PING, b"")
    server.pass_time(21, 1)
    socket.client.expect_reset()
    assert server.server.counters.websockets_closed_as_silent == 1
    assert server.call(lambda: session.close_code) == 1006


def test_nobody_is_blamed_for_a_loop_that_was_late(live) -> None:
    """The answer was there before the deadline was looked at, but nobody had read it."""
    server = live(make_app(echo), ping_interval=30, ping_timeout=20)
    socket = Socket(server.connect())
    session = session_of(server)
    server.pass_time(31)
    assert socket.receive() == (PING, b"")

    def block() -> None:
        socket.send(frame(PONG))
        server.clock.now += 300
        server.connection().check_deadlines(server.clock.now)

    server.pass_time(1)
    server.call(block)
    server.until(lambda: session._heard == 1)
    server.pass_time(1)
    socket.send(frame(TEXT, b"alive"))
    assert socket.receive() == (TEXT, b"alive")


def test_no_pings(live) -> None:
    server = live(make_app(echo, ping_interval=None))
    socket = Socket(server.connect())
    session_of(server)
    server.pass_time(1000, 1000)
    socket.client.expect_silence()


def test_a_client_that_does_not_answer_a_close(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()

    server = live(make_app(handler), websocket_close_timeout=10)
    socket = Socket(server.connect())
    socket.expect_close(1000)
    server.pass_time(9, 1)
    server.pass_time(2, 1)
    socket.client.expect_reset()


def test_a_handler_that_is_slow_with_the_messages_before_a_close(live) -> None:
    """The client's Close is not held back for ever."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()
        await released.wait()
        with pytest.raises(WebSocketClosed):
            await ws.send("too late")
        outcome.append("closed")

    outcome: list[str] = []
    released = asyncio.Event()
    server = live(make_app(handler), websocket_close_timeout=10)
    socket = Socket(server.connect())
    session = session_of(server)
    socket.send(frame(TEXT, b"1"), frame(TEXT, b"2"), close(1000))
    server.until(lambda: session._busy and session.close_code)
    server.pass_time(11, 1)
    socket.expect_close(1000)
    socket.client.expect_end()
    server.call(released.set)
    server.until(lambda: outcome)


def test_an_idle_websocket_without_pings_lives_on(live) -> None:
    server = live(make_app(echo), request_timeout=10, keep_alive_timeout=10, ping_interval=None)
    socket = Socket(server.connect())
    session_of(server)
    server.pass_time(1000, 1000)
    socket.send(frame(TEXT, b"still here"))
    assert socket.receive() == (TEXT, b"still here")


# --- a read of tiny messages ---------------------------------------------------------------------


@pytest.mark.parametrize("http1", ["native", "reference"])
def test_others_have_a_turn_between_two_reads_of_tiny_messages(http1):
    """A read of 256 KiB brings 37 000 messages, and some loops read a socket 32 times in a turn."""
    size = 37_000
    message, answer = frame(TEXT, b"x"), frame(TEXT, b"x", key=None)

    async def main() -> None:
        async with connected(http1) as (connection, transport):
            connection.data_received(HANDSHAKE)
            for _ in range(5):
                await asyncio.sleep(0)
            transport.writes.clear()
            was_read: list[bool] = []

            def receive() -> None:
                connection.data_received(message * size)
                was_read.append(transport.is_reading())

            asyncio.get_running_loop().call_soon(receive)
            for _ in range(50):
                await asyncio.sleep(0)
            assert was_read == [False]
            assert transport.is_reading()
            assert b"".join(transport.writes) == answer * size

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
