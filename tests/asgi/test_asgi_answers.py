"""What a hosted application sends: answers, mistakes, extensions (ASGI HTTP 2.5)."""

import asyncio
import os

import h11
import pytest

from httpkit.asgi import ASGIApplication, ASGIProtocolError
from httpkit.errors import LocalProtocolError
from tests.http2.client import HTTP2Client
from tests.server.wire import make_request

from .conftest import body, sending, start

TEXT = (b"content-type", b"text/plain")


def length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


@pytest.mark.parametrize("announced", [True, False])
def test_a_whole_answer(host, announced) -> None:
    fields = (TEXT, length(5)) if announced else (TEXT,)
    server, _ = host(sending(start(200, *fields), body(b"hello")))
    client = server.connect()
    for _ in range(2):
        answer = client.get()
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer["content-type"] == "text/plain"
        assert answer["content-length"] == "5"


def test_start_needs_no_headers_and_body_no_body(host) -> None:
    server, _ = host(
        sending({"type": "http.response.start", "status": 204}, {"type": "http.response.body"})
    )
    answer = server.connect().get()
    assert (answer.status, answer.body) == (204, b"")


def test_bodies_may_be_any_bytes(host) -> None:
    server, _ = host(
        sending(start(), body(bytearray(b"a"), more=True), body(memoryview(b"b"))),
    )
    assert server.connect().get().body == b"ab"


def test_header_names_are_written_in_lower_case_and_values_trimmed(host) -> None:
    server, _ = host(sending(start(200, (b"X-Name", b" value\t")), body()))
    assert ("x-name", "value") in server.connect().get().headers


def test_pieces(host) -> None:
    server, _ = host(sending(start(), body(b"a", more=True), body(b"b", more=True), body(b"c")))
    client = server.connect()
    answer = client.get()
    assert answer.body == b"abc"
    assert answer["transfer-encoding"] == "chunked"
    assert client.get().body == b"abc"


def test_pieces_of_a_known_length(host) -> None:
    server, _ = host(sending(start(200, length(3)), body(b"a", more=True), body(b"bc")))
    client = server.connect()
    answer = client.get()
    assert (answer.body, answer["content-length"]) == (b"abc", "3")
    assert client.get().body == b"abc"


def test_empty_pieces_are_no_end(host) -> None:
    server, _ = host(sending(start(), body(b"", more=True), body(b"a", more=True), body()))
    assert server.connect().get().body == b"a"


def test_the_head_goes_out_with_an_empty_first_piece(host) -> None:
    released = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await send(start())
        await send(body(b"", more=True))
        await released.wait()
        await send(body(b"late"))

    server, _ = host(app)
    client = server.connect()
    client.send(make_request())
    head = client.receive_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    server.call(released.set)
    assert client.receive_until(b"0\r\n\r\n") == b"4\r\nlate\r\n0\r\n\r\n"


@pytest.mark.parametrize("more", [True, False])
def test_head_has_no_body_and_keeps_its_length(host, more) -> None:
    """RFC 9110 §9.3.2."""
    server, _ = host(sending(start(200, length(5)), body(b"hello", more=more), *[body()] * more))
    client = server.connect()
    for _ in range(2):
        answer = client.get(method="HEAD")
        assert (answer.status, answer["content-length"]) == (200, "5")
    assert client.get().body == b"hello"


def test_head_without_content_keeps_the_length_of_get(host) -> None:
    server, _ = host(sending(start(200, length(1000)), body()))
    assert server.connect().get(method="HEAD")["content-length"] == "1000"


def test_rfc9110_8_6_head_without_content_and_length_says_none(host) -> None:
    """Of a streamed answer frameworks leave the content out, and nobody knows its length."""
    server, _ = host(sending(start(200), body()))
    assert server.connect().get(method="HEAD").get("content-length") is None


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_content(host, status) -> None:
    """RFC 9110 §6.4.1, §15.4.5."""
    server, _ = host(sending(start(status, (b"etag", b'"x"')), body(b"not sent")))
    client = server.connect()
    for _ in range(2):
        answer = client.get()
        assert (answer.status, answer.body, answer.get("etag")) == (status, b"", '"x"')


