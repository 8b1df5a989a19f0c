"""The cases of HTTP/1.1, with and without TLS."""

from benchmarks.apps.extras import CACHED, CHUNK, CHUNKS, RESOURCE
from benchmarks.cases.model import JSON, TEXT, Answer, Case
from benchmarks.messages import Request, browser_requests

INDEX = Request("GET", "/")
HELLO = Answer(TEXT, b"Hello, World!")


def resource_requests(routes: int) -> list[Request]:
    """Return requests for resources all over the table: some routers try one after another."""
    numbers = (index * (routes - 1) // 15 for index in range(16))
    return [Request("GET", f"/{RESOURCE.format(number)}/42") for number in numbers]


WEB_CASES = (
    Case(
        "plaintext",
        "GET / answers a short text",
        lambda: [INDEX],
        HELLO,
    ),
    Case(
        "json",
        "GET /json encodes a small object",
        lambda: [Request("GET", "/json")],
        Answer(JSON, b'{"message":"Hello, World!"}'),
    ),
    Case(
        "path",
        "GET /users/42 converts a path parameter",
        lambda: [Request("GET", "/users/42")],
        Answer(JSON, b'{"id":42}'),
    ),
    Case(
        "browser",
        "GET / with the 15 headers of a browser, their values varying",
        browser_requests,
        HELLO,
    ),
    Case(
        "pipelining",
        "GET /, 16 requests in flight on each connection",
        lambda: [INDEX],
        HELLO,
        depth=16,
    ),
    Case(
        "post",
        "POST /echo reads a body of 1 KiB",
        lambda: [Request("POST", "/echo", body=b"x" * 1024)],
        Answer(TEXT, b"1024"),
    ),
    Case(
        "routes-100",
        "GET of 16 routes with a parameter, evenly out of 100",
        lambda: resource_requests(100),
        Answer(JSON, b'{"id":42}'),
        routes=100,
    ),
    Case(
        "routes-1000",
        "GET of 16 routes with a parameter, evenly out of 1 000",
        lambda: resource_requests(1000),
        Answer(JSON, b'{"id":42}'),
        routes=1000,
    ),
    Case(
        "streaming",
        f"GET /stream answers {CHUNKS} chunks of 1 KiB, one by one",
        lambda: [Request("GET", "/stream")],
        Answer(TEXT, CHUNK, CHUNKS, streamed=True),
    ),
    Case(
        "connections-2000",
        "GET / answers a short text, on 2 000 connections",
        lambda: [INDEX],
        HELLO,
        connections=2000,
    ),
    Case(
        "http1-tls",
        "GET / over TLS 1.3, on connections that stay",
        lambda: [INDEX],
        HELLO,
        tls=True,
    ),
    Case(
        "handshake",
        "GET / on a new connection each, with a full TLS 1.3 handshake (ECDSA P-256)",
        lambda: [Request("GET", "/", (("Connection", "close"),))],
        HELLO,
        connections=8,
        tls=True,
        generator="handshake",
    ),
    Case(
        "cache-hit",
        "GET /cached answers 10 KiB out of the server's own cache",
        lambda: [Request("GET", "/cached")],
        Answer(TEXT, CACHED, fields=(("cache-status", "; hit"), ("age", ""))),
        needs="cache",
        primed=True,
    ),
)
