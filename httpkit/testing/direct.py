"""The short road: no protocol, no server; the application is called with a `Request`.

Faster than the wire, and blind to what an engine would say: framing, forbidden fields, deadlines.
Of the limits only that of bodies holds.
"""

import asyncio
import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
)
from contextlib import AsyncExitStack, aclosing
from contextvars import Context, copy_context
from typing import Any, TypeVar

from httpkit.body import FileBody, UnopenedFile, encode_piece
from httpkit.errors import (
    BodyTooLarge,
    ClientDisconnected,
    HTTPError,
    LocalProtocolError,
    RemoteProtocolError,
)
from httpkit.headers import Headers, RawHeaders, encode_fields
from httpkit.limits import Limits
from httpkit.protocol.outgoing import bodiless_length, has_no_body
from httpkit.request import Request, RequestHead
from httpkit.response import Response, Upgrade, open_file
from httpkit.server.background import run_calls
from httpkit.server.blocking import run_blocking
from httpkit.testing.driver import Informational
from httpkit.testing.messages import Body, PreparedRequest
from httpkit.testing.observe import ObservedApplication, Record
from httpkit.tls import TLSInfo
from httpkit.types import Address, Application, Cancellable

__all__ = ["DirectDriver"]

logger = logging.getLogger("httpkit")

T = TypeVar("T")
#: Where the bytes after the head come from.
Source = bytes | FileBody | AsyncIterable[bytes | str] | Upgrade

_FILE_CHUNK = 65_536
_SERVER = Address("127.0.0.1", 80)


class DirectDriver:
    """Calls the application; implements `driver.Driver`.

    Args:
        application: what is tested.
        limits: of them, `max_body`.
    """

    def __init__(self, application: Application, limits: Limits) -> None:
        self._application = ObservedApplication(application)
        self._max_body = limits.max_body
        self._stack = AsyncExitStack()
        self._context = Context()
        self._replies: set[DirectReply] = set()
        self._numbers = 0

    async def start(self) -> None:
        """Enter the lifespan; what it puts into context variables, handlers see."""
        self._application.on_freeze()
        await self._stack.enter_async_context(self._application.lifespan())
        self._context = copy_context()

    async def stop(self) -> None:
        """Cancel what still runs, leave the lifespan."""
        for reply in list(self._replies):
            await reply.close()
        await self._stack.aclose()

    async def request(self, request: PreparedRequest) -> "DirectReply":
        """Call the application and wait for its answer."""
        # As on the wire, the client's address tells the requests apart.
        self._numbers += 1
        client = Address("127.0.0.1", self._numbers)
        record = self._application.expect(client)
        channel = Channel(client, request.body)
        reply = DirectReply(
            self._application, record, channel, self._context.copy(), self._replies.discard
        )
        self._replies.add(reply)
        try:
            await reply.start(request, self._max_body)
        except BaseException:
            await reply.close()
            raise
        return reply


