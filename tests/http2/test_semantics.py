"""What HTTP means, over HTTP/2 (RFC 9113 §8, RFC 9110): answers as a client sees them."""

import asyncio

import pytest

from httpkit.errors import HTTPError
from httpkit.response import Response

from . import frames
from .client import HTTP2Client
from .frames import Code, request_fields, without


@pytest.mark.parametrize(
    ("method", "answer", "length"),
    [
        ("HEAD", Response("Hello"), "5"),
        ("GET", Response(status=204), None),
        ("GET", Response(status=304), None),
        ("GET", Response(b""), "0"),
    ],
)
def test_no_content(connect, method: str, answer: Response, length: str | None) -> None:
    """RFC 9110 §6.4.1: HEADERS with END_STREAM, no DATA at all."""
    client = connect(lambda request: answer)
    got = client.get(method=method)
    assert (got.status, got.ended, got.pieces) == (answer.status, True, [])
    assert got.get("content-length") == length


def test_head_of_a_stream(connect) -> None:
    async def chunks():
        yield b"never sent"

    got = connect(lambda request: Response(chunks())).get(method="HEAD")
    assert (got.status, got.ended, got.pieces, got.get("content-length")) == (200, True, [], None)


def test_the_length_of_what_is_known(connect) -> None:
    got = connect(lambda request: Response(b"abc")).get()
    assert (got["content-length"], got.body) == ("3", b"abc")


def test_chunks_have_no_length(connect) -> None:
    async def chunks():
        for piece in (b"one", b"", b"two"):
            yield piece

    got = connect(lambda request: Response(chunks())).get()
    assert (got.get("content-length"), got.body, got.ended) == (None, b"onetwo", True)


def test_fields_that_belong_to_a_connection_are_dropped(connect) -> None:
    """§8.2.2; the client fails for any that comes."""
    fields = {
        "Connection": "X-Hop",
        "Keep-Alive": "timeout=5",
        "Proxy-Connection": "close",
        "Upgrade": "h2c",
        "X-Kept": "yes",
    }
    got = connect(lambda request: Response("a", headers=fields)).get()
    assert (got.status, got["x-kept"]) == (200, "yes")
    assert "proxy-connection" not in dict(got.headers)


def test_names_go_out_in_lower_case(connect) -> None:
    """§8.2"""
    got = connect(lambda request: Response("a", headers={"X-Mixed-Case": "Value"})).get()
    assert got["x-mixed-case"] == "Value"


@pytest.mark.parametrize("early", [102, 103, 199])
def test_interim_responses(connect, early: int) -> None:
    """§8.1: any number of them before the final one."""

    async def handler(request):
        await request.send_informational(early, {"x-hint": "1"})
        await request.send_informational(early, {"x-hint": "2"})
        return Response("final")

    got = connect(handler).get()
    assert [dict(fields) for fields in got.interim] == [
        {":status": str(early), "x-hint": hint} for hint in ("1", "2")
    ]
    assert (got.status, got.body) == (200, b"final")


def test_expect_100_continue(connect) -> None:
    """RFC 9110 §10.1.1: 100 when the body is wanted."""

    async def handler(request):
        return Response(await request.body() if request.path == "/" else "no")

    client = connect(handler)
    number = client.request("/", ("expect", "100-continue"), method="POST", end=False)
    client.until(lambda: client.stream(number).interim)
    assert client.stream(number).interim == [[(":status", "100")]]
    client.send(frames.data(b"body", stream=number, end=True))
    assert client.answer(number).body == b"body"
    refused = client.answer(
        client.request("/no", ("expect", "100-continue"), method="POST", end=False)
    )
    assert (refused.interim, refused.body) == ([], b"no")


def test_trailers_of_an_answer(connect) -> None:
    async def chunks():
        yield b"content"

    got = connect(lambda request: Response(chunks(), trailers={"X-Sum": "7"})).get()
    assert (got.body, got.trailers, got.ended) == (b"content", [("x-sum", "7")], True)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_an_answer_without_content_has_no_trailers(connect, status) -> None:
    """RFC 9110 §15.3.5, §15.4.5: it is terminated by the end of its header section."""
    answer = Response(status=status)
    answer.trailers = {"X-Sum": "7"}
    got = connect(lambda request: answer).get()
    assert (got.status, got.trailers, got.ended) == (status, None, True)


def test_full_duplex(connect) -> None:
    """§8.1: an answer may begin before the request ends, and both go on."""

    async def handler(request):
        async def chunks():
            async for chunk in request.stream():
                yield chunk.upper()

        return Response(chunks())

    client = connect(handler)
    number = client.request(method="POST", end=False)
    for i, piece in enumerate((b"one", b"two", b"three")):
        client.send(frames.data(piece, stream=number))
        client.until(lambda i=i: len(client.stream(number).pieces) == i + 1)
        assert client.stream(number).pieces[-1] == piece.upper()
    client.send(frames.data(stream=number, end=True))
    assert client.answer(number).body == b"ONETWOTHREE"


