"""`ASGICallable`: an `Application` as an ASGI app (version 3), so that other servers serve it.

Owns what a server of ours would do otherwise: the request from a scope, the body from `receive`,
the answer to `send`. A WebSocket is refused, and so is an `Upgrade`.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from httpkit.asgi.messages import Message, Receive, Scope, Send
from httpkit.body import FileBody, UnopenedFile
from httpkit.errors import BodyTooLarge, ClientDisconnected, HTTPError
from httpkit.headers import Headers, RawHeaders, encode_fields
from httpkit.limits import Limits
from httpkit.protocol.outgoing import OutgoingFields, check_trailers, has_no_body
from httpkit.request import Request, RequestHead
from httpkit.response import Response, Upgrade, open_file
from httpkit.server.blocking import run_blocking
from httpkit.server.send import send_file
from httpkit.status import BODILESS
from httpkit.tls import TLSInfo
from httpkit.types import Address, Application, Cancellable
from httpkit.urls import quote_path

__all__ = ["ASGICallable"]

logger = logging.getLogger("httpkit")

_numbers = itertools.count(1)
#: One of them stands in a request of HTTP/1.1 with a body (RFC 9112 §6.1, §6.2).
_WITH_BODY = frozenset({b"content-length", b"transfer-encoding"})


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
            await receive()
            await send({"type": "websocket.close", "code": 1000})
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
        channel = _Channel(scope, receive, send)
        headers = tuple((bytes(name).lower(), bytes(value)) for name, value in scope["headers"])
        authority = next((value for name, value in headers if name == b"host"), b"")
        version = str(scope.get("http_version", "1.1"))
        head = RequestHead(scope["method"], _target(scope), authority, headers, "", version)
        request = Request.of(channel, head, scope.get("scheme", "http"), self._max_body)
        channel.request = request
        if not any(name in _WITH_BODY for name, _ in headers) and version in ("1.0", "1.1"):
            channel.ended = True  # RFC 9112 §6.3: there is no body, and nothing to wait for
        try:
            answer = self._application.handle(request)
            response = answer if isinstance(answer, Response) else await answer
            if isinstance(response.body, UnopenedFile):
                response = await run_blocking(open_file, response)
        except HTTPError as error:  # an application that is no App raises them
            response = Response(f"{error.status} {error.detail}\n", error.status, error.headers)
        except BodyTooLarge as error:
            response = Response(f"{error}\n", error.status)
        if isinstance(response, Upgrade):
            response = Response("This server cannot leave HTTP.\n", 501)
        try:
            await _Answer(channel, request.method, response).send()
        except (ClientDisconnected, OSError):
            channel.disconnected = True
        finally:
            # As the exchange of a server: the two would hold each other.
            channel.request = None
        for call in response.background or ():
            try:
                result = call()
                if isinstance(result, Awaitable):
                    await result
            except Exception:
                logger.exception("a background call failed")


def _target(scope: Scope) -> bytes:
    """The request target below the place where the application is mounted."""
    root, path, raw = scope.get("root_path", ""), scope["path"], scope.get("raw_path") or b""
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        path = path[len(root) :]
        encoded = quote_path(root).encode()
        raw = raw[len(encoded) :] if raw.startswith(encoded) else b""
    # What a server decoded it has decoded from UTF-8; what it could not is a surrogate here.
    target = raw.partition(b"?")[0] or quote(path, errors="surrogateescape").encode()
    if target != b"*" and not target.startswith(b"/"):
        target = b"/" + target
    query = bytes(scope.get("query_string", b""))
    return target + b"?" + query if query else target


class _Channel:
    """The server's side of a request, over ASGI; implements `types.RequestChannel` and `Outlet`.

    Attributes:
        ended: the body of the request has been received.
        disconnected: the client is known to be gone.
        request: while it is being answered.
    """

    shutting_down = False
    #: What ASGI tells of it is less than a `TLSInfo` has.
    tls: TLSInfo | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.extensions = scope.get("extensions") or {}
        self.request_id = f"asgi-{next(_numbers):x}"
        self.client = _address(scope.get("client"))
        self.server = _address(scope.get("server"))
        self.ended = False
        self.disconnected = False
        self.request: Request | None = None
        self._receive = receive
        self.send_message = send
        self._size = 0

    def take_body(self) -> bytes | None:
        """Bodies come in pieces here."""
        return None

    async def receive_body(self) -> bytes:
        """The next piece of the body, `b""` at its end."""
        while not self.ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.disconnected = True
                raise ClientDisconnected("the client went away before the end of its request")
            self.ended = not message.get("more_body")
            data: bytes = message.get("body", b"")
            self._size += len(data)
            limit = None if self.request is None else self.request.max_body
            if limit is not None and self._size > limit:
                raise BodyTooLarge(f"The body is larger than {limit} bytes.")
            if data:
                return data
        return b""

    async def wait_disconnected(self) -> None:
        """Return when the client is gone; the body must have been received."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.disconnected = True

    def trailers(self) -> Headers:
        """None: ASGI passes on no trailers of requests."""
        return Headers()

    async def send_informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Early hints, where the server can send them; other interim responses it cannot."""
        if status == 103 and "http.response.early_hint" in self.extensions:
            links = [value for name, value in headers if name == b"link"]
            await self.send_message({"type": "http.response.early_hint", "links": links})

    def push(self, target: bytes, headers: RawHeaders) -> bool:  # noqa: ARG002
        """Whether a server has pushed anything, it does not say."""
        return False

    def is_disconnected(self) -> bool:
        """Whether the client is known to be gone."""
        return self.disconnected

    def attach(self, task: Cancellable) -> None:
        """Nothing is accepted here that could take a task over."""
        task.cancel("WebSockets are not served here")

    run_blocking = staticmethod(run_blocking)

    async def send(self, data: bytes) -> None:
        """A piece of the answer's body."""
        await self.send_message({"type": "http.response.body", "body": data, "more_body": True})

    async def pass_file(self, body: FileBody) -> bool:  # noqa: ARG002
        """No: an answer is made of messages."""
        return False


