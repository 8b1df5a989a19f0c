"""Flow control in both directions (RFC 9113 §5.2, §6.9)."""

import asyncio

import pytest

from httpkit.response import Response

from . import frames
from .client import HTTP2Client
from .expect import connection, stream
from .frames import INITIAL_WINDOW_SIZE, Code

BODY = bytes(range(256)) * 4


def large(request):
    """An answer that takes more than the initial window, or one of 1 KiB."""
    return Response(b"a" * 100_000 if request.path == "/large" else BODY)


def hello(size: int) -> bytes:
    """A preface with a window for streams."""
    return frames.PREFACE + frames.settings((INITIAL_WINDOW_SIZE, size))


# --- what the server may send --------------------------------------------------------------------


def test_no_more_than_the_window_of_the_connection(connect) -> None:
    """§6.9.1: 65 535 octets for all streams, whatever SETTINGS say."""
    client = connect(large, hello(2**31 - 1), credit=False)
    client.request("/large")
    client.request("/large")
    receive_just(client, 65_535, 1, 3)
    client.send(frames.window_update(200_000))
    assert len(client.answer(1).body) == len(client.answer(3).body) == 100_000


def test_no_more_than_the_window_of_a_stream(connect) -> None:
    client = connect(large, credit=False)
    client.send(frames.window_update(1_000_000))
    client.request("/large")
    receive_just(client, 65_535, 1)
    client.send(frames.window_update(1, stream=1))
    client.until(lambda: received(client, 1) == 65_536)
    client.send(frames.window_update(100_000, stream=1))
    assert len(client.answer(1).body) == 100_000


def test_octet_by_octet(connect) -> None:
    """A window of one octet is a window."""
    client = connect(large, hello(1), credit=False)
    client.request("/")
    for size in range(1, 20):
        client.until(lambda size=size: received(client, 1) == size)
        client.send(frames.window_update(1, stream=1))
    client.send(frames.window_update(2000, stream=1))
    assert client.answer(1).body == BODY


def test_the_head_needs_no_window(connect) -> None:
    """§6.9: only DATA is flow-controlled; nor does an empty body."""
    client = connect(lambda request: Response(b"" if request.path == "/" else BODY), hello(0))
    assert client.get("/").status == 200
    number = client.request("/body")
    client.until(lambda: client.stream(number).status)
    assert client.fence()
    assert client.stream(number).body == b""
    client.send(frames.window_update(len(BODY), stream=number))
    assert client.answer(number).body == BODY


def test_trailers_need_no_window_but_wait_for_the_content(connect) -> None:
    async def chunks():
        yield BODY

    client = connect(
        lambda request: Response(chunks(), trailers={"x-trailer": "end"}), hello(0), credit=False
    )
    client.request()
    client.until(lambda: client.stream(1).status)
    assert client.fence()
    assert client.stream(1).trailers is None
    client.send(frames.window_update(len(BODY), stream=1))
    answer = client.answer(1)
    assert (answer.body, answer.trailers) == (BODY, [("x-trailer", "end")])


def test_settings_change_the_windows_of_open_streams(connect) -> None:
    """§6.9.2"""
    client = connect(large, hello(0), credit=False)
    client.request("/large")
    client.until(lambda: client.stream(1).status)
    client.send(frames.settings((INITIAL_WINDOW_SIZE, 100)))
    client.until(lambda: received(client, 1) == 100)
    client.send(frames.settings((INITIAL_WINDOW_SIZE, 300)))
    receive_just(client, 300, 1)


def test_a_window_below_zero(connect) -> None:
    """§6.9.2: after SETTINGS that take back what was sent a window has to be filled up first."""
    client = connect(large, hello(1000), credit=False)
    client.request("/large")
    client.until(lambda: received(client, 1) == 1000)
    client.send(frames.settings((INITIAL_WINDOW_SIZE, 0)))  # now -1000
    client.send(frames.window_update(1000, stream=1))  # now 0
    assert client.fence()
    assert received(client, 1) == 1000
    client.send(frames.window_update(1, stream=1))
    receive_just(client, 1001, 1)


def test_settings_leave_the_window_of_the_connection_alone(connect) -> None:
    """§6.9.2: only WINDOW_UPDATE changes it."""
    client = connect(large, hello(1_000_000), credit=False)
    client.request("/large")
    client.until(lambda: received(client, 1) == 65_535)
    client.send(frames.settings((INITIAL_WINDOW_SIZE, 2_000_000)))
    assert client.fence()
    assert received(client, 1) == 65_535


