"""`websocket_connect` of both test clients."""

import asyncio

import pytest

from httpkit import App, Response, WebSocket, WebSocketClosed
from httpkit.testing import AsyncClient, Client, UnexpectedStatusError


def make_app() -> App:
    app = App()

    @app.websocket("/rooms/{room}", subprotocols=["v2"])
    async def room(ws: WebSocket, room: str) -> None:
        await ws.accept()
        await ws.send_json({"room": room, "user": ws.cookies.get("user"), "x": ws.headers.get("x")})
        async for message in ws:
            await ws.send(message)

    @app.websocket("/refuse")
    async def refuse(ws: WebSocket) -> Response:
        return Response("no", 401)

    @app.websocket("/fail")
    async def fail(ws: WebSocket) -> None:
        await ws.accept()
        raise ValueError("broken handler")

    @app.websocket("/close")
    async def close(ws: WebSocket) -> None:
        await ws.accept()
        await ws.ping(b"?")
        await ws.send("one")
        await ws.send("two")
        await ws.close(4001, "enough")

    return app


def test_messages_both_ways() -> None:
    with (
        Client(make_app(), cookies={"user": "ada"}) as client,
        client.websocket_connect("/rooms/7", subprotocols=["v1", "v2"], headers={"x": "y"}) as ws,
    ):
        assert ws.status_code == 101
        assert ws.subprotocol == "v2"
        assert ws.receive_json() == {"room": "7", "user": "ada", "x": "y"}
        ws.send("text")
        assert ws.receive() == "text"
        ws.send(b"a" * 100_000)
        assert ws.receive() == b"a" * 100_000
        ws.send_json([1])
        assert ws.receive_json() == [1]
        assert ws.close_code is None
        ws.close(3000, "bye")
        assert list(ws) == []
        assert ws.close_code == 3000
        with pytest.raises(WebSocketClosed) as caught:
            ws.send("too late")
        assert caught.value.code == 3000


def test_the_end_of_the_server() -> None:
    with Client(make_app()) as client, client.websocket_connect("/close") as ws:
        assert list(ws) == ["one", "two"]
        assert (ws.close_code, ws.close_reason) == (4001, "enough")


def test_refusals() -> None:
    with Client(make_app()) as client:
        with (
            pytest.raises(UnexpectedStatusError, match="401") as caught,
            client.websocket_connect("/refuse"),
        ):
            pass
        assert caught.value.response.status_code == 401
        assert caught.value.response.text == "no"
        with (
            pytest.raises(UnexpectedStatusError, match="403"),
            client.websocket_connect("/rooms/1", headers={"origin": "https://evil.com"}),
        ):
            pass


def test_what_a_handler_raises_is_raised() -> None:
    with (
        Client(make_app()) as client,
        pytest.raises(ValueError, match="broken handler"),
        client.websocket_connect("/fail") as ws,
    ):
        ws.receive()


def test_a_system_exit_of_the_application_leaves_the_client_alive() -> None:
    app = make_app()

    @app.websocket("/exit")
    async def leaves(ws: WebSocket) -> None:
        await ws.accept()
        raise SystemExit(3)

    with Client(app) as client:
        with pytest.raises(SystemExit), client.websocket_connect("/exit") as ws:
            ws.receive()
        with client.websocket_connect("/close") as ws:
            assert list(ws) == ["one", "two"]


def test_or_closes_as_a_client_would_see_it() -> None:
    with (
        Client(make_app(), raise_server_exceptions=False) as client,
        client.websocket_connect("/fail") as ws,
        pytest.raises(WebSocketClosed) as caught,
    ):
        ws.receive()
    assert caught.value.code == 1011


def test_without_the_wire_there_is_no_websocket() -> None:
    with (
        Client(make_app(), wire=False) as client,
        pytest.raises(RuntimeError, match="wire=True"),
        client.websocket_connect("/close") as ws,
    ):
        ws.receive()


def test_asynchronously() -> None:
    async def main() -> None:
        async with AsyncClient(make_app()) as client:
            async with client.websocket_connect("/rooms/1") as ws:
                assert (await ws.receive_json())["room"] == "1"
                await ws.send_json({"a": 1})
                assert await anext(ws) == '{"a":1}'
            assert ws.close_code == 1000

    asyncio.run(main())
