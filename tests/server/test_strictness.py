"""What a peer gets for input that is not HTTP: the table of the design, row by row."""

import contextlib

import pytest

from httpkit import App

from .wire import Client, make_request

#: What is refused is the engine's business; the loop has no say in it.
pytestmark = pytest.mark.parametrize("loop", ["uvloop"])


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


REFUSED = {
    # --- framing that two servers could read differently
    "content-length with transfer-encoding": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Content-Length: 3", "Transfer-Encoding: chunked")
        + b"3\r\nabc\r\n0\r\n\r\n",
    ),
    "transfer-encoding on 1.0": (
        400,
        head("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    ),
    "transfer-encoding identity": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: identity"),
    ),
    "chunked twice": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, chunked"),
    ),
    "chunked not last": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, gzip"),
    ),
    "unknown coding": (
        501,
        head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"),
    ),
    "two content-lengths": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Content-Length: 3", "Content-Length: 3") + b"abc",
    ),
    "different content-lengths": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Content-Length: 3", "Content-Length: 4") + b"abcd",
    ),
    "content-length list": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Content-Length: 3, 3") + b"abc",
    ),
    "content-length with sign": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Content-Length: +3") + b"abc",
    ),
    "content-length negative": (400, head("POST / HTTP/1.1", "Host: a", "Content-Length: -1")),
    "content-length hexadecimal": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Content-Length: 0x3") + b"abc",
    ),
    "content-length empty": (400, head("POST / HTTP/1.1", "Host: a", "Content-Length:")),
    "content-length of 30 digits": (
        400,
        head("POST / HTTP/1.1", "Host: a", "Content-Length: " + "9" * 30),
    ),
    # --- line ends and whitespace
    "bare LF after the request line": (400, b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    "bare LF after a field": (400, b"GET / HTTP/1.1\r\nHost: a\n\r\n"),
    "bare LF everywhere": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bare CR in a value": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n"),
    "bare CR as line end": (400, b"GET / HTTP/1.1\rHost: a\r\r"),
    "obs-fold": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
    "space before the colon": (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    "tab before the colon": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n"),
    "whitespace before the first field": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "two spaces after the method": (400, b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "two spaces before the version": (400, b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a tab in the request line": (400, b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a space at the end of the request line": (400, b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    "a space at the beginning": (400, b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "two empty lines before": (400, b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "NUL in a value": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"),
    "escape in a value": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x1bc\r\n\r\n"),
    "DEL in the target": (400, b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
    "non-ASCII in the target": (400, b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an empty field name": (400, b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    "a field without a colon": (400, b"GET / HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n"),
    "not HTTP at all": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)),
    # --- routing
    "no host": (400, b"GET / HTTP/1.1\r\nX: a\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "the same host twice": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    "an empty host": (400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    "host with userinfo": (400, b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
    "host with a path": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "host with a space": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "host with a bad port": (400, b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"),
    "host with a bad IPv6 address": (400, b"GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n"),
    "target without a slash": (400, b"GET index.html HTTP/1.1\r\nHost: a\r\n\r\n"),
    "target of another scheme": (400, b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "target with a fragment": (400, b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
    "asterisk without OPTIONS": (400, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    # --- versions and methods
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "version 2.0": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "version 1.2": (505, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    "version in lower case": (400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    "HTTP/2 preface later": (505, b"\r\nPRI * HTTP/2.1\r\n\r\nSM\r\n\r\n"),
    "unknown method": (501, b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "method in lower case": (501, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT": (405, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    "unknown expectation": (417, b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"),
    # --- sizes
    "too long a target": (414, b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a target without end": (414, b"GET /" + b"a" * 20_000),
    "too many fields": (
        431,
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 100 + b"\r\n",
    ),
    "too large a header section": (
        431,
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 33_000 + b"\r\n\r\n",
    ),
    "a header section without end": (
        431,
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"a" * 60_000,
    ),
}


def refuse(client: Client, data: bytes, status: int) -> None:
    """Send it, and a good request right behind it, and read the one answer there may be."""
    client.send(data + make_request("/second"))
    answer = client.receive()
    assert answer.status == status
    assert answer.closes
    assert answer.body.startswith(b"%d " % status)
    client.expect_end()


@pytest.mark.parametrize("name", REFUSED)
def test_refused(live, name) -> None:
    status, data = REFUSED[name]
    server = live()
    refuse(server.connect(), data, status)
    assert server.requests == []
    assert server.connect().get("/next").status == 200
    assert server.requests == ["GET /next"]
    assert server.server.counters.requests_refused == 1


@pytest.mark.parametrize("name", REFUSED)
def test_refused_after_a_good_request(live, name) -> None:
    status, data = REFUSED[name]
    server = live()
    client = server.connect()
    assert client.get("/first").status == 200
    refuse(client, data, status)
    assert server.requests == ["GET /first"]


#: Heads in pieces are refused at the first byte that shows it.
SLOW = ["bare LF everywhere", "obs-fold", "two hosts", "not HTTP at all", "unknown coding"]


@pytest.mark.parametrize("name", SLOW)
def test_refused_byte_by_byte(live, name) -> None:
    status, data = REFUSED[name]
    server = live()
    client = server.connect()
    with contextlib.suppress(OSError):  # refused before the last byte
        client.send_slowly(data)
    answer = client.receive()
    assert (answer.status, answer.closes) == (status, True)
    client.expect_end()
    assert server.requests == []


CHUNKS = {
    "not a number": b"xyz\r\nabc\r\n0\r\n\r\n",
    "a negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "a size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a space behind the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "a size of 17 digits": b"1" * 17 + b"\r\nabc",
    "bare LF behind the size": b"3\nabc\r\n0\r\n\r\n",
    "bare LF behind the data": b"3\r\nabc\n0\r\n\r\n",
    "too much data": b"3\r\nabcd\r\n0\r\n\r\n",
    "a bad extension": b"3;\x01\r\nabc\r\n0\r\n\r\n",
    "an extension with bare CR": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "an extension without end": b"3;" + b"a" * 5000,
    "a trailer that folds": b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n",
    "a trailer that frames": b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_bad_chunks_behind_the_head_reach_no_handler(live, name) -> None:
    server = live()
    client = server.connect()
    data = make_request("/", "Transfer-Encoding: chunked", method="POST") + CHUNKS[name]
    refuse(client, data, 400)
    assert server.requests == []
    assert server.connect().get("/next").status == 200


@pytest.mark.parametrize("name", CHUNKS)
def test_bad_chunks_cancel_a_handler_that_reads(live, name) -> None:
    outcome: list[str] = []

    async def handler(request):
        try:
            await request.body()
        except BaseException as error:
            outcome.append(type(error).__name__)
            raise

    server = live(handler)
    client = server.connect()
    client.request("/", "Transfer-Encoding: chunked", method="POST")
    server.until(lambda: server.requests)
    refuse(client, CHUNKS[name], 400)
    server.until(lambda: outcome)
    assert outcome == ["CancelledError"]


ACCEPTED = {
    "one empty line before": b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "whitespace around a value": b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n",
    "no space behind the colon": b"GET / HTTP/1.1\r\nHost:a\r\n\r\n",
    "non-ASCII in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: \xe4\r\n\r\n",
    "an empty value": b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n",
    "an IPv6 host": b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "absolute-form": b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
    "99 fields and Host": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 99 + b"\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "the longest target": b"GET /" + b"a" * 8191 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(live, name) -> None:
    client = live().connect()
    client.send(ACCEPTED[name])
    answer = client.receive()
    assert (answer.status, answer.closes) == (200, False)
    assert client.get().status == 200


@pytest.mark.parametrize("name", ["too long a target", "a header section without end"])
def test_memory_of_refused_input_is_bounded(live, name) -> None:
    status, data = REFUSED[name]
    server = live()
    client = server.connect()
    client.send(data)
    assert client.receive().status == status
    # Whatever else comes until the client has read the answer is thrown away.
    client.send(b"a" * 1_000_000)
    engine = server.the_connection().engine
    assert server.call(lambda: len(engine._buffer)) == 0


def test_head_has_no_body_in_a_refusal(live) -> None:
    client = live().connect()
    client.send(b"HEAD / HTTP/1.1\r\n\r\n")
    answer = client.receive("HEAD")
    assert (answer.status, answer.closes, answer.body) == (400, True, b"")
    client.expect_end()


def test_http_1_0_is_answered_and_closed(live) -> None:
    server = live()
    client = server.connect()
    client.request("/", version="1.0")
    answer = client.receive()
    assert (answer.status, answer.closes, answer.body) == (200, True, b"Hello")
    client.expect_end()


def test_a_body_beyond_its_limit(live) -> None:
    async def handler(request):
        await request.body()

    server = live(handler, max_body=10)
    client = server.connect()
    client.request("/", method="POST", body=b"a" * 11)
    answer = client.receive()
    assert answer.status == 413


def test_methods_that_are_not_routed(live) -> None:
    """405 is the application's to say, and no reason to close."""
    app = App()
    app.get("/")(lambda request: "page")
    app.post("/")(lambda request: "done")
    client = live(app).connect()
    answer = client.get("/", method="DELETE")
    assert (answer.status, answer.closes) == (405, False)
    assert set(answer["allow"].split(", ")) >= {"GET", "POST"}
    assert client.get("/nowhere").status == 404
    assert client.get().body == b"page"


def test_connect_is_answered_with_allow(live) -> None:
    client = live().connect()
    client.send(REFUSED["CONNECT"][1])
    assert client.receive()["allow"] == ""