def test_http_1_0_gets_pieces_until_the_end(host) -> None:
    server, _ = host(sending(start(), body(b"a", more=True), body(b"b")))
    client = server.connect()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    answer = client.receive_rest()
    assert answer.endswith(b"\r\n\r\nab")
    assert b"transfer-encoding" not in answer


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [start()],
        [body(b"first")],
        [start(), start()],
        [start(), body(b"whole"), body(b"more")],
        [start(), body(b"whole"), start()],
        [start(99), body()],
        [start(101), body()],
        [start("200"), body()],
        [{"type": "http.response.start"}, body()],
        [start(200, (b"a b", b"x")), body()],
        [start(200, (b"a", b"x\r\ny: z")), body()],
        [start(200, ("a", "x")), body()],
        [start(200, (b"a",)), body()],
        [start(200, b"ab", b"cd"), body()],
        [start(200, 3), body()],
        [start(200, length(4)), body(b"hello")],
        [start(200, length(6)), body(b"hello")],
        [start(200, length(1), length(1)), body(b"x")],
        [start(200, (b"content-length", b"x")), body(b"x")],
        [start(), body("text")],
        [{"type": "http.response.nothing"}],
        [{"type": "websocket.accept"}],
        [{"type": "http.response.trailers"}],
        [start(), {"type": "http.response.trailers"}],
        [start(), {"type": "http.response.pathsend", "path": "relative"}],
        [start(), {"type": "http.response.zerocopysend", "file": object()}],
        [{"type": "http.response.pathsend", "path": "/"}],
        [{"type": "http.response.zerocopysend", "file": None}],
        [{"type": "http.response.early_hint", "links": ["text"]}],
    ],
)
def test_mistakes_are_answered_500(host, messages, caplog) -> None:
    """They are raised where they are made; nothing of them reaches the wire."""
    late = messages[-1:] if len(messages) == 3 else []
    server, app = host(sending(*messages))
    client = server.connect()
    answer = client.get()
    if late:
        assert (answer.status, answer.body) == (200, b"whole")
    else:
        assert answer.status == 500
        assert b"request id" in answer.body
    server.until(lambda: "request " in caplog.text)
    assert all(isinstance(error, LocalProtocolError) for error in app.errors)
    assert client.get().status == answer.status  # the connection is as good as before


def test_the_message_of_a_mistake_says_what_is_expected(host) -> None:
    server, app = host(sending(body(b"first")))
    server.connect().get()
    assert isinstance(app.errors[0], ASGIProtocolError)
    assert str(app.errors[0]) == (
        "http.response.body was sent where http.response.start is expected"
    )


@pytest.mark.parametrize(
    "messages",
    [
        [start(), body(b"a", more=True)],
        [start(), body(b"a", more=True), start()],
        [start(200, length(3)), body(b"a", more=True), body(b"b")],
        [start(200, length(3)), body(b"a", more=True), body(b"bcd")],
        [start(), body(b"a", more=True), body(3)],
        [start(), body(b"a", more=True), {"type": "http.response.early_hint", "links": []}],
        [start(), body(b"a", more=True), {"type": "http.response.pathsend", "path": "/x"}],
        [start(trailers=True), body(b"a"), start()],
    ],
)
def test_mistakes_within_an_answer_cut_it_short(host, messages, caplog) -> None:
    """RFC 9112 §8: an incomplete answer must look like one."""
    server, _ = host(sending(*messages))
    client = server.connect()
    client.send(make_request())
    with pytest.raises(h11.RemoteProtocolError, match="closed connection without"):
        client.receive()
    server.until(lambda: "sending the answer to GET / failed" in caplog.text)


@pytest.mark.parametrize(
    "messages",
    [
        [start(200, length(3)), body(b"a", more=True), body(b"b")],
        [
            start(trailers=True),
            body(b"a"),
            {"type": "http.response.trailers", "headers": [(b"content-length", b"1")]},
        ],
    ],
)
def test_an_end_that_is_refused_is_no_end(host, messages, caplog) -> None:
    """The log has the mistake, and nothing of an answer that would be sent a second time."""
    server, _ = host(sending(*messages))
    client = server.connect()
    client.send(make_request())
    with pytest.raises(h11.RemoteProtocolError, match="closed connection without"):
        client.receive()
    server.until(lambda: "sending the answer to GET / failed" in caplog.text)
    assert "During handling" not in caplog.text
    assert "one head" not in caplog.text


def test_an_exception_before_the_answer(host, caplog) -> None:
    async def app(scope, receive, send) -> None:
        await send(start())
        await asyncio.sleep(0)
        raise LookupError("no such thing")

    server, _ = host(app)
    client = server.connect()
    answer = client.get()
    assert answer.status == 500
    assert b"no such thing" not in answer.body
    assert caplog.text.count("LookupError: no such thing") == 1
    assert client.get().status == 500


