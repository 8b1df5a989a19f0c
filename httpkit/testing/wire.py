"""The whole road: h11 as the client, the real server behind a transport in memory.

Requests reach the application through the same engine, connection and exchange as in production;
only the socket is missing. Connections are kept and used again where HTTP/1.1 allows it.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from contextvars import Context, copy_context

import h11

from httpkit.errors import LocalProtocolError, RemoteProtocolError
from httpkit.headers import Headers
from httpkit.server.config import Config
from httpkit.server.server import Server
from httpkit.testing.driver import Informational
from httpkit.testing.memory import MemoryTransport
from httpkit.testing.messages import Body, PreparedRequest
from httpkit.testing.observe import ObservedApplication, Record
from httpkit.types import Address, Application

__all__ = ["WireDriver"]

#: Heads that a test server sends may be as large as a test wants.
_MAX_HEAD = 16 * 1024 * 1024
#: The first port of the range for clients (RFC 6335 §6); each connection has its own.
_FIRST_PORT = 49_152


class WireDriver:
    """A server without a listening socket, and connections to it; implements `driver.Driver`.

    Args:
        application: what is tested.
        config: of the server.
    """

    def __init__(self, application: Application, config: Config) -> None:
        self._application = ObservedApplication(application)
        self._server = Server(self._application, config)
        self._context = Context()
        self._connections: list[WireConnection] = []
        self._idle: list[WireConnection] = []
        self._port = _FIRST_PORT

    async def start(self) -> None:
        """Start the server; what its lifespan puts into context variables, handlers see."""
        await self._server.start(listen=False)
        self._context = copy_context()

    async def stop(self) -> None:
        """Close all connections, which cancels handlers, then stop the server."""
        for connection in list(self._connections):
            await connection.close()
        await self._server.stop()

    async def request(self, request: PreparedRequest) -> "WireReply":
        """Send a request on a free connection, or a new one."""
        connection = await self._take(request.url.scheme)
        reply = WireReply(connection, self._application.expect(connection.address), self._give_back)
        try:
            await reply.start(request)
        except BaseException:
            await reply.close()
            raise
        return reply

    async def _take(self, scheme: str) -> "WireConnection":
        for connection in self._idle:
            if connection.scheme == scheme and not connection.transport.is_closing():
                self._idle.remove(connection)
                return connection
        address = Address("127.0.0.1", self._port)
        self._port += 1
        transport = MemoryTransport(
            self._server.make_connection(scheme),
            self._context,
            address,
            Address("127.0.0.1", 443 if scheme == "https" else 80),
        )
        connection = WireConnection(transport, address, scheme)
        self._connections.append(connection)
        await transport.open()
        return connection

    async def _give_back(self, connection: "WireConnection") -> None:
        if connection.reusable:
            connection.state.start_next_cycle()
            self._idle.append(connection)
        else:
            self._connections.remove(connection)
            await connection.close()


class WireConnection:
    """A transport and h11's view of what is on it."""

    def __init__(self, transport: MemoryTransport, address: Address, scheme: str) -> None:
        self.transport = transport
        self.address = address
        self.scheme = scheme
        self.state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        states = self.state.states
        return set(states.values()) == {h11.DONE} and not self.transport.is_closing()

    async def close(self) -> None:
        """Disconnect."""
        await self.transport.disconnect()