class Channel:
    """The client's side of a request; implements `types.RequestChannel`."""

    shutting_down = False
    tls: TLSInfo | None = None

    def __init__(self, client: Address, body: Body) -> None:
        self.client: Address | None = client
        self.server: Address | None = _SERVER
        self.request_id = f"test-{client.port:x}"
        self.informational: list[Informational] = []
        self.disconnected = False
        self.attached: Cancellable | None = None
        #: Set while the handler may run; not for longer, a request knows its channel.
        self.request: Request | None = None
        self._body = _iterate(body)
        self._received = 0

    def take_body(self) -> bytes | None:
        """Bodies come in pieces here."""
        return None

    async def receive_body(self) -> bytes:
        """The next piece of the body."""
        if self.disconnected or self.request is None:
            raise ClientDisconnected
        piece = await anext(self._body, b"")
        self._received += len(piece)
        limit = self.request.max_body
        if limit is not None and self._received > limit:
            raise BodyTooLarge.beyond(limit)
        return piece

    def trailers(self) -> Headers:
        """None: a test client sends no trailers."""
        return Headers()

    async def send_informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep an interim response for the test."""
        self.informational.append(Informational(status, Headers(headers)))

    def push(self, target: bytes, headers: RawHeaders) -> bool:  # noqa: ARG002
        """A test client takes no pushes."""
        return False

    def attach(self, task: Cancellable) -> None:
        """Cancelled with the request."""
        self.attached = task

    def is_disconnected(self) -> bool:
        """Whether the test has given up the answer."""
        return self.disconnected

    run_blocking = staticmethod(run_blocking)


async def _iterate(body: Body) -> AsyncIterator[bytes]:
    """The pieces; an empty one would be the end."""
    if isinstance(body, bytes):
        yield body
    elif isinstance(body, Iterable):
        for piece in filter(None, body):
            yield piece
    else:
        async for piece in body:
            if piece:
                yield piece


class DirectReply:
    """The answer to one request; implements `driver.Reply`.

    Handler, body and session run in tasks of their own and in the context of the request, so that
    what they hold across an await (timeouts, task groups) works as on a server.
    """

    status = 0
    http_version = "1.1"
    _response: Response

    def __init__(
        self,
        application: ObservedApplication,
        record: Record,
        channel: Channel,
        context: Context,
        on_close: Callable[["DirectReply"], None],
    ) -> None:
        self.headers = Headers()
        self.trailers = Headers()
        self.informational = channel.informational
        self._application = application
        self._record = record
        self._channel = channel
        self._context = context
        self._on_close = on_close
        self._task: asyncio.Task[Any] | None = None
        # Pieces of the body, or of an upgraded stream; `None` where it is cut short. One waits,
        # as in the buffer of a socket.
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()
        self._ended = False

    async def start(self, request: PreparedRequest, max_body: int | None) -> None:
        """Run the handler; the body is left for `receive`."""
        authority = request.header(b"host") or b""
        head = RequestHead(request.method, request.target, authority, tuple(request.headers))
        self._channel.request = made = Request.of(self._channel, head, request.url.scheme, max_body)
        response = await self._begin(self._answer(made))
        self._response = response
        self.status = response.status
        fields, body = self._prepare(response, request)
        self.headers = Headers(fields)
        self._begin(self._produce(body))

    def _begin(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        loop = asyncio.get_running_loop()
        task = self._task = loop.create_task(coroutine, context=self._context)
        return task

    async def _answer(self, request: Request) -> Response:
        try:
            answer = self._application.handle(request)
            response = answer if isinstance(answer, Response) else await answer
        except (asyncio.CancelledError, SystemExit) as error:
            self._check_failure(error)
            return Response(f"500 request id {request.id}\n", 500)  # as a server says it
        if isinstance(response.body, UnopenedFile):
            try:
                response = await run_blocking(open_file, response)
            except HTTPError as error:  # as a server says it
                return Response(f"{error.status} {error.detail}\n", error.status)
        return response

    def _check_failure(self, error: BaseException) -> None:
        """Whether it is that of this request alone, as on a server: log it.

        Raises:
            asyncio.CancelledError: the client has given up.
        """
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise error
        logger.error("request %s failed", self._channel.request_id, exc_info=error)

    def _prepare(self, response: Response, request: PreparedRequest) -> tuple[RawHeaders, Source]:
        """The fields that an engine would send, and where the body comes from."""
        fields = list(response.raw_headers)
        if isinstance(response, Upgrade):
            self._check_offer(response, request)
            fields += [(b"connection", b"upgrade"), (b"upgrade", response.protocol)]
            return fields, response
        body = response.body
        assert not isinstance(body, UnopenedFile)
        length = body.length if isinstance(body, FileBody) else None
        if isinstance(body, bytes):
            length = len(body)
        if has_no_body(request.method, response.status):
            length = bodiless_length(response.status, None, length)
            if isinstance(body, FileBody):
                body.close()
            body = b""
        announced = any(name == b"content-length" for name, _ in fields)
        if length is not None and not announced:
            fields.append((b"content-length", b"%d" % length))
        return fields, body

    def _check_offer(self, response: Upgrade, request: PreparedRequest) -> None:
        offers = (request.header(b"upgrade") or b"").lower().split(b",")
        if response.protocol.lower() not in [offer.strip() for offer in offers]:
            error = LocalProtocolError(f"the client did not offer {response.protocol!r}")
            self._record.note(error)
            raise error

    async def _produce(self, source: Source) -> None:
        """Put every piece of the body where `receive` finds it."""
        try:
            if isinstance(source, bytes):
                await self._put(source)
            elif isinstance(source, FileBody):
                while data := source.read(_FILE_CHUNK):
                    await self._put(data)
            elif isinstance(source, Upgrade):
                await source.session(RawEnd(self._sent, self._pieces))
            else:
                await self._produce_pieces(source)
            trailers = self._response.trailers
            fields = encode_fields(trailers() if callable(trailers) else trailers)
            self.trailers = Headers(fields)
            self._ended = True
            await self._pieces.put(b"")
        except (asyncio.CancelledError, SystemExit) as error:
            self._check_failure(error)
            await self._pieces.put(None)
        except Exception as error:  # noqa: BLE001 - the record tells it to the test
            self._record.note(error)
            await self._pieces.put(None)
        finally:
            if isinstance(source, FileBody):
                source.close()

    async def _produce_pieces(self, pieces: AsyncIterable[bytes | str]) -> None:
        assert isinstance(pieces, AsyncGenerator)  # of ObservedApplication, around the handler's
        async with aclosing(pieces):
            async for piece in pieces:
                await self._put(encode_piece(piece))

    async def _put(self, piece: bytes) -> None:
        if piece:
            await self._pieces.put(piece)

    # --- what the client asks ----------------------------------------------------------------

    async def receive(self) -> bytes:
        """The next piece of the body, or of the upgraded stream."""
        if self._ended and self._pieces.empty():
            return b""
        piece = await self._pieces.get()
        if piece is None:
            self._pieces.put_nowait(None)  # whoever asks again hears the same
            raise RemoteProtocolError("The answer is cut short.")
        return piece

    async def send(self, data: bytes) -> None:
        """Write to an upgraded stream."""
        self._sent.put_nowait(data)

    @property
    def error(self) -> BaseException | None:
        """The unexpected exception of this request."""
        return self._record.error

    async def finish(self) -> None:
        """Run the background calls."""
        background, self._response.background = self._response.background, None
        if background:
            await self._begin(run_calls(background))

    async def close(self) -> None:
        """Cancel what runs."""
        self._channel.disconnected = True
        self._channel.request = None
        if self._channel.attached is not None:
            self._channel.attached.cancel("the client has gone")
        if self._task is not None and not self._task.done():
            self._task.cancel("the client has gone")
            await asyncio.wait([self._task])
        if self.status:  # there is an answer, and its calls run whether all of it is out or not
            await self.finish()
        self._on_close(self)


class RawEnd:
    """The application's end of an upgraded stream; implements `types.RawStream`."""

    def __init__(self, received: asyncio.Queue[bytes], sent: asyncio.Queue[bytes | None]) -> None:
        self._received = received
        self._sent = sent

    async def receive(self) -> bytes:
        """What the client has sent."""
        return await self._received.get()

    async def send(self, data: bytes) -> None:
        """To the client."""
        if data:
            await self._sent.put(data)
