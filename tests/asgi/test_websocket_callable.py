"""WebSockets of an `App` as an ASGI application: by hand, and with Starlette's client."""

import asyncio
from typing import Any

import pytest
import starlette.applications
import starlette.routing
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from httpkit import App, Request, Response, SharedMessage, Upgrade, WebSocket, WebSocketClosed
from httpkit.errors import HTTPError, ProtocolError
from tests.echoing import echo, make_app

CONNECT = {"type": "websocket.connect"}
DENIAL = {"extensions": {"websocket.http.response": {}}}


def text(data: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": data}


def gone(code: int | None = 1001, reason: str | None = "bye") -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


class Talk:
    """One WebSocket scope by hand: messages go in, and what is sent is kept."""

    def __init__(self, app: Any, *messages: dict[str, Any], **scope: Any) -> None:
        self.app = app
        self.scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/",
            "query_string": b"",
            "headers": [(b"host", b"example.com")],
            "subprotocols": [],
            **scope,
        }
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in (CONNECT, *messages):
            self.incoming.put_nowait(message)
        self.sent: list[dict[str, Any]] = []
        self.answered = asyncio.Event()
        self.receiving = 0

    async def receive(self) -> dict[str, Any]:
        assert self.receiving == 0, "two at a time"
        self.receiving += 1
        try:
            return await self.incoming.get()
        finally:
            self.receiving -= 1

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self.answered.set()

    async def serve(self) -> None:
        await self.app(self.scope, self.receive, self.send)

    async def run(self) -> "Talk":
        await self.serve()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert self.receiving == 0
        return self


def talk(app: Any, *messages: dict[str, Any], **scope: Any) -> list[dict[str, Any]]:
    """What the app sends in such a conversation."""
    return asyncio.run(Talk(app, *messages, **scope).run()).sent


def accept(*fields: tuple[bytes, bytes], subprotocol: str | None = None) -> dict[str, Any]:
    return {"type": "websocket.accept", "subprotocol": subprotocol, "headers": [*fields]}


def close(code: int = 1000, reason: str = "") -> dict[str, Any]:
    return {"type": "websocket.close", "code": code, "reason": reason}


def test_messages_go_both_ways() -> None:
    data = {"type": "websocket.receive", "bytes": b"\x00", "text": None}
    assert talk(make_app(echo), text("a"), text(""), data, gone()) == [
        accept(),
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "text": ""},
        {"type": "websocket.send", "bytes": b"\x00"},
    ]


def test_messages_for_many_are_sent_as_they_are() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send(SharedMessage("a"))
        await ws.send(SharedMessage(b"b"))

    assert talk(make_app(handler))[1:3] == [
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "bytes": b"b"},
    ]


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [(gone(), 1001, "bye"), (gone(None, None), 1005, ""), (gone(4000, ""), 4000, "")],
)
def test_the_end_is_told_as_by_our_own_server(message, code, reason) -> None:
    seen: list[Any] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        for action in (ws.receive, lambda: ws.send("late"), ws.receive, ws.ping):
            with pytest.raises(WebSocketClosed) as caught:
                await action()
            seen.append((caught.value.code, caught.value.reason))
        await ws.close(4001)
        seen.append((ws.close_code, ws.close_reason))

    assert talk(make_app(handler), message) == [accept()]
    assert seen == [(code, reason)] * 5


def test_a_handler_that_returns_closes_with_1000_and_one_that_fails_with_1011(caplog) -> None:
    async def returning(ws: WebSocket) -> None:
        await ws.accept()
        await ws.ping(b"the server's affair")

    async def failing(ws: WebSocket) -> None:
        await ws.accept()
        raise LookupError("inside")

    class Refused(ProtocolError):
        close_code = 1008

    async def refusing(ws: WebSocket) -> None:
        await ws.accept()
        raise Refused("not so")

    assert talk(make_app(returning)) == [accept(), close()]
    assert talk(make_app(failing)) == [accept(), close(1011)]
    assert "LookupError: inside" in caplog.text
    assert talk(make_app(refusing)) == [accept(), close(1008)]


