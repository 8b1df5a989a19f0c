"""A client of HTTP/2 without a socket: writes frames into an engine, and reads what comes out."""

from dataclasses import dataclass, field
from typing import Any, Self

from hpack import Decoder, Encoder

from httpkit.limits import Limits
from httpkit.protocol.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamReset,
    TrailersReceived,
)
from httpkit.protocol.http2 import PREFACE, AnswerFields, HTTP2Engine, choose_session
from httpkit.protocol.http2 import frames as f
from httpkit.response import Response

DATE = b"Thu, 26 Nov 2026 00:00:00 GMT"
#: Limits that are easy to reach.
SMALL = Limits(
    max_headers=10,
    max_header_bytes=1000,
    max_target=100,
    max_concurrent_streams=4,
    body_buffer=100,
)
GET = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/"))
POST = ((b":method", b"POST"), *GET[1:])


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def settings(*pairs: tuple[int, int]) -> bytes:
    payload = b"".join(key.to_bytes(2, "big") + number(value) for key, value in pairs)
    return f.serialize_frame(f.SETTINGS, 0, 0, payload)


def ping(data: bytes = bytes(8), flags: int = 0) -> bytes:
    return f.serialize_frame(f.PING, flags, 0, data)


def rst(stream_id: int, code: int = f.ErrorCode.CANCEL) -> bytes:
    return f.serialize_frame(f.RST_STREAM, 0, stream_id, number(code))


def data(stream_id: int, content: bytes = b"", *, end: bool = False) -> bytes:
    return f.serialize_frame(f.DATA, f.END_STREAM if end else 0, stream_id, content)


def window(stream_id: int, increment: int) -> bytes:
    return f.serialize_frame(f.WINDOW_UPDATE, 0, stream_id, number(increment))


@dataclass(frozen=True)
class Frame:
    """What the engine wrote."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of RST_STREAM."""
        return int.from_bytes(self.payload, "big")


