"""A WebSocket server by the book, in threads, and what a load is given in tests."""

import socketserver
import threading
from contextlib import contextmanager, suppress

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    RejectConnection,
    Request,
    TextMessage,
)

from benchmarks.endpoint import HOST, Endpoint
from benchmarks.load import Load
from benchmarks.load.frames import TEXT, serialize_frame


class Echo:
    """A server's side of one WebSocket by the book; subclasses do one thing otherwise."""

    def __init__(self, server):
        self.server = server
        self.connection = WSConnection(ConnectionType.SERVER)

    def answer(self, event):
        """Return the bytes that answer an event."""
        match event:
            case Request(target="/ws"):
                return self.connection.send(AcceptConnection())
            case Request():
                return self.connection.send(RejectConnection(status_code=404))
            case CloseConnection():
                return self.connection.send(event.response())
            case TextMessage() | BytesMessage():
                return self.echo(event)
        return b""

    def echo(self, event):
        self.server.count(event.message_finished)
        # A long message comes in parts, and goes out as one frame all the same.
        self.parts = [*getattr(self, "parts", []), event.data]
        if not event.message_finished:
            return b""
        data, self.parts = type(event.data)().join(self.parts), []
        first = TEXT if isinstance(data, str) else 0x82
        return serialize_frame(first, data.encode() if isinstance(data, str) else data)


class Handler(socketserver.BaseRequestHandler):
    """Serves one connection until its WebSocket is closed."""

    def handle(self):
        peer = self.server.behavior(self.server)
        with suppress(ConnectionError):
            while data := self.request.recv(65536):
                peer.connection.receive_data(data)
                for event in peer.connection.events():
                    answer = peer.answer(event)
                    self.request.sendall(answer)
                    if answer and isinstance(event, CloseConnection):
                        return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, behavior, enough):
        super().__init__((HOST, 0), Handler)
        self.behavior = behavior
        self.left = enough
        self.lock = threading.Lock()
        self.enough = threading.Event()

    def count(self, messages):
        with self.lock:
            self.left -= messages
            if self.left <= 0:
                self.enough.set()


@contextmanager
def serving(behavior, enough=1):
    with Server(behavior, enough) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server, Endpoint(server.server_address[1])
        finally:
            server.shutdown()
            thread.join(10)


def make_load(case, endpoint, directory=None, seconds=1, cpu=(), resident=()):
    """Make a load; what it reads of the server are the values given, one after another."""
    cpu, resident = iter(cpu), iter(resident)
    return Load(case, endpoint, seconds, directory, lambda: next(cpu), lambda: next(resident))
