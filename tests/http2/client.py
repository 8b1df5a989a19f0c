"""A client that is a socket and a reader of frames: it sends what a test says, and notes all.

Frames are read with hyperframe and header blocks with hpack, which are strict about what a server
may send; everything it receives is checked against RFC 9113 on the way (`_note`).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from h2.errors import ErrorCodes as Code
from hpack import Decoder
from hyperframe import frame as received

from tests.server.wire import PATIENCE, Client

from . import frames

#: What is sent after the preface by default: nothing is changed.
NO_SETTINGS = frames.settings()


@dataclass
class Answer:
    """What came on one stream so far."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[list[tuple[str, str]]] = field(default_factory=list)
    trailers: list[tuple[str, str]] | None = None
    #: The payload of each DATA frame.
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False
    #: The code of the RST_STREAM, if one came.
    reset: int | None = None

    @property
    def status(self) -> int:
        """0 while there is none."""
        return int(dict(self.headers).get(":status", "0"))

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def done(self) -> bool:
        return self.ended or self.reset is not None

    def __getitem__(self, name: str) -> str:
        [value] = [value for key, value in self.headers if key == name]
        return value

    def get(self, name: str) -> str | None:
        return self[name] if name in dict(self.headers) else None


class HTTP2Client:
    """One connection.

    Args:
        client: the socket, and what is left to read.
        hello: sent at once; by default the preface and empty SETTINGS.
        credit: give back the window for DATA as it comes.
        acknowledge: answer SETTINGS and PING.
    """

    def __init__(
        self,
        client: Client,
        hello: bytes = frames.PREFACE + NO_SETTINGS,
        *,
        credit: bool = True,
        acknowledge: bool = True,
    ) -> None:
        #: For bytes that are no frames.
        self.socket = client
        self._credit = credit
        self._acknowledge = acknowledge
        self.decoder = Decoder(max_header_list_size=1 << 20)
        self._streams: dict[int, Answer] = {}
        self._fragments: tuple[int, bytearray, bool] | None = None
        self._next = 1
        self._fences = itertools.count(1)
        self._pongs: list[bytes] = []
        #: Names of all frames in order, with the stream, e.g. `("SETTINGS", 0)`.
        self.log: list[tuple[str, int]] = []
        #: The last value of each setting.
        self.settings: dict[int, int] = {}
        self.settings_acks = 0
        #: The sum of the increments for each stream; 0 for the connection.
        self.window_updates: dict[int, int] = {}
        self.goaways: list[received.GoAwayFrame] = []
        #: The fields of each PUSH_PROMISE, by the promised stream.
        self.promises: dict[int, list[tuple[str, str]]] = {}
        #: Unanswered PINGs of the server.
        self.pings: list[bytes] = []
        #: `None` while the connection is open, else whether it ended in order.
        self.ended: bool | None = None
        if hello:
            self.send(hello)

    # --- sending -------------------------------------------------------------------------------

    def send(self, data: bytes, *, slowly: bool = False) -> None:
        """Send bytes; a server that has closed meanwhile is seen when reading."""
        try:
            if slowly:
                self.socket.send_slowly(data)
            else:
                self.socket.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def request(
        self,
        path: str = "/",
        *more: tuple[str | bytes, str | bytes],
        method: str = "GET",
        end: bool = True,
        body: bytes | None = None,
    ) -> int:
        """Send a request on the next stream; its number. A body is one DATA frame."""
        stream, self._next = self._next, self._next + 2
        end = end and body is None
        out = frames.request(path, *more, method=method, stream=stream, end=end)
        if body is not None:
            out += frames.data(body, stream=stream, end=True)
        self.send(out)
        return stream

    def skip_to(self, stream: int) -> None:
        """Let `request` go on with another stream number."""
        self._next = stream

    def half_close(self) -> None:
        self.socket.half_close()

    def close(self) -> None:
        self.socket.close()

    # --- receiving -----------------------------------------------------------------------------

    def get(
        self, path: str = "/", *more: tuple[str | bytes, str | bytes], **options: Any
    ) -> Answer:
        """One whole exchange."""
        return self.answer(self.request(path, *more, **options))

    def stream(self, number: int) -> Answer:
        """What has come on a stream."""
        return self._streams.setdefault(number, Answer())

    def answer(self, number: int) -> Answer:
        """Read until the stream or the connection has ended."""
        answer = self.stream(number)
        self.until(lambda: answer.done)
        return answer

    def fence(self) -> bool:
        """Wait until the server has read everything sent before; whether the connection goes on."""
        opaque = next(self._fences).to_bytes(8, "big")
        self.send(frames.ping(opaque))
        self.until(lambda: opaque in self._pongs)
        return self.ended is None

    def until(self, condition: Callable[[], object]) -> None:
        """Read frames until something is true or the connection has ended."""
        while not condition() and self.ended is None:
            self._note(self._receive_frame())

    def until_end(self) -> None:
        """Read frames until the connection has ended."""
        self.until(lambda: False)

    @property
    def error(self) -> Code | None:
        """The code of the last GOAWAY."""
        return Code(self.goaways[-1].error_code) if self.goaways else None

    def expect_silence(self) -> None:
        """Nothing but what has been read has come, and the connection is open."""
        self.socket.expect_silence()

    def look(self) -> None:
        """Read what has come already, and do not wait for more."""
        while self.ended is None:
            self.socket.socket.settimeout(0)
            try:
                self._fill(1)
            except BlockingIOError:
                return
            finally:
                self.socket.socket.settimeout(PATIENCE)
            self._note(self._receive_frame())

    # --- frames --------------------------------------------------------------------------------

    def _fill(self, size: int) -> bool:
        """Have so many bytes; `False` at the end of the connection."""
        client = self.socket
        while len(client.leftover) < size:
            try:
                more = client.socket.recv(1 << 18)
            except ConnectionResetError:
                self.ended = False
                return False
            if not more:
                assert not client.leftover, f"ends inside a frame: {client.leftover[:80]!r}"
                self.ended = True
                return False
            client.leftover += more
        return True

    def _receive_frame(self) -> received.Frame | None:
        client = self.socket
        if not self._fill(9):
            return None
        size = int.from_bytes(client.leftover[:3], "big")
        assert size <= 16_384 or size <= self._largest, f"a frame of {size} bytes"
        if not self._fill(9 + size):
            return None
        whole, client.leftover = client.leftover[: 9 + size], client.leftover[9 + size :]
        frame, _ = received.Frame.parse_frame_header(memoryview(whole[:9]))
        frame.parse_body(memoryview(whole[9:]))
        return frame

    #: The largest frame that the test's SETTINGS allow.
    _largest = 16_384

    def allow_frames_of(self, size: int) -> None:
        """Tell the server of a SETTINGS_MAX_FRAME_SIZE."""
        self._largest = size
        self.send(frames.settings((frames.MAX_FRAME_SIZE, size)))

    def _note(self, frame: received.Frame | None) -> None:
        if frame is None:
            return
        name = type(frame).__name__.removesuffix("Frame")
        if not self.log:
            # RFC 9113 §3.4: SETTINGS are the first that a server sends.
            assert name == "Settings", f"{name} comes first"
            assert "ACK" not in frame.flags
        if self._fragments is not None:
            assert name == "Continuation", f"{name} inside a header block"
        self.log.append((name, frame.stream_id))
        getattr(self, f"_note_{name.lower()}", self._note_other)(frame)

    def _note_other(self, frame: received.Frame) -> None:
        raise AssertionError(f"a server has no reason to send {frame!r}")

    def _note_settings(self, frame: received.SettingsFrame) -> None:
        if "ACK" in frame.flags:
            self.settings_acks += 1
            return
        self.settings.update(frame.settings)
        if self._acknowledge:
            self.send(frames.settings_ack())

    def _note_ping(self, frame: received.PingFrame) -> None:
        if "ACK" in frame.flags:
            self._pongs.append(frame.opaque_data)
        elif self._acknowledge:
            self.send(frames.frame(frames.PING, frame.opaque_data, flags=frames.ACK))
        else:
            self.pings.append(frame.opaque_data)

    @property
    def pongs(self) -> list[bytes]:
        """The payload of every answered PING, those of fences among them."""
        return self._pongs

    def _note_windowupdate(self, frame: received.WindowUpdateFrame) -> None:
        number = frame.stream_id
        self.window_updates[number] = self.window_updates.get(number, 0) + frame.window_increment

    def _note_goaway(self, frame: received.GoAwayFrame) -> None:
        if self.goaways:
            # RFC 9113 §6.8: the identifier MUST NOT increase.
            assert frame.last_stream_id <= self.goaways[-1].last_stream_id
        self.goaways.append(frame)

    def _note_rststream(self, frame: received.RstStreamFrame) -> None:
        answer = self.stream(frame.stream_id)
        assert answer.reset is None, f"stream {frame.stream_id} is reset twice"
        answer.reset = frame.error_code

    def _note_data(self, frame: received.DataFrame) -> None:
        answer = self._open(frame)
        assert answer.status, "DATA before HEADERS"
        answer.pieces.append(frame.data)
        answer.ended = "END_STREAM" in frame.flags
        if self._credit and frame.flow_controlled_length:
            size = frame.flow_controlled_length
            updates = frames.window_update(size)
            if not answer.ended:
                updates += frames.window_update(size, stream=frame.stream_id)
            self.send(updates)

    def _note_headers(self, frame: received.HeadersFrame) -> None:
        self._open(frame)
        self._fragments = (frame.stream_id, bytearray(frame.data), "END_STREAM" in frame.flags)
        if "END_HEADERS" in frame.flags:
            self._end_block()

    def _note_continuation(self, frame: received.ContinuationFrame) -> None:
        assert self._fragments is not None, "CONTINUATION of nothing"
        assert self._fragments[0] == frame.stream_id
        self._fragments[1].extend(frame.data)
        if "END_HEADERS" in frame.flags:
            self._end_block()

    def _note_pushpromise(self, frame: received.PushPromiseFrame) -> None:
        assert not self.stream(frame.stream_id).ended, "a promise after the end of its stream"
        assert not frame.promised_stream_id % 2, "servers open even streams (RFC 9113 §5.1.1)"
        assert frame.promised_stream_id > max(self.promises, default=0)
        assert "END_HEADERS" in frame.flags
        self.promises[frame.promised_stream_id] = self._decode(frame.data)

    def _decode(self, fragment: bytes) -> list[tuple[str, str]]:
        return [(str(name), str(value)) for name, value in self.decoder.decode(fragment)]

    def _open(self, frame: received.Frame) -> Answer:
        answer = self.stream(frame.stream_id)
        assert not answer.done, f"{frame!r} after the end of the stream"
        return answer

    def _end_block(self) -> None:
        assert self._fragments is not None
        number, fragment, ended = self._fragments
        self._fragments = None
        fields = self._decode(bytes(fragment))
        answer = self.stream(number)
        names = [name for name, _ in fields]
        assert names == [name.lower() for name in names]
        assert not {"connection", "keep-alive", "transfer-encoding", "upgrade"} & set(names)
        if answer.status:
            assert ended, "trailers end the stream (RFC 9113 §8.1)"
            assert not any(name.startswith(":") for name in names)
            answer.trailers = fields
        elif fields[0][1].startswith("1"):
            assert not ended, "an interim response does not end the stream (RFC 9113 §8.1)"
            answer.interim.append(fields)
        else:
            assert [n for n in names if n.startswith(":")] == [":status"] == names[:1]
            answer.headers = fields
        answer.ended = ended
