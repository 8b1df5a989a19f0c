"""What a case is made of: requests, and the one right answer to each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.messages import UPGRADE, Request

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
OCTETS = "application/octet-stream"

Protocol = Literal["http1", "http2", "websocket"]
#: What an application has to have for a case beside the usual routes.
Needs = Literal["", "cache", "files"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has to answer to each request of a case: ``block``, ``times`` over.

    ``streamed`` says that each block is a chunk of its own. ``content_type`` is None where there
    need not be one. ``fields`` are header fields, their names in lower case, and what each has to
    contain.
    """

    content_type: str | None
    block: bytes
    times: int = 1
    status: int = 200
    streamed: bool = False
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """Return the whole body; it is not kept, since some are large."""
        return self.block * self.times


@dataclass(frozen=True, slots=True)
class Probe:
    """A request that is only verified, never measured.

    The probes prove that a server routes, converts and reads instead of answering from a can.
    """

    request: Request
    answer: Answer


#: What every application with the usual routes can answer.
PROBES = (
    Probe(Request("GET", "/users/7"), Answer(JSON, b'{"id":7}')),
    Probe(Request("POST", "/echo", body=b"hello"), Answer(TEXT, b"5")),
)
UNKNOWN = Request("GET", "/no-such-route")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured.

    Each of the ``connections`` sends the ``requests`` in turn. ``depth`` is how many are in flight
    on each: pipelined over HTTP/1.1, streams over HTTP/2, messages over WebSocket, where the answer
    is the echo. HTTP/2 without ``tls`` is by prior knowledge. ``generator`` names who sends them.

    ``routes`` is how many routes the applications have beside the usual ones, ``needs`` what else
    they have. ``content`` returns the body at a target where each has one of its own. ``primed``
    sends the requests once before they are verified, so that a cache has what it answers with;
    ``conditional`` sends them with the validators that the server itself has given.
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
    needs: Needs = ""
    probes: tuple[Probe, ...] = PROBES
    content: Callable[[str], bytes] | None = None
    primed: bool = False
    conditional: bool = False

    def messages(self, authority: str) -> list[bytes]:
        """Return the messages of HTTP/1.1 that each connection sends in turn."""
        return [request.serialize(authority) * self.depth for request in self.requests()]

    def answer_to(self, request: Request) -> Answer:
        """Return the one right answer to a request of the case."""
        if self.content is None:
            return self.answer
        return replace(self.answer, block=self.content(request.target))


def websocket_case(
    name: str,
    title: str,
    message: bytes,
    *,
    connections: int,
    depth: int = 1,
    generator: str = "websocket",
    request: Request = UPGRADE,
) -> Case:
    """Return a case of text messages over WebSocket."""
    return Case(
        name,
        title,
        lambda: [request],
        Answer("", message, status=101),
        connections=connections,
        depth=depth,
        protocol="websocket",
        generator=generator,
    )
