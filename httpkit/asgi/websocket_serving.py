"""WebSockets of an `Application` below another server (ASGI WebSocket, specification 2.5).

Theory of operation:

1. The server owns the handshake and the frames: keys, permessage-deflate, Pings, limits of its own.
   The application sees a request as an extended CONNECT is one (RFC 8441), which has nothing of
   these, and its answer becomes `websocket.accept`, or what refuses.
2. One `receive` of the server is under way at a time, in a task that nobody cancels while the
   WebSocket lives: a cancelled one might take its message along. Before the answer it tells that
   the client is gone, and the handler is cancelled; after it, `receive` of the handler goes on
   with it. It ends before this side's Close is sent.
3. What a handler learns at the end is what it learns below our own server: `WebSocketClosed`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Self

from httpkit.asgi.channel import Channel
from httpkit.asgi.messages import Message, Receive, Scope, Send
from httpkit.asgi.serving import answer_request, make_request, read_fields, send_answer
from httpkit.body import FileBody
from httpkit.errors import ProtocolError, WebSocketClosed
from httpkit.headers import RawHeaders
from httpkit.protocol.outgoing import OutgoingFields
from httpkit.protocol.websocket.engine import check_close, cut_reason
from httpkit.response import Response, Upgrade
from httpkit.types import Application
from httpkit.websocket import SharedMessage, WebSocketUpgrade

__all__ = ["serve_websocket"]

logger = logging.getLogger("httpkit")

_NO_CODE = 1005
_VANISHED = 1006
_TOO_BIG = 1009
#: Fields of a handshake that the server answers by itself.
_SERVERS = frozenset(
    {b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol"}
)


async def serve_websocket(
    application: Application, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve one scope of the type `websocket`."""
    if (await receive())["type"] != "websocket.connect":
        return  # the client has gone already
    channel = Channel(scope, receive, send, "websocket.http.response")
    channel.ended = True  # RFC 6455 §4.1: there is no body
    request = make_request(channel, scope, _handshake_fields(scope), protocol="websocket")
    session = _Session(channel)
    answering = asyncio.ensure_future(answer_request(application, request))
    try:
        await asyncio.wait((answering, session.listen()), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            session.listen().result()  # nothing comes of a client before its answer but its end
            return
        response = answering.result()
        if isinstance(response, WebSocketUpgrade):
            channel.attached = None
            await _run(response, session, send)
        else:
            await _end((session.listen(),))
            await _refuse(channel, request.method, response)
    finally:
        handler = channel.attached
        channel.close()
        await _end((answering, session.next, handler))


def _handshake_fields(scope: Scope) -> RawHeaders:
    """The fields of the request, as an extended CONNECT has them (RFC 8441 §5).

    Compression is between the client and the server. What the server has checked and keeps to
    itself is put back: there is no other version, and subprotocols stand in the scope anyway.
    """
    fields = [field for field in read_fields(scope) if field[0] != b"sec-websocket-extensions"]
    names = {name for name, _ in fields}
    if b"sec-websocket-version" not in names:
        fields.append((b"sec-websocket-version", b"13"))
    offered = ", ".join(scope.get("subprotocols") or ())
    if offered and b"sec-websocket-protocol" not in names:
        fields.append((b"sec-websocket-protocol", offered.encode()))
    return fields


async def _run(response: WebSocketUpgrade, session: "_Session", send: Send) -> None:
    """Accept, and wait for the handler to end."""
    handler = response.task
    assert isinstance(handler, asyncio.Task)
    fields = OutgoingFields(response.raw_headers).fields
    subprotocol = response.headers.get("sec-websocket-protocol")
    try:
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": subprotocol,
                "headers": [field for field in fields if field[0] not in _SERVERS],
            }
        )
        session.max_message = response.overrides.get("max_message")
        response.open(session)
        await asyncio.wait((handler,))
    except OSError:
        pass  # the client has gone
    finally:
        await _end((handler,))


async def _refuse(channel: Channel, method: str, response: Response) -> None:
    """Answer otherwise, where the server can say that; else it says 403."""
    if isinstance(response, Upgrade):
        response = Response("This server cannot leave HTTP.\n", 501)
    if "websocket.http.response" in channel.extensions:
        await send_answer(channel, method, response)
        return
    if isinstance(response.body, FileBody):
        response.body.close()
    try:
        await channel.send_message({"type": "websocket.close", "code": 1000})
    except OSError:
        channel.disconnected = True


async def _end(tasks: Iterable[object]) -> None:
    """Cancel what still runs, and wait for it."""
    running = [task for task in tasks if isinstance(task, asyncio.Future) and not task.done()]
    for task in running:
        task.cancel("the WebSocket has ended")
    await asyncio.gather(*running, return_exceptions=True)


