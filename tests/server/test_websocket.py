"""WebSockets through real sockets: the handshake, the session, its end."""

import asyncio
import gc
import zlib
from base64 import b64encode

import msgspec
import pytest

from httpkit import (
    App,
    ConfigurationError,
    DeflateOptions,
    HTTPError,
    Response,
    SharedMessage,
    WebSocket,
    WebSocketClosed,
)
from httpkit.protocol.engine import Deadline
from httpkit.semantics.websocket import accept_key
from tests.echoing import echo, echo_after, make_app
from tests.frames import (
    BINARY,
    CLOSE,
    FIRST_TEXT,
    LAST,
    PING,
    PONG,
    TEXT,
    close,
    frame,
    read_frames,
)

from .wire import make_request

KEY = b64encode(b"0123456789abcdef").decode()


def make_handshake(target: str = "/", *fields: str) -> bytes:
    return make_request(
        target,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        *fields,
    )


class Socket:
    """A WebSocket client that is nothing but bytes."""

    def __init__(self, client, *fields: str, target: str = "/", early: bytes = b"") -> None:
        self.client = client
        client.send(make_handshake(target, *fields) + early)
        head = client.receive_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.head = head.decode("latin-1").lower()
        assert f"sec-websocket-accept: {accept_key(KEY).lower()}\r\n" in self.head

    def send(self, *frames: bytes) -> None:
        self.client.send(b"".join(frames))

    def receive(self) -> tuple[int, bytes]:
        """The next frame."""
        head = self.client.receive_exactly(2)
        size = head[1]
        if size >= 126:
            size = int.from_bytes(self.client.receive_exactly(2 if size == 126 else 8), "big")
        return head[0], self.client.receive_exactly(size)

    def expect_close(self, code: int | None) -> str:
        first, payload = self.receive()
        assert first == CLOSE, payload
        assert payload[:2] == (b"" if code is None else code.to_bytes(2, "big")), payload
        return payload[2:].decode()


def test_messages_both_ways(live) -> None:
    server = live(make_app(echo))
    socket = Socket(server.connect())
    for size in (0, 5, 125, 126, 65_535, 65_536, 300_000):
        socket.send(frame(BINARY, b"a" * size))
        assert socket.receive() == (BINARY, b"a" * size)
    socket.send(frame(FIRST_TEXT, b"he"), frame(PING, b"?"), frame(LAST, b"y"))
    assert socket.receive() == (PONG, b"?")
    assert socket.receive() == (TEXT, b"hey")
    socket.send(close(1000, b"bye"))
    socket.expect_close(1000)
    socket.client.expect_end()
    counters = server.server.counters
    server.until(lambda: (counters.websockets_opened, counters.websockets_open) == (1, 0))


def test_frames_that_come_with_the_handshake(live) -> None:
    socket = Socket(live(make_app(echo)).connect(), early=frame(TEXT, b"early") + frame(TEXT)[:3])
    assert socket.receive() == (TEXT, b"early")
    socket.send(frame(TEXT)[3:])
    assert socket.receive() == (TEXT, b"")


def test_messages_before_an_error_are_answered_before_it(live) -> None:
    server = live(make_app(echo))
    socket = Socket(server.connect())
    socket.send(frame(TEXT, b"1"), frame(TEXT, b"2"), frame(0x83), frame(TEXT, b"3"))
    assert socket.receive() == (TEXT, b"1")
    assert socket.receive() == (TEXT, b"2")
    assert socket.expect_close(1002)
    socket.client.expect_end()
    assert server.server.counters.websockets_failed == 1


def test_messages_before_a_close_are_answered_before_it(live) -> None:
    socket = Socket(live(make_app(echo)).connect())
    socket.send(frame(TEXT, b"1"), frame(TEXT, b"2"), close(3000))
    assert socket.receive() == (TEXT, b"1")
    assert socket.receive() == (TEXT, b"2")
    socket.expect_close(3000)
    socket.client.expect_end()


