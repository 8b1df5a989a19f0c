"""WebSockets on streams of HTTP/2 (RFC 8441): the same handlers, beside each other."""

import asyncio

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from httpkit import App, Response, WebSocket
from httpkit.protocol.http2.frames import DATA, serialize_frame
from tests.echoing import echo, echo_after, make_app
from tests.frames import CLOSE, PING, TEXT, close, frame, read_frames
from tests.garbage import find_garbage


@pytest.fixture(params=["native", "reference"])
def engine(request) -> dict[str, str]:
    """The library of HTTP/2 instead of the parser of HTTP/1.1."""
    return {"http2": request.param}


@pytest.fixture
def live(live, engine):
    """Servers with that library."""
    return lambda application, **options: live(
        application, **{"http1": "auto", **engine, **options}
    )


class Connection:
    """A client of HTTP/2 with h2; what comes is kept for each stream."""

    def __init__(self, client) -> None:
        self.client = client
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.pongs = 0
        self.flush()
        self.until(lambda: self.enabled)

    @property
    def enabled(self) -> bool:
        codes = h2.settings.SettingCodes
        return self.h2.remote_settings.get(codes.ENABLE_CONNECT_PROTOCOL) == 1

    def flush(self) -> None:
        self.client.send(self.h2.data_to_send())

    def until(self, condition) -> None:
        while not condition():
            data = self.client.socket.recv(65_536)
            assert data, "the connection has ended"
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    self.heads[event.stream_id] = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    self.bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                    self.ended.add(event.stream_id)
                elif isinstance(event, h2.events.PingAckReceived):
                    self.pongs += 1
            self.flush()

    def open(self, *fields: tuple[str, str]) -> int:
        """Ask for a WebSocket, and wait for the answer; its stream."""
        stream_id = self.begin(*fields)
        self.until(lambda: stream_id in self.heads)
        return stream_id

    def begin(self, *fields: tuple[str, str], flush: bool = True) -> int:
        """Ask for a WebSocket; its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        self.bodies[stream_id] = b""
        self.h2.send_headers(
            stream_id,
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "localhost"),
                ("sec-websocket-version", "13"),
                *fields,
            ],
        )
        if flush:
            self.flush()
        return stream_id

    def send(self, stream_id: int, *frames: bytes) -> None:
        self.h2.send_data(stream_id, b"".join(frames))
        self.flush()

    def receive(self, stream_id: int, size: int) -> list[tuple[int, bytes]]:
        """The frames in so many bytes."""
        self.until(lambda: len(self.bodies[stream_id]) >= size)
        data, self.bodies[stream_id] = self.bodies[stream_id], b""
        return list(read_frames(data))


def test_several_on_one_connection(live) -> None:
    server = live(make_app(echo, subprotocols=["v1"]))
    connection = Connection(server.connect())
    first = connection.open(("sec-websocket-protocol", "v1"))
    second = connection.open()
    assert connection.heads[first][":status"] == "200"
    assert connection.heads[first]["sec-websocket-protocol"] == "v1"
    assert "sec-websocket-accept" not in connection.heads[first]
    connection.send(first, frame(TEXT, b"one"))
    connection.send(second, frame(TEXT, b"two"), frame(TEXT, b"three"))
    assert connection.receive(first, 5) == [(TEXT, b"one")]
    assert connection.receive(second, 12) == [(TEXT, b"two"), (TEXT, b"three")]
    connection.send(first, close(1000))
    assert connection.receive(first, 4) == [(CLOSE, (1000).to_bytes(2, "big"))]
    connection.until(lambda: first in connection.ended)
    connection.send(second, frame(TEXT, b"still open"))
    assert connection.receive(second, 12) == [(TEXT, b"still open")]
    connection.send(second, close(1000))
    connection.until(lambda: second in connection.ended)
    assert server.server.counters.websockets_opened == 2


def test_refusals(live) -> None:
    app = App()

    @app.websocket("/")
    async def refuse(ws: WebSocket) -> Response:
        return Response("no", 401)

    connection = Connection(live(app).connect())
    stream_id = connection.open()
    assert connection.heads[stream_id][":status"] == "401"
    stream_id = connection.open(("origin", "https://evil.com"))
    assert connection.heads[stream_id][":status"] == "403"


def test_messages_larger_than_the_windows(live) -> None:
    connection = Connection(live(make_app(echo)).connect())
    stream_id = connection.open()
    message = frame(TEXT, b"a" * 60_000)
    for _ in range(10):
        while connection.h2.local_flow_control_window(stream_id) < len(message):
            window = connection.h2.local_flow_control_window(stream_id)
            connection.until(
                lambda: connection.h2.local_flow_control_window(stream_id) > window  # noqa: B023
            )
        for start in range(0, len(message), 16_384):
            connection.send(stream_id, message[start : start + 16_384])
        assert connection.receive(stream_id, 60_004) == [(TEXT, b"a" * 60_000)]


@pytest.mark.parametrize("end", [False, True])
def test_what_comes_before_the_answer_is_not_lost(live, end) -> None:
    """RFC 8441 forbids no client to go on at once; its half of the stream may even end there."""

    async def handler(ws: WebSocket) -> None:
        may_accept.append(asyncio.Event())
        await may_accept[0].wait()
        await ws.accept()
        received.append([message async for message in ws])
        received.append(ws.close_code)

    may_accept: list[asyncio.Event] = []
    received: list[object] = []
    server = live(make_app(handler))
    connection = Connection(server.connect())
    stream_id = connection.begin()
    message = frame(TEXT, b"early")
    connection.h2.send_data(stream_id, frame(TEXT, b"very early") + message[:4])
    connection.flush()
    connection.h2.send_data(stream_id, message[4:], end_stream=end)
    connection.h2.ping(b"is there")
    connection.flush()
    connection.until(lambda: connection.pongs)
    server.until(lambda: may_accept)
    server.call(may_accept[0].set)
    connection.until(lambda: stream_id in connection.heads)
    if not end:
        connection.send(stream_id, frame(TEXT, b"late"), close(1000))
    connection.until(lambda: stream_id in connection.ended)
    server.until(lambda: len(received) == 2)
    assert received == [["very early", "early"] + ["late"] * (not end), 1006 if end else 1000]


def test_a_close_may_end_its_half_of_the_stream(live) -> None:
    """What came before is answered all the same, however long its handler takes."""
    ended = asyncio.Event()
    server = live(make_app(echo_after(ended)))
    connection = Connection(server.connect())
    stream_id = connection.open()
    data = frame(TEXT, b"one") + frame(TEXT, b"two") + close(1000)
    connection.h2.send_data(stream_id, data, end_stream=True)
    connection.h2.ping(b"is there")
    connection.flush()
    connection.until(lambda: connection.pongs)
    server.call(ended.set)
    assert connection.receive(stream_id, 14) == [
        (TEXT, b"one"),
        (TEXT, b"two"),
        (CLOSE, (1000).to_bytes(2, "big")),
    ]
    connection.until(lambda: stream_id in connection.ended)


def test_those_that_are_reset_at_once_leave_nothing_for_the_garbage_collector(live) -> None:
    """The first handler is cancelled before its first step, the second never called."""
    server = live(make_app(echo))
    connection = Connection(server.connect())

    def visit() -> None:
        for stream_id in [connection.begin(flush=False) for _ in range(2)]:
            connection.h2.reset_stream(stream_id)
        connection.flush()
        server.until(lambda: server.server.counters.requests_in_flight == 0)
        connection.h2.ping(b"the next")
        connection.flush()
        connection.until(lambda: connection.pongs)
        connection.pongs = 0

    assert not find_garbage(visit) & {"Exchange", "Request", "Task", "WebSocketUpgrade"}


def test_a_stream_that_is_reset(live) -> None:
    """The handler ends, the connection and its other WebSocket go on."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        outcome.append([message async for message in ws])
        outcome.append(ws.close_code)

    outcome: list[object] = []
    server = live(make_app(handler))
    connection = Connection(server.connect())
    lost, kept = connection.open(), connection.open()
    connection.h2.reset_stream(lost)
    connection.flush()
    server.until(lambda: len(outcome) == 2)
    assert outcome == [[], 1006]
    connection.send(kept, close(1000))
    connection.until(lambda: kept in connection.ended)