@pytest.mark.parametrize("waits", [True, False])
def test_an_exception_after_the_answer_is_logged(host, caplog, waits) -> None:
    async def app(scope, receive, send) -> None:
        await send(start())
        await send(body(b"whole"))
        if waits:
            await asyncio.sleep(0)
        raise LookupError("too late")

    server, _ = host(app)
    client = server.connect()
    assert client.get().body == b"whole"
    assert client.get().body == b"whole"
    server.until(lambda: caplog.text.count("LookupError: too late") == 2)


@pytest.mark.parametrize("pieces", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_what_goes_on_after_the_answer_holds_nobody_up(host, pieces, waits) -> None:
    """Frameworks run their background tasks there."""
    released = asyncio.Event()
    ended = []

    async def app(scope, receive, send) -> None:
        if waits:
            await asyncio.sleep(0)
        await send(start())
        if pieces:
            await send(body(b"a", more=True))
        await send(body(b"b"))
        assert await receive() == {"type": "http.disconnect"}
        await released.wait()
        ended.append(scope["path"])

    server, _ = host(app)
    client = server.connect()
    client.send(make_request("/1") + make_request("/2"))
    for _ in range(2):
        assert client.receive().body == (b"ab" if pieces else b"b")
    assert ended == []
    assert server.call(lambda: server.server.counters.requests_in_flight) == 0
    stopped = server.begin_stop()
    server.call(released.set)
    stopped.result(10)
    assert sorted(ended) == ["/1", "/2"]


def test_a_stop_cancels_what_goes_on_for_too_long(host) -> None:
    cancelled = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await send(start())
        await send(body(b"whole"))
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    server, _ = host(app, shutdown_timeout=0.05)
    server.connect().get()
    server.begin_stop().result(10)
    assert cancelled.is_set()


def test_send_waits_for_a_slow_client(host) -> None:
    sent = []

    async def app(scope, receive, send) -> None:
        await send(start())
        for number in range(100):
            await send(body(b"x" * 65_536, more=True))
            sent.append(number)
        await send(body())

    server, _ = host(app)
    client = server.connect(receive_buffer=4096)
    client.send(make_request())
    connection = server.the_connection()
    server.until(lambda: connection._writing_paused)
    count = server.call(lambda: len(sent))
    assert count < 100
    assert server.call(connection.transport.get_write_buffer_size) < 1 << 20
    assert len(client.receive().body) == 100 * 65_536
    server.until(lambda: len(sent) == 100)


# --- extensions ----------------------------------------------------------------------------


def test_trailers(host) -> None:
    server, app = host(
        sending(
            start(200, (b"trailer", b"x-sum, x-more"), trailers=True),
            body(b"a", more=True),
            body(b"b"),
            {
                "type": "http.response.trailers",
                "headers": [(b"x-sum", b"1")],
                "more_trailers": True,
            },
            {"type": "http.response.trailers", "headers": [(b"x-more", b"2")]},
        )
    )
    client = server.connect()
    client.send(make_request())
    assert client.receive_until(b"x-more: 2\r\n\r\n").endswith(
        b"1\r\na\r\n1\r\nb\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n"
    )
    assert app.errors == []


def test_trailers_behind_a_whole_body(host) -> None:
    server, _ = host(
        sending(
            start(200, length(1), trailers=True),
            body(b"a"),
            {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]},
        )
    )
    client = server.connect()
    client.send(make_request())
    assert client.receive_until(b"x-sum: 1\r\n\r\n").endswith(b"1\r\na\r\n0\r\nx-sum: 1\r\n\r\n")


def test_early_hints(host) -> None:
    """RFC 8297."""
    server, _ = host(
        sending(
            {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b>"]},
            start(),
            body(b"ok"),
        )
    )
    client = server.connect()
    client.send(make_request())
    hint = client.receive_until(b"\r\n\r\n")
    assert hint == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b>\r\n\r\n"
    )
    assert client.receive().body == b"ok"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("announced", [True, False])
def test_pathsend(host, tmp_path, method, announced) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 100_000)
    fields = [length(700_000)] if announced else []
    server, app = host(
        sending(start(200, *fields), {"type": "http.response.pathsend", "path": str(path)})
    )
    client = server.connect()
    for _ in range(2):
        answer = client.get(method=method)
        assert answer["content-length"] == "700000"
        assert len(answer.body) == (700_000 if method == "GET" else 0)
    assert app.errors == []


def test_pathsend_of_a_file_that_is_not_there(host, tmp_path) -> None:
    server, app = host(
        sending(start(), {"type": "http.response.pathsend", "path": str(tmp_path / "no")})
    )
    assert server.connect().get().status == 500
    assert isinstance(app.errors[0], FileNotFoundError)


