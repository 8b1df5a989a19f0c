"""`ASGICallable`: an `Application` as an ASGI app (version 3), so that other servers serve it.

Owns what a server of ours would do otherwise: the request from a scope, the answer to `send`, the
lifespan. An `Upgrade` is refused; WebSockets are `websocket_serving`'s.
"""

from httpkit.asgi.answer import Answer
from httpkit.asgi.channel import Channel
from httpkit.asgi.messages import Receive, Scope, Send
from httpkit.body import UnopenedFile
from httpkit.errors import BodyTooLarge, ClientDisconnected, HTTPError
from httpkit.headers import RawHeaders
from httpkit.limits import Limits
from httpkit.request import Request, RequestHead
from httpkit.response import Response, Upgrade, open_file
from httpkit.server.background import run_calls
from httpkit.server.blocking import run_blocking
from httpkit.types import Application
from httpkit.urls import quote_path

__all__ = ["ASGICallable", "answer_request", "make_request", "read_fields", "send_answer"]

#: One of them stands in a request of HTTP/1.1 with a body (RFC 9112 §6.1, §6.2).
_WITH_BODY = frozenset({b"content-length", b"transfer-encoding"})
#: Those of WebSockets are the schemes of HTTP that they are opened with (RFC 6455 §3).
_SCHEMES = {"ws": "http", "wss": "https"}


class ASGICallable:
    """An ASGI app over an application.

    Args:
        application: what answers.
        max_body: limit for the bodies of requests in bytes, where a route has none of its own.
    """

    def __init__(self, application: Application, max_body: int | None = Limits().max_body) -> None:
        self._application = application
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope.

        Raises:
            RuntimeError: a kind of scope that is unknown here.
        """
        kind = scope["type"]
        if kind == "http":
            await self._serve_request(scope, receive, send)
        elif kind == "lifespan":
            await self._serve_lifespan(receive, send)
        elif kind == "websocket":
            from httpkit.asgi.websocket_serving import (  # noqa: PLC0415 - few need wsproto
                serve_websocket,
            )

            await serve_websocket(self._application, scope, receive, send)
        else:
            raise RuntimeError(f"scopes of type {kind!r} are unknown to httpkit")

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        phase = "startup"
        try:
            await receive()
            self._application.on_freeze()
            async with self._application.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
                phase = "shutdown"
        except Exception as error:
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        channel = Channel(scope, receive, send)
        fields = read_fields(scope)
        request = make_request(channel, scope, fields, max_body=self._max_body)
        if request.http_version in ("1.0", "1.1"):
            # RFC 9112 §6.3: else there is none, and nothing to wait for where none makes sense.
            channel.announced = any(name in _WITH_BODY for name, _ in fields)
            channel.ended = not channel.announced and request.method in ("GET", "HEAD")
        response = await answer_request(self._application, request)
        if isinstance(response, Upgrade):
            response = Response("This server cannot leave HTTP.\n", 501)
        await send_answer(channel, request.method, response)


async def answer_request(application: Application, request: Request) -> Response:
    """The answer of an application, its file opened."""
    try:
        answer = application.handle(request)
        response = answer if isinstance(answer, Response) else await answer
        if isinstance(response.body, UnopenedFile):
            response = await run_blocking(open_file, response)
    except HTTPError as error:  # an application that is no App raises them
        response = Response(f"{error.status} {error.detail}\n", error.status, error.headers)
    except BodyTooLarge as error:
        response = Response(f"{error}\n", error.status)
    return response


async def send_answer(channel: Channel, method: str, response: Response) -> None:
    """Send an answer, end the request, run the background calls."""
    try:
        await Answer(channel, method, response).send()
    except (ClientDisconnected, OSError):
        channel.disconnected = True
    finally:
        channel.close()
    await run_calls(response.background or ())


# --- from a scope to a request -------------------------------------------------------------------


def read_fields(scope: Scope) -> RawHeaders:
    """The header fields of a scope; servers may leave names as they came."""
    return [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]


def make_request(
    channel: Channel,
    scope: Scope,
    fields: RawHeaders,
    *,
    max_body: int | None = None,
    protocol: str | None = None,
) -> Request:
    """The request of a scope.

    Args:
        channel: its other side; gets to know it.
        scope: of it.
        fields: its header fields.
        max_body: limit for its body in bytes.
        protocol: `websocket` for one that asks for it: such a request is an extended CONNECT here,
            since another server has answered whatever else HTTP/1.1 has for that.
    """
    root = scope.get("root_path", "").rstrip("/")
    raw_root = _quote(root)
    head = RequestHead(
        scope.get("method", "GET"),
        _target(scope, root, raw_root),
        next((value for name, value in fields if name == b"host"), b""),
        tuple(fields),
        "",
        str(scope.get("http_version", "1.1")),
        protocol,
    )
    scheme: str = scope.get("scheme", "http")
    scheme = _SCHEMES.get(scheme, scheme)
    channel.request = request = Request.of(channel, head, scheme, max_body)
    request.root_path = raw_root
    return request


def _target(scope: Scope, root: str, raw_root: str) -> bytes:
    """The request target below the place where the application is mounted."""
    path, raw = scope["path"], scope.get("raw_path") or b""
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        path = path[len(root) :]
        encoded = raw_root.encode()
        raw = raw[len(encoded) :] if raw.startswith(encoded) else b""
    target = raw.partition(b"?")[0] or _quote(path).encode()
    if target != b"*" and not target.startswith(b"/"):
        target = b"/" + target
    query = bytes(scope.get("query_string", b""))
    return target + b"?" + query if query else target


def _quote(path: str) -> str:
    """Percent-encode a path that a server decoded from UTF-8; what it could not is a surrogate."""
    return quote_path(path, "surrogateescape")
