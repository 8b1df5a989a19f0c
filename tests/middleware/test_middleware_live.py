"""Caching and compression through real sockets: what clients get, over both parsers."""

import gzip
import http.client
from collections.abc import AsyncIterator

import pytest

from httpkit import App, Request, Response
from httpkit.middleware import Compress, Conditional, ResponseCache, cache
from httpkit.testing import LiveServer

from .conftest import Clock

TEXT = "The quick brown fox. " * 200


class Live:
    """A server, and a client that keeps its connection."""

    def __init__(self, server: LiveServer, clock: Clock, runs: list[str]) -> None:
        self.clock = clock
        self.runs = runs
        address = server.url.split("//")[1].rstrip("/")
        self.connection = http.client.HTTPConnection(address, timeout=20)

    def ask(self, method: str, target: str, **fields: str):
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        self.connection.request(method, target, headers=headers)
        response = self.connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


@pytest.fixture(params=["native", "reference"])
def live(request):
    clock, runs = Clock(), []
    app = App(middleware=[ResponseCache(clock=clock), Compress(), Conditional(clock=clock)])

    @app.get("/text")
    @cache(60, stale_while_revalidate=30, clock=clock)
    async def text(request: Request) -> str:
        runs.append("text")
        return TEXT

    @app.get("/stream")
    async def stream(request: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            yield "one"
            yield "two"

        return Response(lines(), media_type="text/plain")

    with LiveServer(app, http1=request.param) as server:
        live = Live(server, clock, runs)
        yield live
        live.connection.close()


def test_a_hit_is_what_the_miss_was(live):
    status, miss, body = live.ask("GET", "/text")
    for _ in range(3):
        again, hit, same = live.ask("GET", "/text")
        assert (again, same) == (status, body) == (200, TEXT.encode())
        assert hit["cache-status"] == "httpkit; hit; ttl=60"
        assert hit["content-length"] == str(len(TEXT))
    for changing in ("cache-status", "date", "age"):
        miss.pop(changing, None)
        hit.pop(changing)
    assert hit == miss
    assert live.runs == ["text"]


def test_head_and_304_on_the_same_connection(live):
    _, fields, _ = live.ask("GET", "/text")
    status, head, body = live.ask("HEAD", "/text")
    assert (status, head["content-length"], body) == (200, str(len(TEXT)), b"")
    status, confirmed, body = live.ask("GET", "/text", if_none_match=fields["etag"])
    assert (status, confirmed["etag"], body) == (304, fields["etag"], b"")
    assert "content-type" not in confirmed
    assert live.ask("GET", "/text")[0] == 200


def test_a_stale_answer_comes_at_once_and_the_next_one_is_new(live):
    live.ask("GET", "/text")
    live.clock.turn(65)
    assert live.ask("GET", "/text")[1]["cache-status"] == "httpkit; hit; ttl=-5"
    # The request behind it needs no waiting, so it is through before the next one is read.
    assert live.ask("GET", "/text")[1]["cache-status"] == "httpkit; hit; ttl=60"
    assert live.runs == ["text", "text"]


def test_coded_answers_are_framed_like_others(live):
    for _ in range(2):
        status, fields, body = live.ask("GET", "/text", accept_encoding="gzip")
        assert (status, fields["content-encoding"]) == (200, "gzip")
        assert fields["content-length"] == str(len(body))
        assert gzip.decompress(body) == TEXT.encode()
    _, fields, body = live.ask("GET", "/stream", accept_encoding="gzip")
    assert (fields["transfer-encoding"], gzip.decompress(body)) == ("chunked", b"onetwo")
    assert live.ask("GET", "/text")[2] == TEXT.encode()
