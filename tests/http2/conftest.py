"""Every test of HTTP/2 runs over both engines; the loop has no say in a protocol."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from httpkit.request import Request
from httpkit.response import Response
from tests.server.live import LiveServer

from . import frames
from .client import HTTP2Client
from .expect import Expectation

Live = Callable[..., LiveServer]
Connect = Callable[..., HTTP2Client]
Gated = Callable[..., tuple[LiveServer, Callable[[], None]]]


@pytest.fixture(params=["native", "reference"])
def engine(request: pytest.FixtureRequest) -> str:
    """The HTTP/2 library."""
    return request.param


@pytest.fixture
def live(engine: str):
    """Starts servers: `server = live(handler, **options)`; all are stopped after the test."""
    with ExitStack() as stack:

        def start(application: Any = None, **options: Any) -> LiveServer:
            options = {"http2": engine, **options}
            return stack.enter_context(LiveServer(application, **options))

        yield start


@pytest.fixture
def gated(live: Live) -> Gated:
    """A server whose answers to `/held` wait, and what lets them go."""

    def start(**options: Any) -> tuple[LiveServer, Callable[[], None]]:
        async def handler(request: Request) -> Response:
            if request.path == "/held":
                await released.wait()
            return Response("done")

        released = asyncio.Event()
        server = live(handler, **options)
        return server, lambda: server.call(released.set)

    return start


@pytest.fixture
def connect(live: Live) -> Connect:
    """A connection to a server of its own, for tests that need no more."""

    def start(application: Any = None, *hello: bytes, **options: Any) -> HTTP2Client:
        return HTTP2Client(live(application).connect(), *hello, **options)

    return start


#: Requests around a case. One that waits may be reset before the application has seen it.
_HELPERS = ("/other", "/after", "/wait")


async def _wait_forever() -> Response:
    await asyncio.Event().wait()
    return Response("never")


def answer_or_wait(request: Request) -> Any:
    """`Hello`; for `/wait` nothing until the stream ends."""
    return _wait_forever() if request.path == "/wait" else Response("Hello")


@pytest.fixture(params=["whole", "byte by byte"])
def run_case(request: pytest.FixtureRequest, live: Live):
    """Send a case behind a good request and look what happens.

    Whatever it is: the request before it is answered, another connection is served meanwhile, and
    the application sees only what it is `served`.
    """

    def run(sent: bytes, expected: Expectation, served: tuple[str, ...] = ()) -> None:
        server = live(answer_or_wait)
        bystander = HTTP2Client(server.connect())
        assert bystander.get("/other").status == 200
        client = HTTP2Client(server.connect())
        client.send(
            frames.request("/first", stream=1) + sent, slowly=request.param == "byte by byte"
        )
        expected.check(client)
        if getattr(expected, "answers", True):
            assert (client.stream(1).status, client.stream(1).ended) == (200, True), client.log
        assert bystander.get("/other").status == 200
        ours = [line for line in server.requests if line.split()[1] not in _HELPERS]
        assert ours == ["GET /first", *served]

    return run