def test_a_handler_that_is_cancelled_resets_its_stream(live, caplog) -> None:
    """By whomever; nothing of it is left on the connection."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async for _ in ws:
            asyncio.current_task().cancel()

    server = live(make_app(handler))
    connection = Connection(server.connect())
    stream_id = connection.open()
    connection.send(stream_id, frame(TEXT, b"go"))
    connection.until(lambda: stream_id in connection.ended)
    server.until(lambda: not server.connection()._sessions)
    assert server.server.counters.websockets_open == 0
    assert "CancelledError" in caplog.text


def test_a_silent_client_loses_its_stream_only(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async for _ in ws:
            pass

    server = live(make_app(handler, ping_interval=5, ping_timeout=5))
    connection = Connection(server.connect())
    stream_id = connection.open()
    server.until(lambda: server.connection()._sessions)
    server.pass_time(6)
    assert connection.receive(stream_id, 2) == [(PING, b"")]
    server.pass_time(6, 1)
    connection.until(lambda: stream_id in connection.ended)
    again = connection.open()
    assert connection.heads[again][":status"] == "200"


def test_a_graceful_stop(live) -> None:
    outcome: list[object] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async for _ in ws:
            pass
        await asyncio.sleep(0)
        outcome.append(ws.close_code)

    server = live(make_app(handler))
    connection = Connection(server.connect())
    stream_id = connection.open()
    client = connection.client
    stopped = server.begin_stop()
    # h2 takes nothing after GOAWAY, so the rest is done by hand.
    received = b""
    while b"the server is going away" not in received:
        received += client.socket.recv(65_536)
    reason = (1001).to_bytes(2, "big") + b"the server is going away"
    assert frame(CLOSE, reason, key=None) in received
    client.send(serialize_frame(DATA, 0, stream_id, close(1001)))
    server.until(lambda: outcome)
    client.close()
    stopped.result(10)
    assert outcome == [1001]
