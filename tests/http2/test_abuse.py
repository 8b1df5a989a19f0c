"""Attacks on a live server (RFC 9113 §10.5): each costs the peer its connection, and nobody else.

What one connection may do is counted in one budget, so that attacks can be mixed. Time stands
still in these tests: nothing refills but by useful work.
"""

from itertools import count

import pytest

from httpkit.response import Response

from . import frames
from .client import HTTP2Client
from .conftest import answer_or_wait
from .frames import Code, frame, literal

GET = b"\x82\x86\x84\x01\x01a"


def streams(make, number: int) -> bytes:
    """What `make` gives for so many new streams."""
    return b"".join(make(stream) for stream in range(3, 3 + 2 * number, 2))


# name: what is sent behind a request that waits on stream 1; more than any budget allows
FLOODS: dict[str, bytes] = {
    # CVE-2023-44487, rapid reset, and its relatives
    "rapid reset": streams(
        lambda n: frames.request("/wait", stream=n) + frames.reset(stream=n), 1000
    ),
    "rapid reset of uploads": streams(
        lambda n: frames.post("/wait", stream=n) + frames.reset(stream=n), 1000
    ),
    "rapid reset in batches": b"".join(
        b"".join(frames.request("/wait", stream=n) for n in range(first, first + 100, 2))
        + b"".join(frames.reset(stream=n) for n in range(first, first + 100, 2))
        for first in range(3, 2003, 100)
    ),
    # CVE-2025-8671, MadeYouReset: the server is made to reset
    "increments of nothing": streams(
        lambda n: frames.request("/wait", stream=n) + frames.window_update(0, stream=n), 1000
    ),
    "windows that overflow": streams(
        lambda n: frames.request("/wait", stream=n) + frames.window_update(2**31 - 1, stream=n),
        1000,
    ),
    "DATA on half-closed streams": streams(
        lambda n: frames.request("/wait", stream=n) + frames.data(b"a", stream=n), 1000
    ),
    "HEADERS on half-closed streams": streams(
        lambda n: frames.request("/wait", stream=n) + frames.headers([("x", "a")], stream=n), 1000
    ),
    "more content than declared": streams(
        lambda n: (
            frames.post("/wait", ("content-length", "1"), stream=n) + frames.data(b"aa", stream=n)
        ),
        1000,
    ),
    "malformed trailers": streams(
        lambda n: frames.post("/wait", stream=n) + frames.headers([("X", "a")], stream=n), 1000
    ),
    "malformed requests": streams(
        lambda n: frames.request("/", ("connection", "close"), stream=n), 1000
    ),
    "more streams than allowed": streams(lambda n: frames.request("/wait", stream=n), 1000),
    # CVE-2019-9512, -9515, -9518, -9511, -9513 and others of that year
    "PING": frames.ping() * 2000,
    "SETTINGS": frames.settings() * 1000,
    "SETTINGS that change": frames.settings((4, 1), (4, 2)) * 1000,
    "SETTINGS full of values": frames.settings(*[(0xF000 + i, i) for i in range(2700)]) * 1000,
    "empty DATA": frames.post("/wait", stream=3) + frames.data(stream=3) * 2000,
    "DATA of padding": frames.post("/wait", stream=3)
    + frame(frames.DATA, b"\0", stream=3, flags=frames.PADDED) * 20_000,
    "empty DATA on a stream that was reset": frames.post("/wait", stream=3)
    + frames.reset(stream=3)
    + frames.data(stream=3) * 5000,
    "WINDOW_UPDATE": frames.window_update(1) * 20_000,
    "WINDOW_UPDATE of a stream": frames.window_update(1, stream=1) * 20_000,
    "WINDOW_UPDATE of a closed stream": frames.request(stream=3)
    + frames.window_update(1, stream=3) * 20_000,
    "PRIORITY": b"".join(frames.priority(n - 2, stream=n) for n in range(3, 10_003, 2)),
    "PRIORITY of one stream": frames.priority(0, stream=1) * 5000,
    "PRIORITY_UPDATE": b"".join(
        frames.priority_update(b"u=0", prioritized=n) for n in range(3, 10_003, 2)
    ),
    "PRIORITY_UPDATE of one stream": frames.priority_update(b"u=0", prioritized=1) * 5000,
    "frames of unknown types": frame(frames.UNKNOWN, b"a") * 5000,
    "frames of unknown types on a stream": frame(frames.UNKNOWN, b"a", stream=1) * 5000,
    "RST_STREAM again and again": frames.request("/wait", stream=3)
    + frames.reset(stream=3) * 20_000,
    "GOAWAY": frames.goaway() * 5000,
    "PING that answers nothing": frame(frames.PING, b"a" * 8, flags=frames.ACK) * 5000,
    "SETTINGS that acknowledge nothing": frames.settings_ack() * 5000,
    # CVE-2024-27316, -24549, -27919 and others: CONTINUATION flood
    "empty CONTINUATION": frames.headers(b"", flags=0) + frames.continuation(b"", end=False) * 9000,
    "CONTINUATION octet by octet": frames.headers(GET, flags=0)
    + b"".join(frames.continuation(octet, end=False) for octet in [b"\x00", b"\x01", b"x", b"\x00"])
    * 9000,
    "CONTINUATION of full size": frames.headers(GET, flags=0)
    + frames.continuation(b"\x00\x01x\x7f\x81\x7f" + b"a" * 16_000, end=False) * 300,
    "CONTINUATION in trailers": frames.post("/wait", stream=3)
    + frames.headers(b"", flags=frames.END_STREAM)
    + frames.continuation(b"", end=False) * 9000,
}

