"""WebSockets of a hosted application (ASGI WebSocket, specification 2.5).

The application runs as the handler of a WebSocket route does, in a task of its own; here its
messages become calls of `WebSocket`. What it answers before it accepts is a Response, with the
extension `websocket.http.response` any, without it 403.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from httpkit.asgi.messages import (
    ASGIProtocolError,
    ClientGone,
    Message,
    check_bytes,
    check_fields,
    make_answer,
)
from httpkit.errors import ClientDisconnected, LocalProtocolError, WebSocketClosed
from httpkit.protocol.outgoing import has_no_body
from httpkit.request import Request, RequestHead
from httpkit.response import Response
from httpkit.routing.websocket import WebSocketHandler, WebSocketSettings
from httpkit.websocket import WebSocket

__all__ = ["asks_for_websocket", "serve_websocket"]

#: Whose pages may connect is for the application to say.
_SETTINGS = WebSocketSettings(origins=("*",))

_Serve = Callable[[dict[str, Any], Any, Any], Awaitable[object]]


def asks_for_websocket(head: RequestHead) -> bool:
    """Whether a request is for a WebSocket (RFC 6455 §4.1, RFC 8441 §4)."""
    if head.protocol is not None:
        return head.protocol == "websocket"
    if head.version != "1.1":
        return False
    offers = [value for name, value in head.headers if name == b"upgrade"]
    return any(b"websocket" in value.lower() for value in offers)


def serve_websocket(serve: _Serve, request: Request, scope: dict[str, Any]) -> Awaitable[Response]:
    """Let an application answer a request for a WebSocket.

    Args:
        serve: the application.
        request: that asks for it.
        scope: of the request, as for HTTP; made one of a WebSocket.

    Raises:
        HTTPError: the handshake is malformed, so that no application sees it.
    """
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if request.scheme == "https" else "ws"
    del scope["method"]
    scope["extensions"] = {
        name: value for name, value in scope["extensions"].items() if name == "tls"
    } | {"websocket.http.response": {}}

    async def handler(ws: WebSocket) -> Response | None:
        scope["subprotocols"] = ws.offered
        cycle = _Cycle(ws)
        try:
            await serve(scope, cycle.receive, cycle.send)
        except Exception as error:
            if ws.accepted and ClientDisconnected.explains(error):
                # Its end, as for a handler of ours that sends too late: no failure.
                raise WebSocketClosed(1006, str(error)) from None
            raise
        if cycle.answer is None and not ws.accepted:
            raise ASGIProtocolError(
                "the application has returned before it accepted or refused the WebSocket"
            )
        return cycle.answer

    return WebSocketHandler(handler, _SETTINGS)(request)


class _Cycle:
    """One WebSocket, as an ASGI application sees it.

    Attributes:
        answer: what refuses it.
    """

    def __init__(self, ws: WebSocket) -> None:
        self.answer: Response | None = None
        self._ws = ws
        self._connected = False
        #: It is accepted.
        self._open = False
        #: It is accepted, or refused: a `receive` that came before goes on.
        self._decided = asyncio.Event()
        self._closed = False
        #: The body of an answer that is not complete.
        self._body: list[bytes] | None = None
        self._response: Response
        self._length: int | None = None

    async def receive(self) -> Message:
        """`websocket.connect`, the messages of the client, `websocket.disconnect`."""
        if not self._open:
            if not self._connected:
                self._connected = True
                return {"type": "websocket.connect"}
            # The client has nothing to say yet; if it goes away, this task is cancelled.
            await self._decided.wait()
            if self.answer is not None:
                return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        ws = self._ws
        try:
            message = await ws.channel.__anext__()
        except StopAsyncIteration:
            self._closed = True
            code = 1006 if ws.close_code is None else ws.close_code
            return {"type": "websocket.disconnect", "code": code, "reason": ws.close_reason}
        if type(message) is str:
            return {"type": "websocket.receive", "text": message}
        return {"type": "websocket.receive", "bytes": message}

    async def send(self, message: Message) -> None:
        """Take a message.

        Raises:
            ASGIProtocolError: it is not allowed, or not here.
            ClientGone: the WebSocket is closed.
        """
        kind = message["type"]
        if self._closed:
            raise ClientGone("the WebSocket is closed")
        if not self._ws.accepted:
            if kind == "websocket.accept" and self._body is None:
                await self._accept(message)
            else:
                self._refuse(kind, message)
        elif kind == "websocket.send":
            try:
                full = self._ws.channel.send(_read_payload(message), None)
                if full is not None:
                    await full
            except WebSocketClosed as error:
                raise ClientGone(str(error)) from None
        elif kind == "websocket.close":
            code = message.get("code", 1000)
            await self._ws.close(1000 if code is None else code, message.get("reason") or "")
            self._closed = True
        else:
            raise ASGIProtocolError(f"{kind} was sent where messages or websocket.close may be")

    async def _accept(self, message: Message) -> None:
        fields = check_fields(message.get("headers", ()))
        try:
            await self._ws.accept(message.get("subprotocol"), fields)
        except WebSocketClosed as error:
            raise ClientGone(str(error)) from None
        self._open = True
        self._decided.set()

    def _refuse(self, kind: str, message: Message) -> None:
        """An answer that is no WebSocket; it goes out when the application returns."""
        if kind == "websocket.close" and self.answer is None and self._body is None:
            self._answer(Response(b"", 403))
        elif kind == "websocket.http.response.start" and self._body is None:
            self._response, self._length = make_answer(message)
            self._body = []
        elif kind == "websocket.http.response.body" and self._body is not None:
            self._body.append(check_bytes(message, "body"))
            if not message.get("more_body"):
                self._answer(self._whole(b"".join(self._body)))
        else:
            raise ASGIProtocolError(f"{kind} was sent where the WebSocket is not accepted yet")

    def _whole(self, body: bytes) -> Response:
        """The refusal with its body, which is as long as was announced."""
        response, length = self._response, self._length
        if length not in (None, len(body)) and not has_no_body("GET", response.status):
            raise LocalProtocolError(
                f"Content-Length says {length} bytes but the body has {len(body)}"
            )
        response.body = body
        return response

    def _answer(self, response: Response) -> None:
        self.answer = response
        self._closed = True
        self._decided.set()


def _read_payload(message: Message) -> str | bytes:
    """The text or the bytes of a `websocket.send`.

    Raises:
        ASGIProtocolError: it has neither.
    """
    text = message.get("text")
    if type(text) is str:
        return text
    if isinstance(text, str):
        return str(text)
    if message.get("bytes") is None:
        raise ASGIProtocolError("websocket.send needs a text or bytes")
    return check_bytes(message, "bytes")
