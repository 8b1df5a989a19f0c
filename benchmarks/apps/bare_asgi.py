"""The benchmark application in bare ASGI 3, without a framework: plain ifs on the path.

The fastest way to write it: routing costs nothing but string comparisons. JSON is encoded with
msgspec for each request.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from benchmarks.apps.extras import chunks, download

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"
OCTETS = b"application/octet-stream"
encode = msgspec.json.Encoder().encode


async def read_body(receive: Receive) -> bytes:
    """Read the whole request body, as the ASGI specification shows it."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def respond(scope: dict[str, Any], receive: Receive) -> tuple[int, bytes, bytes]:
    """Dispatch on method and path; return status, content type and body."""
    path = scope["path"]
    if scope["method"] == "GET":
        if path == "/":
            return 200, TEXT, b"Hello, World!"
        if path == "/json":
            return 200, JSON, encode({"message": "Hello, World!"})
        if path.startswith("/users/") and path[7:].isdecimal():
            return 200, JSON, encode({"id": int(path[7:])})
        if path == "/download":
            return 200, OCTETS, download()
    elif scope["method"] == "POST" and path == "/echo":
        return 200, TEXT, str(len(await read_body(receive))).encode()
    return 404, TEXT, b"Not Found"


async def stream(send: Send) -> None:
    """Answer in chunks, each as it is made."""
    headers = [(b"content-type", TEXT)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for chunk in chunks():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body"})


async def echo(receive: Receive, send: Send) -> None:
    """Send each message back."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if (text := message.get("text")) is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] == "websocket":
        if scope["path"] == "/ws":
            await echo(receive, send)
        else:
            await send({"type": "websocket.close"})
        return
    if scope["path"] == "/stream":
        await stream(send)
        return
    status, content_type, body = await respond(scope, receive)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
