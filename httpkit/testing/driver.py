"""What a client asks of the road to the application; `wire.py` and `direct.py` are two."""

from typing import NamedTuple, Protocol

from httpkit.headers import Headers
from httpkit.testing.messages import PreparedRequest

__all__ = ["Driver", "Informational", "Reply"]


class Informational(NamedTuple):
    """An interim response, e.g. 103 Early Hints."""

    status: int
    headers: Headers


class Reply(Protocol):
    """The answer to one request, its head first.

    Attributes:
        status: of the final answer, 101 for an accepted upgrade.
        headers: of the final answer.
        http_version: as the server says.
        informational: interim responses before it.
        trailers: complete once `receive` gave `b""`.
        error: the unexpected exception behind it, as far as known.
    """

    status: int
    headers: Headers
    http_version: str
    informational: list[Informational]
    trailers: Headers

    async def receive(self) -> bytes:
        """The next piece of the body, or of the upgraded stream; `b""` at its end.

        Raises:
            RemoteProtocolError: the answer is cut short.
        """
        ...

    async def send(self, data: bytes) -> None:
        """Write to an upgraded stream."""
        ...

    @property
    def error(self) -> BaseException | None:
        """See above."""
        ...

    async def finish(self) -> None:
        """Wait for background calls."""
        ...

    async def close(self) -> None:
        """Give up what has not been received; the handler is cancelled if it still runs."""
        ...


class Driver(Protocol):
    """A road to the application, entered before the first request and left after the last."""

    async def start(self) -> None:
        """Enter the application's lifespan."""
        ...

    async def stop(self) -> None:
        """Cancel what still runs and leave the lifespan."""
        ...

    async def request(self, request: PreparedRequest) -> Reply:
        """Send a request and wait for the head of its answer.

        Raises:
            RemoteProtocolError: the connection ended before it.
        """
        ...
