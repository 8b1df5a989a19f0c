"""Sending answers that are not one piece of bytes: streams, files, trailers, upgrades."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import TYPE_CHECKING, Protocol

from httpkit.body import CHEAP_COPY, FileBody, UnopenedFile, encode_piece
from httpkit.errors import ClientDisconnected, LocalProtocolError
from httpkit.headers import encode_fields
from httpkit.protocol.outgoing import has_no_body
from httpkit.response import Response, Upgrade, open_file
from httpkit.server.blocking import run_blocking
from httpkit.server.body_reader import BodyReader
from httpkit.stepping import Rest

if TYPE_CHECKING:
    from httpkit.server.exchange import Exchange

__all__ = ["Outlet", "UpgradedStream", "send_at_once", "send_file", "send_stream"]

#: Bytes of a file that one trip to a thread reads.
_FILE_CHUNK = 262_144


class Outlet(Protocol):
    """Where the pieces of a body go: an exchange, for one."""

    async def send(self, data: bytes) -> None:
        """Take a piece; waits while there is no room for more."""

    async def pass_file(self, body: FileBody) -> bool:
        """Send a file in one go past everything between; false where that is not possible."""


async def send_stream(exchange: "Exchange", response: Response) -> None:
    """Write head, body and trailers of an answer; runs as a task of its own.

    Raises:
        HTTPError: 404 for a file that is not there and that nobody has opened before.
        LocalProtocolError: something that must not reach the wire.
        Exception: whatever the application's iterator raises.
    """
    if isinstance(response, Upgrade):
        await _run_upgrade(exchange, response)
        return
    connection, stream_id = exchange.connection, exchange.stream_id
    engine = connection.engine
    if isinstance(response.body, UnopenedFile):
        response = await run_blocking(open_file, response)
    body = response.body
    assert not isinstance(body, UnopenedFile)
    try:
        if has_no_body(exchange.request.method, response.status):
            _send_head(exchange, response, _length(body))
        elif isinstance(body, bytes):
            _send_head(exchange, response, len(body))
            exchange.send_whole(body)
        elif isinstance(body, FileBody):
            if not exchange.head_sent:
                _begin_file(exchange, response, body)
            await send_file(exchange, body)
        else:
            await _send_chunks(exchange, response, body)
    finally:
        if isinstance(body, FileBody):
            body.close()
    trailers = response.trailers
    if trailers is None:
        engine.send_end(stream_id)
    else:
        engine.send_end(stream_id, encode_fields(trailers() if callable(trailers) else trailers))


def send_at_once(exchange: "Exchange", response: Response) -> bool:
    """Write an answer whose body is an open file, if nothing of it has to be waited for.

    Where something has to be, `send_stream` goes on.

    Raises:
        LocalProtocolError: something that must not reach the wire.
    """
    body = response.body
    if (
        not isinstance(body, FileBody)
        or response.trailers is not None
        or has_no_body(exchange.request.method, response.status)
    ):
        return False
    try:
        _begin_file(exchange, response, body)
        if body.length:
            return False
        exchange.connection.engine.send_end(exchange.stream_id)
    except BaseException:
        body.close()
        raise
    body.close()
    return True


def _begin_file(exchange: "Exchange", response: Response, body: FileBody) -> None:
    """Write the head, and of the file what needs no waiting."""
    _send_head(exchange, response, body.length)
    if body.length > CHEAP_COPY:
        exchange.pass_at_once(body)
    if body.length:
        data = body.read_at_once(_FILE_CHUNK)
        if data is not None:
            exchange.send_whole(data)


def _length(body: bytes | FileBody | AsyncIterable[bytes | str]) -> int | None:
    if isinstance(body, bytes):
        return len(body)
    return body.length if isinstance(body, FileBody) else None


def _send_head(exchange: "Exchange", response: Response, length: int | None) -> None:
    exchange.connection.engine.send_headers(exchange.stream_id, response, length)
    exchange.head_sent = True


async def _send_chunks(
    exchange: "Exchange", response: Response, body: AsyncIterable[bytes | str]
) -> None:
    """Write the head with the first chunk, or alone if that has to be waited for.

    So a stream that fails at once is answered by an error rather than cut short.
    """
    iterator = aiter(body)
    steps = iterator.__anext__().__await__()
    try:
        try:
            waits_for = next(steps)
        except StopIteration as stop:
            _send_head(exchange, response, None)
            await _send_chunk(exchange, stop.value)
        except StopAsyncIteration:
            _send_head(exchange, response, None)
            return
        else:
            try:
                _send_head(exchange, response, None)
            except LocalProtocolError as error:
                steps.throw(error)  # it has begun, so it has to end
                raise
            exchange.connection.flush()
            await _send_chunk(exchange, await Rest(steps, waits_for))
        async for chunk in iterator:
            await _send_chunk(exchange, chunk)
    except StopAsyncIteration:
        pass  # the first chunk was waited for in vain
    finally:
        # An abandoned generator must not linger, with what it holds, until it is collected.
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


async def _send_chunk(exchange: "Exchange", chunk: bytes | str) -> None:
    await exchange.send(encode_piece(chunk))


async def send_file(outlet: Outlet, body: FileBody) -> None:
    """Send a file, by sendfile(2) where that is possible; it stays open.

    Raises:
        ClientDisconnected: the peer is gone.
        LocalProtocolError: the file has changed meanwhile.
    """
    if body.length > _FILE_CHUNK and await outlet.pass_file(body):
        return
    while body.length > 0:
        await outlet.send(await body.read_piece(_FILE_CHUNK, run_blocking))


class UpgradedStream:
    """The raw bytes of an upgraded stream; implements `types.RawStream`."""

    __slots__ = ("_exchange", "_reader")

    def __init__(self, exchange: "Exchange", reader: BodyReader) -> None:
        self._exchange = exchange
        self._reader = reader

    async def receive(self) -> bytes:
        """The next bytes; `b""` at the end of input, orderly or not."""
        try:
            data = await self._reader.read()
        except ClientDisconnected:
            return b""
        self._exchange.connection.consume(self._exchange.stream_id, len(data))
        return data

    async def send(self, data: bytes) -> None:
        """Write bytes; waits while the peer is slow."""
        await self._exchange.send(data)


async def _run_upgrade(exchange: "Exchange", response: Upgrade) -> None:
    connection = exchange.connection
    connection.engine.accept_upgrade(exchange.stream_id, response, response.protocol)
    exchange.head_sent = True
    connection.flush()
    await response.session(UpgradedStream(exchange, exchange.begin_raw()))
    connection.engine.send_end(exchange.stream_id)
