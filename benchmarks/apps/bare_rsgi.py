"""The benchmark application in bare RSGI, granian's own interface: plain ifs on the path.

The fastest way to write it: routing costs nothing but string comparisons, each answer is one
call, and text goes out with ``response_str``. JSON is encoded with msgspec for each request.
"""

from typing import Any

import msgspec
from granian.rsgi import Scope, WebsocketMessageType

from benchmarks.apps.extras import chunks, download

TEXT = [("content-type", "text/plain; charset=utf-8")]
JSON = [("content-type", "application/json")]
OCTETS = [("content-type", "application/octet-stream")]
encode = msgspec.json.Encoder().encode


async def echo(protocol: Any) -> None:
    """Send each message back."""
    websocket = await protocol.accept()
    while (message := await websocket.receive()).kind != WebsocketMessageType.close:
        if message.kind == WebsocketMessageType.string:
            await websocket.send_str(message.data)
        else:
            await websocket.send_bytes(message.data)


async def app(scope: Scope, protocol: Any) -> None:
    """Answer one request; the protocol is one of two, by ``scope.proto``."""
    path = scope.path
    if scope.proto == "ws":
        if path == "/ws":
            await echo(protocol)
        else:
            protocol.close(404)
        return
    if scope.method == "GET":
        if path == "/":
            protocol.response_str(200, TEXT, "Hello, World!")
            return
        if path == "/json":
            protocol.response_bytes(200, JSON, encode({"message": "Hello, World!"}))
            return
        if path.startswith("/users/") and path[7:].isdecimal():
            protocol.response_bytes(200, JSON, encode({"id": int(path[7:])}))
            return
        if path == "/download":
            protocol.response_bytes(200, OCTETS, download())
            return
        if path == "/stream":
            transport = protocol.response_stream(200, TEXT)
            async for chunk in chunks():
                await transport.send_bytes(chunk)
            return
    elif scope.method == "POST" and path == "/echo":
        protocol.response_str(200, TEXT, str(len(await protocol())))
        return
    protocol.response_str(404, TEXT, "Not Found")
