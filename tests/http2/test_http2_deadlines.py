"""Peers that take their time; the clock is turned by hand."""

import asyncio

import pytest

from httpkit.protocol.engine import Deadline
from httpkit.response import Response

from . import frames
from .client import HTTP2Client
from .conftest import answer_or_wait
from .frames import Code

BLOCK = frames.block(frames.request_fields())


async def length(request):
    return Response(str(len(await request.body()))) if request.method == "POST" else Response("a")


# --- heads ---------------------------------------------------------------------------------------


def test_a_field_section_has_ten_seconds(live) -> None:
    """HEADERS without END_HEADERS and then nothing: the connection can carry nothing else."""
    server = live()
    client = HTTP2Client(server.connect())
    assert client.fence()
    client.send(frames.headers(BLOCK[:5], stream=1, flags=frames.END_STREAM))
    server.until_receiving(Deadline.HEAD)
    server.pass_time(9.9)
    client.expect_silence()
    server.pass_time(0.2)
    client.until_end()
    assert client.error == Code.ENHANCE_YOUR_CALM
    assert server.requests == []


def test_drips_do_not_extend_it(live) -> None:
    received = bytearray()

    def tap(connection_id, direction, data, now) -> None:
        if direction == "received":
            received.extend(data)

    server = live(tap=tap)
    client = HTTP2Client(server.connect())
    assert client.fence()
    client.send(frames.headers(BLOCK[:5], stream=1, flags=frames.END_STREAM))
    server.until_receiving(Deadline.HEAD)
    for at in range(5, 10):
        expected = len(received) + 10
        client.send(frames.continuation(BLOCK[at : at + 1], stream=1, end=False))
        server.until(lambda expected=expected: len(received) == expected)
        server.pass_time(1.9)
    client.expect_silence()
    server.pass_time(1)
    client.until_end()
    assert client.error == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("begun", [1, 8, 9, 12])
def test_a_frame_that_is_not_ended(live, begun: int) -> None:
    server = live()
    client = HTTP2Client(server.connect())
    assert client.fence()
    client.send(frames.request(stream=1)[:begun])
    server.until_receiving(Deadline.HEAD)
    server.pass_time(9.9)
    client.expect_silence()
    server.pass_time(0.2)
    client.until_end()
    assert server.requests == []


def test_a_preface_without_settings(live) -> None:
    """§3.4: SETTINGS belong to it."""
    server = live()
    client = HTTP2Client(server.connect(), frames.PREFACE, acknowledge=False)
    server.until_receiving(Deadline.HEAD)
    server.pass_time(9.9)
    client.look()
    assert client.ended is None
    server.pass_time(0.2)
    client.until_end()


# --- bodies --------------------------------------------------------------------------------------


def test_a_slow_body_ends_its_stream_only(live) -> None:
    """408, and the connection goes on."""
    server = live(length, body_grace=5, min_body_rate=240)
    client = HTTP2Client(server.connect())
    slow = client.request(method="POST", end=False)
    fast = client.request(method="POST", end=False)
    assert client.fence()
    server.pass_time(0)  # from the first look on the rate is counted
    client.send(frames.data(b"a" * 10_000, stream=fast))
    assert client.fence()
    server.pass_time(4.9)
    assert client.fence()
    assert not client.stream(slow).done
    server.pass_time(0.3)
    answer = client.answer(slow)
    assert answer.status == 408 or answer.reset is not None
    client.send(frames.data(b"a", stream=fast, end=True))
    assert client.answer(fast).body == b"10001"
    assert client.get().status == 200


def test_a_body_with_the_rate_is_fine(live) -> None:
    server = live(length, body_grace=5, min_body_rate=100)
    client = HTTP2Client(server.connect())
    number = client.request(method="POST", end=False)
    assert client.fence()
    server.pass_time(4)
    for _ in range(20):
        client.send(frames.data(b"a" * 101, stream=number))
        assert client.fence()
        server.pass_time(1)
    client.send(frames.data(stream=number, end=True))
    assert client.answer(number).body == b"2020"


def test_pings_do_not_feed_a_slow_body(live) -> None:
    server = live(length, body_grace=5, min_body_rate=240)
    client = HTTP2Client(server.connect())
    number = client.request(method="POST", end=False)
    for _ in range(6):
        assert client.fence()
        server.pass_time(1)
    answer = client.answer(number)
    assert answer.status == 408 or answer.reset is not None


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [0, 1, 1000])
def test_a_window_that_stays_shut(live, window: int) -> None:
    """Zero-window stall: write_stall without a WINDOW_UPDATE ends the stream, and only it."""
    server = live(lambda request: Response(b"a" * 5000), write_stall=60, ping_interval=None)
    client = HTTP2Client(
        server.connect(),
        frames.PREFACE + frames.settings((frames.INITIAL_WINDOW_SIZE, window)),
        credit=False,
    )
    number = client.request()
    client.until(lambda: len(client.stream(number).body) == window and client.stream(number).status)
    server.pass_time(59.5)
    assert client.fence()
    assert not client.stream(number).done
    server.pass_time(1)
    answer = client.answer(number)
    assert answer.reset is not None or client.ended is not None
    server.until(lambda: not server.server.counters.requests_in_flight)
    if client.ended is None:
        number = client.request()
        client.send(frames.window_update(5000, stream=number))
        assert len(client.answer(number).body) == 5000