def test_a_client_that_sends_nothing_after_its_close_may_say_so(live) -> None:
    """RFC 6455 §7.1.1: only the server has to wait. It answers on half of a connection."""
    ended = asyncio.Event()
    server = live(make_app(echo_after(ended)))
    socket = Socket(server.connect())
    connection = server.the_connection()
    socket.send(frame(TEXT, b"1"), frame(TEXT, b"2"), close(3000))
    socket.client.half_close()
    server.until(lambda: connection.engine.deadline_kind is Deadline.HALF_CLOSED)
    server.call(ended.set)
    assert socket.receive() == (TEXT, b"1")
    assert socket.receive() == (TEXT, b"2")
    socket.expect_close(3000)
    socket.client.expect_end()


def deaf_server(live):
    """A server whose handler neither receives nor sends, and the word that it has ended."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await asyncio.Event().wait()
        finally:
            outcome.append("cancelled")

    outcome: list[str] = []
    return live(make_app(handler, close_timeout=0.05)), outcome


def test_an_error_while_nobody_receives_is_answered_at_once(live) -> None:
    """A handler that only sends."""
    server, outcome = deaf_server(live)
    socket = Socket(server.connect())
    socket.send(frame(TEXT, b"\xff"))
    socket.expect_close(1007)
    socket.client.expect_end()
    server.until(lambda: outcome == ["cancelled"])


# --- the answer ------------------------------------------------------------------------------


def test_parameters_state_headers_cookies_and_subprotocol(live) -> None:
    app = App()

    @app.middleware
    async def outer(request, next):
        request.state.user = "ada"
        response = await next(request)
        response.headers["x-outer"] = "seen"
        return response

    @app.websocket("/rooms/{room:int}", subprotocols=("v2", "v1"))
    async def chat(ws: WebSocket, room: int) -> None:
        ws.response.set_cookie("seen", "yes")
        await ws.accept(headers={"x-inner": "too"})
        await ws.send_json([room, ws.path_params["room"], ws.state.user, ws.subprotocol])
        await ws.send_json([ws.query["q"], ws.cookies["a"], ws.headers["host"], ws.offered])
        assert (await ws.receive_json(dict[str, int]))["n"] == 3
        await ws.ping(b"hello")

    server = live(app)
    socket = Socket(
        server.connect(),
        "Sec-WebSocket-Protocol: v1, v2",
        "Cookie: a=b",
        target="/rooms/7?q=1",
    )
    for line in ("x-outer: seen", "x-inner: too", "sec-websocket-protocol: v2", "set-cookie: seen"):
        assert line in socket.head
    assert socket.receive() == (TEXT, b'[7,7,"ada","v2"]')
    assert socket.receive() == (TEXT, b'["1","b","example.com",["v1","v2"]]')
    socket.send(frame(TEXT, b'{"n":3}'))
    assert socket.receive() == (PING, b"hello")
    socket.expect_close(1000)
    socket.send(close())
    socket.client.expect_end()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda ws: Response("no", 401), 401),
        (lambda ws: {"why": "not"}, 200),
        (lambda ws: None, 500),
        (lambda ws: ws.response, 500),  # accept gives it
    ],
)
def test_a_handler_may_answer_otherwise(live, answer, status, caplog) -> None:
    async def handler(ws: WebSocket) -> object:
        return answer(ws)

    server = live(make_app(handler))
    client = server.connect()
    for _ in range(2):  # the connection goes on
        client.send(make_handshake())
        assert client.receive().status == status
    assert ("neither called ws.accept()" in caplog.text) == (status == 500)
    assert server.server.counters.websockets_opened == 0


def test_a_handler_may_raise(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await asyncio.sleep(0)
        raise HTTPError(403, "not you")

    client = live(make_app(handler)).connect()
    client.send(make_handshake())
    answer = client.receive()
    assert (answer.status, answer.body) == (403, b"403 Forbidden: not you\n")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (("Origin: https://evil.com",), 403),
        (("Sec-WebSocket-Key: AAAA",), 400),
        (("Sec-WebSocket-Protocol: a, a",), 400),
    ],
)
def test_bad_handshakes(live, fields, status) -> None:
    client = live(make_app(echo)).connect()
    client.send(make_handshake("/", *fields))
    assert client.receive().status == status


def test_rfc9110_15_5_22_an_ordinary_request(live) -> None:
    client = live(make_app(echo)).connect()
    for _ in range(2):
        client.send(make_request())
        answer = client.receive()
        assert (answer.status, answer["upgrade"], answer["connection"]) == (
            426,
            "websocket",
            "upgrade",
        )
    client.send(make_request("/", "Upgrade: websocket", "Connection: upgrade"))
    answer = client.receive()
    assert (answer.status, answer["sec-websocket-version"]) == (426, "13")
    client.send(make_request(method="POST", body=b""))
    assert client.receive().status == 405


def test_origins_of_the_route(live) -> None:
    app = make_app(echo, origins=["https://App.example.com"])
    Socket(live(app).connect(), "Origin: https://app.example.com")


def test_middleware_that_answers_otherwise(live) -> None:
    """The handler that waits in `accept` is cancelled."""

    async def refuse(request, next):
        await next(request)
        return Response("changed my mind", 403)

    async def handler(ws: WebSocket) -> None:
        try:
            await ws.accept()
        finally:
            outcome.append("ended")

    outcome: list[str] = []
    server = live(make_app(handler, middleware=[refuse]))
    client = server.connect()
    client.send(make_handshake())
    assert client.receive().status == 403
    server.until(lambda: outcome)


def test_a_client_that_leaves_before_the_answer(live) -> None:
    async def handler(ws: WebSocket) -> None:
        outcome.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            outcome.append("ended")

    outcome: list[str] = []
    server = live(make_app(handler))
    client = server.connect()
    client.send(make_handshake())
    server.until(lambda: outcome)
    client.reset()
    server.until(lambda: len(outcome) == 2)


def test_a_handler_that_is_slower_than_the_middleware_that_waits_for_it(live) -> None:
    """It accepts when the request is answered already."""

    async def impatient(request, next):
        try:
            async with asyncio.timeout(0):
                return await next(request)
        except TimeoutError:
            return Response("too late", 503)

    async def handler(ws: WebSocket) -> None:
        try:
            await released.wait()
        except asyncio.CancelledError:
            with pytest.raises(WebSocketClosed, match="answered otherwise"):
                await ws.accept()
            outcome.append("closed")

    outcome: list[str] = []
    released = asyncio.Event()
    server = live(make_app(handler, middleware=[impatient]))
    client = server.connect()
    client.send(make_handshake())
    assert client.receive().status == 503
    server.until(lambda: outcome)


def test_a_system_exit_of_a_handler_that_nobody_waits_for_ends_nothing_else(live) -> None:
    async def impatient(request, next):
        async with asyncio.timeout(0):
            return await next(request)

    async def handler(ws: WebSocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            outcome.append("left")
            raise SystemExit(3)

    outcome: list[str] = []
    server = live(make_app(handler, middleware=[impatient]))
    client = server.connect()
    client.send(make_handshake())
    assert client.receive().status == 500
    server.until(lambda: outcome)
    assert server.connect().get("/missing").status == 404


def test_a_handler_whose_work_is_cancelled_before_it_accepts_is_answered(live, caplog) -> None:
    async def handler(ws: WebSocket) -> None:
        lookup = asyncio.create_task(asyncio.sleep(60))
        lookup.cancel()
        await lookup

    server = live(make_app(handler))
    client = server.connect()
    client.send(make_handshake())
    assert client.receive().status == 500
    assert "CancelledError" in caplog.text
    server.until(lambda: server.server.counters.requests_in_flight == 0)


def test_a_handler_that_speaks_to_a_closed_websocket_before_it_accepts_is_answered(
    live, caplog
) -> None:
    """Another one, as in a room that this client enters."""
    first: list[WebSocket] = []

    async def handler(ws: WebSocket) -> None:
        if first:
            await first[0].send("somebody is coming")
        first.append(ws)
        await ws.accept()

    server = live(make_app(handler))
    gone = Socket(server.connect())
    gone.expect_close(1000)
    client = server.connect()
    client.send(make_handshake())
    assert client.receive().status == 500
    assert "WebSocketClosed" in caplog.text
    gone.send(close())
    gone.client.expect_end()


@pytest.mark.parametrize("fails", [False, True])
def test_the_end_in_a_task_group_is_no_failure(live, fails, caplog) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        with pytest.raises(WebSocketClosed):
            await ws.receive()
        async with asyncio.TaskGroup() as group:
            group.create_task(ws.send("anybody?"))
            if fails:
                group.create_task(fail())

    async def fail() -> None:
        raise ZeroDivisionError

    server = live(make_app(handler))
    socket = Socket(server.connect())
    socket.send(close())
    socket.expect_close(1000)
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert ("ZeroDivisionError" in caplog.text) is fails
    assert bool(caplog.records) is fails


def test_the_handler_is_one_task_around_accept(live) -> None:
    async def handler(ws: WebSocket) -> None:
        before = asyncio.current_task()
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            await ws.accept()
            assert asyncio.current_task() is before
            group.create_task(ws.send("from a group"))

    socket = Socket(live(make_app(handler)).connect())
    assert socket.receive() == (TEXT, b"from a group")
    socket.expect_close(1000)


@pytest.mark.parametrize(
    "data", [b"[" * 5000 + b"]" * 5000, b"\xff", b'"\xff"', b'"\\ud800"', b"1e999", b"{"]
)
def test_cwe674_json_that_is_none_is_one_error_for_handlers(live, data) -> None:
    """Too deep, no UTF-8, or anything else: `msgspec.DecodeError`, as `receive_json` says."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive_json()
        except msgspec.DecodeError:
            await ws.close(1007)

    socket = Socket(live(make_app(handler)).connect())
    socket.send(frame(BINARY, data))
    socket.expect_close(1007)


