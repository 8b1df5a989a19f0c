"""httpkit: an asyncio HTTP server and web framework.

    from httpkit import App, Request

    app = App()

    @app.get("/")
    async def index(request: Request) -> str:
        return "Hello, world!"

This is the whole public API, together with `httpkit.testing`, the submodules that the
documentation names, and the command line. Names that are not in an `__all__` are internal.
"""

from httpkit.app import App
from httpkit.body import FileBody
from httpkit.errors import (
    BodyTooLarge,
    ClientDisconnected,
    ConfigurationError,
    HTTPError,
    HTTPKitError,
    InvalidHeader,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    WebSocketClosed,
)
from httpkit.forms import FormData, Part, UploadedFile
from httpkit.headers import Headers, MutableHeaders
from httpkit.limits import FormLimits, Limits
from httpkit.request import Request
from httpkit.response import Response, Upgrade
from httpkit.routing import Router
from httpkit.semantics.websocket import DeflateOptions
from httpkit.server.config import Config
from httpkit.server.embedded import serve
from httpkit.server.server import Server
from httpkit.tls import TLSInfo
from httpkit.types import Address, Application, Handler, Middleware, Next, RawStream, Tap
from httpkit.urls import URL, Query
from httpkit.websocket import SharedMessage, WebSocket

__version__ = "0.1.0"
"""The version of the package, as `httpkit --version` says it."""

__all__ = [
    "URL",
    "Address",
    "App",
    "Application",
    "BodyTooLarge",
    "ClientDisconnected",
    "Config",
    "ConfigurationError",
    "DeflateOptions",
    "FileBody",
    "FormData",
    "FormLimits",
    "HTTPError",
    "HTTPKitError",
    "Handler",
    "Headers",
    "InvalidHeader",
    "Limits",
    "LocalProtocolError",
    "Middleware",
    "MutableHeaders",
    "Next",
    "Part",
    "ProtocolError",
    "Query",
    "RawStream",
    "RemoteProtocolError",
    "Request",
    "Response",
    "Router",
    "Server",
    "SharedMessage",
    "TLSInfo",
    "Tap",
    "Upgrade",
    "UploadedFile",
    "WebSocket",
    "WebSocketClosed",
    "__version__",
    "serve",
]
