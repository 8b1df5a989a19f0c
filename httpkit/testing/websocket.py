"""The client's end of a WebSocket in tests, on wsproto: another implementation than the server's.

Owns the client's handshake and its frames. From `Client.websocket_connect` and that of
`AsyncClient`.
"""

import asyncio
import os
from base64 import b64encode
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self

import msgspec
from wsproto.connection import Connection as Wire
from wsproto.connection import ConnectionType
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError as WireClosed

from httpkit.errors import RemoteProtocolError, WebSocketClosed
from httpkit.headers import RawHeaders
from httpkit.semantics.websocket import accept_key
from httpkit.testing.driver import Reply
from httpkit.testing.messages import PreparedRequest
from httpkit.testing.portal import Portal
from httpkit.testing.response import AsyncUpgradedStream, Head

__all__ = ["AsyncWebSocketConnection", "WebSocketConnection", "handshake_fields"]

#: Seconds that the handshake of the close may take when a test leaves the connection.
_PATIENCE = 1.0


def handshake_fields(subprotocols: Iterable[str]) -> RawHeaders:
    """The fields of a client's handshake (RFC 6455 §4.1)."""
    fields = [
        (b"connection", b"upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b64encode(os.urandom(16))),
    ]
    if offered := ", ".join(subprotocols):
        fields.append((b"sec-websocket-protocol", offered.encode()))
    return fields


class AsyncWebSocketConnection(Head):
    """An open WebSocket.

    Attributes:
        subprotocol: that the server has chosen, or `None`.
        close_code: of the server's Close, once it has come.
        close_reason: of the server's Close.
    """

    def __init__(self, reply: Reply, request: PreparedRequest, *, strict: bool) -> None:
        super().__init__(reply, request)
        self.reply = reply
        self._strict = strict
        key = (request.header(b"sec-websocket-key") or b"").decode()
        if reply.headers.get("sec-websocket-accept") != accept_key(key):
            raise RemoteProtocolError("Sec-WebSocket-Accept does not belong to the key.")
        self.subprotocol = reply.headers.get("sec-websocket-protocol")
        self.close_code: int | None = None
        self.close_reason = ""
        self._stream = AsyncUpgradedStream(reply, request, strict=strict)
        self._wire = Wire(ConnectionType.CLIENT)
        self._messages: deque[str | bytes] = deque()
        self._parts: list[Any] = []

    async def send(self, message: str | bytes) -> None:
        """Send text or binary.

        Raises:
            WebSocketClosed: one of the sides has closed.
        """
        kind = TextMessage if isinstance(message, str) else BytesMessage
        try:
            data = self._wire.send(kind(data=message))  # type: ignore[arg-type]
        except WireClosed:
            raise self._closed() from None
        await self._stream.send(data)

    async def send_json(self, value: Any) -> None:
        """Send a value as JSON in a text message."""
        await self.send(msgspec.json.encode(value).decode())

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            WebSocketClosed: the server has closed.
            Exception: what the handler raised, with `raise_server_exceptions`.
        """
        while not self._messages:
            if self.close_code is not None:
                if self._strict and self.reply.error is not None:
                    raise self.reply.error
                raise self._closed()
            data = await self._stream.receive()
            if not data:
                self.close_code = 1006
                continue
            self._wire.receive_data(data)
            for event in self._wire.events():
                await self._handle(event)
        return self._messages.popleft()

    async def _handle(self, event: object) -> None:
        if isinstance(event, Message):
            self._parts.append(event.data)
            if event.message_finished:
                self._messages.append(type(event.data)().join(self._parts))
                self._parts.clear()
        elif isinstance(event, Ping):
            await self._stream.send(self._wire.send(event.response()))
        elif isinstance(event, CloseConnection):
            with suppress(WireClosed):  # it answers ours
                await self._stream.send(self._wire.send(event.response()))
            self.close_code, self.close_reason = int(event.code), event.reason or ""

    async def receive_json(self) -> Any:
        """The next message as JSON."""
        return msgspec.json.decode(await self.receive())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except WebSocketClosed:
            raise StopAsyncIteration from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close; further messages may still be received."""
        with suppress(WireClosed):  # it is closed already
            await self._stream.send(self._wire.send(CloseConnection(code=code, reason=reason)))

    async def leave(self) -> None:
        """Close, and give the server a moment to do so, too."""
        await self.close()
        with suppress(TimeoutError, RemoteProtocolError):
            async with asyncio.timeout(_PATIENCE):
                async for _ in self:
                    pass

    def _closed(self) -> WebSocketClosed:
        code = 1006 if self.close_code is None else self.close_code
        return WebSocketClosed(code, self.close_reason)


class WebSocketConnection(Head):
    """`AsyncWebSocketConnection` for plain functions."""

    def __init__(self, connection: AsyncWebSocketConnection, portal: Portal) -> None:
        super().__init__(connection.reply, connection.request)
        self._connection = connection
        self._portal = portal
        self.subprotocol = connection.subprotocol

    @property
    def close_code(self) -> int | None:
        """Of the server's Close, once it has come."""
        return self._connection.close_code

    @property
    def close_reason(self) -> str:
        """Of the server's Close."""
        return self._connection.close_reason

    def send(self, message: str | bytes) -> None:
        """See `AsyncWebSocketConnection.send`."""
        self._portal.call(self._connection.send(message))

    def send_json(self, value: Any) -> None:
        """See `AsyncWebSocketConnection.send_json`."""
        self._portal.call(self._connection.send_json(value))

    def receive(self) -> str | bytes:
        """See `AsyncWebSocketConnection.receive`."""
        return self._portal.call(self._connection.receive())

    def receive_json(self) -> Any:
        """See `AsyncWebSocketConnection.receive_json`."""
        return self._portal.call(self._connection.receive_json())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str | bytes:
        try:
            return self.receive()
        except WebSocketClosed:
            raise StopIteration from None

    def close(self, code: int = 1000, reason: str = "") -> None:
        """See `AsyncWebSocketConnection.close`."""
        self._portal.call(self._connection.close(code, reason))