def test_mistakes_of_a_handler(live) -> None:
    async def handler(ws: WebSocket) -> None:
        for call in (ws.receive, ws.close, lambda: ws.send("a"), ws.ping):
            with pytest.raises(RuntimeError, match="accept the WebSocket first"):
                await call()
        assert ws.close_code is None
        assert ws.close_reason == ""
        with pytest.raises(ValueError, match="did not offer"):
            await ws.accept("chat")
        assert "not accepted" in repr(ws)
        await ws.accept()
        assert "not accepted" not in repr(ws)
        with pytest.raises(RuntimeError, match="accepted before"):
            await ws.accept()
        with pytest.raises(TypeError, match="not int"):
            await ws.send(1)  # type: ignore[arg-type]
        await ws.send(bytearray(b"array"))
        await ws.send(type("Text", (str,), {})("text"))
        waiting = asyncio.ensure_future(ws.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="received from elsewhere"):
            await ws.receive()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await ws.receive() == "still here"
        await ws.send("right")

    socket = Socket(live(make_app(handler)).connect())
    assert socket.receive() == (BINARY, b"array")
    assert socket.receive() == (TEXT, b"text")
    socket.send(frame(TEXT, b"still here"))
    assert socket.receive() == (TEXT, b"right")


# --- the end ---------------------------------------------------------------------------------


