"""The server's side of a request that another server has received and tells in ASGI's messages.

Owns what becomes of `receive` and `send` behind a `Request`. Made by `ASGICallable`.
"""

import itertools
from collections.abc import Iterable
from typing import Any, Literal

from httpkit.asgi.messages import Message, Receive, Scope, Send
from httpkit.body import FileBody
from httpkit.errors import BodyTooLarge, ClientDisconnected
from httpkit.headers import Headers, RawHeaders
from httpkit.request import Request
from httpkit.server.blocking import run_blocking
from httpkit.tls import TLSInfo
from httpkit.types import Address, Cancellable

__all__ = ["AnswerKind", "Channel"]

#: How the types of the messages of an answer begin: to a request, or to one for a WebSocket.
AnswerKind = Literal["http.response", "websocket.http.response"]

_numbers = itertools.count(1)


class Channel:
    """Implements `types.RequestChannel`, and `Outlet` as far as files need it.

    Args:
        scope: of the request.
        receive: gives the messages of the server.
        send: takes those of the answer.
        kind: of the answer.

    Attributes:
        announced: a field says that a body comes, or need not (HTTP/2). Where none does, nothing
            comes over HTTP/1.1; but gateways make scopes of other things, so it is received still.
        ended: the body of the request has been received.
        disconnected: the client is known to be gone.
        request: while it is being answered.
        attached: ends with the request.
    """

    shutting_down = False
    #: What ASGI tells of it is less than a `TLSInfo` has.
    tls: TLSInfo | None = None

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, kind: AnswerKind = "http.response"
    ) -> None:
        self.extensions = scope.get("extensions") or {}
        self.request_id = f"asgi-{next(_numbers):x}"
        self.client = _address(scope.get("client"))
        self.server = _address(scope.get("server"))
        self.kind = kind
        self.announced = True
        self.ended = False
        self.disconnected = False
        self.request: Request | None = None
        self.attached: Cancellable | None = None
        self.receive_message = receive
        self.send_message = send
        self._size = 0
        #: A message that was received before anybody wanted the body.
        self._first: Message | None = None

    def take_body(self) -> bytes | None:
        """Bodies come in pieces here."""
        return None

    async def receive_body(self) -> bytes:
        """The next piece of the body, `b""` at its end."""
        while not self.ended:
            message = self._first or await self.receive_message()
            self._first = None
            if message["type"] == "http.disconnect":
                self.disconnected = True
                raise ClientDisconnected("the client went away before the end of its request")
            self.ended = not message.get("more_body")
            data: bytes = message.get("body", b"")
            self._size += len(data)
            limit = None if self.request is None else self.request.max_body
            if limit is not None and self._size > limit:
                raise BodyTooLarge.beyond(limit)
            if data:
                return data
        return b""

    async def has_arrived(self) -> bool:
        """Whether nothing more of the body can come; waits for the first message to know that."""
        if not self.ended and self._first is None:
            self._first = await self.receive_message()
        first = self._first
        return self.ended or (first is not None and not first.get("more_body"))

    async def wait_disconnected(self) -> None:
        """Return when the client is gone; the body must have arrived."""
        if self._first is not None and self._first["type"] == "http.disconnect":
            self.disconnected = True
            return
        while not (await self.receive_message())["type"].endswith(".disconnect"):
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
        """Let a task end with the request; `close` does it."""
        self.attached = task

    def close(self) -> None:
        """The request is over."""
        # As the exchange of a server: the two would hold each other.
        self.request = None
        if self.attached is not None:
            self.attached.cancel("the request was answered otherwise")

    run_blocking = staticmethod(run_blocking)

    async def send(self, data: bytes) -> None:
        """A piece of the answer's body."""
        await self.send_message({"type": f"{self.kind}.body", "body": data, "more_body": True})

    async def pass_file(self, body: FileBody) -> bool:  # noqa: ARG002
        """No: an answer is made of messages."""
        return False


def _address(value: Any) -> Address | None:
    return None if not value else Address(str(value[0]), int(value[1] or 0))
