"""The cases: what is asked, and the one right answer. To add a case, add an entry to ``CASES``.

A path that no application knows yet needs its route in each module of :mod:`benchmarks.apps`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.apps.extras import CHUNK, CHUNKS, RESOURCE
from benchmarks.messages import browser_requests, serialize_request

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has to answer to each request of a case; ``streamed`` in chunks."""

    content_type: str
    body: bytes
    status: int = 200
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured.

    ``messages`` maps the Host value to the byte strings that each connection sends in turn; each
    holds ``depth`` pipelined requests. ``routes`` is how many routes the applications have beside
    the usual ones.
    """

    name: str
    title: str
    messages: Callable[[str], list[bytes]]
    answer: Answer
    depth: int = 1
    connections: int = 64
    routes: int = 0


def resource_requests(routes: int) -> Callable[[str], list[bytes]]:
    """Return requests for resources all over the table: some routers try one after another."""

    def messages(host: str) -> list[bytes]:
        numbers = (index * (routes - 1) // 15 for index in range(16))
        targets = [f"/{RESOURCE.format(number)}/42" for number in numbers]
        return [serialize_request("GET", target, host) for target in targets]

    return messages


HELLO = Answer(TEXT, b"Hello, World!")

_CASES = (
    Case(
        "plaintext",
        "GET / answers a short text",
        lambda host: [serialize_request("GET", "/", host)],
        HELLO,
    ),
    Case(
        "json",
        "GET /json encodes a small object",
        lambda host: [serialize_request("GET", "/json", host)],
        Answer(JSON, b'{"message":"Hello, World!"}'),
    ),
    Case(
        "path",
        "GET /users/42 converts a path parameter",
        lambda host: [serialize_request("GET", "/users/42", host)],
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
        lambda host: [serialize_request("GET", "/", host) * 16],
        HELLO,
        depth=16,
    ),
    Case(
        "post",
        "POST /echo reads a body of 1 KiB",
        lambda host: [serialize_request("POST", "/echo", host, body=b"x" * 1024)],
        Answer(TEXT, b"1024"),
    ),
    Case(
        "routes-100",
        "GET of 16 routes with a parameter, evenly out of 100",
        resource_requests(100),
        Answer(JSON, b'{"id":42}'),
        routes=100,
    ),
    Case(
        "routes-1000",
        "GET of 16 routes with a parameter, evenly out of 1 000",
        resource_requests(1000),
        Answer(JSON, b'{"id":42}'),
        routes=1000,
    ),
    Case(
        "streaming",
        f"GET /stream answers {CHUNKS} chunks of 1 KiB, one by one",
        lambda host: [serialize_request("GET", "/stream", host)],
        Answer(TEXT, CHUNK * CHUNKS, streamed=True),
    ),
    Case(
        "connections-2000",
        "GET / answers a short text, on 2 000 connections",
        lambda host: [serialize_request("GET", "/", host)],
        HELLO,
        connections=2000,
    ),
)

CASES = {case.name: case for case in _CASES}


@dataclass(frozen=True, slots=True)
class Probe:
    """A request that is only verified, never measured.

    The probes prove that a server routes, converts and reads instead of answering from a can.
    """

    message: Callable[[str], bytes]
    answer: Answer


PROBES = (
    Probe(lambda host: serialize_request("GET", "/users/7", host), Answer(JSON, b'{"id":7}')),
    Probe(lambda host: serialize_request("POST", "/echo", host, body=b"hello"), Answer(TEXT, b"5")),
)
UNKNOWN_TARGET = "/no-such-route"
