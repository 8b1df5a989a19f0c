"""*The limit*: a bare uvloop protocol, with TLS if asked, with a canned answer and no parser.

No server that is written in Python on asyncio can be faster than this one. It is not an HTTP
server: it counts bytes just well enough to answer the cases, one canned answer for each request.
Run by the harness as ``python -m benchmarks.servers.limit --port 8000 --case plaintext``.
"""

import asyncio
import os
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import cast

import click
import uvloop

from benchmarks.apps.extras import CHUNK, CHUNKS
from benchmarks.cases import CASES, Answer, Case
from benchmarks.cases.files import FIRST
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.files import FILES_VARIABLE, LARGE

HEAD_END = b"\r\n\r\n"


def serialize_answer(answer: Answer) -> bytes:
    """Serialize the canned answer, with the headers that every server sends."""
    framing = (
        "transfer-encoding: chunked" if answer.streamed else f"content-length: {len(answer.body)}"
    )
    fields = "".join(f"{name}: {value}\r\n" for name, value in answer.fields)
    head = (
        f"HTTP/1.1 {answer.status} OK\r\ncontent-type: {answer.content_type}\r\n{fields}"
        f"{framing}\r\ndate: {formatdate(usegmt=True)}\r\n\r\n"
    )
    body = answer.body
    if answer.streamed:
        body = b"".join([b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK)] * CHUNKS) + b"0\r\n\r\n"
    return head.encode("ascii") + body


class CannedProtocol(asyncio.Protocol):
    """Takes each chunk that arrives for one request."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is called for each request."""
        self.write = cast("asyncio.Transport", transport).write

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  it is not even looked at
        """Answer one request."""
        self.write(self.answer)


class PipeliningProtocol(CannedProtocol):
    """Counts the empty lines that end a head; a chunk may end within one."""

    rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer each complete head of the chunk, all in one write."""
        data = self.rest + data
        heads = data.count(HEAD_END)
        self.rest = b"" if data.endswith(HEAD_END) else data[-3:]
        if heads:
            self.write(self.answer * heads)


class ClosingProtocol(CannedProtocol):
    """Closes the connection after its only answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is called for the request."""
        super().connection_made(transport)
        self.close = transport.close

    def data_received(self, data: bytes) -> None:
        """Answer the request, and that is all."""
        super().data_received(data)
        self.close()


class BodyProtocol(CannedProtocol):
    """Counts bytes: every request of a case with a body has the same length."""

    def __init__(self, answer: bytes, length: int) -> None:
        super().__init__(answer)
        self.length = length
        self.received = 0

    def data_received(self, data: bytes) -> None:
        """Answer each request of which all bytes are there."""
        self.received += len(data)
        while self.received >= self.length:
            self.received -= self.length
            self.write(self.answer)


class FileProtocol(CannedProtocol):
    """Writes the head, and the part of a file behind it by sendfile(2)."""

    def __init__(self, answer: bytes, file: int) -> None:
        super().__init__(answer)
        self.head, _, part = answer.partition(HEAD_END)
        self.head += HEAD_END
        self.size = len(part)
        self.file = file

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the descriptor of the socket."""
        super().connection_made(transport)
        self.descriptor = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  it is not even looked at
        """Answer one request; what the socket does not take at once goes through the transport."""
        os.write(self.descriptor, self.head)
        sent = os.sendfile(self.descriptor, self.file, FIRST, self.size)
        if sent < self.size:
            self.write(os.pread(self.file, self.size - sent, FIRST + sent))


def protocol_factory(case: Case, port: int) -> Callable[[], CannedProtocol]:
    """Return the factory of the cheapest protocol that answers the case."""
    answer = serialize_answer(case.answer)
    if case.generator == "handshake":
        return lambda: ClosingProtocol(answer)
    if case.name == "static-range":
        file = os.open(Path(os.environ[FILES_VARIABLE], LARGE), os.O_RDONLY)
        return lambda: FileProtocol(answer, file)
    message = case.messages(Endpoint(port).authority)[0]
    if not message.endswith(HEAD_END):
        return lambda: BodyProtocol(answer, len(message))
    if case.depth > 1:
        return lambda: PipeliningProtocol(answer)
    return lambda: CannedProtocol(answer)


def server_context(certificate: Path, key: Path) -> SSLContext:
    """Return a context as the other servers on OpenSSL make it."""
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def serve(case: Case, port: int, context: SSLContext | None) -> None:
    """Serve until the process is killed."""
    loop = asyncio.get_running_loop()
    factory = protocol_factory(case, port)
    server = await loop.create_server(factory, HOST, port, backlog=2048, ssl=context)
    async with server:
        await server.serve_forever()


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--case", "case_name", type=click.Choice(list(CASES)), required=True)
@click.option("--certificate", type=click.Path(path_type=Path), help="PEM file; TLS if given.")
@click.option("--key", type=click.Path(path_type=Path), help="PEM file of its key.")
def main(port: int, case_name: str, certificate: Path | None, key: Path | None) -> None:
    """Run the limit for one case."""
    context = server_context(certificate, key) if certificate and key else None
    uvloop.run(serve(CASES[case_name], port, context))


if __name__ == "__main__":
    main()
