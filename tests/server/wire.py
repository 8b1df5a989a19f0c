"""A client that is nothing but a blocking socket: tests say exactly which bytes go when.

Answers are read with h11, which knows nothing of this project and is strict about framing.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

import h11

from httpkit.types import Address

#: Seconds before a test that waits in vain fails.
PATIENCE = 10.0


@dataclass
class Answer:
    """One response as it came, with the interim responses before it."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        [value] = [value for key, value in self.headers if key == name]
        return value

    def get(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends."""
        return self.get("connection") == "close"


class Client:
    """One connection; `with` closes it.

    Args:
        address: of the server; port 0 means a Unix socket's path.
        receive_buffer: SO_RCVBUF, to be a client that takes little.
        send_buffer: SO_SNDBUF.
    """

    def __init__(
        self,
        address: Address,
        *,
        receive_buffer: int | None = None,
        send_buffer: int | None = None,
        bind: str | None = None,
    ) -> None:
        unix = not address.port
        family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in address.host else None
        self.socket = socket.socket(family or socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if send_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        if bind is not None:
            self.socket.bind(bind)
        if not unix:  # each `send` is a segment of its own
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(address.host if unix else (address.host, address.port))
        except OSError:
            self.socket.close()
            raise
        self.leftover = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port it comes from."""
        return self.socket.getsockname()[1]

    # --- sending -----------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_slowly(self, data: bytes) -> None:
        """One byte a segment; the server reads most of them one by one."""
        for i in range(len(data)):
            self.socket.sendall(data[i : i + 1])

    def fill(self, data: bytes, full: Callable[[], bool]) -> int:
        """Send until nothing more goes out and the server is `full`; how many bytes went."""
        sent = 0
        self.socket.setblocking(False)

        def stuck() -> bool:
            nonlocal sent
            is_full = full()
            with contextlib.suppress(BlockingIOError), memoryview(data) as view:
                while sent < len(data):
                    sent += self.socket.send(view[sent : sent + (1 << 20)])
            return is_full or sent == len(data)

        eventually(stuck, "a server that takes no more")
        self.socket.settimeout(PATIENCE)
        return sent

    def request(
        self,
        target: str = "/",
        *headers: str,
        method: str = "GET",
        body: bytes = b"",
        version: str = "1.1",
    ) -> None:
        """Send a plain request."""
        self.send(make_request(target, *headers, method=method, body=body, version=version))

    def get(self, target: str = "/", *headers: str, method: str = "GET") -> Answer:
        """One whole exchange."""
        self.request(target, *headers, method=method)
        return self.receive(method)

    def half_close(self) -> None:
        """End this side; answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    # --- receiving ---------------------------------------------------------------------------

    def receive(self, method: str = "GET") -> Answer:
        """The next answer, and not a byte more."""
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        connection.send(h11.EndOfMessage())
        if self.leftover:
            connection.receive_data(self.leftover)
        answer = Answer(0, "", [])
        body: list[bytes] = []
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(self.socket.recv(1 << 18))
            elif isinstance(event, h11.InformationalResponse):
                answer.interim.append((event.status_code, _text(event.headers)))
            elif isinstance(event, h11.Response):
                answer.status = event.status_code
                answer.reason = bytes(event.reason).decode()
                answer.headers = _text(event.headers)
            elif isinstance(event, h11.Data):
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                answer.trailers = _text(event.headers)
                answer.body = b"".join(body)
                self.leftover = connection.trailing_data[0]
                return answer
            else:
                raise AssertionError(f"unexpected {event!r}")

    def receive_until(self, end: bytes) -> bytes:
        """Raw bytes up to and including `end`."""
        while end not in self.leftover:
            data = self.socket.recv(1 << 16)
            assert data, f"the connection ended after {self.leftover!r}"
            self.leftover += data
        index = self.leftover.index(end) + len(end)
        data, self.leftover = self.leftover[:index], self.leftover[index:]
        return data

    def receive_exactly(self, size: int) -> bytes:
        """So many raw bytes."""
        data = bytearray(self.leftover[:size])
        self.leftover = self.leftover[size:]
        while len(data) < size:
            more = self.socket.recv(min(1 << 18, size - len(data)))
            assert more, f"the connection ended after {len(data)} bytes"
            data += more
        return bytes(data)

    def receive_rest(self) -> bytes:
        """Everything up to the orderly end; a reset raises."""
        parts = [self.leftover]
        self.leftover = b""
        while data := self.socket.recv(1 << 18):
            parts.append(data)
        return b"".join(parts)

    def expect_end(self) -> None:
        """The server has closed, in order, and has sent nothing more."""
        rest = self.receive_rest()
        assert rest == b"", f"more came before the end: {rest[:200]!r}"

    def expect_reset(self) -> bytes:
        """The server has reset the connection; what came before."""
        data = bytearray(self.leftover)
        try:
            while more := self.socket.recv(1 << 18):
                data += more
        except ConnectionResetError:
            return bytes(data)
        raise AssertionError("the connection ended in order")

    def expect_silence(self) -> None:
        """Nothing has come, and the connection is open."""
        assert not self.leftover
        self.socket.setblocking(False)
        try:
            data = self.socket.recv(1)
        except BlockingIOError:
            return
        finally:
            self.socket.settimeout(PATIENCE)
        raise AssertionError(f"received {data!r}")


def refuses(address: Address) -> bool:
    """Whether nobody listens any more."""
    try:
        Client(address).close()
    except ConnectionRefusedError:
        return True
    return False


def make_request(
    target: str = "/",
    *headers: str,
    method: str = "GET",
    body: bytes = b"",
    version: str = "1.1",
) -> bytes:
    """A request as bytes; `Content-Length` is added for a body."""
    lines = [f"{method} {target} HTTP/{version}", "Host: example.com", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, trailers: Iterable[str] = ()) -> bytes:
    """A body in the chunked coding."""
    parts = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    end = "".join(f"{line}\r\n" for line in ("0", *trailers, ""))
    return b"".join(parts) + end.encode()


def eventually(condition, what: str = "the condition") -> None:
    """Wait until something becomes true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.001)


def _text(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(bytes(name).decode(), bytes(value).decode("latin-1")) for name, value in headers]
