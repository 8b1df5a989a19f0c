"""What other servers demand of themselves in their own tests, demanded of this one.

Behaviour that the suites of uvicorn, hypercorn and daphne ask for and that no other test here does:
as a client sees it, and as an application does.
"""

import asyncio
import copy
import json
from typing import Any

import pytest
from asgiref.compatibility import guarantee_single_callable
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.responses import PlainTextResponse
from websockets.exceptions import ConnectionClosed, InvalidStatus

from httpkit import App
from httpkit.asgi import ASGIApplication
from httpkit.hosting import adapt, find_interface
from tests.server.wire import make_request

from .conftest import body, read, sending, start
from .test_asgi_lifespan import COMPLETE, Recorder, message
from .test_asgi_lifespan import live as enter_and_leave
from .test_asgi_websocket import ACCEPT, CONNECT, open_socket

OK = (start(), body(b"ok"))


# --- answers -------------------------------------------------------------------------------------


def test_values_of_fields_go_out_byte_by_byte(host) -> None:
    """A tab and bytes beyond ASCII are allowed within (RFC 9110 §5.5)."""
    values = (b"<\t>", b"< >", "<µ>".encode(), b"<\xb5>", b"")
    server, _ = host(sending(start(200, *[(b"key", value) for value in values]), body(b"ok")))
    client = server.connect()
    client.send(make_request("/", "Connection: close"))
    head = client.receive_rest().partition(b"\r\n\r\n")[0]
    lines = [line for line in head.split(b"\r\n") if line.startswith(b"key:")]
    assert lines == [b"key: " + value for value in values]


def test_fields_keep_their_order_and_their_number(host) -> None:
    fields = [(b"set-cookie", b"b=1"), (b"x", b"1"), (b"set-cookie", b"a=2"), (b"a", b"")]
    server, _ = host(sending(start(200, *fields), body(b"ok")))
    found = [
        (name.encode(), value.encode())
        for name, value in server.connect().get().headers
        if name in ("set-cookie", "x", "a")
    ]
    assert found == fields


def test_fields_may_come_from_an_iterator(host) -> None:
    async def app(scope, receive, send) -> None:
        fields = iter([(b"x-one", b"1"), [b"x-two", b"2"]])
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send(body(b"ok"))

    server, _ = host(app)
    client = server.connect()
    for _ in range(2):
        answer = client.get()
        assert (answer["x-one"], answer["x-two"]) == ("1", "2")


def test_what_the_application_says_of_server_and_date_counts(host) -> None:
    date = b"Thu, 01 Jan 1970 00:00:00 GMT"
    fields = [(b"Server", b"one"), (b"Server", b"two"), (b"Date", date)]
    server, _ = host(sending(start(200, *fields), body(b"ok")))
    answer = server.connect().get()
    assert [value for name, value in answer.headers if name == "server"] == ["one", "two"]
    assert answer["date"] == date.decode()
    plain, _ = host(sending(*OK))
    answer = plain.connect().get()
    assert answer["server"] == "httpkit"
    assert answer["date"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("pieces", [1, 2])
def test_framing_is_the_servers_even_if_the_application_says_it(host, method, pieces) -> None:
    """ASGI HTTP: Transfer-Encoding of an application is ignored; RFC 9112 §6.1: never both."""
    field = (b"transfer-encoding", b"chunked")
    parts = [body(b"Hello, ", more=True)] * (pieces - 1) + [body(b"world!")]
    server, _ = host(sending(start(200, field), *parts))
    client = server.connect()
    for _ in range(2):
        answer = client.get(method=method)
        assert answer.body == (b"" if method == "HEAD" else b"Hello, " * (pieces - 1) + b"world!")
        said = [name for name in ("content-length", "transfer-encoding") if answer.get(name)]
        assert len(said) == (0 if method == "HEAD" and pieces == 2 else 1)


@pytest.mark.parametrize("says", ["client", "application"])
def test_connection_close_of_either_side_ends_it(host, says) -> None:
    """RFC 9112 §9.6; what was pipelined behind it is not answered."""
    fields = [(b"connection", b"close")] if says == "application" else []
    server, app = host(sending(start(204, *fields), body()))
    client = server.connect()
    first = make_request("/1", *["Connection: close"] * (says == "client"))
    client.send(first + make_request("/2"))
    answer = client.receive_rest()
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"\r\nconnection: close\r\n" in answer
    assert [scope["path"] for scope in app.scopes] == ["/1"]


def test_no_continue_for_a_body_that_nobody_reads(host) -> None:
    """RFC 9110 §10.1.1."""
    server, _ = host(sending(start(204), body()))
    client = server.connect()
    client.send(make_request("/", "Content-Length: 18", "Expect: 100-continue", method="POST"))
    answer = client.receive()
    assert (answer.status, answer.interim) == (204, [])


def test_an_early_answer_leaves_the_connection_usable(host) -> None:
    """The rest of the request is read and thrown away."""
    server, _ = host(sending(*OK))
    client = server.connect()
    client.send(make_request("/", "Content-Length: 18", method="POST"))
    assert client.receive().body == b"ok"
    client.send(b'{"hello": "world"}')
    assert client.get().body == b"ok"


def test_what_an_application_returns_does_not_matter(host) -> None:
    async def app(scope, receive, send) -> int:
        for each in OK:
            await send(each)
        return 123

    server, script = host(app)
    client = server.connect()
    assert client.get().body == b"ok"
    assert client.get().body == b"ok"
    assert script.errors == []


def test_a_version_that_the_client_speaks_is_told(host) -> None:
    async def app(scope, receive, send) -> None:
        await send(start())
        await send(body(scope["http_version"].encode()))

    server, _ = host(app)
    client = server.connect()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.receive_rest().endswith(b"\r\n\r\n1.0")


def test_fields_of_requests_in_any_case_and_alphabet(host) -> None:
    server, app = host(sending(*OK))
    client = server.connect()
    client.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nMYFIELD:   foo bar  \r\nMyField: \xc3\xa3\xff\r\n\r\n"
    )
    client.receive()
    found = [value for name, value in app.scope["headers"] if name == b"myfield"]
    assert found == [b"foo bar", b"\xc3\xa3\xff"]