def test_close_is_sent_once_and_its_reason_is_cut() -> None:
    """RFC 6455 §5.5: a control frame carries 125 bytes."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(3000, "é" * 100)
        await ws.close(3001)
        with pytest.raises(WebSocketClosed):
            await ws.send("late")

    assert talk(make_app(handler)) == [accept(), close(3000, "é" * 61)]


def test_what_the_server_owns_of_the_handshake_stays_there() -> None:
    """Keys, versions and compression are between the client and the server."""

    async def handler(ws: WebSocket) -> None:
        assert ws.request.protocol == "websocket"
        assert "sec-websocket-extensions" not in ws.headers
        ws.response.set_cookie("a", "1")
        await ws.accept(headers={"x-a": "1"})

    fields = [
        (b"Host", b"example.com"),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Key", b"testserver=="),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
    ]
    first = talk(make_app(handler), headers=fields)[0]
    names = [name for name, _ in first["headers"]]
    assert names == [b"set-cookie", b"x-a"]


@pytest.mark.parametrize("in_fields", [True, False])
def test_subprotocols(in_fields) -> None:
    fields = [(b"sec-websocket-protocol", b"v1, v2")] if in_fields else []
    sent = talk(
        make_app(echo, subprotocols=["v2"]), gone(), headers=fields, subprotocols=["v1", "v2"]
    )
    assert sent == [accept(subprotocol="v2")]


def test_the_request_is_that_of_the_scope() -> None:
    async def handler(ws: WebSocket, room: str) -> None:
        request = ws.request
        await ws.accept()
        await ws.send(f"{room} {request.url} {request.client} {await request.body()!r}")

    app = App()
    app.websocket("/rooms/{room}", name="room")(handler)
    sent = talk(
        app,
        scheme="wss",
        path="/mnt/rooms/a b",
        root_path="/mnt",
        query_string=b"x=1",
        client=("192.0.2.1", 5),
    )
    url = "https://example.com/mnt/rooms/a%20b?x=1"
    assert sent[1] == {"type": "websocket.send", "text": f"a b {url} 192.0.2.1:5 b''"}


def test_other_versions_of_the_protocol_and_origins_are_refused() -> None:
    fields = [(b"host", b"example.com"), (b"sec-websocket-version", b"8")]
    assert talk(make_app(echo), headers=fields, **DENIAL)[0]["status"] == 426
    fields = [(b"host", b"example.com"), (b"origin", b"https://evil.example")]
    assert talk(make_app(echo), headers=fields, **DENIAL)[0]["status"] == 403
    fields = [(b"host", b"example.com"), (b"origin", b"http://example.com")]
    assert talk(make_app(echo), gone(), headers=fields) == [accept()]


def refusing(kind: str) -> Any:
    async def pieces() -> Any:
        yield "no"
        yield b" way"

    async def handler(ws: WebSocket) -> Any:
        if kind == "error":
            raise HTTPError(401, "no way", {"www-authenticate": "x"})
        if kind == "bug":
            raise LookupError("inside")
        if kind == "file":
            return Response.file(__file__)
        if kind == "upgrade":
            return Upgrade("x", None)  # type: ignore[arg-type]
        return Response(pieces() if kind == "pieces" else "no way", 402)

    return handler


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("answer", 402),
        ("pieces", 402),
        ("error", 401),
        ("bug", 500),
        ("file", 200),
        ("upgrade", 501),
    ],
)
def test_refusals_are_any_answer_where_the_server_can_say_that(kind, status) -> None:
    """The extension `websocket.http.response`; without it, servers answer 403 to a close."""
    sent = talk(make_app(refusing(kind)), **DENIAL)
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == status
    assert {each["type"] for each in sent[1:]} == {"websocket.http.response.body"}
    assert not sent[-1]["more_body"]
    if kind in ("answer", "pieces", "error"):
        assert b"no way" in b"".join(each["body"] for each in sent[1:])
    assert talk(make_app(refusing(kind))) == [{"type": "websocket.close", "code": 1000}]


def test_routes_that_are_no_websockets_refuse() -> None:
    app = make_app(echo)
    app.get("/page")(lambda request: "page")
    assert talk(app, path="/nowhere", **DENIAL)[0]["status"] == 404
    assert talk(app, path="/nowhere") == [{"type": "websocket.close", "code": 1000}]
    assert talk(app, path="/page", **DENIAL)[0]["status"] == 200


def test_middleware_sees_it_and_may_answer_otherwise() -> None:
    cancelled: list[str] = []

    async def handler(ws: WebSocket) -> None:
        try:
            await ws.accept()
        except (asyncio.CancelledError, WebSocketClosed):
            cancelled.append(ws.query["x"])
            raise

    async def guard(request: Request, next: Any) -> Response:
        response = await next(request)
        if request.query["x"] == "no":
            return Response("no", 403)
        response.headers["x-seen"] = "1"
        return response

    app = App(middleware=[guard])
    app.websocket("/")(handler)
    assert talk(app, query_string=b"x=yes") == [accept((b"x-seen", b"1")), close()]
    assert talk(app, query_string=b"x=no", **DENIAL)[0]["status"] == 403
    assert cancelled == ["no"]


def test_a_background_call_of_a_refusal_runs() -> None:
    seen: list[str] = []

    async def handler(ws: WebSocket) -> Response:
        return Response("no", 403, background=lambda: seen.append("ran"))

    talk(make_app(handler), **DENIAL)
    assert seen == ["ran"]


def test_a_client_that_goes_before_the_answer_cancels_the_handler() -> None:
    seen: list[str] = []

    async def handler(ws: WebSocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    assert talk(make_app(handler), gone()) == []
    assert seen == ["cancelled"]


def test_a_client_that_has_gone_before_anything() -> None:
    async def main() -> Talk:
        conversation = Talk(make_app(echo))
        conversation.incoming.get_nowait()
        conversation.incoming.put_nowait(gone())
        return await conversation.run()

    assert asyncio.run(main()).sent == []


class Deaf(Talk):
    """A server whose client is gone when something is sent."""

    fails_at = "websocket.accept"

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == self.fails_at:
            raise OSError("gone")
        await super().send(message)


@pytest.mark.parametrize("fails_at", ["websocket.accept", "websocket.send", "websocket.close"])
def test_a_send_that_fails_is_the_end(fails_at, caplog) -> None:
    seen: list[Any] = []

    async def handler(ws: WebSocket) -> None:
        try:
            await ws.accept()
            await ws.send("a")
            await ws.close()
        except (WebSocketClosed, asyncio.CancelledError) as error:
            seen.append(error)
            raise

    conversation = Deaf(make_app(handler))
    conversation.fails_at = fails_at
    asyncio.run(conversation.run())
    if fails_at == "websocket.send":
        assert seen[0].code == 1006
    elif fails_at == "websocket.accept":
        assert isinstance(seen[0], asyncio.CancelledError)
    else:
        assert seen == []
    assert caplog.text == ""


@pytest.mark.parametrize("extensions", [{}, DENIAL["extensions"]])
def test_a_refusal_that_nobody_hears(extensions) -> None:
    conversation = Deaf(make_app(refusing("file")), extensions=extensions)
    conversation.fails_at = "websocket.http.response.start" if extensions else "websocket.close"
    assert asyncio.run(conversation.run()).sent == []


def test_a_receive_that_is_cancelled_loses_nothing() -> None:
    """Servers may hand a message to a `receive` that was cancelled in the same turn."""
    seen: list[Any] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await ws.receive()
        first = asyncio.ensure_future(ws.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="from elsewhere"):
            await ws.receive()
        seen.append(await first)
        seen.append(await ws.receive())

    async def main() -> None:
        conversation = Talk(make_app(handler))
        running = asyncio.ensure_future(conversation.serve())
        await conversation.answered.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        conversation.incoming.put_nowait(text("a"))
        conversation.incoming.put_nowait(text("b"))
        await running

    asyncio.run(main())
    assert seen == ["a", "b"]


def test_a_close_while_another_task_receives() -> None:
    """No `receive` of the server is under way while the Close is sent: granian would hang."""
    seen: list[Any] = []

    async def handler(ws: WebSocket) -> None:
        async def read() -> None:
            with pytest.raises(WebSocketClosed) as caught:
                await ws.receive()
            seen.append((caught.value.code, ws.close_code))

        await ws.accept()
        reader = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        await ws.close(4000)
        await reader

    class Server(Talk):
        async def send(self, message: dict[str, Any]) -> None:
            await super().send(message)
            if message["type"] == "websocket.close":
                assert self.receiving == 0
                await asyncio.sleep(0)
                assert self.receiving == 0
                self.incoming.put_nowait(gone(4000))

    asyncio.run(Server(make_app(handler)).run())
    assert seen == [(4000, 4000)]


def test_a_route_may_limit_messages() -> None:
    seen: list[Any] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        seen.append(await ws.receive())
        with pytest.raises(WebSocketClosed):
            await ws.receive()
        seen.append(ws.close_code)

    sent = talk(make_app(handler, max_message=4), text("éé"), text("ééé"))
    assert sent == [accept(), close(1009, "the message is too big")]
    assert seen == ["éé", 1009]
    data = {"type": "websocket.receive", "bytes": b"12345"}
    assert talk(make_app(handler, max_message=4), text("a"), data)[1] == close(
        1009, "the message is too big"
    )


def test_a_server_that_stops_cancels_the_handler() -> None:
    seen: list[str] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive()
        finally:
            seen.append("cancelled")

    async def main() -> None:
        conversation = Talk(make_app(handler))
        running = asyncio.ensure_future(conversation.serve())
        await conversation.answered.wait()
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert seen == ["cancelled"]


def test_a_server_whose_receive_fails_is_told() -> None:
    class Broken(Talk):
        async def receive(self) -> dict[str, Any]:
            message = await super().receive()
            if message["type"] != "websocket.connect":
                raise LookupError("the server's own")
            return message

    async def handler(ws: WebSocket) -> None:
        await asyncio.Event().wait()

    with pytest.raises(LookupError, match="own"):
        asyncio.run(Broken(make_app(handler), gone()).run())


# --- with Starlette ------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/mnt"])
def test_with_the_client_of_starlette(prefix) -> None:
    async def chat(ws: WebSocket, room: str) -> None:
        if room == "secret":
            raise HTTPError(403, "not you")
        await ws.accept()
        await ws.send_json({"room": room, "to": str(ws.request.url_for("room", room="x"))})
        async for message in ws:
            await ws.send(message)
        assert ws.close_code == 3001

    app: Any = App()
    app.websocket("/rooms/{room}", name="room", subprotocols=["chat"])(chat)
    if prefix:
        mount = starlette.routing.Mount(prefix, app=app)
        app = starlette.applications.Starlette(routes=[mount])
    client = TestClient(app)
    with client.websocket_connect(f"{prefix}/rooms/a", subprotocols=["chat", "b"]) as ws:
        assert ws.accepted_subprotocol == "chat"
        to = f"http://testserver{prefix}/rooms/x"
        assert ws.receive_json() == {"room": "a", "to": to}
        ws.send_text("hello")
        assert ws.receive_text() == "hello"
        ws.send_bytes(b"\x00")
        assert ws.receive_bytes() == b"\x00"
        ws.close(3001)
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        client.websocket_connect(f"{prefix}/rooms/secret"),
    ):
        pass
    assert caught.value.status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"{prefix}/nowhere"):
        pass
