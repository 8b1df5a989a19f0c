"""Requests in many pieces, and answers that never end, take turns with everybody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hpack import Encoder

from httpkit import App, Request, Response, WebSocket
from httpkit.protocol.http2 import PREFACE
from httpkit.server.config import Config
from httpkit.server.server import Server
from httpkit.transport.loop import new_event_loop
from tests.test_hops import GET, HANDSHAKE, Transport, connected, frame


def test_nobody_is_late_whose_pieces_are_here_already():
    fields = [(":method", "POST"), (":path", "/length"), (":scheme", "http"), (":authority", "a")]
    head = PREFACE + frame(4, 0, 0) + frame(1, 4, 1, Encoder().encode(fields))

    async def main() -> None:
        async with connected("native") as (connection, transport):
            connection.data_received(head + frame(0, 0, 1, b"a") * 2000 + frame(0, 1, 1))
            assert connection.engine.turn_is_over
            for seconds in (1e6, 2e6, 3e6):
                connection.check_deadlines(seconds)
            for _ in range(20):
                await asyncio.sleep(0)
            assert b"".join(transport.writes).endswith(b"2000")

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())


# --- a client who takes everything at once ----------------------------------------------------


def make_endless_app(sent: list[int]) -> App:
    """Handlers that send as long as they are let."""
    app = App()

    async def pieces(size: int) -> AsyncIterator[bytes]:
        while True:
            sent.append(size)
            yield b"x" * size

    @app.get("/")
    async def small(request: Request) -> Response:
        return Response(pieces(1))

    @app.get("/large")
    async def large(request: Request) -> Response:
        return Response(pieces(100_000))

    @app.websocket("/echo")
    async def talk(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            sent.append(1)
            await ws.send("x")

    @app.websocket("/compressed")
    async def repeat(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            sent.append(100_000)
            await ws.send("x" * 100_000)

    return app


DEFLATED = HANDSHAKE.replace(b"/echo", b"/compressed").replace(
    b"Sec-WebSocket-Version",
    b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Version",
)


@pytest.mark.parametrize("make_loop", [new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("http1", ["native", "reference"])
@pytest.mark.parametrize(
    "request_", [GET, GET.replace(b"/ ", b"/large ", 1), HANDSHAKE, DEFLATED], ids=range(4)
)
def test_a_handler_that_only_sends_holds_nobody_up(http1, request_, make_loop):
    """Without a turn for others neither of these loops would ever come back."""
    sent: list[int] = []

    async def main() -> None:
        server = Server(make_endless_app(sent), Config.of(access_log=False, http1=http1))
        await server.start(listen=False)
        transport, connection = Transport(), server.make_connection()
        transport.write = lambda data: None  # type: ignore[method-assign]
        connection.connection_made(transport)
        asyncio.get_running_loop().call_soon(connection.data_received, request_)
        for _ in range(30):
            await asyncio.sleep(0)
        before = len(sent)
        for _ in range(3):
            await asyncio.sleep(0)
        assert before < len(sent) < before + 4 * 1024
        assert sum(sent[before:]) < 4 * 400_000
        connection.connection_lost(None)
        with contextlib.suppress(asyncio.CancelledError):
            await server.stop()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())
