"""The cases: what is asked, and the one right answer. To add a case, add an entry to ``CASES``.

A path that no application knows yet needs its route in each module of :mod:`benchmarks.apps`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.apps.extras import BLOCK, BLOCKS, CHUNK, CHUNKS, RESOURCE
from benchmarks.messages import UPGRADE, Request, browser_requests

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
OCTETS = "application/octet-stream"

Protocol = Literal["http1", "http2", "websocket"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has to answer to each request of a case: ``block``, ``times`` over.

    ``streamed`` says that each block is a chunk of its own.
    """

    content_type: str
    block: bytes
    times: int = 1
    status: int = 200
    streamed: bool = False

    @property
    def body(self) -> bytes:
        """Return the whole body; it is not kept, since some are large."""
        return self.block * self.times


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured.

    Each of the ``connections`` sends the ``requests`` in turn. ``depth`` is how many are in flight
    on each: pipelined over HTTP/1.1, streams over HTTP/2, messages over WebSocket, where the answer
    is the echo. HTTP/2 without ``tls`` is by prior knowledge. ``generator`` names who sends them.
    ``routes`` is how many routes the applications have beside the usual ones.
    """

    name: str
    title: str
    requests: Callable[[], Sequence[Request]]
    answer: Answer
    depth: int = 1
    connections: int = 64
    routes: int = 0
    protocol: Protocol = "http1"
    tls: bool = False
    generator: str = "wrk"

    def messages(self, authority: str) -> list[bytes]:
        """Return the messages of HTTP/1.1 that each connection sends in turn."""
        return [request.serialize(authority) * self.depth for request in self.requests()]


def resource_requests(routes: int) -> list[Request]:
    """Return requests for resources all over the table: some routers try one after another."""
    numbers = (index * (routes - 1) // 15 for index in range(16))
    return [Request("GET", f"/{RESOURCE.format(number)}/42") for number in numbers]


def http2_case(connections: int, streams: int, *, tls: bool) -> Case:
    """Return the case of a short text over HTTP/2."""
    plural = "" if connections == 1 else "s"
    how = "over TLS" if tls else "by prior knowledge"
    return Case(
        f"{'h2-tls' if tls else 'h2c'}-{connections}x{streams}",
        f"GET / over HTTP/2 {how}, {connections} connection{plural} with {streams} streams each",
        lambda: [INDEX],
        HELLO,
        connections=connections,
        depth=streams,
        protocol="http2",
        tls=tls,
        generator="h2load",
    )


def echo_case(name: str, title: str, size: int, *, connections: int, depth: int = 1) -> Case:
    """Return the case of a WebSocket that sends each text message back."""
    return Case(
        name,
        title,
        lambda: [UPGRADE],
        Answer("", b"x" * size, status=101),
        connections=connections,
        depth=depth,
        protocol="websocket",
        generator="websocket",
    )


INDEX = Request("GET", "/")
HELLO = Answer(TEXT, b"Hello, World!")

_CASES = (
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
    http2_case(16, 32, tls=False),
    http2_case(1, 100, tls=False),
    http2_case(16, 32, tls=True),
    http2_case(1, 100, tls=True),
    Case(
        "download-h2-tls",
        "GET /download answers 10 MiB over HTTP/2 and TLS, one after another",
        lambda: [Request("GET", "/download")],
        Answer(OCTETS, BLOCK, BLOCKS),
        connections=1,
        protocol="http2",
        tls=True,
        generator="h2load",
    ),
    echo_case(
        "ws-echo-32", "WebSocket echo of 32 bytes, on 32 connections in turns", 32, connections=32
    ),
    echo_case(
        "ws-echo-16-in-flight",
        "WebSocket echo of 32 bytes, on 32 connections with 16 messages in flight each",
        32,
        connections=32,
        depth=16,
    ),
    echo_case(
        "ws-echo-4k", "WebSocket echo of 4 KiB, on 32 connections in turns", 4096, connections=32
    ),
    echo_case(
        "ws-echo-64k", "WebSocket echo of 64 KiB, on 8 connections in turns", 65536, connections=8
    ),
)

CASES = {case.name: case for case in _CASES}


@dataclass(frozen=True, slots=True)
class Probe:
    """A request that is only verified, never measured.

    The probes prove that a server routes, converts and reads instead of answering from a can.
    """

    request: Request
    answer: Answer


PROBES = (
    Probe(Request("GET", "/users/7"), Answer(JSON, b'{"id":7}')),
    Probe(Request("POST", "/echo", body=b"hello"), Answer(TEXT, b"5")),
)
UNKNOWN = Request("GET", "/no-such-route")
