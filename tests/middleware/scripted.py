"""Conversations with a cache as tables: what is asked, what the origin says, what has to come.

The origin is a handler behind a `ResponseCache`, the client an `httpkit.testing.Client`: everything
passes as bytes through the engines. Time is a clock that a step turns.
"""

from typing import NamedTuple

from httpkit import App, Request, Response
from httpkit.middleware import ResponseCache
from httpkit.semantics.dates import format_http_date
from httpkit.testing import Client

from .conftest import NOW, Clock


def at(seconds: float) -> str:
    """The date so many seconds after the beginning."""
    return format_http_date(NOW + seconds)


def fields(text: str) -> list[tuple[str, str]]:
    """The fields of lines `name: value`."""
    lines = (line.strip().partition(":") for line in text.splitlines() if line.strip())
    return [(name, value.strip()) for name, _, value in lines]


class Step(NamedTuple):
    """One request.

    Attributes:
        whence: who has to answer, `origin` or `store`.
        says: fields of the origin, if it is asked.
        asks: fields of the request.
        status: of the origin.
        wait: seconds before the request.
        gets: the status that the client gets, if it is not that of the origin.
        has: fields that the client has to get.
        lacks: names of fields that it must not get.
        sees: fields that the origin has to see.
        misses: names of fields that it must not see.
        body: that the client has to get.
    """

    whence: str
    says: str = "cache-control: max-age=60"
    asks: str = ""
    method: str = "GET"
    target: str = "/"
    status: int = 200
    wait: float = 0
    gets: int | None = None
    has: str = ""
    lacks: str = ""
    sees: str = ""
    misses: str = ""
    body: str | None = None
    sends: bytes | None = None


class Origin:
    """The handler of a script."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.says: list[tuple[str, str]] = []
        self.status = 200

    async def handle(self, request: Request, path: str) -> Response:
        """What the script says now; the content names the run."""
        self.requests.append(request)
        without = self.status in (204, 304)
        content = b"" if without else f"run {len(self.requests)}".encode()
        return Response(content, self.status, self.says)


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def play(steps: list[Step], **options) -> Origin:
    """Go through a conversation and check each step."""
    clock, origin = Clock(), Origin()
    app = App(middleware=[ResponseCache(clock=clock, **options)])
    app.route("/{path:path}", METHODS)(origin.handle)
    with Client(app, base_url="http://example.com") as client:
        for number, step in enumerate(steps, 1):
            clock.turn(step.wait)
            origin.says, origin.status = fields(step.says), step.status
            before = len(origin.requests)
            response = client.request(
                step.method,
                step.target,
                headers=fields(step.asks),
                content=step.sends,
                follow_redirects=False,
            )
            asked = len(origin.requests) > before
            assert asked is (step.whence == "origin"), f"step {number}: {response.headers!r}"
            assert response.status_code == (step.gets or step.status), f"step {number}"
            for name, value in fields(step.has):
                assert response.headers.getlist(name) == [value], f"step {number}: {name}"
            for name in step.lacks.split():
                assert name not in response.headers, f"step {number}: {name}"
            if asked:
                seen = origin.requests[-1].headers
                for name, value in fields(step.sees):
                    assert seen.get(name) == value, f"step {number}: {name}"
                for name in step.misses.split():
                    assert name not in seen, f"step {number}: {name}"
            if step.body is not None:
                assert response.text == step.body, f"step {number}"
    return origin