def test_close_with_a_code(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4001, "go away")
        await ws.close(4002)  # the second does nothing
        with pytest.raises(WebSocketClosed):
            await ws.send("too late")
        with pytest.raises(WebSocketClosed):
            await ws.ping()
        outcome.append([message async for message in ws])
        outcome.append((ws.close_code, ws.close_reason))
        with pytest.raises(WebSocketClosed) as caught:
            await ws.receive()
        outcome.append((caught.value.code, caught.value.reason))

    outcome: list[object] = []
    server = live(make_app(handler))
    socket = Socket(server.connect())
    assert socket.expect_close(4001) == "go away"
    socket.send(frame(TEXT, b"crossing"), close(4000, b"fine"))
    socket.client.expect_end()
    server.until(lambda: len(outcome) == 3)
    assert outcome == [["crossing"], (4000, "fine"), (4000, "fine")]


def test_a_handler_that_fails(live, caplog) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise ValueError("broken handler")

    socket = Socket(live(make_app(handler)).connect())
    assert socket.expect_close(1011) == ""
    socket.send(close(1011))
    socket.client.expect_end()
    assert "broken handler" in caplog.text


def test_a_handler_that_closes_with_a_wrong_code(live, caplog) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(1006)

    socket = Socket(live(make_app(handler)).connect())
    socket.expect_close(1011)
    assert "1006 is no close code" in caplog.text


