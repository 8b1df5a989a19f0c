"""The benchmark application in bare RSGI, granian's own interface: plain ifs on the path.

The fastest way to write it: routing costs nothing but string comparisons, each answer is one
call, and text goes out with ``response_str``. JSON is encoded with msgspec for each request.
"""

import msgspec
from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]  # not re-exported

from benchmarks.apps.extras import chunks, download

TEXT = [("content-type", "text/plain; charset=utf-8")]
JSON = [("content-type", "application/json")]
OCTETS = [("content-type", "application/octet-stream")]
encode = msgspec.json.Encoder().encode


async def app(scope: Scope, protocol: HTTPProtocol) -> None:
    """Answer one request."""
    path = scope.path
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
