"""WebSocket as far as verification needs it: wsproto on a blocking socket."""

from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from benchmarks.clients.response import VerificationError
from benchmarks.clients.socket_client import SocketClient
from benchmarks.endpoint import Endpoint

READ_SIZE = 65536


class RefusedError(VerificationError):
    """The server answers the handshake with something other than 101."""


class WebSocketClient(SocketClient):
    """One WebSocket without extensions; wsproto checks the handshake (RFC 6455 §4.1)."""

    def __init__(self, endpoint: Endpoint, target: str) -> None:
        self.socket = endpoint.connect()
        self.connection = WSConnection(ConnectionType.CLIENT)
        self.pending: list[Event] = []
        try:
            self._send(Request(host=endpoint.authority, target=target))
            self._wait_until_accepted()
        except BaseException:
            self.socket.close()
            raise

    def echo(self, message: Any) -> Any:
        """Send a message (str or bytes) in one frame and return the one that comes back."""
        self._send(Message(data=message))
        return self.receive()

    def receive(self) -> Any:
        """Return the next message (str or bytes), whole."""
        parts: list[Any] = []
        while True:
            event = self._next()
            if not isinstance(event, TextMessage | BytesMessage):
                raise VerificationError(f"the server sent {event!r}")
            parts.append(event.data)
            if event.message_finished:
                return type(event.data)().join(parts)

    def close(self) -> None:
        """Close with 1000, and wait until the server has done so too (RFC 6455 §7.1.2)."""
        self._send(CloseConnection(code=1000))
        while not isinstance(self._next(), CloseConnection):
            pass

    def _wait_until_accepted(self) -> None:
        """Take in the answer to the handshake."""
        while not isinstance(event := self._next(), AcceptConnection):
            if isinstance(event, RejectConnection):
                raise RefusedError(f"the WebSocket is refused with {event.status_code}")

    def _next(self) -> Event:
        """Return what comes next; several events may have come at once."""
        while not self.pending:
            self.pending += self._receive()
        return self.pending.pop(0)

    def _send(self, event: Event) -> None:
        self.socket.sendall(self.connection.send(event))

    def _receive(self) -> list[Event]:
        """Take in what comes next; the end is no answer."""
        data = self.socket.recv(READ_SIZE)
        if not data:
            raise VerificationError("the server closed the connection before it answered")
        try:
            self.connection.receive_data(data)
            return list(self.connection.events())
        except ProtocolError as error:
            raise VerificationError(f"no proper WebSocket: {error!r}") from error
