"""`KeptBody`: the body of a request that somebody has read, for the next one who wants it."""

from typing import Any, cast

from httpkit.types import RequestChannel

__all__ = ["KeptBody"]


class KeptBody:
    """A `RequestChannel` whose body is here already; everything else is that of the channel.

    Args:
        channel: of the request.
        body: all of it.
    """

    def __init__(self, channel: RequestChannel, body: bytes) -> None:
        self._channel = channel
        self._body = body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def as_channel(self) -> RequestChannel:
        """This object, for the type checker, which cannot see what is passed on."""
        return cast("RequestChannel", self)

    def take_body(self) -> bytes:
        """The whole body, once."""
        body, self._body = self._body, b""
        return body

    async def receive_body(self) -> bytes:
        """The same, then `b""`."""
        return self.take_body()