def test_zerocopysend(host, tmp_path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    positions = []

    async def app(scope, receive, send) -> None:
        with path.open("rb", buffering=0) as file:
            message = {"type": "http.response.zerocopysend", "file": file}
            await send(start())
            await send({**message, "offset": 2, "count": 3, "more_body": True})
            positions.append(file.tell())
            file.seek(6)
            await send({**message, "count": 2, "more_body": True})
            positions.append(file.tell())
            await send(body(b"-", more=True))
            await send(message)
            positions.append(file.tell())

    server, script = host(app)
    assert server.connect().get().body == b"23467-89"
    server.until(lambda: positions == [0, 8, 10])
    assert script.errors == []


def test_zerocopysend_of_a_whole_file_has_its_length(host, tmp_path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    async def app(scope, receive, send) -> None:
        with path.open("rb") as file:
            await send(start())
            await send({"type": "http.response.zerocopysend", "file": file})

    server, _ = host(app)
    answer = server.connect().get()
    assert (answer.body, answer["content-length"]) == (b"0123456789", "10")


def test_zerocopysend_needs_a_file_of_a_disk(host) -> None:
    async def app(scope, receive, send) -> None:
        ends = os.pipe()
        try:
            with os.fdopen(ends[0], "rb", closefd=False) as pipe:
                await send(start())
                await send({"type": "http.response.zerocopysend", "file": pipe})
        finally:
            os.close(ends[0])
            os.close(ends[1])

    server, script = host(app)
    assert server.connect().get().status == 500
    assert isinstance(script.errors[0], ASGIProtocolError)


@pytest.mark.parametrize("name", ["offset", "count"])
@pytest.mark.parametrize("number", [-1, "1", 1.0])
def test_zerocopysend_needs_numbers_of_bytes(host, tmp_path, name, number) -> None:
    """A mistake before anything is out is a 500 that says what is wrong."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    async def app(scope, receive, send) -> None:
        with path.open("rb") as file:
            await send(start())
            await send({"type": "http.response.zerocopysend", "file": file, name: number})

    server, script = host(app)
    assert server.connect().get().status == 500
    assert isinstance(script.errors[0], ASGIProtocolError)
    assert repr(name) in str(script.errors[0])


def test_a_client_that_goes_away_within_a_file(host, tmp_path, caplog) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    server, app = host(sending(start(), {"type": "http.response.pathsend", "path": str(path)}))
    client = server.connect(receive_buffer=4096)
    client.send(make_request())
    connection = server.the_connection()
    server.until(lambda: connection._passage is not None and connection._passage.waiting)
    client.reset()
    server.until(lambda: app.errors)
    assert isinstance(app.errors[0], OSError)
    assert "failed" not in caplog.text


def test_push_over_http_2(live) -> None:
    """RFC 9113 §8.4; the pushed request runs through the application, too."""
    seen = []

    async def app(scope, receive, send) -> None:
        seen.append(scope["path"])
        if scope["path"] == "/":
            assert "http.response.push" in scope["extensions"]
            await send({"type": "http.response.push", "path": "/pushed", "headers": []})
        await send(start())
        await send(body(scope["path"].encode()))

    server = live(ASGIApplication(app, lifespan="off"))
    client = HTTP2Client(server.connect())
    client.request()
    server.until(lambda: seen == ["/", "/pushed"])


def test_other_awaitables_than_coroutines(live) -> None:
    """What compiled applications may give."""

    class Answer:
        def __init__(self, send) -> None:
            self.send = send

        def __await__(self):
            yield from self.send(start()).__await__()
            yield from self.send(body(b"ok")).__await__()

    server = live(ASGIApplication(lambda scope, receive, send: Answer(send), lifespan="off"))
    assert server.connect().get().body == b"ok"


def test_a_read_that_waits_while_the_answer_goes_out(host) -> None:
    seen = []

    async def app(scope, receive, send) -> None:
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send(start())
        await send(body(b"early"))
        seen.append(await waiting)

    server, script = host(app)
    client = server.connect()
    client.send(make_request("/", "Content-Length: 10", method="POST"))
    assert client.receive().body == b"early"
    server.until(lambda: seen == [{"type": "http.disconnect"}])
    assert script.errors == []


def test_more_sets_of_fields_than_are_remembered(host) -> None:
    async def app(scope, receive, send) -> None:
        await send(start(200, (b"x-number", scope["path"].encode())))
        await send(body(b"ok"))

    server, _ = host(app)
    client = server.connect()
    for number in range(600):
        client.send(make_request(f"/{number}"))
    for number in range(600):
        assert client.receive()["x-number"] == f"/{number}"
