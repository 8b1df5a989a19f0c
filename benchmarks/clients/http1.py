"""HTTP/1.1 as far as verification needs it, over sockets or any other stream of bytes."""

from collections.abc import Iterator
from typing import BinaryIO

from benchmarks.clients.response import Response, VerificationError
from benchmarks.clients.socket_client import SocketClient
from benchmarks.endpoint import Endpoint
from benchmarks.messages import Request


def receive_response(stream: BinaryIO) -> Response:
    """Read one response, framed by Content-Length or in chunks."""
    status_line = stream.readline().split(None, 2)
    if len(status_line) < 2 or status_line[0] != b"HTTP/1.1":
        raise VerificationError(f"no HTTP/1.1 status line but {b' '.join(status_line)!r}")
    headers = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    status = int(status_line[1])
    if status == 304:  # never a body, whatever the fields say (RFC 9112 §6.3)
        return Response(status, headers, b"")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join(receive_chunks(stream))
    elif "content-length" in headers:
        body = stream.read(int(headers["content-length"]))
    else:
        raise VerificationError("a response without Content-Length")
    return Response(status, headers, body)


def receive_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Read the chunks of a body (RFC 9112 §7.1); nobody sends trailers here."""
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


class HTTP1Client(SocketClient):
    """One connection that sends the very bytes that a load generator replays."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.authority = endpoint.authority
        self.socket = endpoint.connect()
        self.stream = self.socket.makefile("rb")

    def close_socket(self) -> None:
        """Close the connection as it is."""
        self.stream.close()
        super().close_socket()

    def exchange(self, request: Request, times: int = 1) -> list[Response]:
        """Send a request, pipelined if more than once, and return the responses in order."""
        self.socket.sendall(request.serialize(self.authority) * times)
        return [receive_response(self.stream) for _ in range(times)]

    def receive_end(self) -> None:
        """Wait until the server closes the connection, as ``Connection: close`` asks it to."""
        if rest := self.stream.read(1):
            raise VerificationError(f"the connection goes on after its end with {rest!r}")
