"""Bodies and trailers in both directions, 100 (Continue), interim responses."""

import asyncio

import pytest

from httpkit.errors import BodyTooLarge, HTTPError
from httpkit.response import Response

from .wire import chunked, make_request


async def echo(request):
    return Response(await request.body())


async def echo_stream(request):
    async def body():
        async for chunk in request.stream():
            yield chunk

    return Response(body())


@pytest.mark.parametrize("handler", [echo, echo_stream])
def test_content_length(live, handler) -> None:
    client = live(handler).connect()
    for body in (b"", b"a", b"a" * 100_000):
        client.request(method="POST", body=body)
        assert client.receive().body == body


@pytest.mark.parametrize("handler", [echo, echo_stream])
def test_chunked(live, handler) -> None:
    client = live(handler).connect()
    for body in (b"", b"a", b"a" * 100_000):
        client.request("/", "Transfer-Encoding: chunked", method="POST")
        client.send(chunked(*[body] * bool(body)))
        assert client.receive().body == body


def test_a_body_byte_by_byte(live) -> None:
    client = live(echo).connect()
    client.send_slowly(
        make_request("/", "Transfer-Encoding: chunked", method="POST")
        + b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n"
    )
    assert client.receive().body == b"abc0123456789"
    assert client.get().status == 200


def test_sizes_of_what_streams(live) -> None:
    """Known length: Content-Length. Unknown: chunked, or the end of the connection on 1.0."""

    async def body():
        yield b"one"
        yield "zwölf"
        yield b""
        yield bytearray(b"two")
        yield memoryview(b"three")

    server = live(lambda request: Response(body()))
    whole = b"one" + "zwölf".encode() + b"twothree"
    client = server.connect()
    answer = client.get()
    assert answer["transfer-encoding"] == "chunked"
    assert answer.get("content-length") is None
    assert answer.body == whole
    client.request(version="1.0")
    answer = client.receive()
    assert (answer.get("transfer-encoding"), answer.closes) == (None, True)
    assert answer.body == whole


def test_a_stream_of_announced_length(live) -> None:
    async def body():
        yield b"abc"
        yield b"de"

    client = live(lambda request: Response(body(), headers={"content-length": "5"})).connect()
    answer = client.get()
    assert (answer["content-length"], answer.body) == ("5", b"abcde")
    client.request(version="1.0")
    assert client.receive().body == b"abcde"


# --- trailers ----------------------------------------------------------------------------------


def test_trailers_of_a_request(live) -> None:
    async def handler(request):
        body = await request.body()
        return Response(f"{body!r} {(await request.trailers()).pairs()}")

    client = live(handler).connect()
    client.request("/", "Transfer-Encoding: chunked", method="POST")
    client.send(chunked(b"abc", trailers=["X-Sum: 900150", "X-Other: 1"]))
    assert client.receive().body == b"b'abc' [('x-sum', '900150'), ('x-other', '1')]"
    client.request(method="POST", body=b"abc")
    assert client.receive().body == b"b'abc' []"


def test_trailers_without_the_body(live) -> None:
    async def handler(request):
        return Response((await request.trailers())["x-sum"])

    client = live(handler).connect()
    client.request("/", "Transfer-Encoding: chunked", method="POST")
    client.send(chunked(b"abc", trailers=["X-Sum: 900150"]))
    assert client.receive().body == b"900150"


@pytest.mark.parametrize("kind", ["stream", "bytes"])
def test_trailers_of_an_answer(live, kind) -> None:
    async def body():
        yield b"abc"

    def handler(request):
        content = body() if kind == "stream" else b"abc"
        return Response(content, trailers=lambda: {"x-sum": "900150"})

    server = live(handler)
    client = server.connect()
    answer = client.get()
    assert (answer.body, answer.trailers) == (b"abc", [("x-sum", "900150")])
    client.request(version="1.0")
    answer = client.receive()
    assert (answer.body, answer.trailers) == (b"abc", [])


def test_forbidden_trailers_cut_the_answer_short(live, caplog) -> None:
    client = live(lambda request: Response(b"abc", trailers={"content-length": "3"})).connect()
    client.request()
    data = client.receive_rest()
    assert data.endswith(b"3\r\nabc\r\n")
    assert "content-length must not be sent as a trailer" in caplog.text


# --- 100 (Continue) and other interim responses --------------------------------------------------


def test_continue_when_the_handler_reads(live) -> None:
    async def handler(request):
        reading.append(1)
        await released.wait()
        return Response(await request.body())

    reading: list[int] = []
    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.request("/", "Expect: 100-continue", "Content-Length: 3", method="POST")
    server.until(lambda: reading)
    client.expect_silence()
    server.call(released.set)
    assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc")
    answer = client.receive()
    assert (answer.status, answer.body, answer.closes) == (200, b"abc", False)
    assert client.get().status == 200


def test_no_continue_for_a_handler_that_does_not_read(live) -> None:
    client = live(lambda request: Response("no", 403)).connect()
    client.request("/", "Expect: 100-continue", "Content-Length: 3", method="POST")
    answer = client.receive()
    # The client may send the body now, or not: only the end of the connection makes that clear.
    assert (answer.status, answer.interim, answer.closes) == (403, [], True)
    client.expect_end()