def test_one_stalled_stream_stops_no_other(connect) -> None:
    client = connect(large, hello(10), credit=False)
    client.request("/large")
    client.until(lambda: received(client, 1) == 10)
    number = client.request("/")
    client.send(frames.window_update(2000, stream=number))
    assert client.answer(number).body == BODY
    assert received(client, 1) == 10


@pytest.mark.parametrize("increments", [(2**31 - 1, 1), (1, 2**31 - 1), (2**30, 2**30)])
def test_a_window_of_a_stream_that_overflows(run_case, increments: tuple[int, int]) -> None:
    """§6.9.1: a stream error FLOW_CONTROL_ERROR."""
    sent = b"".join(frames.window_update(increment, stream=3) for increment in increments)
    run_case(frames.request("/wait") + sent, stream(Code.FLOW_CONTROL_ERROR))


@pytest.mark.parametrize("increments", [(2**31 - 1,), (2**30, 2**30)])
def test_the_window_of_the_connection_that_overflows(run_case, increments: tuple[int, ...]) -> None:
    """§6.9.1: a connection error FLOW_CONTROL_ERROR."""
    sent = b"".join(map(frames.window_update, increments))
    run_case(sent, connection(Code.FLOW_CONTROL_ERROR))


def test_an_increment_of_nothing_on_a_stream(run_case) -> None:
    """§6.9: a stream error PROTOCOL_ERROR."""
    run_case(
        frames.request("/wait") + frames.window_update(0, stream=3), stream(Code.PROTOCOL_ERROR)
    )


def test_an_increment_of_nothing_on_the_connection(run_case) -> None:
    """§6.9: a connection error PROTOCOL_ERROR."""
    run_case(frames.window_update(0), connection(Code.PROTOCOL_ERROR))


def test_settings_that_make_a_window_overflow(connect) -> None:
    """§6.9.2: a connection error FLOW_CONTROL_ERROR."""
    client = connect(large, hello(0), credit=False)
    client.request("/large")
    client.until(lambda: client.stream(1).status)
    client.send(frames.window_update(2**31 - 1, stream=1))
    client.send(frames.settings((INITIAL_WINDOW_SIZE, 100_000)))
    client.until_end()
    assert client.error == Code.FLOW_CONTROL_ERROR


# --- what the client may send --------------------------------------------------------------------


@pytest.fixture
def upload(live):
    """A server that does not read before it is told to."""
    released = asyncio.Event()

    async def handler(request):
        if request.method == "POST":
            await released.wait()
            return Response(str(len(await request.body())))
        return Response("Hello")

    server = live(handler, body_buffer=70_000, connection_window=100_000, min_body_rate=None)
    return server, lambda: server.call(released.set)


def pieces(number: int, size: int) -> bytes:
    """DATA frames of at most 2^14 octets."""
    whole, rest = divmod(size, 16_384)
    out = frames.data(b"a" * 16_384, stream=number) * whole
    return out + frames.data(b"a" * rest, stream=number)


def test_the_window_of_a_stream_is_exactly_what_was_said(upload) -> None:
    """§6.9.1: the whole window is fine, one octet more is a FLOW_CONTROL_ERROR."""
    server, _ = upload
    client = HTTP2Client(server.connect())
    assert client.fence()  # until it has seen SETTINGS a client has 65 535 octets
    client.send(frames.post(stream=1) + pieces(1, 70_000))
    client.send(frames.post(stream=3) + pieces(3, 30_000))
    assert client.settings[INITIAL_WINDOW_SIZE] == 70_000
    assert client.fence()
    assert client.window_updates == {0: 100_000 - 65_535}
    client.send(frames.reset(stream=3))
    client.send(frames.data(b"a", stream=1))
    answer = client.stream(1)
    client.until(lambda: answer.reset is not None)
    assert answer.reset == Code.FLOW_CONTROL_ERROR or client.error == Code.FLOW_CONTROL_ERROR
    assert HTTP2Client(server.connect()).get().status == 200


