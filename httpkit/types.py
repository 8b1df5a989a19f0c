"""The Protocols at which layers meet. Nothing here runs.

`Application` is where server and app meet; `RequestChannel` is what the server gives a `Request`
so that layer 0 needs no event loop.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from httpkit.headers import Headers, RawHeaders
    from httpkit.request import Request
    from httpkit.response import Response, Upgrade
    from httpkit.tls import TLSInfo
    from httpkit.websocket import SharedMessage

__all__ = [
    "Address",
    "Application",
    "Cancellable",
    "Direction",
    "Handler",
    "MatchedRoute",
    "Middleware",
    "Next",
    "RawStream",
    "RequestChannel",
    "RunBlocking",
    "Tap",
    "WebSocketChannel",
    "WebSocketOpening",
    "WorkerPlace",
]


T = TypeVar("T")


class Address(NamedTuple):
    """One end of a connection. For a Unix socket the host is its path and the port 0."""

    host: str
    port: int

    @property
    def is_unix(self) -> bool:
        """Whether it is that of a Unix socket: a path, an abstract name, or none at all.

        Having no port does not tell: proxies name clients without one.
        """
        return self.host[:1] in ("", "/", "@")

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class WorkerPlace(NamedTuple):
    """Where a process stands among the workers of one server.

    Attributes:
        directory: of all of them, for their sockets: nobody else's (mode 700), and removed at the
            end.
        number: from 1; a successor has the number of the one it replaces.
    """

    directory: str
    number: int


Handler = Callable[..., Any]
"""`handler(request, **parameters)`: returns whatever becomes a Response, or an awaitable of it."""

Next = Callable[["Request"], Awaitable["Response"]]
"""What a middleware wraps: `await next(request)` gives the answer."""

Middleware = Callable[["Request", Next], Awaitable["Response"]]
"""`async def middleware(request, next)`: returns the answer of `next`, or one of its own."""


@runtime_checkable
class Application(Protocol):
    """What a server serves. `httpkit.App` is one; an ASGI or WSGI application is wrapped.

    What it may have besides:

    - A false attribute `cancel_on_disconnect`: handlers are not cancelled when their client goes
      away; by default they are.
    - A true attribute `debug`: clients see tracebacks, which the banner warns of.
    - A method `join_workers(place: WorkerPlace)`, called before `on_freeze` in a worker.
    - A method `begin_shutdown()`, called when a graceful stop has begun, so that what waits for
      something else than its client can end.
    """

    def handle(self, request: "Request", /) -> "Response | Awaitable[Response]":
        """Answer a request; must not raise for anything a client can cause."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Entered before the first connection is accepted, left after the last one ended."""
        ...

    def on_freeze(self) -> None:
        """Called once before `lifespan`: the last chance to refuse a mistake, with a reason."""
        ...


class RunBlocking(Protocol):
    """What runs a function that has to wait, for a disk mostly, without holding the event loop."""

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T:
        """Call `function(*args)` in a thread.

        A function cannot be interrupted: who is cancelled meanwhile learns it when it is through,
        so that nothing is taken away from under it.
        """
        ...


