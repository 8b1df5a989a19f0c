"""Plain clients that verify a server: one request after another, and every answer read in full."""

from contextlib import AbstractContextManager
from typing import Protocol

from benchmarks.clients.http1 import HTTP1Client
from benchmarks.clients.http2 import HTTP2Client
from benchmarks.clients.response import Response, VerificationError
from benchmarks.clients.websocket import RefusedError, WebSocketClient
from benchmarks.endpoint import Endpoint
from benchmarks.messages import Request

__all__ = [
    "Client",
    "HTTP1Client",
    "HTTP2Client",
    "RefusedError",
    "Response",
    "VerificationError",
    "WebSocketClient",
    "connect",
]


class Client(Protocol):
    """One connection to a server."""

    def exchange(self, request: Request, times: int = 1) -> list[Response]:
        """Send a request so often that all are in flight, and return the responses in order."""


def connect(endpoint: Endpoint, protocol: str) -> AbstractContextManager[Client]:
    """Connect over HTTP/1.1 or HTTP/2, the latter by prior knowledge or ALPN."""
    return HTTP2Client(endpoint) if protocol == "http2" else HTTP1Client(endpoint)
