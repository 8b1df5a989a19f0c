"""Testing applications: clients that need no network, and a server for those that do.

    from httpkit.testing import Client

    def test_index() -> None:
        with Client(app) as client:
            assert client.get("/").text == "Hello, world!"

`Client` is for plain functions, `AsyncClient` for coroutines; otherwise they are alike.
`LiveServer` is for clients that speak through sockets, `HTTPXTransport` lets httpx do without.
"""

from typing import TYPE_CHECKING, Any

from httpkit.testing.async_client import AsyncClient, TooManyRedirects
from httpkit.testing.client import Client, Stream, UpgradedStream
from httpkit.testing.cookies import Cookies
from httpkit.testing.driver import Informational
from httpkit.testing.live import LiveServer
from httpkit.testing.response import (
    AsyncStream,
    AsyncUpgradedStream,
    Response,
    UnexpectedStatusError,
)
from httpkit.testing.websocket import AsyncWebSocketConnection, WebSocketConnection

if TYPE_CHECKING:
    from httpkit.testing.httpx_transport import HTTPXTransport as HTTPXTransport

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "AsyncUpgradedStream",
    "AsyncWebSocketConnection",
    "Client",
    "Cookies",
    "Informational",
    "LiveServer",
    "Response",
    "Stream",
    "TooManyRedirects",
    "UnexpectedStatusError",
    "UpgradedStream",
    "WebSocketConnection",
]


def __getattr__(name: str) -> Any:
    """`HTTPXTransport`, which alone needs httpx."""
    if name != "HTTPXTransport":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from httpkit.testing.httpx_transport import HTTPXTransport  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise ImportError(f"HTTPXTransport needs httpx: pip install httpx ({error})") from error
    return HTTPXTransport