def test_the_window_of_the_connection_is_exactly_what_was_said(upload) -> None:
    server, _ = upload
    client = HTTP2Client(server.connect())
    assert client.fence()  # until it has seen SETTINGS a client has 65 535 octets
    client.send(frames.post(stream=1) + pieces(1, 60_000))
    client.send(frames.post(stream=3) + pieces(3, 40_000))
    assert client.fence()
    client.send(frames.data(b"a", stream=3))
    client.until_end()
    assert client.error == Code.FLOW_CONTROL_ERROR


def test_the_window_comes_back_as_the_body_is_read(upload) -> None:
    server, release = upload
    client = HTTP2Client(server.connect())
    assert client.fence()  # until it has seen SETTINGS a client has 65 535 octets
    client.send(frames.post(stream=1) + pieces(1, 70_000))
    assert client.fence()
    assert 1 not in client.window_updates
    release()
    client.until(lambda: client.window_updates.get(1, 0) >= 35_000)
    client.send(frames.data(b"a" * 10_000, stream=1, end=True))
    assert client.answer(1).body == b"80000"


def test_padding_counts_and_comes_back(upload) -> None:
    """§6.9.1: the whole payload counts, with the pad length and the padding."""
    server, release = upload
    client = HTTP2Client(server.connect())
    assert client.fence()  # until it has seen SETTINGS a client has 65 535 octets
    padded = frames.frame(frames.DATA, b"\xff" + b"a" + b"\0" * 255, stream=1, flags=frames.PADDED)
    client.send(frames.post(stream=1))
    release()
    # 257 kB in a window of 70 kB, with a single octet of content in each.
    for sent in range(0, 257_000, 257):
        client.until(lambda sent=sent: sent + 257 <= 70_000 + client.window_updates.get(1, 0))
        client.send(padded)
        client.look()
    client.send(frames.data(stream=1, end=True))
    assert client.answer(1).body == b"1000"


@pytest.mark.parametrize("end", ["reset", "answered", "malformed"])
def test_unread_bodies_give_the_window_of_the_connection_back(live, end: str) -> None:
    """§6.9.1, §5.1: DATA of streams that have ended counts, and is credited for others."""

    async def handler(request):
        if request.path == "/early":
            return Response("no, thanks")
        return Response(str(len(await request.body())))

    server = live(handler, connection_window=65_535)
    client = HTTP2Client(server.connect())
    for sent in range(0, 300_000, 30_000):
        # What a stream has left unread comes back when it has ended.
        client.until(lambda sent=sent: sent + 30_000 <= 65_535 + client.window_updates.get(0, 0))
        number = client.request({"answered": "/early"}.get(end, "/"), method="POST", end=False)
        client.send(pieces(number, 30_000))
        if end == "reset":
            client.send(frames.reset(stream=number))
        elif end == "malformed":
            client.send(frames.headers([("X", "a")], stream=number))
        assert client.fence(), client.error
        client.until(lambda number=number: end == "reset" or client.stream(number).done)
        # What a handler holds is credited when the handler is over.
        server.until(lambda: not server.server.counters.requests_in_flight)
        assert client.fence(), client.error
    number = client.request(method="POST", end=False)
    client.send(pieces(number, 30_000) + frames.data(stream=number, end=True))
    assert client.answer(number).body == b"30000"
    assert client.window_updates[0] >= 300_000 - 65_535


def test_an_answer_before_the_end_of_the_body(live) -> None:
    """§8.1: the answer is whole, then RST_STREAM(NO_ERROR) asks for no more of the body."""
    server = live(lambda request: Response("enough"))
    client = HTTP2Client(server.connect())
    client.send(frames.post(stream=1) + frames.data(b"a" * 1000, stream=1))
    answer = client.answer(1)
    client.until(lambda: answer.reset is not None)
    assert (answer.status, answer.body, answer.ended) == (200, b"enough", True)
    assert answer.reset == Code.NO_ERROR
    client.send(frames.data(b"a" * 1000, stream=1, end=True))
    client.skip_to(3)
    assert client.get().status == 200


def received(client: HTTP2Client, *numbers: int) -> int:
    """Octets of content so far."""
    return sum(len(client.stream(number).body) for number in numbers)


def receive_just(client: HTTP2Client, octets: int, *numbers: int) -> None:
    """So much content comes, and no more of it."""
    client.until(lambda: received(client, *numbers) == octets)
    assert client.fence()
    assert received(client, *numbers) == octets