@pytest.mark.parametrize("way", ["reset", "end"])
def test_a_client_that_vanishes(live, way, caplog) -> None:
    """What it had sent is still read; the cleanup of the handler is not interrupted."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()
        await gone.wait()
        with pytest.raises(WebSocketClosed):
            await ws.send("anybody?")
        outcome.append([message async for message in ws])
        await asyncio.sleep(0)
        outcome.append(ws.close_code)
        await ws.receive()  # raises what a handler need not catch

    outcome: list[object] = []
    gone = asyncio.Event()
    server = live(make_app(handler))
    socket = Socket(server.connect())
    connection = server.the_connection()
    socket.send(frame(TEXT, b"1"), frame(TEXT, b"2"))
    server.until(lambda: connection.engine.deadline_kind.name == "NONE")
    session = server.call(lambda: connection._sessions[0])
    server.until(lambda: len(session._messages or ()) == 1)
    if way == "reset":
        socket.client.reset()
    else:
        socket.client.half_close()
    server.until(lambda: session.close_code)
    server.call(gone.set)
    server.until(lambda: len(outcome) == 2)
    assert outcome == [["2"], 1006]
    assert not caplog.records


@pytest.mark.parametrize("way", ["reset", "close"])
def test_a_handler_that_does_not_notice_the_end_is_cancelled(live, way, caplog) -> None:
    """Which is how it learns of it, and no failure."""
    server, outcome = deaf_server(live)
    socket = Socket(server.connect())
    if way == "reset":
        socket.client.reset()
    else:
        socket.send(close())
        socket.expect_close(1000)
    server.until(lambda: outcome and server.server.counters.requests_in_flight == 0)
    assert caplog.records == []


def test_messages_for_a_handler_that_is_through_are_thrown_away(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()

    server = live(make_app(handler))
    socket = Socket(server.connect())
    socket.expect_close(1000)
    for _ in range(20):  # far more than may wait
        socket.send(frame(BINARY, b"a" * 100_000))
    socket.send(close())
    socket.client.expect_end()


def test_a_graceful_stop(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        outcome.append([message async for message in ws])
        outcome.append(ws.close_code)

    outcome: list[object] = []
    server = live(make_app(handler))
    socket = Socket(server.connect())
    server.until(lambda: server.connection()._sessions)
    stopped = server.begin_stop()
    assert socket.expect_close(1001) == "the server is going away"
    socket.send(frame(TEXT, b"last"), close(1001))
    socket.client.expect_end()
    socket.client.close()
    stopped.result(10)
    assert outcome == [["last"], 1001]


def test_a_stop_does_not_wait_for_ever(live) -> None:
    """Neither client nor handler do their part."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await asyncio.Event().wait()
        finally:
            outcome.append("cancelled")

    outcome: list[str] = []
    server = live(make_app(handler), shutdown_timeout=0.1)
    socket = Socket(server.connect())
    server.until(lambda: server.connection()._sessions)
    server.begin_stop().result(10)
    socket.expect_close(1001)
    assert outcome == ["cancelled"]