@dataclass
class Answer:
    """What came back on one stream."""

    heads: list[dict[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """Of the final head."""
        return int(next(head for head in self.heads if head[b":status"][:1] != b"1")[b":status"])

    @property
    def fields(self) -> dict[bytes, bytes]:
        """Of the final head."""
        return next(head for head in self.heads if head[b":status"][:1] != b"1")


@dataclass
class Received:
    """What the engine told of one stream."""

    request: RequestReceived
    body: bytes = b""
    ended: bool = False
    trailers: list[tuple[bytes, bytes]] | None = None
    reset: StreamReset | None = None


class Peer:
    """The other side of an engine.

    Attributes:
        streams: what the engine told of each.
        answers: what came back on each.
        frames: everything it wrote.
        goaways: last stream id and code of each GOAWAY.
        refused: resets of streams that were never told of.
    """

    def __init__(
        self, session: str, limits: Limits | None = None, *, greet: bytes | None = settings()
    ) -> None:
        chosen = choose_session(session)  # type: ignore[arg-type]
        assert chosen is not None
        self.engine = HTTP2Engine(chosen, limits or Limits(), AnswerFields(DATE))
        self.encoder = Encoder()
        self._decoder = Decoder()
        self._rest = b""
        self._block = b""
        self.streams: dict[int, Received] = {}
        self.answers: dict[int, Answer] = {}
        self.promises: dict[int, dict[bytes, bytes]] = {}
        self.frames: list[Frame] = []
        self.goaways: list[tuple[int, int]] = []
        self.refused: dict[int, StreamReset] = {}
        self.terminated: ConnectionTerminated | None = None
        self.next_id = 1
        if greet is not None:
            self.feed(PREFACE + greet + f.serialize_frame(f.SETTINGS, f.ACK, 0))

    # --- input -------------------------------------------------------------------------------

    def feed(self, octets: bytes, *, size: int | None = None) -> Self:
        """Give octets, in pieces of a size or at once, and read what comes out."""
        pieces = (
            [octets]
            if size is None
            else [octets[at : at + size] for at in range(0, len(octets), size)]
        )
        for piece in pieces:
            self.note(self.engine.receive_data(piece))
            while self.engine.has_more_input:
                self.note(self.engine.receive_data(b""))
            self.pump()
        return self

    def note(self, events: list[Event]) -> None:
        """Keep what the engine tells."""
        for event in events:
            if isinstance(event, RequestReceived):
                body, ended = event.content, bool(event.content) or event.end_stream
                self.streams[event.stream_id] = Received(event, body, ended)
            elif isinstance(event, DataReceived):
                self.streams[event.stream_id].body += event.data
                self.streams[event.stream_id].ended |= event.end_stream
            elif isinstance(event, TrailersReceived):
                self.streams[event.stream_id].trailers = event.headers
            elif isinstance(event, StreamReset):
                if event.stream_id in self.streams:
                    self.streams[event.stream_id].reset = event
                else:
                    self.refused[event.stream_id] = event
            else:
                assert isinstance(event, ConnectionTerminated)
                assert self.terminated is None
                self.terminated = event

    def headers(
        self, fields: Any = GET, stream_id: int | None = None, *, end: bool = True, **options: Any
    ) -> bytes:
        """HEADERS of a new stream, or of the given one."""
        if stream_id is None:
            stream_id = self.next_id
            self.next_id += 2
        flags = options.pop("flags", f.END_HEADERS) | (f.END_STREAM if end else 0)
        block = (
            options.pop("prefix", b"") + self.encoder.encode(fields) + options.pop("suffix", b"")
        )
        return f.serialize_frame(f.HEADERS, flags, stream_id, block)

    def request(self, fields: Any = GET, *, end: bool = True) -> int:
        """Send a request; the result is its stream."""
        stream_id = self.next_id
        self.feed(self.headers(fields, end=end))
        return stream_id

    def answer(
        self, stream_id: int, body: Any = "Hello", status: int = 200, **options: Any
    ) -> None:
        """What an exchange does for a whole answer."""
        self.engine.send_response(stream_id, Response(body, status, **options))
        self.engine.release(stream_id)
        self.pump()

    # --- output ------------------------------------------------------------------------------

    def pump(self, limit: int | None = None) -> bytes:
        """Read what the engine writes."""
        written = b""
        while octets := self.engine.data_to_send(limit):
            written += octets
            if limit is not None:
                break
        self._rest += written
        while len(self._rest) >= f.FRAME_HEAD:
            end = f.FRAME_HEAD + int.from_bytes(self._rest[:3], "big")
            if len(self._rest) < end:
                break
            head, payload = self._rest[: f.FRAME_HEAD], self._rest[f.FRAME_HEAD : end]
            self._rest = self._rest[end:]
            self._read(Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), payload))
        return written

    def _read(self, frame: Frame) -> None:
        self.frames.append(frame)
        answer = self.answers.setdefault(frame.stream_id, Answer()) if frame.stream_id else Answer()
        if frame.kind == f.DATA:
            answer.body += frame.payload
            answer.ended |= bool(frame.flags & f.END_STREAM)
        elif frame.kind in (f.HEADERS, f.CONTINUATION):
            self._block += frame.payload
            answer.ended |= frame.kind == f.HEADERS and bool(frame.flags & f.END_STREAM)
            if frame.flags & f.END_HEADERS:
                answer.heads.append(dict(self._decoder.decode(self._block, raw=True)))
                self._block = b""
        elif frame.kind == f.PUSH_PROMISE:
            promised = int.from_bytes(frame.payload[:4], "big")
            self.promises[promised] = dict(self._decoder.decode(frame.payload[4:], raw=True))
        elif frame.kind == f.RST_STREAM:
            answer.reset = frame.code
        elif frame.kind == f.GOAWAY:
            last, code = frame.payload[:4], frame.payload[4:8]
            self.goaways.append((int.from_bytes(last, "big"), int.from_bytes(code, "big")))

    def of_kind(self, kind: int) -> list[Frame]:
        """Frames of one type."""
        return [frame for frame in self.frames if frame.kind == kind]

    @property
    def failure(self) -> int | None:
        """The code of the GOAWAY that ended the connection, if one did."""
        return self.goaways[-1][1] if self.terminated and self.goaways else None
