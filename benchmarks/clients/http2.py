"""HTTP/2 as far as verification needs it: h2 on a blocking socket."""

from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError

from benchmarks.clients.response import Response, VerificationError
from benchmarks.clients.socket_client import SocketClient
from benchmarks.endpoint import Endpoint
from benchmarks.messages import Request

READ_SIZE = 65536


class Stream:
    """What has come of one response so far."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.ended = False

    def response(self) -> Response:
        """Return the whole response; pseudo-header fields are no headers."""
        headers = dict(self.headers)
        return Response(int(headers.pop(":status")), headers, bytes(self.body))


class HTTP2Client(SocketClient):
    """One connection: by prior knowledge, over TLS by ALPN (RFC 9113 §3.2, §3.3)."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.scheme, self.authority = endpoint.scheme, endpoint.authority
        self.socket = endpoint.connect("h2")
        self.connection = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.streams: dict[int, Stream] = {}

    def exchange(self, request: Request, times: int = 1) -> list[Response]:
        """Send a request on so many streams at once, and return the responses in order."""
        try:
            self.streams = {self._send(request): Stream() for _ in range(times)}
            while not all(stream.ended for stream in self.streams.values()):
                self._receive()
            self.socket.sendall(self.connection.data_to_send())
        except ProtocolError as error:
            raise VerificationError(f"no proper HTTP/2: {error!r}") from error
        return [stream.response() for stream in self.streams.values()]

    def _send(self, request: Request) -> int:
        """Queue one request; its body fits into the first window."""
        stream_id = self.connection.get_next_available_stream_id()
        fields = [
            (":method", request.method),
            (":scheme", self.scheme),
            (":authority", self.authority),
            (":path", request.target),
            *((name.lower(), value) for name, value in request.headers),
        ]
        self.connection.send_headers(stream_id, fields, end_stream=not request.body)
        if request.body:
            self.connection.send_data(stream_id, request.body, end_stream=True)
        return stream_id

    def _receive(self) -> None:
        """Send what is queued, and take in what comes next."""
        self.socket.sendall(self.connection.data_to_send())
        data = self.socket.recv(READ_SIZE)
        if not data:
            raise VerificationError("the server closed the connection before it answered")
        for event in self.connection.receive_data(data):
            self._handle(event)

    def _handle(self, event: Event) -> None:
        """Keep what belongs to a response; a stream or connection that fails is no answer."""
        match event:
            case ResponseReceived(headers=headers, stream_id=stream_id):
                self.streams[stream_id].headers = dict(cast("list[tuple[str, str]]", headers))
            case DataReceived(data=data, stream_id=stream_id, flow_controlled_length=length):
                self.streams[stream_id].body += data
                self.connection.acknowledge_received_data(length, stream_id)
            case StreamEnded(stream_id=stream_id):
                self.streams[stream_id].ended = True
            case StreamReset() | ConnectionTerminated():
                raise VerificationError(f"the server sent {event!r}")
