"""A server's side of a request without a server, and a way to run coroutines without a loop."""

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from hypothesis import HealthCheck, settings

from httpkit.errors import HTTPError
from httpkit.headers import Headers
from httpkit.request import Request, RequestHead
from httpkit.tls import TLSInfo
from httpkit.types import Address, RequestChannel

#: For every property test: few examples, and no wall clock.
fuzz = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end. Nothing in layer 0 may suspend for a loop, so one step is all."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("layer 0 waited for an event loop")


def status_of(coroutine: Coroutine[Any, Any, Any]) -> int | None:
    """The status of the `HTTPError` that a coroutine ends with; any other exception passes."""
    try:
        run(coroutine)
    except HTTPError as error:
        return error.status
    return None


class FakeChannel:
    """A `RequestChannel` over a list of chunks; records what it is asked to send.

    An exception among the chunks is raised in its turn.
    """

    def __init__(
        self, chunks: Iterable[bytes | BaseException] = (), trailers: Headers | None = None
    ) -> None:
        self.chunks = deque(chunk for chunk in chunks if chunk)
        self.trailer_fields = Headers() if trailers is None else trailers
        self.informational: list[tuple[int, list[tuple[bytes, bytes]]]] = []
        self.reads = 0
        #: What a server would have run in a thread.
        self.blocking_calls: list[str] = []
        self.disconnected = False

    request_id = "r-1"
    client: Address | None = Address("192.0.2.1", 1234)
    server: Address | None = Address("192.0.2.2", 80)
    shutting_down = False
    tls: TLSInfo | None = None

    def take_body(self) -> bytes | None:
        return None

    async def receive_body(self) -> bytes:
        self.reads += 1
        if not self.chunks:
            return b""
        chunk = self.chunks.popleft()
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def trailers(self) -> Headers:
        return self.trailer_fields

    async def send_informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.informational.append((status, list(headers)))

    def push(self, target, headers) -> bool:
        self.pushed = [*getattr(self, "pushed", []), (target, headers)]
        return True

    def is_disconnected(self) -> bool:
        return self.disconnected

    async def run_blocking(self, function: Callable[..., Any], /, *args: Any) -> Any:
        self.blocking_calls.append(getattr(function, "__name__", repr(function)))
        return function(*args)


_conforms: RequestChannel = FakeChannel()


def make_request(
    *chunks: bytes | BaseException,
    method: str = "POST",
    target: bytes = b"/",
    headers: Iterable[tuple[str, str]] = (),
    channel: FakeChannel | None = None,
    **options: Any,
) -> Request:
    """A request whose body comes in these chunks."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    head = RequestHead(
        method,
        target,
        options.pop("authority", b""),
        tuple(raw),
        version=options.pop("http_version", "1.1"),
    )
    return Request.of(channel or FakeChannel(chunks), head, **options)


def cut(data: bytes, size: int) -> list[bytes]:
    """The same bytes in chunks of `size`."""
    return [data[i : i + size] for i in range(0, len(data), size)]
