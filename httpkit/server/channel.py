"""One request as its handler sees it: where it comes from, its body, interim answers, its end.

The base of `Exchange`, and the `RequestChannel` behind every `Request`. Owns the limit of bodies
and 100 (Continue). Writes no final answer (`writing.py`); runs and ends nothing (`exchange.py`).
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from httpkit.errors import BodyTooLarge
from httpkit.headers import Headers, RawHeaders
from httpkit.request import Request, RequestHead
from httpkit.server.blocking import run_blocking
from httpkit.server.body_reader import BodyReader, WholeBody
from httpkit.server.counters import Counters
from httpkit.tls import TLSInfo
from httpkit.transport.connection import Connection
from httpkit.types import Address, Cancellable
from httpkit.waiting import NextTurn

if TYPE_CHECKING:
    from httpkit.server.server import Server

__all__ = ["Channel"]


class Channel(msgspec.Struct, eq=False, weakref=True):
    """Implements `RequestChannel`.

    A Struct of msgspec, since one is made for every request. `Server.make_stream` makes it, and
    adds the request and the body.

    Attributes:
        connection: the one it is on.
        stream_id: the request's number there.
        started: when the head was complete, on the server's clock in seconds.
        request: what the application gets; gone when the exchange is over.
        body: where its body arrives, or the raw bytes after an upgrade; `None` without one.
        origin: the client, where a proxy has said who that is.
        gone: the peer cannot be answered.
        concluded: the handler has written its whole answer by itself.
    """

    _server: "Server"
    connection: Connection
    stream_id: int
    started: float
    request: Request = None  # type: ignore[assignment]  # set at once
    body: BodyReader | WholeBody | None = None
    origin: Address | None = None
    gone: bool = False
    concluded: bool = False
    _trailers: Iterable[tuple[bytes, bytes]] = ()
    _attached: Cancellable | None = None
    #: What `wait_ended` waits for.
    _end: asyncio.Future[None] | None = None

    @property
    def request_id(self) -> str:
        """Process and connection in hexadecimal, and which of its requests this is."""
        return f"{self.connection.name}-{self.stream_id}"

    @property
    def client(self) -> Address | None:
        """The peer's address, or what a trusted proxy says."""
        return self.origin or self.connection.peer

    @property
    def server(self) -> Address | None:
        """The local address."""
        return self.connection.local

    @property
    def tls(self) -> TLSInfo | None:
        """The TLS session of the connection."""
        found: TLSInfo | None = self.connection.transport.get_extra_info("tls")
        return found

    @property
    def shutting_down(self) -> bool:
        """Whether a graceful stop has begun."""
        return self._server.stopping

    def is_disconnected(self) -> bool:
        """Whether the peer is known to be gone."""
        return self.gone

    async def wait_ended(self) -> None:
        """Return when the peer is gone, or the answer is out."""
        if not self.gone and not self.concluded:
            if self._end is None:
                self._end = self._server.loop.create_future()
            await asyncio.shield(self._end)  # there may be others that wait

    def _tell_ended(self) -> None:
        """Let `wait_ended` return."""
        end, self._end = self._end, None
        if end is not None:
            end.set_result(None)

    def take_body(self) -> bytes | None:
        """The whole body, if all of it has arrived."""
        if self.body is None:
            return b""
        data = self.body.take_whole()
        if data is not None:
            limit = self.request.max_body
            if limit is not None and len(data) > limit:
                raise BodyTooLarge.beyond(limit)
            self.connection.consume(self.stream_id, len(data))
        return data

    async def receive_body(self) -> bytes:
        """The next chunk of the body; asks a client that waits for 100 (Continue) to send it."""
        body = self.body
        if body is None:
            return b""
        if body.abandoned:
            return await body.read()  # raises: there is no request to ask for its limit any more
        limit = self.request.max_body
        if limit is None or body.size <= limit:  # what is announced counts before it comes
            connection = self.connection
            if body.waiting and connection.engine.expects_continue(self.stream_id):
                connection.engine.send_informational(self.stream_id, 100, ())
                connection.flush()
            data = await body.read()
            connection.consume(self.stream_id, len(data))
            if limit is None or body.size <= limit:
                return data
        raise BodyTooLarge.beyond(limit)

    def begin_raw(self) -> BodyReader:
        """Turn to raw bytes after an accepted upgrade; what came with the head comes first."""
        reader = self.body
        if not isinstance(reader, BodyReader):
            self.body = reader = BodyReader(self._server.loop)
        self.connection.pump()
        return reader

    def trailers(self) -> Headers:
        """The trailer fields; complete once `receive_body` gave `b""`."""
        return Headers(self._trailers)

    async def send_informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Write an interim response now."""
        self.connection.engine.send_informational(self.stream_id, status, headers)
        self.connection.flush()

    def push(self, target: bytes, headers: RawHeaders) -> bool:
        """Answer a request that the client has not sent, if it takes that."""
        request = self.request
        head = RequestHead(
            "GET",
            target,
            request.authority.encode(),
            ((b"host", request.authority.encode()), *headers),
            request.scheme,
            request.http_version,
        )
        return self.connection.push(self.stream_id, head)

    def attach(self, task: Cancellable) -> None:
        """Let a task end with the request, unless the answer takes it over."""
        self._attached = task

    @property
    def server_counters(self) -> Counters:
        """Those of the server."""
        return self._server.counters

    @property
    def next_turn(self) -> NextTurn:
        """That of the server."""
        return self._server.next_turn

    # Static, so that an upload that outlives its request holds nothing of it.
    run_blocking = staticmethod(run_blocking)