def test_no_continue_for_a_body_that_is_too_large(live) -> None:
    client = live(echo, max_body=2).connect()
    client.request("/", "Expect: 100-continue", "Content-Length: 3", method="POST")
    answer = client.receive()
    assert (answer.status, answer.interim, answer.closes) == (413, [], True)


def test_no_continue_for_a_body_that_is_there(live) -> None:
    client = live(echo).connect()
    client.request("/", "Expect: 100-continue", method="POST", body=b"abc")
    answer = client.receive()
    assert (answer.body, answer.interim) == (b"abc", [])


def test_no_continue_on_http_1_0(live) -> None:
    client = live(echo).connect()
    client.request("/", "Expect: 100-continue", method="POST", body=b"abc", version="1.0")
    answer = client.receive()
    assert (answer.body, answer.interim) == (b"abc", [])


def test_continue_for_each_request_of_a_connection(live) -> None:
    client = live(echo).connect()
    for _ in range(3):
        client.request("/", "Expect: 100-continue", "Content-Length: 3", method="POST")
        assert b" 100 " in client.receive_until(b"\r\n\r\n")
        client.send(b"abc")
        assert client.receive().body == b"abc"


def test_early_hints(live) -> None:
    async def handler(request):
        await request.early_hints("</style.css>; rel=preload")
        await released.wait()
        return Response("page")

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.request()
    hint = client.receive_until(b"\r\n\r\n")
    assert hint == b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"
    server.call(released.set)
    assert client.receive().body == b"page"
    client.request(version="1.0")
    assert client.receive().interim == []


# --- limits --------------------------------------------------------------------------------------


def test_a_limit_of_the_route(live) -> None:
    async def handler(request):
        request.max_body = {"/small": 3, "/any": None}.get(request.path, request.max_body)
        return Response(await request.body())

    server = live(handler, max_body=10)

    def upload(path: str, size: int, *, chunks: bool = False) -> int:
        client = server.connect()
        if chunks:
            client.request(path, "Transfer-Encoding: chunked", method="POST")
            client.send(chunked(b"a" * size))
        else:
            client.request(path, method="POST", body=b"a" * size)
        return client.receive().status

    for chunks in (False, True):
        assert upload("/", 10, chunks=chunks) == 200
        assert upload("/", 11, chunks=chunks) == 413
        assert upload("/small", 3, chunks=chunks) == 200
        assert upload("/small", 4, chunks=chunks) == 413
        assert upload("/any", 1000, chunks=chunks) == 200


def test_a_handler_may_catch_too_large_a_body(live) -> None:
    async def handler(request):
        try:
            await request.body()
        except BodyTooLarge as error:
            raise HTTPError(400, type(error).__name__) from None

    client = live(handler, max_body=10).connect()
    client.request(method="POST", body=b"a" * 11)
    answer = client.receive()
    assert (answer.status, answer.body) == (400, b"400 BodyTooLarge\n")


def test_the_body_cannot_be_read_after_the_answer(live, caplog) -> None:
    """Whether it has arrived by then is chance, so it is always too late."""

    async def handler(request):
        return Response("early", background=lambda: read(request))

    async def read(request):
        try:
            outcome.append(await request.body())
        except RuntimeError as error:
            outcome.append(str(error))

    outcome: list[object] = []
    server = live(handler)
    for head, body in [("Content-Length: 3", b""), ("Content-Length: 3", b"abc")]:
        client = server.connect()
        client.send(make_request("/", head, method="POST") + body)
        assert client.receive().body == b"early"
        server.until(lambda: outcome)
        assert outcome.pop() == "the body has to be read before the request is answered"


def test_what_was_read_can_be_read_again_after_the_answer(live) -> None:
    async def handler(request):
        await request.body()
        return Response("done", background=lambda: read(request))

    async def read(request):
        outcome.append((await request.body(), (await request.trailers()).pairs()))

    outcome: list[object] = []
    server = live(handler)
    client = server.connect()
    client.request("/", "Transfer-Encoding: chunked", method="POST")
    client.send(chunked(b"abc", trailers=["X: y"]))
    client.receive()
    server.until(lambda: outcome)
    assert outcome == [(b"abc", [("x", "y")])]


def test_a_body_has_one_reader_at_a_time(live) -> None:
    async def handler(request):
        first = asyncio.create_task(request._channel.receive_body())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already being read"):
            await request._channel.receive_body()
        started.append(1)
        return Response(await first)

    started: list[int] = []
    server = live(handler)
    client = server.connect()
    client.request("/", "Content-Length: 3", method="POST")
    server.until(lambda: started)
    client.send(b"abc")
    assert client.receive().body == b"abc"


def test_a_reader_left_behind_is_told(live) -> None:
    """A task that still waits for the body when the request is answered does not wait forever."""

    async def handler(request):
        tasks.append(asyncio.create_task(request.body()))
        await asyncio.sleep(0)
        return Response("early")

    tasks: list[asyncio.Task] = []
    server = live(handler)
    client = server.connect()
    client.request("/", "Content-Length: 3", method="POST")
    assert client.receive().body == b"early"
    server.until(tasks[0].done)
    with pytest.raises(RuntimeError, match="before the request is answered"):
        tasks[0].result()
