"""What a hosted application sees of a request: its scope and its body (ASGI HTTP 2.5)."""

import asyncio
from typing import Any

import pytest

from httpkit import App
from httpkit.asgi import ASGIApplication
from tests.server.wire import chunked, make_request

from .conftest import body, read, sending, start

OK = (start(), body(b"ok"))


def test_the_scope_of_a_request(host) -> None:
    server, app = host(sending(*OK))
    client = server.connect()
    client.get("/a%20b/%C3%A9?x=1&y=%20", "X-One: 1", "X-One: 2")
    scope = app.scope
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["http_version"] == "1.1"
    assert (scope["method"], scope["scheme"]) == ("GET", "http")
    assert scope["path"] == "/a b/é"
    assert scope["raw_path"] == b"/a%20b/%C3%A9"
    assert scope["query_string"] == b"x=1&y=%20"
    assert scope["root_path"] == ""
    assert [each for each in scope["headers"] if each[0] == b"x-one"] == [
        (b"x-one", b"1"),
        (b"x-one", b"2"),
    ]
    assert scope["client"] == ("127.0.0.1", client.port)
    assert scope["server"] == tuple(server.address)
    assert scope["state"] == {}
    assert set(scope["extensions"]) == {
        "http.response.early_hint",
        "http.response.pathsend",
        "http.response.trailers",
        "http.response.zerocopysend",
    }


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/", "/", b"/", b""),
        ("/?", "/", b"/", b""),
        ("/a/../b/./c", "/a/../b/./c", b"/a/../b/./c", b""),
        ("/a%2Fb", "/a/b", b"/a%2Fb", b""),
        ("/%ff", "/�", b"/%ff", b""),
        ("//x", "//x", b"//x", b""),
        ("http://other.example/p?q", "/p", b"/p", b"q"),
        ("/100%", "/100%", b"/100%", b""),
    ],
)
def test_paths_are_decoded_and_otherwise_left_alone(host, target, path, raw_path, query) -> None:
    server, app = host(sending(*OK))
    server.connect().get(target)
    scope = app.scope
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_options_of_the_whole_server(host, root_path) -> None:
    server, app = host(sending(*OK), root_path=root_path)
    assert server.connect().get("*", method="OPTIONS").status == 200
    assert (app.scope["path"], app.scope["raw_path"]) == ("*", b"*")
    assert app.scope["root_path"] == root_path


def test_a_target_that_names_the_host_replaces_the_field(host) -> None:
    """RFC 9112 §3.2.2: an origin server ignores the Host that was received then."""
    server, app = host(sending(*OK))
    server.connect().get("http://other.example:8/p")
    hosts = [value for name, value in app.scope["headers"] if name == b"host"]
    assert hosts == [b"other.example:8"]


def test_a_root_path_stands_in_front_of_both_paths(host) -> None:
    server, app = host(sending(*OK), root_path="/ä pi/")
    server.connect().get("/x%20y")
    assert app.scope["root_path"] == "/ä pi"
    assert app.scope["path"] == "/ä pi/x y"
    assert app.scope["raw_path"] == b"/%C3%A4%20pi/x%20y"


def test_scopes_share_nothing(host) -> None:
    server, app = host(sending(*OK))
    client = server.connect()
    for _ in range(2):
        client.get()
        app.scope["headers"].append((b"x", b"y"))
        app.scope["extensions"]["x"] = {}
        app.scope["state"]["x"] = 1
    assert (b"x", b"y") not in app.scopes[1]["headers"][:-1]
    assert len(app.scopes[0]["headers"]) == len(app.scopes[1]["headers"])


async def echo(scope, receive, send) -> None:
    data = await read(receive)
    await send(start())
    await send(body(data))


@pytest.mark.parametrize("size", [0, 1, 5, 100_000])
def test_bodies(host, size) -> None:
    server, _ = host(echo)
    client = server.connect()
    data = b"x" * size
    for _ in range(2):
        client.send(make_request("/", f"Content-Length: {size}", method="POST") + data)
        assert client.receive().body == data
        client.send(
            make_request("/", "Transfer-Encoding: chunked", method="POST")
            + chunked(*[data] * bool(data))
        )
        assert client.receive().body == data