#: What is an error of the connection by itself comes before the budget.
CODES = {
    "SETTINGS that acknowledge nothing": (Code.PROTOCOL_ERROR, Code.ENHANCE_YOUR_CALM),
    "empty DATA on a stream that was reset": (Code.STREAM_CLOSED, Code.ENHANCE_YOUR_CALM),
    "HEADERS on half-closed streams": (Code.STREAM_CLOSED, Code.ENHANCE_YOUR_CALM),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood(live, name: str) -> None:
    running: list[int] = []

    def handler(request):
        running.append(server.server.counters.requests_in_flight)
        return answer_or_wait(request)

    server = live(handler)
    bystander = HTTP2Client(server.connect())
    assert bystander.get().status == 200
    client = HTTP2Client(server.connect(), credit=False, acknowledge=False)
    client.send(frames.request("/wait", stream=1))
    client.send(FLOODS[name])
    client.until_end()
    assert client.error in CODES.get(name, (Code.ENHANCE_YOUR_CALM,))
    assert bystander.get().status == 200
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    # Handlers of requests that were reset count until they have ended (CVE-2023-44487).
    assert max(running) <= 100 + 1
    assert len(server.requests) < 1000
    # What could not be sent has not piled up: every answer to the flood was counted.
    assert len(client.log) < 2500


def test_a_flood_that_is_not_read(live) -> None:
    """CVE-2019-9517: a peer that asks and never takes an answer; nothing piles up."""
    server = live(lambda request: Response(b"a" * 50_000))
    bystander = HTTP2Client(server.connect())
    client = HTTP2Client(
        server.connect(receive_buffer=4096),
        frames.PREFACE + frames.settings((frames.INITIAL_WINDOW_SIZE, 2**31 - 1)),
        credit=False,
    )
    client.send(frames.window_update(2**30))

    def is_full() -> bool:
        return any(each._writing_paused for each in server.server._connections)

    for number in range(1, 401, 2):
        client.send(frames.request(stream=number))
        # One by one until then: what comes in one read is answered in one write.
        server.until(lambda number=number: len(server.requests) > number // 2 or is_full())
    server.until(lambda: len(server.requests) > 5)
    client.send(frames.ping() * 500)
    assert bystander.get().status == 200
    connection = max(
        server.call(lambda: list(server.server._connections)),
        key=lambda connection: connection.transport.get_write_buffer_size(),
    )
    assert server.call(connection.transport.get_write_buffer_size) <= 500_000
    # Requests that find no room in the queues have to wait or are refused.
    assert server.server.counters.requests_in_flight <= 101


# --- header bombs --------------------------------------------------------------------------------

BOMBS: dict[str, bytes] = {
    # CVE-2016-6581: one entry of the table, said again in one octet each
    "a field many times": GET + literal(b"x", b"") + b"\xbe" * 16_000,
    "a large field many times": GET + b"\x40\x01x\x7f\x81\x1e" + b"a" * 3968 + b"\xbe" * 12_000,
    "crumbs of cookies": GET + b"\x60\x01a" + b"\xbe" * 16_000,
    "a path many times": GET + b"\x84" * 16_000,
    "empty names": GET + b"\x00\x00\x00" * 5000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb(live, name: str) -> None:
    """§10.5.1: refused at once, whatever it would decode to; the application sees nothing."""
    server = live()
    bystander = HTTP2Client(server.connect())
    client = HTTP2Client(server.connect())
    client.send(frames.headers(BOMBS[name], stream=1))
    answer = client.answer(1)
    assert (
        answer.status == 431
        or answer.reset in (Code.PROTOCOL_ERROR, Code.ENHANCE_YOUR_CALM)
        or client.error in (Code.ENHANCE_YOUR_CALM, Code.COMPRESSION_ERROR)
    ), client.log
    assert server.requests == []
    assert bystander.get().status == 200


def test_size_updates_without_end(connect) -> None:
    """RFC 7541 §4.2 has no reason for more than two; those of one frame cost next to nothing."""
    client = connect()
    client.send(frames.headers(b"\x20" * 16_000 + GET, stream=1))
    answer = client.answer(1)
    assert answer.status == 200 or client.error == Code.COMPRESSION_ERROR


def test_a_large_field_section_in_trailers(live) -> None:
    """The limits hold for trailers, too."""
    server = live(answer_or_wait)
    client = HTTP2Client(server.connect())
    client.send(
        frames.post("/wait", stream=1)
        + frames.headers(literal(b"x", b"") + b"\xbe" * 16_000, stream=1)
    )
    answer = client.answer(1)
    assert answer.reset is not None or client.error == Code.ENHANCE_YOUR_CALM
    assert HTTP2Client(server.connect()).get().status == 200


# --- what is no abuse ----------------------------------------------------------------------------


def test_thousands_of_requests(connect) -> None:
    client = connect()
    for first in count(1, 100):
        numbers = range(first, first + 100, 2)
        client.send(b"".join(frames.request(stream=number) for number in numbers))
        assert {client.answer(number).status for number in numbers} == {200}
        if first > 6000:
            break
    assert client.error is None


def test_a_browser_that_changes_its_mind(live) -> None:
    """Fifty requests are cancelled by every page that is left."""
    server = live(answer_or_wait)
    client = HTTP2Client(server.connect())
    for _ in range(10):
        numbers = [client.request("/wait") for _ in range(50)]
        assert client.fence()
        client.send(b"".join(frames.reset(stream=number) for number in numbers))
        assert client.fence(), client.error
        server.until(lambda: not server.server.counters.requests_in_flight)
        server.pass_time(5)
    assert client.get().status == 200


def test_an_upload_in_small_pieces(connect) -> None:
    async def handler(request):
        return Response(str(len(await request.body())))

    client = connect(handler)
    client.send(frames.post(stream=1) + frames.data(b"a", stream=1) * 20_000)
    client.send(frames.data(stream=1, end=True))
    assert client.answer(1).body == b"20000"


def test_a_download_with_a_window_update_for_every_frame(connect) -> None:
    """The client gives both windows back for each DATA frame, as many do."""
    client = connect(lambda request: Response(b"a" * 5_000_000))
    assert len(client.get().body) == 5_000_000
    assert client.error is None


def test_the_last_stream_there_is(connect) -> None:
    """§5.1.1: numbers end at 2^31 - 1; what follows needs another connection."""
    client = connect()
    client.send(frames.request(stream=2**31 - 1))
    assert client.answer(2**31 - 1).status == 200
    assert client.fence()
    client.send(frames.request(stream=1))
    assert not client.fence()
    assert client.error in (Code.PROTOCOL_ERROR, Code.STREAM_CLOSED)
