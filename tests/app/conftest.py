"""An app's side of the contract without a server: a fake channel and a way to ask."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import settings

from httpkit.app import App
from httpkit.headers import Headers
from httpkit.request import Request, RequestHead
from httpkit.response import Response
from httpkit.tls import TLSInfo
from httpkit.types import Address, RequestChannel

#: For property tests: no wall clock.
fuzz = settings(max_examples=200, deadline=None)

PROBLEM = "application/problem+json"
BROWSER = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")


class FakeChannel:
    """A `RequestChannel` over a list of chunks; an exception among them is raised in its turn."""

    request_id = "r-1"
    client: Address | None = Address("192.0.2.1", 1234)
    server: Address | None = Address("192.0.2.2", 80)
    shutting_down = False
    tls: TLSInfo | None = None

    def __init__(self, chunks: Iterable[bytes | BaseException] = ()) -> None:
        self.chunks = list(chunks)

    def take_body(self) -> bytes | None:
        return None

    async def receive_body(self) -> bytes:
        if not self.chunks:
            return b""
        chunk = self.chunks.pop(0)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def trailers(self) -> Headers:
        return Headers()

    async def send_informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        raise AssertionError("not in these tests")

    def push(self, target, headers) -> bool:
        self.pushed = [*getattr(self, "pushed", []), (target, headers)]
        return True

    def is_disconnected(self) -> bool:
        return False

    async def run_blocking(self, function: Callable[..., Any], /, *args: Any) -> Any:
        return await asyncio.to_thread(function, *args)


_conforms: RequestChannel = FakeChannel()


def make_request(
    method: str = "GET",
    target: str | bytes = "/",
    *headers: tuple[str, str],
    chunks: Iterable[bytes | BaseException] = (),
    authority: bytes = b"example.com",
) -> Request:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    target = target.encode() if isinstance(target, str) else target
    return Request.of(FakeChannel(chunks), RequestHead(method, target, authority, tuple(raw)))


def ask(app: App, method: str = "GET", target: str | bytes = "/", *headers: Any, **options: Any):
    """The app's answer, as the server gets it: in a task where there is something to await."""
    return ask_with(app, make_request(method, target, *headers, **options))


def ask_with(app: App, request: Request) -> Response:
    async def serve() -> Response:
        answer = app.handle(request)
        return answer if isinstance(answer, Response) else await answer

    response = asyncio.run(serve())
    assert isinstance(response, Response)
    return response


def text(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


def show(request, **parameters):
    """A handler that tells its route and its parameters."""
    return {"route": request.route.pattern, **parameters}


def app_of(*routes, **options):
    app = App(**options)
    for route in routes:
        method, slash, rest = route.partition("/")
        app.route(slash + rest, [method.strip() or "GET"])(show)
    return app


def route_of(response):
    return response.body.decode().split('"')[3] if response.status == 200 else response.status


def raising(error, **options):
    app = App(**options)

    @app.get("/")
    async def handler(request):
        raise error

    @app.get("/def")
    def plain(request):
        raise error

    return app


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG, "httpkit")
    return caplog