class WireReply:
    """The answer to one request; implements `driver.Reply`."""

    status = 0
    http_version = "1.1"

    def __init__(
        self,
        connection: WireConnection,
        record: Record,
        give_back: Callable[[WireConnection], Awaitable[None]],
    ) -> None:
        self.headers = Headers()
        self.trailers = Headers()
        self.informational: list[Informational] = []
        self._connection = connection
        self._state = connection.state
        self._transport = connection.transport
        self._record = record
        self._give_back = give_back
        self._sender: asyncio.Task[None] | None = None
        self._may_send_body = asyncio.Event()
        self._leftover = b""
        self._ended = False

    # --- the request -------------------------------------------------------------------------

    async def start(self, request: PreparedRequest) -> None:
        """Send the request, its body in the background, and receive the head of the answer.

        Raises:
            LocalProtocolError: h11 does not send such a head; a socket would.
        """
        try:
            head = self._state.send(
                h11.Request(method=request.method, target=request.target, headers=request.headers)
            )
        except h11.LocalProtocolError as error:
            raise LocalProtocolError(f"this client cannot send {request}: {error}") from error
        assert head is not None
        if (request.header(b"expect") or b"").lower() != b"100-continue":
            self._may_send_body.set()
        self._sender = asyncio.create_task(self._send(head, request.body))
        await self._receive_head()

    async def _send(self, head: bytes, body: Body) -> None:
        """Send head and body; what goes wrong, in an iterable of the test say, disconnects."""
        try:
            if isinstance(body, bytes) and self._may_send_body.is_set():
                await self._transport.send(head + self._encode(body) + self._encode_end())
                return
            await self._transport.send(head)
            await self._may_send_body.wait()
            if isinstance(body, AsyncIterable):
                async for piece in body:
                    await self._transport.send(self._encode(piece))
            else:
                for piece in [body] if isinstance(body, bytes) else body:
                    await self._transport.send(self._encode(piece))
            await self._transport.send(self._encode_end())
        except BaseException:
            self._transport.abort()
            raise

    def _encode(self, piece: bytes) -> bytes:
        return (piece and self._state.send(h11.Data(data=piece))) or b""

    def _encode_end(self) -> bytes:
        return self._state.send(h11.EndOfMessage()) or b""

    # --- the answer --------------------------------------------------------------------------

    async def _receive_head(self) -> None:
        while True:
            event = await self._next_event()
            if isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                if event.status_code == 100:
                    self._may_send_body.set()
                headers = Headers(list(event.headers))
                self.informational.append(Informational(event.status_code, headers))
                continue
            assert isinstance(event, h11.Response | h11.InformationalResponse)
            self.status = event.status_code
            self.http_version = event.http_version.decode()
            self.headers = Headers(list(event.headers))
            if self.status == 101:
                self._leftover = bytes(self._state.trailing_data[0])
            self._may_send_body.set()
            return

    async def _next_event(self) -> h11.Event:
        while True:
            try:
                event = self._state.next_event()
            except h11.RemoteProtocolError as error:
                self._raise_sender_error()
                what = f"The answer is cut short: {error}" if self.status else "There is no answer."
                raise RemoteProtocolError(what) from error
            if event is not h11.NEED_DATA:
                assert isinstance(event, h11.Event)
                return event
            self._state.receive_data(await self._transport.receive())

    def _raise_sender_error(self) -> None:
        """If the connection ended because the test's own body failed, say that."""
        if self._sender is not None and self._sender.done() and not self._sender.cancelled():
            self._sender.result()

    async def receive(self) -> bytes:
        """The next piece of the body, or of the upgraded stream."""
        if self._ended:
            return b""
        if self.status == 101:
            leftover, self._leftover = self._leftover, b""
            return leftover or await self._transport.receive()
        event = await self._next_event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        assert isinstance(event, h11.EndOfMessage)
        self.trailers = Headers(list(event.headers))
        self._ended = True
        return b""

    async def send(self, data: bytes) -> None:
        """Write to an upgraded stream."""
        await self._transport.send(data)

    # --- the end -----------------------------------------------------------------------------

    @property
    def error(self) -> BaseException | None:
        """The unexpected exception of this request."""
        return self._record.error

    async def finish(self) -> None:
        """Wait for background calls."""
        if self._record.background is not None:
            await self._record.background.wait()

    async def close(self) -> None:
        """Keep the connection if the answer is complete, else disconnect."""
        sender, self._sender = self._sender, None
        if sender is not None:
            # What it waits for may just have happened. Otherwise the server has answered before
            # it had the whole body, and nobody needs the rest.
            await asyncio.sleep(0)
            sender.cancel()
            await asyncio.wait([sender])
            if not sender.cancelled():
                sender.exception()  # has been raised where it was noticed
        await self._give_back(self._connection)