def test_a_stop_lets_a_request_finish_and_closes_idle_connections(host) -> None:
    released = asyncio.Event()
    begun = []

    async def app(scope, receive, send) -> None:
        begun.append(scope["path"])
        await released.wait()
        for each in OK:
            await send(each)

    server, _ = host(app)
    idle, busy = server.connect(), server.connect()
    busy.send(make_request("/busy"))
    server.until(lambda: begun)
    stopped = server.begin_stop()
    assert idle.receive_rest() == b""
    server.call(released.set)
    answer = busy.receive()
    assert (answer.body, answer.closes) == (b"ok", True)
    busy.expect_end()
    busy.close()  # or the server would linger for it (RFC 9112 §9.6)
    stopped.result(10)


# --- state ---------------------------------------------------------------------------------------


async def with_state(scope: Any, receive: Any, send: Any) -> None:
    """Notes the state that each scope has, and changes it at two depths."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"].update(a=123, b=[1], seen=[])
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    state = scope["state"]
    seen = state["seen"]
    seen.append(copy.deepcopy({key: state[key] for key in ("a", "b")}))
    state["a"] = 456
    state["b"].append(2)
    if scope["type"] == "websocket":
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": json.dumps(seen)})
        return
    await send(start())
    await send(body(json.dumps(seen).encode()))


def test_the_state_of_each_scope_is_a_shallow_copy(live) -> None:
    server = live(ASGIApplication(with_state))
    server.connect().get()
    with open_socket(server) as ws:
        ws.recv()
    assert json.loads(server.connect().get().body) == [
        {"a": 123, "b": [1]},
        {"a": 123, "b": [1, 2]},
        {"a": 123, "b": [1, 2, 2]},
    ]


# --- the lifespan --------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["auto", "on"])
@pytest.mark.parametrize("fails", ["startup", "shutdown"])
def test_the_message_of_a_failure_counts_even_if_the_application_raises_then(choice, fails) -> None:
    steps = ["receive"] if fails == "startup" else [*COMPLETE, "receive"]
    recorder = Recorder(*steps, message(f"{fails}.failed", "no database"), RuntimeError("and so"))
    with pytest.raises(Exception, match="no database"):
        enter_and_leave(recorder, choice)
    assert ("serving" in recorder.seen) == (fails == "shutdown")


def test_a_failure_inside_a_task_group() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup():
            await receive()
            await send(message("startup.failed", "no database"))

    with pytest.raises(Exception, match="no database"):
        enter_and_leave(app, "on")


# --- WebSockets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, ..., 1000, 1001, 3000])
@pytest.mark.parametrize("reason", [None, ..., "", "test"])
def test_codes_and_reasons_of_a_close_may_be_left_out(host, code, reason) -> None:
    given = {"code": code, "reason": reason}
    closing = {key: value for key, value in given.items() if value is not ...}

    async def app(scope, receive, send) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            if message == CONNECT:
                await send(ACCEPT)
            else:
                await send({"type": "websocket.close", **closing})

    server, script = host(app)
    with open_socket(server) as ws:
        ws.ping()
        ws.send("abc")
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv()
    rcvd = caught.value.rcvd
    assert rcvd is not None
    assert rcvd.code == (1000 if code in (None, ...) else code)
    assert rcvd.reason == ("" if reason in (None, ...) else reason)
    server.until(lambda: server.server.counters.websockets_open == 0)
    assert script.errors == []


def test_messages_before_the_close_are_read_after_it(host) -> None:
    released = asyncio.Event()
    seen: list[Any] = []

    async def app(scope, receive, send) -> None:
        await receive()
        await send(ACCEPT)
        await released.wait()
        while (message := await receive())["type"] == "websocket.receive":
            seen.append(message["bytes"])
        seen.append(message["code"])

    server, _ = host(app)
    with open_socket(server) as ws:
        for _ in range(3):
            ws.send(b"abc")
        ws.protocol.send_close(1000)
        ws.socket.sendall(b"".join(ws.protocol.data_to_send()))
        server.call(released.set)
        server.until(lambda: len(seen) == 4)
    assert seen == [b"abc"] * 3 + [1000]


def test_a_stop_tells_both_sides(host) -> None:
    seen: list[Any] = []

    async def app(scope, receive, send) -> None:
        await receive()
        await send(ACCEPT)
        seen.append(await receive())

    server, _ = host(app)
    with open_socket(server) as ws:
        server.until(lambda: server.server.counters.websockets_open)
        stopped = server.begin_stop()
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv()
        stopped.result(10)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
    [told] = seen  # the reason is what the client makes of it
    assert (told["type"], told["code"]) == ("websocket.disconnect", 1001)


def test_fields_of_a_handshake_are_bytes_too(host) -> None:
    server, app = host(sending({**ACCEPT, "headers": [(b"Server", b"one"), (b"Server", b"two")]}))
    client = server.connect()
    client.send(
        make_request(
            "/one%2Ftwo",
            "Connection: Upgrade",
            "Upgrade: WebSocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ).replace(b"\r\n\r\n", b"\r\nusername: abra\xc3\xa3o\r\n\r\n")
    )
    head = client.receive_until(b"\r\n\r\n").lower()
    assert head.startswith(b"http/1.1 101 ")
    assert head.count(b"\r\nserver: ") == 2
    assert b"\r\ndate: " in head
    assert (b"username", "abraão".encode()) in app.scope["headers"]
    assert (app.scope["path"], app.scope["raw_path"]) == ("/one/two", b"/one%2Ftwo")


@pytest.mark.parametrize("size", [10, 11])
def test_the_limit_of_messages(host, size) -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send(ACCEPT)
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message["bytes"]})

    server, _ = host(app, websocket_max_message=10)
    with open_socket(server) as ws:
        ws.send(b"\x01" * size)
        if size == 10:
            assert ws.recv() == b"\x01" * 10
            return
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009


@pytest.mark.parametrize(
    ("status", "fields", "data"),
    [("201 CREATED", [], b""), (200, [("x-foo", "foo")], b""), (200, [], "text")],
)
def test_a_refusal_that_is_malformed_is_500(host, status, fields, data) -> None:
    server, script = host(
        sending(
            {"type": "websocket.http.response.start", "status": status, "headers": fields},
            {"type": "websocket.http.response.body", "body": data},
        )
    )
    with pytest.raises(InvalidStatus, match="500"):
        open_socket(server)
    assert len(script.errors) == 1


# --- shapes of applications ----------------------------------------------------------------------


class Page(HTTPEndpoint):
    """A class that is an application: what it makes is awaited."""

    async def post(self, request: Any) -> PlainTextResponse:
        return PlainTextResponse(await request.body())


class Shout(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: Any, data: str) -> None:
        await websocket.send_text(data.upper())


class TwoSteps:
    """ASGI 2: made with a scope, then called."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        data = await read(receive)
        await send(start())
        await send(body(data))


@pytest.mark.parametrize("application", [Page, guarantee_single_callable(TwoSteps)])
@pytest.mark.parametrize("mounted", [True, False])
def test_classes_are_applications(live, application, mounted) -> None:
    """ASGI 2, which uvicorn finds out, is what asgiref makes ASGI 3 of."""
    assert find_interface(application) == "asgi"
    hosted: Any = adapt(application, "asgi")
    if mounted:
        hosted = App()
        hosted.mount("/", application)
    client = live(hosted).connect()
    client.send(make_request("/", "Content-Length: 5", method="POST") + b"hello")
    assert client.receive().body == b"hello"


def test_a_class_for_websockets(live) -> None:
    with open_socket(live(adapt(Shout, "asgi"))) as ws:
        ws.send("hello")
        assert ws.recv() == "HELLO"


@pytest.mark.parametrize("kind", [TwoSteps, int, type("Awaitable", (), {"__await__": iter})])
def test_other_classes_are_none(kind) -> None:
    assert find_interface(kind) is None