def test_an_octet_now_and_then_is_no_progress_for_ever(live) -> None:
    """One octet a minute must not hold a stream for weeks: it is progress, but counted."""
    server = live(lambda request: Response(b"a" * 5000), write_stall=60, ping_interval=None)
    client = HTTP2Client(
        server.connect(),
        frames.PREFACE + frames.settings((frames.INITIAL_WINDOW_SIZE, 1)),
        credit=False,
    )
    number = client.request()
    for size in range(1, 5):
        client.until(lambda size=size: len(client.stream(number).body) == size)
        server.pass_time(59)
        client.send(frames.window_update(1, stream=number))
        assert client.fence()
    assert not client.stream(number).done


# --- connections ---------------------------------------------------------------------------------


def test_an_idle_connection_is_told_that_it_ends(live) -> None:
    """§9.1: keep_alive_timeout, then GOAWAY(NO_ERROR)."""
    server = live(keep_alive_timeout=75)
    client = HTTP2Client(server.connect())
    assert client.get().status == 200
    assert client.fence()
    server.pass_time(74.9)
    client.expect_silence()
    server.pass_time(0.2)
    client.until_end()
    assert (client.error, client.goaways[-1].last_stream_id) == (Code.NO_ERROR, 1)


def test_pings_do_not_keep_an_idle_connection(live) -> None:
    """§6.7, §9.1: a PING asks for nothing; the connection is idle since its last stream."""
    server = live(keep_alive_timeout=75)
    client = HTTP2Client(server.connect())
    assert client.get().status == 200
    for _ in range(3):
        assert client.fence()
        server.pass_time(24.9)
    assert client.get().status == 200
    for _ in range(3):
        assert client.fence()
        server.pass_time(24.9)
    assert client.fence()
    server.pass_time(0.4)
    client.until_end()
    assert (client.error, client.goaways[-1].last_stream_id) == (Code.NO_ERROR, 3)


def test_pings_in_pieces_do_not_keep_an_idle_connection(live) -> None:
    """There is never a whole frame, and never nothing: as slow as a head that does not come."""
    server = live(keep_alive_timeout=75, header_timeout=10)
    client = HTTP2Client(server.connect())
    assert client.get().status == 200
    assert client.fence()
    ping = frames.ping()
    client.send(ping[:12])
    for _ in range(2):
        server.until_receiving(Deadline.HEAD)
        server.pass_time(4.9)
        pongs = len(client.pongs)
        client.send(ping[12:] + ping[:12])
        client.until(lambda pongs=pongs: len(client.pongs) > pongs)
    server.pass_time(0.4)
    client.until_end()
    assert client.error == Code.ENHANCE_YOUR_CALM


def test_the_announcement_of_an_end_is_no_offer(live) -> None:
    """§6.8: a peer that goes on as if it had not heard of it is not waited for without end."""
    server = live(max_requests_per_connection=2, linger_timeout=5)
    client = HTTP2Client(server.connect(), acknowledge=False)
    for _ in range(2):
        assert client.get().status == 200
    client.until(lambda: client.goaways)
    for _ in range(2):
        server.pass_time(2.4)
        assert client.get().status == 200  # on its way, for all the server knows
    assert client.fence()
    server.pass_time(0.4)
    client.until_end()
    assert [each.last_stream_id for each in client.goaways] == [2**31 - 1, 7]


def test_a_silent_peer_is_asked(live) -> None:
    """§6.7: PING after ping_interval while a request runs; no answer within ping_timeout: gone."""
    server = live(answer_or_wait, ping_interval=30, ping_timeout=20)
    client = HTTP2Client(server.connect(), acknowledge=False)
    client.send(frames.request("/wait", stream=1))
    assert client.fence()
    server.pass_time(29.9)
    client.expect_silence()
    server.pass_time(0.2)
    client.until(lambda: client.pings)
    client.send(frames.frame(frames.PING, client.pings.pop(), flags=frames.ACK))
    assert client.fence()
    server.pass_time(30.1)
    client.until(lambda: client.pings)
    server.pass_time(19.9)
    client.expect_silence()
    server.pass_time(0.2)
    client.until_end()
    server.until(lambda: not server.server.counters.requests_in_flight)


def test_a_request_may_take_too_long(live) -> None:
    """request_timeout: 503 on its stream."""
    released = asyncio.Event()

    async def handler(request):
        if request.path == "/held":
            await released.wait()
        return Response("done")

    server = live(handler, request_timeout=5)
    client = HTTP2Client(server.connect())
    number = client.request("/held")
    assert client.fence()
    server.pass_time(0, 5.1)
    assert client.answer(number).status == 503
    assert client.get().status == 200
