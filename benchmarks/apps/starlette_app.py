# ruff: noqa: ARG001  a handler takes the request, whether it needs it or not
"""The benchmark application in Starlette, with its router and its response classes.

Starlette lets one choose the JSON encoder by overriding ``JSONResponse.render``; this app takes
msgspec, which is faster than the default ``json.dumps``. There is no extra middleware.
"""

from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from benchmarks.apps.extras import chunks, resources
from benchmarks.messages import JOINED, SENT

encode = msgspec.json.Encoder().encode


class MsgspecResponse(JSONResponse):
    """A JSON response that is encoded by msgspec."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return encode(content)


async def index(request: Request) -> PlainTextResponse:
    """Answer a constant text."""
    return PlainTextResponse("Hello, World!")


async def json_(request: Request) -> MsgspecResponse:
    """Answer a small object, encoded anew for each request."""
    return MsgspecResponse({"message": "Hello, World!"})


async def user(request: Request) -> MsgspecResponse:
    """Answer the path parameter as an integer."""
    return MsgspecResponse({"id": request.path_params["id"]})


async def length(request: Request) -> PlainTextResponse:
    """Read the whole body and answer its length."""
    return PlainTextResponse(str(len(await request.body())))


async def stream(request: Request) -> StreamingResponse:
    """Answer in chunks, each as it is made."""
    return StreamingResponse(chunks(), media_type="text/plain")


room: set[WebSocket] = set()


async def join(websocket: WebSocket) -> None:
    """Join the room, and stay until the client leaves."""
    await websocket.accept()
    room.add(websocket)
    try:
        await websocket.send_text(JOINED)
        async for _ in websocket.iter_text():
            pass
    finally:
        room.discard(websocket)


async def post(request: Request) -> PlainTextResponse:
    """Send a message to everybody in the room."""
    message = (await request.body()).decode()
    for member in list(room):
        await member.send_text(message)
    return PlainTextResponse(SENT)


app = Starlette(
    routes=[
        Route("/", index),
        Route("/json", json_),
        Route("/users/{id:int}", user),
        Route("/echo", length, methods=["POST"]),
        Route("/stream", stream),
        *[Route(f"/{name}/{{id:int}}", user, name=name) for name in resources()],
        WebSocketRoute("/room", join),
        Route("/room", post, methods=["POST"]),
    ]
)