class _Answer:
    """Writes one answer as messages."""

    def __init__(self, channel: _Channel, method: str, response: Response) -> None:
        self._channel = channel
        self._response = response
        self._bodiless = has_no_body(method, response.status)

    async def send(self) -> None:
        """Head, body, trailers."""
        response, send = self._response, self._channel.send_message
        with_trailers = (
            response.trailers is not None and "http.response.trailers" in self._channel.extensions
        )
        body = response.body
        try:
            start: Message = {
                "type": "http.response.start",
                "status": response.status,
                "headers": self._fields(),
            }
            if with_trailers:
                start["trailers"] = True
            await send(start)
            last = b""
            if not self._bodiless:
                last = await self._send_body(body)
            await send({"type": "http.response.body", "body": last, "more_body": False})
        finally:
            if isinstance(body, FileBody):
                body.close()
        if with_trailers:
            trailers = response.trailers
            fields = check_trailers(encode_fields(trailers() if callable(trailers) else trailers))
            await send({"type": "http.response.trailers", "headers": fields})

    def _fields(self) -> RawHeaders:
        """The checked fields, and the length of the body where it is known."""
        outgoing = OutgoingFields(self._response.raw_headers)
        length, body = outgoing.content_length, self._response.body
        if length is None and self._response.status not in BODILESS:
            if isinstance(body, bytes):
                length = len(body)
            elif isinstance(body, FileBody):
                length = body.length
        if length is not None:
            outgoing.fields.append((b"content-length", b"%d" % length))
        return outgoing.fields

    async def _send_body(self, body: object) -> bytes:
        """Send all of it but a last piece, which can take the end with it."""
        if isinstance(body, bytes):
            return body
        if isinstance(body, FileBody):
            await send_file(self._channel, body)
        else:
            assert isinstance(body, AsyncIterable)
            await self._send_stream(body)
        return b""

    async def _send_stream(self, body: AsyncIterable[bytes | str]) -> None:
        """A body without end stops when its client goes away, which only `receive` may tell."""
        if not self._channel.ended:
            # Somebody may still read the request while its answer is on its way.
            await self._send_pieces(body)
            return
        sending = asyncio.ensure_future(self._send_pieces(body))
        watching = asyncio.ensure_future(self._channel.wait_disconnected())
        try:
            await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ClientDisconnected("the client has gone")
        finally:
            for task in (sending, watching):
                if not task.done():
                    task.cancel("the client has gone")
                    with suppress(asyncio.CancelledError, Exception):
                        await task
        sending.result()

    async def _send_pieces(self, body: AsyncIterable[bytes | str]) -> None:
        iterator = aiter(body)
        try:
            async for piece in iterator:
                data = piece.encode() if isinstance(piece, str) else bytes(memoryview(piece))
                if data:
                    await self._channel.send(data)
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()


def _address(value: Any) -> Address | None:
    return None if not value else Address(str(value[0]), int(value[1] or 0))
