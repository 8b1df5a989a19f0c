"""Testing applications: clients that need no network, and a server for those that do.

    from httpkit.testing import Client

    def test_index() -> None:
        with Client(app) as client:
            assert client.get("/").text == "Hello, world!"

`Client` is for plain functions, `AsyncClient` for coroutines; otherwise they are alike.
`LiveServer` is for clients that speak through sockets.
"""

from httpkit.testing.async_client import AsyncClient
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
    "UnexpectedStatusError",
    "UpgradedStream",
    "WebSocketConnection",
]
