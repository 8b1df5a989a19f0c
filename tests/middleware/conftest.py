"""A clock to turn, and an app behind a cache that counts what its handlers do."""

import asyncio
from inspect import isawaitable
from typing import Any

import pytest

from httpkit import App, Request, Response
from httpkit.middleware import ResponseCache
from tests.app.conftest import make_request

NOW = 1_800_000_000.0


class Clock:
    """Unix time; stands still until it is turned."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += seconds


class Site:
    """An app with one handler at `/{path}`, whose answers a test decides."""

    def __init__(self, clock: Clock, middleware=(), **options: Any) -> None:
        self.clock = clock
        self.cache = ResponseCache(clock=clock, **options)
        self.app = App(middleware=[self.cache, *middleware])
        self.requests: list[Request] = []
        self.fields: dict[str, str] = {"cache-control": "max-age=60"}
        self.status = 200
        self.app.route("/{path:path}", ["GET", "POST", "QUERY"])(self.handle)

    @property
    def runs(self) -> int:
        return len(self.requests)

    def handle(self, request: Request, path: str) -> Any:
        self.requests.append(request)
        return Response(f"{path} {self.runs}", self.status, self.fields)

    async def call(self, request: Request) -> Response:
        answer = self.app.handle(request)
        response = answer if isinstance(answer, Response) else await answer
        for call in response.background or ():
            result = call()
            if isawaitable(result):
                await result
        return response

    def ask(self, target: str = "/", *fields: tuple[str, str], method: str = "GET") -> Response:
        """An answer, and what is done behind it."""
        return asyncio.run(self.call(make_request(method, target, *fields)))


def status_of(response: Response) -> str:
    """The cache's own word."""
    return response.headers["cache-status"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(clock: Clock) -> Site:
    return Site(clock)
