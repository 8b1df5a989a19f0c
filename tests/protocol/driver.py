"""Drives an HTTP/1.1 engine without a socket, from both sides.

Bytes go in cut in any way; each request is answered by a callback, as a server would; what comes
out is read by h11 as a client, so that answers are checked as messages and not as strings.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import h11

from httpkit.limits import Limits
from httpkit.protocol.engine import Close
from httpkit.protocol.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamReset,
    TrailersReceived,
)
from httpkit.protocol.http1 import HTTP1Engine, Preamble, make_engine
from httpkit.request import RequestHead
from httpkit.response import Response

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
DEFAULT = Limits()
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

Fields = list[tuple[bytes, bytes]]


@dataclass
class Stream:
    """One request as the events told it."""

    received: RequestReceived
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    ended: bool = False
    reset: bool = False

    @property
    def id(self) -> int:
        return self.received.stream_id

    @property
    def head(self) -> RequestHead:
        return self.received.head


class NormalStream(NamedTuple):
    """What must not depend on the parser, nor on how the network cut the bytes."""

    method: str
    target: bytes
    authority: bytes
    version: str
    headers: tuple[tuple[bytes, bytes], ...]
    upgrade: bytes | None
    content_length: int | None
    body: bytes
    trailers: tuple[tuple[bytes, bytes], ...]
    ended: bool
    reset: bool


class Verdict(NamedTuple):
    """The requests, and how the connection stands after them.

    Whether a closed one lingers is left out: it depends on what has come until then.
    """

    streams: tuple[NormalStream, ...]
    closed: bool
    status: int | None
    output: bytes


class Answer(NamedTuple):
    """A response as a client reads it."""

    status: int
    headers: Fields
    body: bytes
    trailers: Fields
    informational: list[tuple[int, Fields]]

    def values(self, name: bytes) -> list[bytes]:
        return [value for field_name, value in self.headers if field_name == name]


def answer_ok(driver: "Driver", stream: Stream) -> None:
    """The default callback: 200 with the number of the request."""
    driver.engine.send_response(stream.id, Response(b"answer %d" % stream.id))


class Driver:
    """One connection.

    Args:
        parser: `native` or `reference`.
        limits: of the engine.
        answer: called for each request.
        early: call it when the head is there rather than when the body has ended.
    """

    def __init__(
        self,
        parser: str,
        limits: Limits = DEFAULT,
        answer: Callable[["Driver", Stream], None] = answer_ok,
        *,
        early: bool = False,
    ) -> None:
        self.engine: HTTP1Engine = make_engine(parser, limits, Preamble(DATE))
        self.streams: list[Stream] = []
        self.events: list[Event] = []
        self.output = b""
        self.terminated: ConnectionTerminated | None = None
        self._answer = answer
        self._early = early

    def feed(self, *pieces: bytes) -> "Driver":
        """Give the engine these pieces, as far as it takes input."""
        for piece in pieces:
            self.pump(self.engine.receive_data(piece))
        return self

    def eof(self) -> "Driver":
        self.pump(self.engine.receive_eof())
        return self

    def timeout(self) -> "Driver":
        self.pump(self.engine.receive_timeout())
        return self

    def pump(self, events: list[Event]) -> None:
        """Handle events, and those that wait behind them, until there are none."""
        while True:
            for event in events:
                self._handle(event)
            self.output += self.engine.data_to_send()
            if not events and not self.engine.turn_is_over:
                break
            expects_more = self.engine.has_more_input
            events = self.engine.receive_data(b"")
            assert expects_more or not events
        # Queries answer in every state.
        assert isinstance(self.engine.wants_input, bool)
        assert self.engine.deadline_kind is not None

    def _handle(self, event: Event) -> None:
        assert self.terminated is None, "an event after the end"
        self.events.append(event)
        if isinstance(event, RequestReceived):
            assert event.stream_id == len(self.streams) + 1
            stream = Stream(event, event.content, ended=event.end_stream)
            self.streams.append(stream)
            if self._early or event.end_stream:
                self._answer(self, stream)
        elif isinstance(event, ConnectionTerminated):
            self.terminated = event
        else:
            self._handle_body(event)

    def _handle_body(self, event: DataReceived | TrailersReceived | StreamReset) -> None:
        stream = self.streams[-1]
        assert event.stream_id == stream.id
        assert not stream.reset
        if isinstance(event, StreamReset):
            stream.reset = True
            return
        if isinstance(event, TrailersReceived):
            assert not stream.ended
            stream.trailers = event.headers
            return
        if stream.ended:
            assert event.data == b"" or stream.received.upgrade, "a body after its end"
        assert event.data or event.end_stream, "an event that says nothing"
        stream.body += event.data
        self.engine.consume(stream.id, len(event.data))
        if event.end_stream and not stream.ended:
            stream.ended = True
            if not self._early:
                self._answer(self, stream)

    def verdict(self) -> Verdict:
        """The normal form; of a refusal, the sentence for people does not count."""
        status = self.terminated.status if self.terminated else None
        output = self.output
        if status is not None:
            output = output[: output.rindex(b"HTTP/1.1 %d " % status)]
        return Verdict(
            tuple(_normal(stream) for stream in self.streams),
            self.engine.close is not Close.OPEN,
            status,
            output,
        )

    def answers(self) -> list[Answer]:
        """Read the output as a client; checks that nothing stands behind the last answer."""
        methods = [stream.head.method for stream in self.streams]
        if self.terminated and self.terminated.status and not (methods and self.streams[-1].reset):
            methods.append("GET")  # the refused head has an answer but no stream
        if self.engine.close is Close.OPEN:
            return read_answers(self.output, methods, closed=False)
        return read_answers(self.output, methods, closed=True)


def _normal(stream: Stream) -> NormalStream:
    head = stream.head
    return NormalStream(
        head.method,
        head.target,
        head.authority,
        head.version,
        tuple(head.headers),
        stream.received.upgrade,
        stream.received.content_length,
        stream.body,
        tuple(stream.trailers),
        stream.ended,
        stream.reset,
    )


def read_answers(output: bytes, methods: Iterable[str], *, closed: bool) -> list[Answer]:
    """Exactly one answer for each method, and not a byte more."""
    answers = []
    for method in methods:
        answer, output = read_answer(output, method, closed=closed)
        answers.append(answer)
    assert output == b"", "bytes after the last answer"
    return answers


def read_answer(output: bytes, method: str = "GET", *, closed: bool) -> tuple[Answer, bytes]:
    """One answer and the bytes behind it; `closed` says that the connection ends with them."""
    client = h11.Connection(h11.CLIENT)
    offer = [("connection", "upgrade"), ("upgrade", "anything")]
    client.send(h11.Request(method=method, target="/", headers=[("host", "a"), *offer]))
    client.send(h11.EndOfMessage())
    client.receive_data(output)
    status, headers, body, trailers = 0, [], b"", []
    informational = []
    while True:
        event = client.next_event()
        if isinstance(event, h11.InformationalResponse):
            informational.append((event.status_code, list(event.headers)))
            if event.status_code == 101:
                status, headers = 101, list(event.headers)
                break
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            trailers = list(event.headers)
            break
        else:
            assert event is h11.NEED_DATA, event
            assert closed, "the answer is not complete"
            client.receive_data(b"")
            closed = False
    rest, _ = client.trailing_data
    return Answer(status, headers, body, trailers, informational), rest


def run(
    parser: str,
    pieces: bytes | Iterable[bytes],
    limits: Limits = DEFAULT,
    answer: Callable[[Driver, Stream], None] = answer_ok,
    *,
    eof: bool = False,
) -> Driver:
    """A connection from its first byte to its last."""
    driver = Driver(parser, limits, answer)
    driver.feed(*([pieces] if isinstance(pieces, bytes) else pieces))
    return driver.eof() if eof else driver


def bytewise(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def two_splits(data: bytes) -> Iterator[list[bytes]]:
    """Every way to cut it once."""
    for index in range(1, len(data)):
        yield [data[:index], data[index:]]


def all_splits(data: bytes, behind: bytes = b"", *, places: int = 100) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and cut once: at every place if it is short.

    Args:
        data: what is cut.
        behind: comes at once behind the last piece.
        places: about as many places are tried, spread evenly.
    """
    yield [data + behind]
    yield [*bytewise(data + behind)]
    step = max(1, len(data) // places) if places else len(data)
    for index in range(1, len(data), step):
        yield [data[:index], data[index:] + behind]


def fewer(parser: str, places: int = 100) -> int:
    """Cuts concern the guard, which both parsers share: one of them meets every place."""
    return places if parser == "native" else places // 5


def cut(data: bytes, marks: Iterable[int]) -> list[bytes]:
    """Cut at these places; those outside the data are ignored."""
    places = [0, *sorted({mark for mark in marks if 0 < mark < len(data)}), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]
