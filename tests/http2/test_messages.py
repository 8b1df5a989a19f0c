"""Requests, well-formed and malformed (RFC 9113 §8), as a table.

A malformed request is a stream error PROTOCOL_ERROR (§8.1.1): the application never sees it, and
the connection goes on.
"""

import pytest

from httpkit import App
from httpkit.response import Response

from . import frames
from .client import HTTP2Client
from .expect import StreamFails
from .frames import Code, Fields, replaced, request_fields, without

CONNECT: Fields = [(":method", "CONNECT"), (":authority", "example.com:443")]
WEBSOCKET: Fields = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "example.com"),
]

MALFORMED: dict[str, tuple[str, Fields]] = {
    # --- §8.2.1 names and values
    "upper case in a name": ("8.2.1", request_fields("/", ("X-Upper", "a"))),
    "one letter in upper case": ("8.2.1", request_fields("/", ("x-uppeR", "a"))),
    "an empty name": ("8.2.1", request_fields("/", ("", "a"))),
    **{
        f"{octet!r} in a name": ("8.2.1", request_fields("/", (b"x" + octet + b"y", "a")))
        for octet in (b" ", b"\0", b"\r", b"\n", b"\t", b":", b"\x7f", b"\x80", b"\xff", b"(", b'"')
    },
    "a colon at the end of a name": ("8.2.1", request_fields("/", ("x:", "a"))),
    **{
        f"{octet!r} in a value": ("8.2.1", request_fields("/", ("x", b"a" + octet + b"b")))
        for octet in (b"\0", b"\r", b"\n", b"\r\n", b"\x01", b"\x1b", b"\x7f")
    },
    **{
        f"{value!r} as a value": ("8.2.1", request_fields("/", ("x", value)))
        for value in (b" a", b"a ", b"\ta", b"a\t", b" ", b"\n")
    },
    # --- §8.2.2 connection-specific fields
    **{
        f"{name}: {value}": ("8.2.2", request_fields("/", (name, value)))
        for name, value in (
            ("connection", "close"),
            ("connection", "keep-alive"),
            ("connection", "x"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "identity"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("te", "trailers, deflate"),
            ("te", ""),
        )
    },
    # --- §8.3 pseudo-header fields
    "an unknown pseudo-header field": ("8.3", [(":unknown", "a"), *request_fields()]),
    "one of a response": ("8.3", [*request_fields(), (":status", "200")]),
    "a colon alone": ("8.3", [*request_fields(), (":", "a")]),
    "upper case in a pseudo-header field": ("8.3", [*without(":path"), (":Path", "/")]),
    "one after a regular field": ("8.3", [("x", "a"), *request_fields()]),
    ":path after a regular field": ("8.3", [*without(":path"), ("x", "a"), (":path", "/")]),
    "a field between two": ("8.3", [*request_fields()[:2], ("x", "a"), *request_fields()[2:]]),
    # --- §8.3.1 each of a request
    **{
        f"{name} twice": ("8.3.1", [*request_fields(), (name, dict(request_fields())[name])])
        for name in (":method", ":scheme", ":path", ":authority")
    },
    **{f"no {name}": ("8.3.1", without(name)) for name in (":method", ":scheme", ":path")},
    **{f"{name} empty": ("8.3.1", replaced(name, "")) for name in (":method", ":scheme", ":path")},
    "no fields at all": ("8.3.1", []),
    "regular fields only": ("8.3.1", [("host", "example.com")]),
    **{
        f":method {value!r}": ("8.3.1", replaced(":method", value))
        for value in (b"GE T", b"GET ", b" GET", b"GET\r\n", b"G\0T", b"G\xc3\x84T", b"G:T")
    },
    **{
        f":scheme {value!r}": ("8.3.1", replaced(":scheme", value))
        for value in (b"ht tp", b"http ", b"http:", b"1http", b"ht\0tp")
    },
    **{
        f":path {value!r}": ("8.3.1", replaced(":path", value))
        for value in (
            *(b"nothing", b"*", b"?query", b"http://example.com/", b"example.com:80"),
            *(b"/a b", b"/\0", b"/\r\n", b"/\t", b"/\x7f", b"/\xc3\xa4", b"/a#b", b" /", b"/ "),
            b"/ HTTP/1.1\r\nhost: evil",
        )
    },
    **{
        f":authority {value!r}": ("8.3.1", replaced(":authority", value))
        for value in (
            *(b"", b"user@example.com", b"user:pass@example.com", b"a b", b"a/b", b"a?b"),
            *(b"a\0b", b"a\r\nb", b"a<b", b"example.com:http", b"example.com:99999", b"[::1"),
        )
    },
    "neither :authority nor host": ("8.3.1", without(":authority")),
    "host that differs": ("8.3.1", request_fields("/", ("host", "other.example"))),
    "host twice": (
        "8.3.1",
        [*without(":authority"), ("host", "example.com"), ("host", "example.com")],
    ),
    "host that is none": ("8.3.1", [*without(":authority"), ("host", "a b")]),
    "OPTIONS with another asterisk": (
        "8.3.1",
        [
            (name, {":method": "OPTIONS", ":path": "**"}.get(str(name), value))
            for name, value in request_fields()
        ],
    ),
    # --- §8.1.1 content-length
    "content-length without content": ("8.1.1", request_fields("/", ("content-length", "5"))),
    **{
        f"content-length {value!r}": ("8.1.1", request_fields("/", ("content-length", value)))
        for value in ("-0", "+0", "0x0", "", "0, 0", "0 0", "a", "9" * 30, "1e0")
    },
    "content-length twice": (
        "8.1.1",
        request_fields("/", ("content-length", "0"), ("content-length", "0")),
    ),
    # --- §8.5 CONNECT
    "CONNECT with :path": ("8.5", [*CONNECT, (":path", "/")]),
    "CONNECT with :scheme": ("8.5", [*CONNECT, (":scheme", "http")]),
    "CONNECT without :authority": ("8.5", [(":method", "CONNECT")]),
    # --- RFC 8441 §4
    ":protocol without CONNECT": ("8441 4", [*request_fields(), (":protocol", "websocket")]),
    "extended CONNECT without :path": ("8441 4", without(":path", WEBSOCKET)),
    "extended CONNECT without :scheme": ("8441 4", without(":scheme", WEBSOCKET)),
    "extended CONNECT without :authority": ("8441 4", without(":authority", WEBSOCKET)),
    ":protocol twice": ("8441 4", [*WEBSOCKET, (":protocol", "websocket")]),
}


@pytest.mark.parametrize("name", [f"{section}: {name}" for name, (section, _) in MALFORMED.items()])
def test_malformed(run_case, name: str) -> None:
    _, fields = MALFORMED[name.partition(": ")[2]]
    run_case(frames.headers(fields), StreamFails((Code.PROTOCOL_ERROR,)))


WELL_FORMED: dict[str, tuple[str, Fields]] = {
    "host beside the same :authority": ("8.3.1", request_fields("/", ("host", "example.com"))),
    "host in place of :authority": ("8.3.1", [*without(":authority"), ("host", "example.com")]),
    "another order": ("8.3", request_fields()[::-1]),
    "https by a client behind a proxy": ("8.3.1", replaced(":scheme", "https")),
    "a port": ("8.3.1", replaced(":authority", "example.com:8080")),
    "an IPv6 address": ("8.3.1", replaced(":authority", "[::1]:80")),
    "te: trailers": ("8.2.2", request_fields("/", ("te", "trailers"))),
    "content-length 0": ("8.1.1", request_fields("/", ("content-length", "0"))),
    "an empty value": ("8.2.1", request_fields("/", ("x", ""))),
    "octets beyond ASCII in a value": ("8.2.1", request_fields("/", ("x", b"\xe4\xff"))),
    "whitespace inside a value": ("8.2.1", request_fields("/", ("x", "a \t b"))),
    "every character of a token": ("8.2.1", request_fields("/", ("!#$%&'*+-.^_`|~09az", "a"))),
    "the same field twice": ("8.2", request_fields("/", ("x", "a"), ("x", "b"))),
    "a query": ("8.3.1", request_fields("/?a=b&c=/?")),
    "percent-encoding": ("8.3.1", request_fields("/%00%2f%")),
    "94 more fields": ("10.5.1", request_fields("/", *[("x", "a")] * 94)),
    "a long path": ("10.5.1", request_fields("/" + "a" * 8000)),
}


@pytest.mark.parametrize(
    "name", [f"{section}: {name}" for name, (section, _) in WELL_FORMED.items()]
)
def test_well_formed(connect, name: str) -> None:
    client = connect()
    client.send(frames.headers(WELL_FORMED[name.partition(": ")[2]][1], stream=1))
    answer = client.answer(1)
    assert (answer.status, answer.reset, client.error) == (200, None, None)


# --- what HTTP/1.1 answers with a status ---------------------------------------------------------

REFUSED: dict[str, tuple[int, Fields]] = {
    "an unknown method": (501, replaced(":method", "BREW")),
    "a method in lower case": (501, replaced(":method", "get")),
    "CONNECT": (405, CONNECT),
    "too long a path": (414, request_fields("/" + "a" * 8192)),
    "too many fields": (431, request_fields("/", *[("x", "a")] * 101)),
    "too large a field": (431, request_fields("/", ("x", "a" * 33_000))),
    "an expectation": (417, request_fields("/", ("expect", "200-ok"))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(live, name: str) -> None:
    """The same statuses as on HTTP/1.1; only the stream ends."""
    status, fields = REFUSED[name]
    server = live()
    client = HTTP2Client(server.connect())
    fragments = frames.block(fields)
    first, rest = fragments[:16_000], fragments[16_000:]
    client.send(frames.headers(first, stream=1, flags=frames.END_STREAM))
    while len(rest) > 16_000:
        client.send(frames.continuation(rest[:16_000], stream=1, end=False))
        rest = rest[16_000:]
    client.send(frames.continuation(rest, stream=1))
    answer = client.answer(1)
    assert (answer.status, client.error) == (status, None)
    assert answer.get("connection") is None
    assert server.requests == []
    client.skip_to(3)
    assert client.get().status == 200


def test_a_method_that_is_not_routed(connect) -> None:
    app = App()
    app.get("/")(lambda request: "page")
    client = connect(app)
    answer = client.get(method="DELETE")
    assert answer.status == 405
    assert "GET" in answer["allow"]
    assert client.get("/nowhere").status == 404
    assert client.get().body == b"page"


def test_options_of_the_server(connect) -> None:
    """§8.3.1: `*` is for OPTIONS."""
    client = connect(lambda request: Response(request.target))
    assert client.get("*", method="OPTIONS").body == b"*"


# --- bodies --------------------------------------------------------------------------------------


async def echo(request):
    return Response(
        await request.body(), headers={"x-length": request.headers.get("content-length", "")}
    )


@pytest.mark.parametrize(
    ("length", "sent"),
    [
        ("5", frames.data(b"four", end=True)),
        ("5", frames.data(b"four") + frames.data(end=True)),
        ("5", frames.data(b"four") + frames.headers([("x-trailer", "a")])),
        ("5", frames.data(b"sixsix")),
        ("5", frames.data(b"sixsix", end=True)),
        ("5", frames.data(b"four") + frames.data(b"four")),
        ("0", frames.data(b"a")),
        ("5", frames.headers([("x-trailer", "a")])),
        ("5", frames.frame(frames.DATA, b"\1four\0", stream=3, flags=frames.PADDED | 1)),
    ],
)
@pytest.mark.parametrize("slowly", [False, True])
def test_another_length_than_declared(live, length: str, sent: bytes, slowly: bool) -> None:
    """§8.1.1: the sum of the DATA without padding; nobody takes half a body for a whole one."""
    bodies: list[bytes] = []

    async def handler(request):
        if request.method == "POST":
            bodies.append(await request.body())
        return Response("Hello")

    server = live(handler)
    client = HTTP2Client(server.connect())
    client.send(frames.post("/", ("content-length", length)) + sent, slowly=slowly)
    StreamFails((Code.PROTOCOL_ERROR,)).check(client)
    assert bodies == []


@pytest.mark.parametrize("slowly", [False, True])
def test_the_declared_length(connect, slowly: bool) -> None:
    client = connect(echo)
    client.send(
        frames.post("/", ("content-length", "5"), stream=1)
        + frames.data(b"", stream=1)
        + frames.frame(frames.DATA, b"\3abc\0\0\0", stream=1, flags=frames.PADDED)
        + frames.data(b"de", stream=1)
        + frames.data(stream=1, end=True),
        slowly=slowly,
    )
    answer = client.answer(1)
    assert (answer.body, answer["x-length"]) == (b"abcde", "5")


def test_no_length_is_needed(connect) -> None:
    """§8.1: END_STREAM frames the message."""
    assert connect(echo).get(method="POST", body=b"abc").body == b"abc"


BAD_TRAILERS = {
    "a pseudo-header field": [(":path", "/")],
    "upper case": [("X-Trailer", "a")],
    "connection": [("connection", "close")],
    "transfer-encoding": [("transfer-encoding", "chunked")],
    "a line feed": [("x", "a\nb")],
    "an empty name": [("", "a")],
}


@pytest.mark.parametrize("name", BAD_TRAILERS)
def test_malformed_trailers(live, name: str) -> None:
    """§8.1.1, §8.3"""
    bodies: list[bytes] = []

    async def handler(request):
        if request.method == "POST":
            bodies.append(await request.body())
        return Response("Hello")

    client = HTTP2Client(live(handler).connect())
    client.send(frames.post() + frames.data(b"a") + frames.headers(BAD_TRAILERS[name]))
    StreamFails((Code.PROTOCOL_ERROR,)).check(client)
    assert bodies == []


def test_trailers(connect) -> None:
    """§8.1: a field section behind the content, with END_STREAM."""

    async def handler(request):
        body = await request.body()
        return Response(body + b" " + (await request.trailers())["x-trailer"].encode())

    client = connect(handler)
    client.send(
        frames.post(stream=1)
        + frames.data(b"body", stream=1)
        + frames.headers([("x-trailer", "end")], stream=1)
    )
    assert client.answer(1).body == b"body end"
