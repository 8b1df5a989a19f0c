"""One request of a hosted application: what its `receive` and `send` do.

Theory of operation:

1. The head of an answer is kept until the first piece of its body is there. If that is the whole
   body, the answer is one `Response`: returned, if the application ends in its first step, else
   handed to the outlet at once. No task, queue or future is made for it.
2. A body in pieces goes to the outlet piece by piece, in the task of the application; `send`
   returns when there is room for more.
3. The states go forward only. What a state does not expect is an error of the application, which
   is raised where the mistake is.
4. When the client is gone, `receive` says so and `send` raises `ClientGone`, an `OSError`; the
   application is not cancelled. The same holds when the body was too large: then the client has
   got its 413.
"""

import os
from collections.abc import Iterable
from typing import Protocol

import msgspec

from httpkit.asgi.messages import (
    ASGIProtocolError,
    ClientGone,
    Message,
    check_bytes,
    check_fields,
    make_answer,
    make_disconnect,
)
from httpkit.body import FileBody
from httpkit.errors import BodyTooLarge, ClientDisconnected, LocalProtocolError
from httpkit.protocol.outgoing import has_no_body
from httpkit.request import Request
from httpkit.response import Response
from httpkit.server.send import send_file
from httpkit.types import RequestChannel

__all__ = ["COMPLETE", "Cycle", "Outlet"]

# The state of an answer; numbers, since members of an Enum are slow on Python 3.11.
WAITING, STARTED, STREAMING, TRAILING, COMPLETE = range(5)
_EXPECTED = {
    WAITING: "http.response.start",
    STARTED: "http.response.body",
    STREAMING: "http.response.body",
    TRAILING: "http.response.trailers",
    COMPLETE: "nothing more",
}


