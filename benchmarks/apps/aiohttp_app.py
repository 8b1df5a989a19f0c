# ruff: noqa: ARG001  a handler takes the request, whether it needs it or not
"""The benchmark application in aiohttp, with its router; JSON is encoded with msgspec.

Run by the harness as ``python -m benchmarks.apps.aiohttp_app --port 8000``: aiohttp is a library
and leaves loop and logging to the program.
"""

from contextlib import suppress
from typing import Any

import click
import msgspec
import uvloop
from aiohttp import WSMsgType, web

from benchmarks.apps.extras import chunks, resources
from benchmarks.messages import JOINED, SENT

encode = msgspec.json.Encoder().encode


def json_response(content: Any) -> web.Response:
    """Return an answer that is encoded by msgspec."""
    return web.Response(body=encode(content), content_type="application/json")


async def index(request: web.Request) -> web.Response:
    """Answer a constant text."""
    return web.Response(text="Hello, World!")


async def json_(request: web.Request) -> web.Response:
    """Answer a small object, encoded anew for each request."""
    return json_response({"message": "Hello, World!"})


async def user(request: web.Request) -> web.Response:
    """Answer the path parameter as an integer."""
    return json_response({"id": int(request.match_info["id"])})


async def length(request: web.Request) -> web.Response:
    """Read the whole body and answer its length."""
    return web.Response(text=str(len(await request.read())))


async def stream(request: web.Request) -> web.StreamResponse:
    """Answer in chunks, each as it is made."""
    response = web.StreamResponse(headers={"content-type": "text/plain; charset=utf-8"})
    with suppress(ConnectionResetError):  # the load ends in the middle of answers
        await response.prepare(request)
        async for chunk in chunks():
            await response.write(chunk)
        await response.write_eof()
    return response


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send each message back."""
    websocket = web.WebSocketResponse(compress=False)
    await websocket.prepare(request)
    async for message in websocket:
        if message.type is WSMsgType.TEXT:
            await websocket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await websocket.send_bytes(message.data)
    return websocket


room: set[web.WebSocketResponse] = set()


async def join(request: web.Request) -> web.WebSocketResponse:
    """Join the room, and stay until the client leaves."""
    websocket = web.WebSocketResponse(compress=False)
    await websocket.prepare(request)
    room.add(websocket)
    try:
        await websocket.send_str(JOINED)
        async for _ in websocket:
            pass
    finally:
        room.discard(websocket)
    return websocket


async def post(request: web.Request) -> web.Response:
    """Send a message to everybody in the room."""
    message = await request.text()
    for member in list(room):
        await member.send_str(message)
    return web.Response(body=SENT)


def make_app() -> web.Application:
    """Return the application with its routes; HEAD is not asked for."""
    app = web.Application()
    app.router.add_get("/", index, allow_head=False)
    app.router.add_get("/json", json_, allow_head=False)
    app.router.add_get(r"/users/{id:\d+}", user, allow_head=False)
    app.router.add_post("/echo", length)
    app.router.add_get("/stream", stream, allow_head=False)
    app.router.add_get("/ws", echo, allow_head=False)
    app.router.add_get("/room", join, allow_head=False)
    app.router.add_post("/room", post)
    for name in resources():
        app.router.add_get(rf"/{name}/{{id:\d+}}", user, allow_head=False)
    return app


def serve(app: web.Application, port: int) -> None:
    """Serve on uvloop, without access log."""
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        loop=uvloop.new_event_loop(),
        access_log=None,
        backlog=2048,
        print=None,
    )


@click.command()
@click.option("--port", type=int, required=True)
def main(port: int) -> None:
    """Serve the application."""
    serve(make_app(), port)


if __name__ == "__main__":
    main()
