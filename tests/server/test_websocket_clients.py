"""The `websockets` library as a client, which knows nothing of this project."""

import asyncio

import pytest
import websockets
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

from httpkit import App, Response, WebSocket, serve
from tests.echoing import echo

from .live import run


def make_app() -> App:
    app = App()
    app.websocket("/echo", subprotocols=["v1"])(echo)

    @app.websocket("/refuse")
    async def refuse(ws: WebSocket) -> Response:
        return Response("no", 401)

    return app


def with_server(test, loop: str) -> None:
    async def main() -> None:
        async with serve(make_app(), port=0, access_log=False) as server:
            await test(f"ws://127.0.0.1:{server.addresses[0].port}")

    run(main(), loop)


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request) -> str:
    return request.param


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_of_all_sizes(loop, compression) -> None:
    async def test(url: str) -> None:
        async with websockets.connect(
            url + "/echo", compression=compression, subprotocols=["v1"], max_size=None
        ) as ws:
            assert ws.subprotocol == "v1"
            for size in (0, 1, 125, 126, 65_535, 65_536, 3_000_000):
                for message in ("é" * size, b"\xff" * size):
                    await ws.send(message)
                    assert await ws.recv() == message
            await ws.send(["frag", "ment", "ed"])
            assert await ws.recv() == "fragmented"
            await (await ws.ping())
        assert ws.close_code == 1000

    with_server(test, loop)


def test_many_messages_at_once(loop) -> None:
    async def test(url: str) -> None:
        async with websockets.connect(url + "/echo", max_size=None) as ws:

            async def send() -> None:
                for number in range(3000):
                    await ws.send(str(number) * 100)

            sender = asyncio.create_task(send())
            for number in range(3000):
                assert await ws.recv() == str(number) * 100
            await sender

    with_server(test, loop)


def test_a_refusal(loop) -> None:
    async def test(url: str) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await websockets.connect(url + "/refuse")
        assert caught.value.response.status_code == 401
        with pytest.raises(InvalidStatus) as caught:
            await websockets.connect(url + "/echo", origin="https://evil.com")
        assert caught.value.response.status_code == 403

    with_server(test, loop)


def test_a_stop_says_that_the_server_goes_away(loop) -> None:
    async def main() -> None:
        server = serve(make_app(), port=0, access_log=False)
        await server.start()
        async with websockets.connect(f"ws://127.0.0.1:{server.addresses[0].port}/echo") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
            stop = asyncio.create_task(server.stop())
            with pytest.raises(ConnectionClosedOK) as caught:
                await ws.recv()
            assert caught.value.rcvd.code == 1001
            await stop

    run(main(), loop)
