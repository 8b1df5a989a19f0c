"""Hosted applications over both HTTP/1.1 parsers and both loops, as the server's own tests."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from httpkit.asgi import ASGIApplication
from tests.server.conftest import Live, engine, live, loop

__all__ = ["engine", "live", "loop"]


class Script:
    """An ASGI application that is one function; notes its scopes and what it raised."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.scopes: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []

    async def __call__(self, scope, receive, send) -> None:
        self.scopes.append(scope)
        try:
            await self.function(scope, receive, send)
        except BaseException as error:
            self.errors.append(error)
            raise

    @property
    def scope(self) -> dict[str, Any]:
        return self.scopes[-1]


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [*headers], **more}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sending(*messages: dict[str, Any]) -> Script:
    """An application that sends these and returns."""

    async def app(scope, receive, send) -> None:
        for message in messages:
            await send(message)

    return Script(app)


async def read(receive) -> bytes:
    """The whole body."""
    data = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        data += message["body"]
        if not message["more_body"]:
            return data


@pytest.fixture
def host(live: Live):
    """Starts a server for an ASGI function: `server, app = host(function, **options)`."""

    def start(function: Any, *, root_path: str = "", lifespan: str = "off", **options: Any):
        app = function if isinstance(function, Script) else Script(function)
        hosted = ASGIApplication(app, lifespan=lifespan, root_path=root_path)
        return live(hosted, **options), app

    return start


def call_soon(function: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(function)
