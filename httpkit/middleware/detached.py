"""Requests without a client: what a handler gets that is run for the cache alone.

The client of the first request has its answer and may be gone, so nothing of its exchange is left.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from httpkit.headers import Headers, RawHeaders
from httpkit.request import Request, RequestHead
from httpkit.tls import TLSInfo
from httpkit.types import Address, Cancellable, RequestChannel, RunBlocking

__all__ = ["detach"]

T = TypeVar("T")


class DetachedChannel:
    """A `RequestChannel` of a request without a body, that nobody waits for."""

    __slots__ = ("_run_blocking", "client", "request_id", "server", "tls")

    shutting_down = False

    def __init__(self, request: Request) -> None:
        self.request_id = request.id
        self.client: Address | None = request.client
        self.server: Address | None = request.server
        self.tls: TLSInfo | None = request.tls
        self._run_blocking: RunBlocking = request.channel.run_blocking

    def take_body(self) -> bytes:
        """There is none."""
        return b""

    async def receive_body(self) -> bytes:
        """There is none."""
        return b""

    def trailers(self) -> Headers:
        """There are none."""
        return Headers()

    async def send_informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Nobody to send it to."""

    def push(self, target: bytes, headers: RawHeaders) -> bool:  # noqa: ARG002
        """Nobody to send it to."""
        return False

    def is_disconnected(self) -> bool:
        """Nobody to go away."""
        return False

    async def run_blocking(self, function: Callable[..., T], /, *args: Any) -> T:
        """As the channel of the client did it."""
        return await self._run_blocking(function, *args)

    def attach(self, task: Cancellable, /) -> None:
        """Nothing ends with this request."""


def detach(request: Request) -> Request:
    """The same request without its client, its body and its state."""
    head = RequestHead(
        request.method,
        request.target,
        request.authority.encode("latin-1"),
        request.raw_headers,
        request.scheme,
        request.http_version,
    )
    channel: RequestChannel = DetachedChannel(request)
    detached = Request.of(channel, head, request.scheme)
    detached.path_params = request.path_params
    detached.route = request.route
    detached.root_path = request.root_path
    return detached