def test_a_body_comes_as_it_arrives(host) -> None:
    async def app(scope, receive, send) -> None:
        await send(start())
        while (message := await receive())["more_body"]:
            await send(body(message["body"], more=True))
        assert message == {"type": "http.request", "body": b"", "more_body": False}
        await send(body())

    server, _ = host(app)
    client = server.connect()
    client.send(make_request("/", "Content-Length: 6", method="POST") + b"abc")
    assert client.receive_until(b"abc\r\n")
    client.send(b"def")
    assert client.receive_until(b"0\r\n\r\n").startswith(b"3\r\ndef\r\n")


def test_continue_is_sent_when_the_body_is_asked_for(host) -> None:
    """RFC 9110 §10.1.1."""
    server, _ = host(echo)
    client = server.connect()
    client.send(make_request("/", "Content-Length: 2", "Expect: 100-continue", method="POST"))
    assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    client.send(b"ok")
    assert client.receive().body == b"ok"


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused_for_the_application(host, announced) -> None:
    """RFC 9110 §15.5.14: the client gets its 413; the application sees it gone."""
    seen = []

    async def app(scope, receive, send) -> None:
        while (message := await receive())["type"] == "http.request":
            seen.append(message["body"])
        with pytest.raises(OSError, match="gone"):
            await send(start())
        assert await receive() == {"type": "http.disconnect"}
        seen.append("end")

    server, script = host(app, max_body=10)
    client = server.connect()
    if announced:
        client.send(make_request("/", "Content-Length: 20", method="POST") + b"x" * 20)
    else:
        client.send(
            make_request("/", "Transfer-Encoding: chunked", method="POST")
            + chunked(b"x" * 8, b"y" * 8)
        )
    assert client.receive().status == 413
    server.until(lambda: "end" in seen)
    assert script.errors == []


@pytest.mark.parametrize("mount", [False, True])
@pytest.mark.parametrize("turn", [False, True])
def test_an_application_that_answers_a_refused_body_has_not_failed(
    live, caplog, mount, turn
) -> None:
    """Clients would fill the log: frameworks answer a client that has gone, and let it pass."""
    ended = []

    async def app(scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            raise LookupError
        try:
            while (await receive())["type"] == "http.request":
                pass
            if turn:
                await asyncio.sleep(0)
            await send(start())
        finally:
            ended.append("end")

    hosted: Any = ASGIApplication(app)
    if mount:
        hosted = App()
        hosted.mount("/", app)
    server = live(hosted, max_body=10)
    client = server.connect()
    client.send(make_request("/", "Content-Length: 20", method="POST") + b"x" * 20)
    assert client.receive().status == 413
    server.until(lambda: ended)
    server.call(lambda: None)
    assert "failed" not in caplog.text


def test_another_client_does_not_notice(host) -> None:
    released = None

    async def app(scope, receive, send) -> None:
        nonlocal released
        if scope["path"] == "/wait":
            released = asyncio.Event()
            await released.wait()
        await send(start())
        await send(body(scope["path"].encode()))

    server, _ = host(app)
    slow, fast = server.connect(), server.connect()
    slow.send(make_request("/wait"))
    server.until(lambda: released is not None)
    assert fast.get("/fast").body == b"/fast"
    server.call(lambda: released and released.set())
    assert slow.receive().body == b"/wait"


def test_pipelined_requests_are_answered_in_order(host) -> None:
    async def app(scope, receive, send) -> None:
        if scope["path"] == "/1":
            await asyncio.sleep(0)
        await send(start())
        await send(body(scope["path"].encode()))
        if scope["path"] == "/2":
            await asyncio.sleep(0)

    server, _ = host(app)
    client = server.connect()
    client.send(b"".join(make_request(f"/{number}") for number in range(6)))
    assert [client.receive().body for _ in range(6)] == [b"/%d" % n for n in range(6)]
