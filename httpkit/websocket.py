"""What WebSocket handlers get: `WebSocket`.

Owns the order of things: one answer, either `accept` or another Response, then messages. What
needs an event loop is a method of a `WebSocketOpening` before the answer, which a route makes, and
of a `WebSocketChannel` after it, which the server makes.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar, overload

import msgspec

from httpkit.headers import HeaderFields, Headers, encode_fields
from httpkit.request import Request, State
from httpkit.response import Upgrade, Wire
from httpkit.semantics.websocket import (
    DeflateAgreement,
    DeflateOptions,
    accept_key,
    choose_subprotocol,
    negotiate_deflate,
    read_subprotocols,
)
from httpkit.types import Cancellable, RawStream, WebSocketChannel, WebSocketOpening
from httpkit.urls import Query

__all__ = ["SharedMessage", "WebSocket", "WebSocketUpgrade"]

T = TypeVar("T")
_encode_json = msgspec.json.encode
_decode_json = msgspec.json.decode


class SharedMessage:
    """A message for many: `ws.send(message)` frames it once, however many WebSockets get it.

        message = SharedMessage("the news")
        for ws in listeners:
            await ws.send(message)

    Args:
        data: `str`, or anything like `bytes`.

    Attributes:
        data: `str` for text, `bytes` for binary; not to be changed.
        wire: where engines keep the bytes that they have made of it.

    Raises:
        TypeError: not such a message.
    """

    __slots__ = ("data", "wire")

    def __init__(self, data: str | bytes) -> None:
        self.data = data if type(data) is str or type(data) is bytes else _plain(data)
        self.wire: Wire = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.data!r:.60}>"


class WebSocketUpgrade(Upgrade):
    """The answer that opens a WebSocket; `WebSocket.accept` gives it to the server.

    Middleware may add headers and cookies to it, as to any Response, or answer otherwise.

    Attributes:
        task: runs the handler; the server cancels it when the client is gone for good.
        overrides: limits of the route, see `httpkit.limits.WebSocketLimits`.
        deflate: the agreement, or `None`.
        open: takes the channel once the answer is out.
    """

    __slots__ = ("deflate", "open", "overrides", "task")

    def __init__(
        self,
        task: Cancellable,
        overrides: Mapping[str, Any],
        deflate: DeflateAgreement | None,
        open: Callable[[WebSocketChannel], object],
    ) -> None:
        super().__init__("websocket", _run_raw)
        self.task = task
        self.overrides = overrides
        self.deflate = deflate
        self.open = open


async def _run_raw(stream: RawStream) -> None:  # noqa: ARG001
    raise RuntimeError("a WebSocket needs a server: test it with wire=True")


class _NotAccepted:
    """Stands in for the channel before there is one; implements `WebSocketChannel`."""

    close_code: int | None = None
    close_reason = ""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(
            "accept the WebSocket first: await ws.accept(), or return a Response to refuse it"
        )


NOT_ACCEPTED: Any = _NotAccepted()


class WebSocket:
    """One WebSocket, from the request for it to its end.

        @app.websocket("/echo")
        async def echo(ws: WebSocket) -> None:
            await ws.accept()
            async for message in ws:
                await ws.send(message)

    Until `accept`, the handler may return or raise any answer instead. When it returns after
    `accept`, the WebSocket is closed with 1000; when it raises, with 1011.

    Args:
        request: that asks for it.
        key: from the handshake, `None` for an extended CONNECT.
        opening: what gives the answer to the server.
        task: that runs the handler.
        subprotocols: that the route speaks, the favorite first.
        compression: what the route wants of it, `None` for none.
        overrides: limits of the route.

    Attributes:
        request: that asked for it; everything about the client stands there.
        accepted: `accept` has been called.
        response: the answer that `accept` will give; add headers and cookies to it before.
        offered: the subprotocols that the client offers, its favorite first.
        subprotocol: the one that was chosen, `None` for none and before `accept`.
    """

    __slots__ = (
        "_key",
        "_opening",
        "_spoken",
        "accepted",
        "channel",
        "offered",
        "request",
        "response",
        "subprotocol",
    )

    def __init__(
        self,
        request: Request,
        key: str | None,
        opening: WebSocketOpening,
        task: Cancellable,
        *,
        subprotocols: Sequence[str],
        compression: DeflateOptions | None,
        overrides: Mapping[str, Any],
    ) -> None:
        self.request = request
        self.offered = read_subprotocols(request.headers)
        self.subprotocol: str | None = None
        self.accepted = False
        deflate = None if compression is None else negotiate_deflate(request.headers, compression)
        self.response = WebSocketUpgrade(task, overrides, deflate, opening.open)
        self._key = key
        self._opening = opening
        self._spoken = subprotocols
        #: The server's side, once it is accepted.
        self.channel: WebSocketChannel = NOT_ACCEPTED

    # --- the request -------------------------------------------------------------------------

    @property
    def headers(self) -> Headers:
        """The header fields of the request."""
        return self.request.headers

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the request."""
        return self.request.cookies

    @property
    def query(self) -> Query:
        """The query of the request."""
        return self.request.query

    @property
    def path_params(self) -> Mapping[str, Any]:
        """What the route's converters took from the path."""
        return self.request.path_params

    @property
    def state(self) -> State:
        """Attributes of your own; those that middleware has set on the request are here."""
        return self.request.state

    # --- the answer --------------------------------------------------------------------------

    async def accept(
        self, subprotocol: str | None = None, headers: HeaderFields | None = None
    ) -> None:
        """Open the WebSocket; returns when the answer is on its way.

        Args:
            subprotocol: one that the client has offered; by default the first of the route's
                that it has.
            headers: added to `response`.

        Raises:
            RuntimeError: it was called before.
            ValueError: a subprotocol that was not offered.
            WebSocketClosed: the request was answered otherwise before.
            asyncio.CancelledError: it is answered otherwise now, by middleware, or the client is
                gone.
        """
        if self.accepted:
            raise RuntimeError("this WebSocket was accepted before")
        if subprotocol is None:
            subprotocol = choose_subprotocol(self.offered, self._spoken)
        elif subprotocol not in self.offered:
            raise ValueError(f"the client did not offer the subprotocol {subprotocol!r}")
        response = self.response
        fields = response.headers
        for name, value in encode_fields(headers):
            fields.add(name.decode("ascii"), value.decode("latin-1"))
        if self._key is not None:
            fields["sec-websocket-accept"] = accept_key(self._key)
        if subprotocol is not None:
            fields["sec-websocket-protocol"] = subprotocol
        if response.deflate is not None:
            fields["sec-websocket-extensions"] = response.deflate.answer
        self.subprotocol = subprotocol
        self.accepted = True
        self.channel = await self._opening.accept(response)

    @property
    def open(self) -> bool:
        """Whether `accept` has come through."""
        return self.channel is not NOT_ACCEPTED

    # --- messages ----------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages; the iteration ends with the WebSocket, in whichever way."""
        return self if self.channel is NOT_ACCEPTED else self.channel

    def __anext__(self) -> Coroutine[Any, Any, str | bytes]:
        """The next message."""
        return self.channel.__anext__()

    async def receive(self) -> str | bytes:
        """The next message: `str` for text, `bytes` for binary.

        Raises:
            WebSocketClosed: there is none, with the code of the close.
            RuntimeError: somebody else is receiving.
        """
        return await self.channel.receive()

    @overload
    async def receive_json(self) -> Any: ...
    @overload
    async def receive_json(self, type: type[T]) -> T: ...
    async def receive_json(self, type: Any = Any) -> Any:
        """The next message as JSON, text or binary; with a type it is validated.

        Raises:
            msgspec.DecodeError: it is not JSON, or (`ValidationError`) not of this type.
            WebSocketClosed: there is none.
        """
        message = await self.channel.receive()
        try:
            return _decode_json(message, type=type)
        except (UnicodeDecodeError, RecursionError) as error:
            # Which of them it is depends on what the client sends, and handlers are ready for one.
            raise msgspec.DecodeError(f"JSON is malformed: {error}") from None

    async def send(
        self, message: str | bytes | SharedMessage, *, compress: bool | None = None
    ) -> None:
        """Send text or binary. What is sent in one turn of the loop is written at once.

        While the client is slow and `websocket_send_buffer` is full this waits, drops the message
        or closes with 1013, as `websocket_slow_client` or the route says.

        Args:
            message: `str`, anything like `bytes`, or a `SharedMessage`, as those of channels are.
            compress: by default large messages are, if the client can read that.

        Raises:
            WebSocketClosed: the WebSocket is closed, or the client gone.
            TypeError: not such a message.
        """
        if type(message) is not str and type(message) is not bytes:
            message = message if isinstance(message, SharedMessage) else _plain(message)
        full = self.channel.send(message, compress)
        if full is not None:
            await full

    async def send_json(self, value: Any, *, compress: bool | None = None) -> None:
        """Send anything that msgspec can encode, as JSON in a text message.

        Raises:
            TypeError: it cannot be encoded.
            WebSocketClosed: as `send`.
        """
        await self.send(_encode_json(value).decode(), compress=compress)

    async def ping(self, payload: bytes = b"") -> None:
        """Send a Ping of up to 125 bytes. Silent clients are pinged without this.

        Raises:
            WebSocketClosed: the WebSocket is closed.
        """
        self.channel.ping(payload)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close (RFC 6455 §7); messages that the client sent before its own still arrive.

        The handshake of the close ends after the handler returns, for at most
        `websocket_close_timeout`. A second call does nothing.

        Args:
            code: 1000, another that may be sent (RFC 6455 §7.4), or 3000 to 4999.
            reason: up to 123 bytes of UTF-8; cut beyond.

        Raises:
            LocalProtocolError: a code that must not be sent.
        """
        closing = self.channel.close(code, reason)
        if closing is not None:
            await closing

    @property
    def close_code(self) -> int | None:
        """The code of the close once the client's has arrived, 1006 if it vanished; else `None`."""
        return self.channel.close_code

    @property
    def close_reason(self) -> str:
        """The reason that came with it."""
        return self.channel.close_reason

    def __repr__(self) -> str:
        state = "accepted" if self.accepted else "not accepted"
        return f"<WebSocket {self.request.path} {state}>"


def _plain(message: object) -> str | bytes:
    """What is like text or like bytes, as such."""
    if isinstance(message, str):
        return str(message)
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    raise TypeError(f"a WebSocket sends str or bytes, not {type(message).__name__}")