def test_answers_come_in_the_order_of_their_ends(live) -> None:
    """§5: no stream waits for another."""
    events = {name: asyncio.Event() for name in ("/1", "/2", "/3")}

    async def handler(request):
        await events[request.path].wait()
        return Response(request.path)

    server = live(handler)
    client = HTTP2Client(server.connect())
    numbers = {name: client.request(name) for name in events}
    for name in ("/3", "/1", "/2"):
        server.call(events[name].set)
        assert client.answer(numbers[name]).body == name.encode()
        assert sum(answer.done for answer in map(client.stream, numbers.values())) >= 1
    assert [entry for entry in client.log if entry[0] == "Headers"] == [
        ("Headers", numbers[name]) for name in ("/3", "/1", "/2")
    ]


def test_what_the_application_sees(connect) -> None:
    """§8.3.1: pseudo-header fields are no fields; `:authority` is what Host is elsewhere."""

    def handler(request):
        lines = [request.method, request.http_version, request.host, request.authority]
        lines += [request.path, request.query_string.decode(), str(request.url)]
        assert not any(name.startswith(b":") for name, _ in request.raw_headers)
        return Response("\n".join(lines))

    body = connect(handler).get("/a%20b?c=d").body.decode()
    assert body.split("\n") == [
        *("GET", "2", "example.com", "example.com", "/a b", "c=d"),
        "http://example.com/a%20b?c=d",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        request_fields(),
        [*without(":authority"), ("host", "example.com")],
        request_fields("/", ("host", "example.com")),
    ],
)
def test_host_is_there_in_either_case(connect, fields) -> None:
    client = connect(lambda request: Response(f"{request.host} {request.headers.get('host')}"))
    client.send(frames.headers(fields, stream=1))
    assert client.answer(1).body == b"example.com example.com"


def test_cookies_come_in_crumbs(connect) -> None:
    """§8.2.3: joined by `; ` before the application sees them."""
    client = connect(
        lambda request: Response(
            f"{request.headers.getlist('cookie')} {request.cookies}"
            if hasattr(request.headers, "getlist")
            else f"{[v for n, v in request.raw_headers if n == b'cookie']} {request.cookies}"
        )
    )
    got = client.get("/", ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3; d=4"))
    assert b"a=1; b=2; c=3; d=4" in got.body
    assert b"{'a': '1', 'b': '2', 'c': '3', 'd': '4'}" in got.body


def test_an_error_of_the_application(connect) -> None:
    def handler(request):
        if request.path == "/teapot":
            raise HTTPError(418)
        if request.path == "/bug":
            raise RuntimeError("a bug")
        return Response("fine")

    client = connect(handler)
    assert [client.get(path).status for path in ("/bug", "/")] == [500, 200]


def test_a_stream_that_fails_in_the_middle(connect) -> None:
    """RST_STREAM(INTERNAL_ERROR): a body that is cut short must not look whole."""

    async def chunks():
        yield b"a"
        await asyncio.sleep(0)
        raise RuntimeError("a bug")

    client = connect(lambda request: Response(chunks() if request.path == "/bug" else "fine"))
    got = client.get("/bug")
    assert (got.reset, got.ended) == (Code.INTERNAL_ERROR, False)
    assert client.get().body == b"fine"


def test_fewer_octets_than_declared(connect) -> None:
    """§8.1.1 holds for answers, too."""

    async def chunks():
        yield b"abc"

    client = connect(
        lambda request: (
            Response(chunks(), headers={"content-length": "5"})
            if request.path == "/short"
            else Response("fine")
        )
    )
    got = client.get("/short")
    assert (got.reset, got.ended) == (Code.INTERNAL_ERROR, False)
    assert client.get().body == b"fine"


def test_a_reset_cancels_the_handler(live) -> None:
    """§5.4.2, §8.7: CANCEL means that nobody waits any more."""

    async def handler(request):
        if request.path == "/":
            return Response("Hello")
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(request.path)

    started, ended = asyncio.Event(), []
    server = live(handler)
    client = HTTP2Client(server.connect())
    number = client.request("/wait")
    server.until(started.is_set)
    client.send(frames.reset(stream=number))
    server.until(lambda: ended == ["/wait"])
    assert client.get().status == 200


def test_a_field_section_larger_than_a_frame(connect) -> None:
    """§4.3: CONTINUATION, with nothing in between."""
    value = "a" * 40_000
    got = connect(lambda request: Response("a", headers={"x-large": value})).get()
    assert got["x-large"] == value
