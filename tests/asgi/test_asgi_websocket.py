"""WebSockets of hosted applications, with other people's client (ASGI WebSocket 2.5)."""

import asyncio
import json
import socket
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from httpkit import App
from httpkit.asgi import ASGIApplication, ASGIProtocolError
from httpkit.errors import LocalProtocolError

from .conftest import sending, start


def open_socket(server: Any, path: str = "/", **options: Any) -> Any:
    return connect(f"ws://127.0.0.1:{server.address.port}{path}", proxy=None, **options)


CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert await receive() == CONNECT
    await send({**ACCEPT, "headers": [(b"x-one", b"1")]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    scope["seen"] = message


def test_messages(host) -> None:
    server, app = host(echo)
    with open_socket(server, "/a%20b?q=1", additional_headers={"x-in": "2"}) as ws:
        assert ws.response.headers["x-one"] == "1"
        for message in ("text", b"bytes", "", b"", "é" * 100_000):
            ws.send(message)
            assert ws.recv() == message
        ws.close(3001, "enough")
    server.until(lambda: "seen" in app.scope)
    assert app.scope["seen"] == {"type": "websocket.disconnect", "code": 3001, "reason": "enough"}
    scope = app.scope
    assert (scope["type"], scope["scheme"], scope["http_version"]) == ("websocket", "ws", "1.1")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (
        "/a b",
        b"/a%20b",
        b"q=1",
    )
    assert "method" not in scope
    assert set(scope["extensions"]) == {"websocket.http.response"}
    assert (b"x-in", b"2") in scope["headers"]
    assert scope["client"][0] == "127.0.0.1"
    assert app.errors == []


def test_subprotocols(host) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({**ACCEPT, "subprotocol": scope["subprotocols"][1]})
        await send({"type": "websocket.close", "code": 4000, "reason": "so"})
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.send", "text": "late"})

    server, script = host(app)
    with open_socket(server, subprotocols=["a", "b"]) as ws:
        assert ws.subprotocol == "b"
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv()
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "so")
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert script.errors == []


def refusals() -> Any:
    head = {**start(418, (b"x-why", b"tea")), "type": "websocket.http.response.start"}
    body = {"type": "websocket.http.response.body", "body": b"no"}
    return {
        "close": ([{"type": "websocket.close"}], 403, b""),
        "answer": ([head, body], 418, b"no"),
        "pieces": ([head, {**body, "more_body": True}, body], 418, b"nono"),
    }


@pytest.mark.parametrize("kind", refusals())
def test_refusals(host, kind) -> None:
    messages, status, text = refusals()[kind]
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            await send(message)
        seen.append((await receive())["type"])

    server, script = host(app)
    with pytest.raises(InvalidStatus) as caught:
        open_socket(server)
    assert caught.value.response.status_code == status
    assert caught.value.response.body == text
    server.until(lambda: seen)
    assert seen == ["websocket.disconnect"]
    assert script.errors == []


@pytest.mark.parametrize("accepts", [True, False])
def test_a_receive_that_waits_for_the_answer(host, accepts) -> None:
    """Frameworks watch for the end of a client from the beginning, in a task of their own."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send(ACCEPT if accepts else {"type": "websocket.close"})
        seen.append(await waiting)

    server, script = host(app)
    if accepts:
        with open_socket(server) as ws:
            ws.send("first")
            server.until(lambda: seen)
        assert seen == [{"type": "websocket.receive", "text": "first"}]
    else:
        with pytest.raises(InvalidStatus, match="403"):
            open_socket(server)
        server.until(lambda: seen)
        assert seen == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    assert script.errors == []


@pytest.mark.parametrize(
    "script",
    [
        sending(),
        sending({"type": "websocket.send", "text": "early"}),
        sending({"type": "http.response.start", "status": 200}),
        sending({"type": "websocket.http.response.body"}),
        sending({"type": "websocket.http.response.start", "status": 200}, ACCEPT),
        sending(
            {
                "type": "websocket.http.response.start",
                "status": 401,
                "headers": [(b"content-length", b"9")],
            },
            {"type": "websocket.http.response.body", "body": b"no"},
        ),
        sending({**ACCEPT, "subprotocol": "not offered"}),
        sending({**ACCEPT, "headers": [("a", "b")]}),
    ],
)
def test_mistakes_before_the_answer_are_500(host, script, caplog) -> None:
    server, _ = host(script)
    with pytest.raises(InvalidStatus) as caught:
        open_socket(server)
    assert caught.value.response.status_code == 500
    server.until(lambda: "failed" in caplog.text)


@pytest.mark.parametrize(
    "script",
    [
        sending(ACCEPT, ACCEPT),
        sending(ACCEPT, {"type": "websocket.send"}),
        sending(ACCEPT, {"type": "websocket.send", "bytes": "text"}),
        sending(ACCEPT, {"type": "websocket.http.response.start", "status": 200}),
    ],
)
def test_mistakes_after_it_close_with_1011(host, script, caplog) -> None:
    server, _ = host(script)
    with open_socket(server) as ws, pytest.raises(ConnectionClosed) as caught:
        ws.recv()
    assert caught.value.rcvd.code == 1011
    assert isinstance(script.errors[0], ASGIProtocolError)


def test_a_close_that_was_not_possible_leaves_it_open(host) -> None:
    """RFC 6455 §7.4.1: 1005 is in no frame; the application may go on."""
    refused = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        try:
            await send({"type": "websocket.close", "code": 1005})
        except LocalProtocolError as error:
            refused.append(error)
        await send({"type": "websocket.send", "text": "still here"})
        await send({"type": "websocket.close", "code": 4000})

    server, script = host(app)
    with open_socket(server) as ws:
        assert ws.recv() == "still here"
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv()
    assert caught.value.rcvd.code == 4000
    assert len(refused) == 1
    assert script.errors == []


@pytest.mark.parametrize("status", [None, 401])
def test_an_application_that_decides_nothing(host, status, caplog) -> None:
    """The log speaks of what ASGI has, not of a `WebSocket` that the application never saw."""
    begin = {"type": "websocket.http.response.start", "status": status}
    server, _ = host(sending(*([] if status is None else [begin])))
    with pytest.raises(InvalidStatus, match="500"):
        open_socket(server)
    server.until(lambda: "failed" in caplog.text)
    assert "returned before it accepted or refused the WebSocket" in caplog.text


def test_an_application_that_returns_closes(host) -> None:
    server, _ = host(sending(ACCEPT))
    with open_socket(server) as ws, pytest.raises(ConnectionClosed) as caught:
        ws.recv()
    assert caught.value.rcvd.code == 1000


def test_a_client_that_vanishes(host) -> None:
    server, app = host(echo)
    with open_socket(server) as ws:
        ws.send("x")
        assert ws.recv() == "x"
        ws.socket.shutdown(socket.SHUT_RDWR)
    server.until(lambda: "seen" in app.scope)
    assert app.scope["seen"]["code"] == 1006


class Left(Exception):
    """What a framework makes of the server's error."""


@pytest.mark.parametrize("translated", [False, True])
def test_an_application_that_does_not_catch_the_error_of_send(host, caplog, translated) -> None:
    """ASGI WebSocket 2.4: `send` raises an OSError when the client is gone; that is no failure."""

    async def app(scope, receive, send) -> None:
        await send(ACCEPT)
        await receive()
        while (await receive())["type"] != "websocket.disconnect":
            pass
        try:
            await send({"type": "websocket.send", "text": "too late"})
        except OSError as error:
            if translated:
                raise Left from error
            raise

    server, script = host(app)
    with open_socket(server) as ws:
        ws.socket.shutdown(socket.SHUT_RDWR)
    server.until(lambda: script.errors)
    assert isinstance(script.errors[0], Left if translated else OSError)
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert not caplog.records


@pytest.mark.parametrize("accepts", [False, True])
def test_a_system_exit_is_the_failure_of_one_websocket(host, caplog, accepts) -> None:
    async def app(scope, receive, send) -> None:
        if accepts:
            await send(ACCEPT)
        raise SystemExit(3)

    server, _ = host(app)
    for _ in range(2):
        if accepts:
            with open_socket(server) as ws, pytest.raises(ConnectionClosed) as caught:
                ws.recv()
            assert caught.value.rcvd.code == 1011
        else:
            with pytest.raises(InvalidStatus) as refused:
                open_socket(server)
            assert refused.value.response.status_code == 500
    assert "SystemExit: 3" in caplog.text


def test_a_handshake_that_is_malformed_never_reaches_it(host) -> None:
    server, app = host(echo)
    answer = server.connect().get("/", "Upgrade: websocket", "Connection: upgrade")
    assert answer.status == 426
    assert app.scopes == []


def test_another_upgrade_is_ignored(host) -> None:
    """RFC 9110 §7.8."""
    server, app = host(sending(start(), {"type": "http.response.body", "body": b"plain"}))
    assert server.connect().get("/", "Upgrade: foo", "Connection: upgrade").body == b"plain"
    assert app.scope["type"] == "http"


@pytest.mark.parametrize("mounted", [True, False])
def test_starlette(live, mounted) -> None:
    async def chat(ws: Any) -> None:
        await ws.accept()
        await ws.send_json({"room": ws.path_params["room"], "path": ws.url.path})
        async for text in ws.iter_text():
            await ws.send_text(text.upper())

    foreign = Starlette(routes=[WebSocketRoute("/chat/{room}", chat)])
    application: Any = ASGIApplication(foreign)
    prefix = ""
    if mounted:
        application, prefix = App(), "/mnt"
        application.mount(prefix, foreign)
    server = live(application)
    with open_socket(server, f"{prefix}/chat/one") as ws:
        assert json.loads(ws.recv()) == {"room": "one", "path": f"{prefix}/chat/one"}
        ws.send("hello")
        assert ws.recv() == "HELLO"
    with pytest.raises(InvalidStatus) as caught:
        open_socket(server, f"{prefix}/nowhere")
    assert caught.value.response.status_code == 403
