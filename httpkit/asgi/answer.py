"""A `Response` as the messages of ASGI.

A body that is not as long as its Content-Length says is an error here, as it is below our own
server: not every server looks, and the next answer would be read as the rest of this one.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import suppress

from httpkit.asgi.channel import Channel
from httpkit.asgi.messages import Message
from httpkit.body import FileBody, encode_piece
from httpkit.errors import ClientDisconnected, LocalProtocolError
from httpkit.headers import RawHeaders, encode_fields
from httpkit.protocol.outgoing import (
    OutgoingFields,
    bodiless_length,
    check_trailers,
    has_no_body,
)
from httpkit.response import Response
from httpkit.server.send import send_file

__all__ = ["Answer"]


class Answer:
    """Writes one answer as messages, of the kind that its channel says.

    Args:
        channel: of the request.
        method: of the request.
        response: with its file open, if it has one.
    """

    def __init__(self, channel: Channel, method: str, response: Response) -> None:
        self._channel = channel
        self._response = response
        self._method = method
        self._bodiless = has_no_body(method, response.status)
        #: Bytes of a stream that have to come; `None` where nobody has said how many.
        self._left: int | None = None

    async def send(self) -> None:
        """Head, body, trailers.

        Raises:
            LocalProtocolError: a field that must not reach the wire, or another length than the
                announced one.
        """
        response, send = self._response, self._channel.send_message
        with_trailers = (
            response.trailers is not None and "http.response.trailers" in self._channel.extensions
        )
        body, kind = response.body, self._channel.kind
        try:
            start: Message = {
                "type": f"{kind}.start",
                "status": response.status,
                "headers": self._fields(),
            }
            if with_trailers:
                start["trailers"] = True
            await send(start)
            last = b""
            if not self._bodiless:
                last = await self._send_body(body)
            await send({"type": f"{kind}.body", "body": last, "more_body": False})
        finally:
            if isinstance(body, FileBody):
                body.close()
        if with_trailers:
            trailers = response.trailers
            fields = check_trailers(encode_fields(trailers() if callable(trailers) else trailers))
            await send({"type": "http.response.trailers", "headers": fields})

    def _fields(self) -> RawHeaders:
        """The checked fields, and the length of the body where it is known.

        Raises:
            LocalProtocolError: one of them must not reach the wire, or is not true.
        """
        outgoing = OutgoingFields(self._response.raw_headers)
        length, body = outgoing.content_length, self._response.body
        known = None
        if isinstance(body, bytes):
            known = len(body)
        elif isinstance(body, FileBody):
            known = body.length
        if self._bodiless:
            length = bodiless_length(self._response.status, length, known)
        elif length is None:
            length = known
        elif known is None:
            self._left = length
        elif length != known:
            raise LocalProtocolError(f"Content-Length says {length} bytes but the body has {known}")
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
        # A GET over HTTP/2 says by no field that it has no body. Of other requests somebody may
        # still read the body while the answer is on its way.
        arrived = self._channel.ended
        if not arrived and (self._method == "GET" or not self._channel.announced):
            arrived = await self._channel.has_arrived()
        if not arrived:
            await self._send_pieces(body)
            return
        sending = asyncio.ensure_future(self._send_pieces(body))
        watching = asyncio.ensure_future(self._channel.wait_disconnected())
        try:
            await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ClientDisconnected
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
                data = encode_piece(piece)
                if data:
                    self._count(data)
                    await self._channel.send(data)
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()
        if self._left:
            raise LocalProtocolError("the body is shorter than its Content-Length")

    def _count(self, data: bytes) -> None:
        if self._left is not None:
            if len(data) > self._left:
                raise LocalProtocolError("the body is longer than its Content-Length")
            self._left -= len(data)