class _Session:
    """The handler's side of an accepted WebSocket; implements `types.WebSocketChannel`.

    Args:
        channel: of its request.

    Attributes:
        close_code: of the client's Close, 1006 if it vanished, `None` before.
        close_reason: of the client's Close.
        max_message: bytes of one message, where the route says so; else it is the server's affair.
        next: what `listen` has begun and nobody has taken.
    """

    def __init__(self, channel: Channel) -> None:
        self.close_code: int | None = None
        self.close_reason = ""
        self.max_message: int | None = None
        self._request_id = channel.request_id
        self._receive_message = channel.receive_message
        self._send_message = channel.send_message
        self.next: asyncio.Future[Message] | None = None
        self._receiving = False
        self._closing = False
        self._close_sent = asyncio.Event()

    def listen(self) -> "asyncio.Future[Message]":
        """The next message of the server; see rule 2."""
        if self.next is None:
            self.next = asyncio.ensure_future(self._receive())
        return self.next

    async def _receive(self) -> Message:
        return await self._receive_message()  # of granian it gives a future of its own kind

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """The next message; see `WebSocketChannel`."""
        try:
            return await self.receive()
        except WebSocketClosed:
            raise StopAsyncIteration from None

    async def receive(self) -> str | bytes:
        """The next message; see `WebSocketChannel`."""
        if self._receiving:
            raise RuntimeError("this WebSocket is already being received from elsewhere")
        if self.close_code is not None:
            raise self._closed()
        self._receiving = True
        try:
            message = await self._take_next()
        finally:
            self._receiving = False
        if message["type"] == "websocket.disconnect":
            self.close_code = int(message.get("code") or _NO_CODE)
            self.close_reason = message.get("reason") or ""
            raise self._closed()
        text = message.get("text")
        data: str | bytes = (message.get("bytes") or b"") if text is None else text
        if self.max_message is not None and _size(data) > self.max_message:
            self.close_code, self.close_reason = _TOO_BIG, "the message is too big"
            await self._close(self.close_code, self.close_reason)
            raise self._closed()
        return data

    async def _take_next(self) -> Message:
        while True:
            pending = self.listen()
            await asyncio.wait((pending,))
            if not pending.cancelled():
                self.next = None
                return pending.result()
            await self._close_sent.wait()

    def _closed(self) -> WebSocketClosed:
        code = _VANISHED if self.close_code is None else self.close_code
        return WebSocketClosed(code, self.close_reason)

    def send(
        self,
        message: str | bytes | SharedMessage,
        compress: bool | None,  # noqa: ARG002, FBT001
    ) -> Awaitable[None]:
        """Send a message; see `WebSocketChannel`. Whether it is compressed the server decides."""
        if self._closing or self.close_code is not None:
            raise self._closed()
        data = message.data if isinstance(message, SharedMessage) else message
        key = "text" if isinstance(data, str) else "bytes"
        return self._send({"type": "websocket.send", key: data})

    async def _send(self, message: Message) -> None:
        try:
            await self._send_message(message)
        except OSError:
            if self.close_code is None:
                self.close_code = _VANISHED
            raise self._closed() from None

    def ping(self, payload: bytes) -> None:  # noqa: ARG002
        """Nothing: Pings are the server's."""
        if self._closing or self.close_code is not None:
            raise self._closed()

    def close(self, code: int, reason: str) -> Awaitable[None] | None:
        """Send the Close; see `WebSocketChannel`."""
        check_close(code)
        if self._closing or self.close_code is not None:
            return None
        return self._close(code, reason)

    async def _close(self, code: int, reason: str) -> None:
        self._closing = True
        pending, self.next = self.next, None
        if pending is not None:
            await _end((pending,))  # Granian writes no Close while somebody receives
        with suppress(WebSocketClosed):  # the client was faster
            await self._send(
                {"type": "websocket.close", "code": code, "reason": cut_reason(reason)}
            )
        self._close_sent.set()

    async def finish(self, error: BaseException | None) -> None:
        """The handler is through; see `WebSocketChannel`. The server waits for the client."""
        code = 1000
        if error is not None:
            logger.error("request %s: the WebSocket failed", self._request_id, exc_info=error)
            code = error.close_code if isinstance(error, ProtocolError) else 1011
        closing = self.close(code, "")
        if closing is not None:
            await closing


def _size(message: str | bytes) -> int:
    """In bytes, as it is on the wire."""
    return len(message.encode()) if isinstance(message, str) else len(message)
