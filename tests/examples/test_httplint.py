"""What the showcase serves, judged by httplint, a checker of HTTP messages by other people."""

from collections.abc import Iterator

import pytest
from httplint import HttpRequestLinter, HttpResponseLinter, levels

from examples.showcase import app as showcase
from httpkit.testing import Client

BROWSER = {"accept-encoding": "gzip, br, zstd", "accept": "text/html,*/*;q=0.8"}
TARGETS = [
    "/",
    "/caching/static/caching.js",
    "/chat/",
    "/chat/static/chat.js",
    "/upload",
    "/static/style.css",
    "/static/icon.svg",
    "/api/notes",
    "/missing",
]


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(showcase.app, base_url="http://localhost") as client:
        yield client


def lint(client: Client, method: str, target: str, headers: dict[str, str]) -> list[str]:
    """What httplint has against an answer, and the answer."""
    url = f"http://localhost{target}"
    response = client.request(method, target, headers=headers)
    asked = HttpRequestLinter()
    asked.process_request_topline(method.encode(), url.encode(), b"HTTP/1.1")
    asked.process_headers([(name.encode(), value.encode()) for name, value in headers.items()])
    asked.finish_content(True)
    linter = HttpResponseLinter(_related=asked, no_content=method == "HEAD")
    linter.process_response_topline(b"HTTP/1.1", str(response.status_code).encode(), b"")
    linter.process_headers(response.headers.raw)
    linter.feed_content(response.content)
    linter.finish_content(True)
    return [
        f"{note.level.name} {note.summary} ({note.subject})"
        for note in linter.notes
        if note.level in (levels.BAD, levels.WARN)
    ]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", [{}, BROWSER], ids=["plain", "browser"])
def test_answers(client, method, target, headers):
    for _ in range(2):  # a hit of the cache, too
        assert lint(client, method, target, headers) == []


@pytest.mark.parametrize("headers", [{}, BROWSER], ids=["plain", "browser"])
def test_a_304(client, headers):
    tag = client.get("/upload", headers=headers).headers["etag"]
    asked = headers | {"if-none-match": tag}
    assert client.get("/upload", headers=asked).status_code == 304
    assert lint(client, "GET", "/upload", asked) == []


def test_httplint_sees_what_is_wrong(client):
    """So that no notes mean something."""
    linter = HttpResponseLinter()
    linter.process_response_topline(b"HTTP/1.1", b"200", b"OK")
    linter.process_headers([(b"date", b"yesterday"), (b"cache-control", b"max-age=x")])
    linter.finish_content(True)
    assert levels.BAD in {note.level for note in linter.notes}
