"""What clients talk to, our own and those that other people wrote: it tells what has arrived."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from httpkit import App, Request, Response, WebSocket
from tests.server.live import LiveServer


async def echo(ws: WebSocket) -> None:
    """Every message, until the client closes."""
    await ws.accept()
    async for message in ws:
        await ws.send(message)


def echo_after(event: asyncio.Event) -> Callable[[WebSocket], Awaitable[None]]:
    """An echo that answers when the event is set."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await event.wait()
            await ws.send(message)

    return handler


def make_app(handler: Any, **options: Any) -> App:
    """An application with one WebSocket, at `/`."""
    app = App()
    app.websocket("/", **options)(handler)
    return app


async def describe(request: Request) -> Response:
    """The body, or else the request line; `/large` and `/hinted` do what their names say."""
    if request.path == "/large":
        return Response(b"a" * 1_000_000)
    if request.path == "/hinted":
        await request.early_hints("</style.css>; rel=preload; as=style")
    body = await request.body()
    return Response(
        body or f"{request.method} {request.path} {request.http_version}",
        headers={"x-length": str(len(body))},
    )


def url_of(server: LiveServer, path: str = "/") -> str:
    """Of a server on a TCP port."""
    return f"http://{server.address}{path}"