class RequestChannel(Protocol):
    """The server's side of one request: whatever of it needs time, order or a socket.

    Implemented by `server.exchange.Exchange` for every HTTP version.
    """

    @property
    def request_id(self) -> str:
        """Short, unique in this process; stands in the logs and in 500 answers."""
        ...

    @property
    def client(self) -> Address | None:
        """The peer's address."""
        ...

    @property
    def server(self) -> Address | None:
        """The local address."""
        ...

    @property
    def tls(self) -> "TLSInfo | None":
        """The TLS session of the connection; `None` on a plain one."""
        ...

    @property
    def shutting_down(self) -> bool:
        """Whether a graceful stop has begun; long streams should come to an end."""
        ...

    def take_body(self) -> bytes | None:
        """The whole body, if all of it has arrived; `None` if it is to be received.

        Raises:
            BodyTooLarge: more than the request's `max_body`.
        """
        ...

    async def receive_body(self) -> bytes:
        """The next chunk of the body, `b""` at its end.

        Raises:
            BodyTooLarge: more than the request's `max_body`.
            ClientDisconnected: the peer went away before the end.
        """
        ...

    def trailers(self) -> "Headers":
        """The trailer fields; complete once `receive_body` gave `b""`."""
        ...

    async def send_informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Write an interim response (RFC 9110 §15.2) now."""
        ...

    def push(self, target: bytes, headers: "RawHeaders") -> bool:
        """Answer a GET that the client has not sent; whether it was told of that.

        It is not where the version knows no push, the client takes none, or has been promised
        enough for one request.
        """
        ...

    def is_disconnected(self) -> bool:
        """Whether the peer is known to be gone."""
        ...

    async def run_blocking(self, function: Callable[..., T], /, *args: Any) -> T:
        """Call `function(*args)` in a thread; see `RunBlocking`."""
        ...

    def attach(self, task: "Cancellable", /) -> None:
        """Let a task end with the request: it is cancelled unless the answer takes it over."""
        ...


class Cancellable(Protocol):
    """A task, as far as layer 0 knows one."""

    def cancel(self, msg: Any | None = None, /) -> bool:
        """Cancel it."""
        ...


class WebSocketOpening(Protocol):
    """What takes the answer of a WebSocket handler to the server; made by its route."""

    async def accept(self, response: "Upgrade", /) -> "WebSocketChannel":
        """Give the answer, wait until it is out."""
        ...

    def open(self, channel: "WebSocketChannel", /) -> None:
        """The answer is out; called by the server."""
        ...


class WebSocketChannel(Protocol):
    """The server's side of an accepted WebSocket."""

    @property
    def close_code(self) -> int | None:
        """The peer's code once it has closed, 1006 if it vanished."""
        ...

    @property
    def close_reason(self) -> str:
        """The peer's reason."""
        ...

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            WebSocketClosed: there is none.
        """
        ...

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """It iterates over its messages."""
        ...

    async def __anext__(self) -> str | bytes:
        """The next message, for an iteration.

        Raises:
            StopAsyncIteration: there is none.
        """
        ...

    def send(
        self,
        message: "str | bytes | SharedMessage",
        compress: bool | None,  # noqa: FBT001
        /,
    ) -> Awaitable[None] | None:
        """Queue a message; an awaitable, if that has to wait for a slow client or for others.

        Raises:
            WebSocketClosed: the WebSocket is closed.
        """
        ...

    def ping(self, payload: bytes, /) -> None:
        """Queue a Ping."""
        ...

    def close(self, code: int, reason: str, /) -> Awaitable[None] | None:
        """Send the Close; if that has to wait, an awaitable that does it.

        Raises:
            LocalProtocolError: a code that must not be sent.
        """
        ...

    async def finish(self, error: BaseException | None, /) -> None:
        """The handler is through: close, and wait for the peer's Close.

        An error is logged and closes with its code.
        """
        ...


class MatchedRoute(Protocol):
    """What a request knows of the route that matched it."""

    @property
    def pattern(self) -> str:
        """The whole pattern, prefixes of mounts included, e.g. `/users/{id:int}`.

        Empty where no route matched: what answers 404 or 405 has the app and its names, too.
        """
        ...

    @property
    def app(self) -> Any:
        """The innermost App that the route belongs to."""
        ...

    def url_path_for(self, name: str, /, **params: Any) -> str:
        """The encoded path of a named route; parameters that it lacks become the query.

        For a route of a host of its own it is `//host/path`.
        """
        ...

    def learn(self, request: "Request", /) -> Callable[[], None] | None:
        """Let the router find this route by the raw target of a request; see `Route.learn`."""
        ...


class RawStream(Protocol):
    """The bytes of a stream after an accepted upgrade, the same on every HTTP version."""

    async def receive(self) -> bytes:
        """The next bytes, leftover of the handshake first; `b""` at the end of input."""
        ...

    async def send(self, data: bytes) -> None:
        """Write bytes; waits while the peer is slow.

        Raises:
            ClientDisconnected: the peer is gone.
        """
        ...


Direction = Literal["received", "sent"]


class Tap(Protocol):
    """Is shown every byte of every connection, for an inspector that decodes on its own.

    Called inline, so it must be quick. One that raises is logged once and switched off; the
    connection does not notice.
    """

    def __call__(
        self, connection_id: str, direction: Direction, data: bytes, now: float, /
    ) -> object:
        """Look at bytes.

        Args:
            connection_id: the connection's name in the logs; the ids of its requests begin with it.
            direction: `received` from the peer, or `sent` to it: given to the socket.
            data: cleartext; `b""` once for each direction, at its end.
            now: monotonic seconds, on the server's clock.
        """
        ...