class Outlet(Protocol):
    """Where an answer goes: `server.exchange.Exchange`, or a `Handoff`."""

    gone: bool

    def send_head(self, response: Response) -> None:
        """The head of an answer in pieces."""

    async def send(self, data: bytes) -> None:
        """A piece of its body; waits while there is no room for more."""

    async def pass_file(self, body: FileBody) -> bool:
        """A whole file past everything between, where that is possible."""

    def send_end(self, data: bytes = b"", trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The last piece, and the end."""

    def conclude(self, response: Response) -> None:
        """A whole answer."""

    async def wait_ended(self) -> None:
        """Return when the peer is gone, or the answer is out."""


class Cycle(msgspec.Struct, eq=False):
    """One request and its answer, as an ASGI application sees them.

    Attributes:
        request: what is answered.
        channel: where the body of the request comes from.
        outlet: where the answer goes.
        state: how far the answer is.
        response: the answer as far as it is known.
        eager: a whole answer goes out at once; before the end of the first step it is kept.
    """

    request: Request
    channel: RequestChannel
    outlet: Outlet
    eager: bool = False
    state: int = WAITING
    response: Response | None = None
    _length: int | None = None
    _trailers: tuple[tuple[bytes, bytes], ...] = ()
    _received: bool = False
    _refused: bool = False
    _bodiless: bool = False

    # --- receive -----------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next piece of the body, then `http.disconnect` when there is nobody to answer."""
        if self.state == COMPLETE:
            return make_disconnect()
        if self._received:
            await self.outlet.wait_ended()
            return make_disconnect()
        try:
            data = self.channel.take_body()
            if data is not None:
                self._received = True
                return {"type": "http.request", "body": data, "more_body": False}
            data = await self.channel.receive_body()
        except BodyTooLarge as error:
            self._refuse(error)
            return make_disconnect()
        except ClientDisconnected:
            return make_disconnect()
        except RuntimeError:
            # The answer went out meanwhile, or nobody waits for it any more.
            if self.state == COMPLETE or self.outlet.gone:
                return make_disconnect()
            raise
        self._received = not data
        return {"type": "http.request", "body": data, "more_body": bool(data)}

    def _refuse(self, error: BodyTooLarge) -> None:
        """The server answers instead of the application, which must not see half a body."""
        self._received = self._refused = True
        if self.state in (WAITING, STARTED):
            self.state = COMPLETE
            self.response = Response(f"{error.status} {error}\n", error.status)
            self.outlet.conclude(self.response)
        # An answer that is on its way already goes on without the rest of the request.

    # --- send --------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take a message.

        Raises:
            ASGIProtocolError: it is not allowed, or not here.
            ClientGone: there is nobody to answer any more.
            LocalProtocolError: something that must not reach the wire.
        """
        kind = message["type"]
        if self.outlet.gone or self._refused:
            raise ClientGone
        if kind == "http.response.start":
            if self.state != WAITING:
                self._fail(kind)
            self.response, self._length = make_answer(message)
            if message.get("trailers"):
                self.response.trailers = ()
            self.state = STARTED
        elif kind == "http.response.body":
            data = message.get("body", b"")
            if type(data) is not bytes:
                data = check_bytes(message, "body")
            if message.get("more_body") or self.state != STARTED:
                self._expect_body(kind)
                await self._send_piece(data, more=bool(message.get("more_body")))
                return
            response = self.response
            if response.trailers is not None:  # type: ignore[union-attr]  # there is one
                self._send_head(self._length)
                await self._send_piece(data, more=False)
                return
            if self._length is not None and self._length != len(data):
                self._check_length(data)
            response.body = data  # type: ignore[union-attr]
            self.state = COMPLETE
            if self.eager:
                self.outlet.conclude(response)  # type: ignore[arg-type]
        else:
            await self._send_extension(kind, message)

    def _check_length(self, data: bytes) -> None:
        """The whole body is not as long as was announced, which some answers may say."""
        response, length = self.response, self._length
        assert response is not None
        assert length is not None
        if not has_no_body(self.request.method, response.status):
            raise LocalProtocolError(
                f"Content-Length says {length} bytes but the body has {len(data)}"
            )
        response.raw_headers = [*response.raw_headers, _content_length(length)]

    def _expect_body(self, kind: str) -> None:
        """Send the head, unless it is out."""
        if self.state == STARTED:
            self._send_head(self._length)
        elif self.state != STREAMING:
            self._fail(kind)

    def _send_head(self, length: int | None) -> None:
        response = self.response
        assert response is not None
        if length is not None:
            response.raw_headers = [*response.raw_headers, _content_length(length)]
        self._bodiless = has_no_body(self.request.method, response.status)
        self.outlet.send_head(response)
        self.state = STREAMING

    async def _send_piece(self, data: bytes, *, more: bool) -> None:
        """A piece of the body; the last one takes the end with it."""
        if self._bodiless:
            data = b""
        if more:
            try:
                await self.outlet.send(data)
            except ClientDisconnected as error:
                raise ClientGone(str(error)) from None
        elif self.response is not None and self.response.trailers is not None:
            await self.outlet.send(data)
            self.state = TRAILING
        else:
            self.outlet.send_end(data)
            self.state = COMPLETE

    def _fail(self, kind: str) -> None:
        raise ASGIProtocolError(f"{kind} was sent where {_EXPECTED[self.state]} is expected")

    # --- extensions --------------------------------------------------------------------------

    async def _send_extension(self, kind: str, message: Message) -> None:
        if kind == "http.response.trailers":
            self._send_trailers(message)
        elif kind == "http.response.pathsend":
            await self._send_path(message)
        elif kind == "http.response.zerocopysend":
            await self._send_descriptor(message)
        elif kind in ("http.response.early_hint", "http.response.push"):
            if self.state not in (WAITING, STARTED):
                self._fail(kind)
            if kind == "http.response.push":
                self.request.push(message["path"], check_fields(message.get("headers", ())))
            else:
                links = check_fields((b"link", link) for link in message.get("links", ()))
                await self.channel.send_informational(103, links)
        else:
            raise ASGIProtocolError(f"{kind!r} is no message that an HTTP answer is made of")

    def _send_trailers(self, message: Message) -> None:
        if self.state != TRAILING:
            self._fail("http.response.trailers")
        self._trailers += check_fields(message.get("headers", ()))
        if not message.get("more_trailers"):
            self.outlet.send_end(b"", self._trailers)
            self.state = COMPLETE

    async def _send_path(self, message: Message) -> None:
        if self.state != STARTED:
            self._fail("http.response.pathsend")
        path = message.get("path")
        if not isinstance(path, str) or not os.path.isabs(path):
            raise ASGIProtocolError(f"{path!r} of http.response.pathsend is no absolute path")
        body = await self.channel.run_blocking(FileBody, path)
        await self._send_file(body, more=False)

    async def _send_descriptor(self, message: Message) -> None:
        if self.state not in (STARTED, STREAMING):
            self._fail("http.response.zerocopysend")
        body, rewind = await self.channel.run_blocking(_open_descriptor, message)
        end = body.offset + body.length
        await self._send_file(body, more=bool(message.get("more_body")))
        if rewind is not None:
            os.lseek(rewind, end, os.SEEK_SET)

    async def _send_file(self, body: FileBody, *, more: bool) -> None:
        """Send a file and close it."""
        try:
            if self.state == STARTED:
                known = self._length is not None or more
                self._send_head(self._length if known else body.length)
            if not self._bodiless:
                await send_file(self.outlet, body)
        except ClientDisconnected as error:
            raise ClientGone(str(error)) from None
        finally:
            body.close()
        if not more:
            await self._send_piece(b"", more=False)


def _content_length(length: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % length


def _open_descriptor(message: Message) -> tuple[FileBody, int | None]:
    """The part of a file that `http.response.zerocopysend` names.

    Also the descriptor whose position has to be moved behind that part, since no offset was given.
    """
    offset, count = message.get("offset"), message.get("count")
    for name, number in (("offset", offset), ("count", count)):
        if number is not None and (not isinstance(number, int) or number < 0):
            raise ASGIProtocolError(
                f"{name!r} of http.response.zerocopysend is {number!r}, and no number of bytes"
            )
    try:
        descriptor = message["file"].fileno()
        body = FileBody.from_descriptor(os.dup(descriptor))
    except (KeyError, AttributeError, OSError) as error:
        raise ASGIProtocolError(
            f"'file' of http.response.zerocopysend is no open file of a disk: {error}"
        ) from error
    body.offset = os.lseek(descriptor, 0, os.SEEK_CUR) if offset is None else offset
    rest = max(0, body.size - body.offset)
    body.length = rest if count is None else min(count, rest)
    return body, descriptor if offset is None else None