def test_a_websocket_that_is_accepted_during_a_stop(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await released.wait()
        await ws.accept()
        async for _ in ws:
            pass

    released = asyncio.Event()
    server = live(make_app(handler))
    client = server.connect()
    client.send(make_handshake())
    server.until(lambda: server.server.counters.requests_in_flight)
    stopped = server.begin_stop()
    server.call(released.set)
    client.receive_until(b"\r\n\r\n")
    [(first, payload)] = read_frames(client.receive_exactly(4 + 24))
    assert (first, payload[:2]) == (CLOSE, (1001).to_bytes(2, "big"))
    client.send(close(1001))
    client.expect_end()
    client.close()
    stopped.result(10)


def test_an_error_of_a_handler_that_nobody_waits_for(live, caplog) -> None:
    """The request was answered otherwise before; asyncio logs what nobody takes."""

    async def impatient(request, next):
        try:
            async with asyncio.timeout(0):
                return await next(request)
        except TimeoutError:
            return Response("too late", 503)

    async def handler(ws: WebSocket) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise ValueError("broken cleanup") from None

    outcome: list[str] = []
    server = live(make_app(handler, middleware=[impatient]))
    client = server.connect()
    client.send(make_handshake())
    assert client.receive().status == 503
    server.until(lambda: outcome)
    server.call(gc.collect)
    server.until(lambda: server.unhandled)
    [context] = server.unhandled
    assert "broken cleanup" in str(context["exception"])
    server.unhandled.clear()


def test_a_route_may_decline_compression(live) -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    assert "permessage-deflate" in Socket(live(make_app(echo)).connect(), offer).head
    plain = live(make_app(echo, compression=False)).connect()
    assert "permessage-deflate" not in Socket(plain, offer).head


CONTEXTS = DeflateOptions(server_context_takeover=True, client_context_takeover=True)


@pytest.mark.parametrize("where", ["route", "app", "mounted app"])
def test_contexts_of_compression_may_be_kept(live, where) -> None:
    """RFC 7692 §7.1.1; the second of two like messages is next to nothing."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message, compress=True)

    if where == "route":
        app = make_app(handler, compression=CONTEXTS)
    else:
        app = App(websocket_compression=CONTEXTS)
        app.websocket("/")(handler)
    if where == "mounted app":
        outer = App(websocket_compression=False)
        outer.mount("/", app)
        app = outer
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    ws = Socket(live(app).connect(), offer)
    assert "no_context_takeover" not in ws.head
    compressor, sizes = zlib.compressobj(wbits=-15), []
    inflater = zlib.decompressobj(-15)
    for _ in range(3):
        text = bytes(range(32, 127)) * 2
        data = (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        ws.send(frame(TEXT | 0x40, data))
        first, payload = ws.receive()
        assert first == TEXT | 0x40
        assert inflater.decompress(payload + b"\x00\x00\xff\xff") == text
        sizes.append(len(payload))
    assert max(sizes[1:]) < sizes[0] / 5


def test_a_route_may_say_otherwise_than_its_app(live) -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    app = App(websocket_compression=False)
    app.websocket("/")(echo)
    app.websocket("/with", compression=True)(echo)
    server = live(app)
    assert "permessage-deflate" not in Socket(server.connect(), offer).head
    assert "permessage-deflate" in Socket(server.connect(), offer, target="/with").head


@pytest.mark.parametrize(
    ("compression", "problem"),
    [
        (DeflateOptions(server_max_window_bits=8), "server_max_window_bits is a number from 9"),
        (DeflateOptions(client_max_window_bits=16), "client_max_window_bits is a number from 9"),
        (DeflateOptions(client_max_window_bits=True), "not True"),
        ("deflate", "True, False or DeflateOptions, not 'deflate'"),
    ],
)
def test_compression_that_is_impossible(compression, problem) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        App().websocket("/", compression=compression)
    with pytest.raises(ConfigurationError, match=problem):
        App(websocket_compression=compression)


def test_a_message_may_be_sent_uncompressed(live) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send("a" * 10_000)
        await ws.send("a" * 10_000, compress=False)

    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    socket = Socket(live(make_app(handler)).connect(), offer)
    first, payload = socket.receive()
    assert first == TEXT | 0x40
    assert len(payload) < 100
    assert socket.receive() == (TEXT, b"a" * 10_000)


def test_a_message_for_many(live) -> None:
    """Clients with compression, without it, and one that is slow all get it."""
    message = SharedMessage("a" * 2000)

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send(message)

    server = live(make_app(handler))
    plain = [Socket(server.connect()) for _ in range(2)]
    for socket in plain:
        assert socket.receive() == (TEXT, b"a" * 2000)
    deflate = Socket(server.connect(), "Sec-WebSocket-Extensions: permessage-deflate")
    first, payload = deflate.receive()
    assert first == TEXT | 0x40
    inflater = zlib.decompressobj(-15)
    assert inflater.decompress(payload + b"\x00\x00\xff\xff") == b"a" * 2000
    assert len(message.wire) == 2
    assert repr(message).startswith("<SharedMessage 'aaa")


def test_a_message_for_many_is_text_or_bytes(live) -> None:
    """As that for one: markup is text, a buffer may be used again, and all else is a mistake."""

    class Markup(str):
        __slots__ = ()

    buffer = bytearray(b"bytes")
    messages = SharedMessage(Markup("text")), SharedMessage(buffer)
    buffer[:] = b"other"

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        for message in messages:
            await ws.send(message)

    socket = Socket(live(make_app(handler)).connect())
    assert socket.receive() == (TEXT, b"text")
    assert socket.receive() == (BINARY, b"bytes")
    for mistake in (None, 5, {}):
        with pytest.raises(TypeError, match="a WebSocket sends str or bytes, not"):
            SharedMessage(mistake)
