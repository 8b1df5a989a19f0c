"""Verifies that a server answers a case correctly, before anything is measured.

A server that answers something cheaper than the others (a wrong body, no Date, a canned answer)
must never become a number. What is checked here is sent as the very bytes that wrk replays.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from benchmarks.cases import PROBES, UNKNOWN_TARGET, Answer, Case
from benchmarks.messages import serialize_request

TIMEOUT = 10.0


class VerificationError(Exception):
    """A server does not answer as it must."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response as it was received; header names are lowercase."""

    status: int
    headers: dict[str, str]
    body: bytes


def receive_response(stream: BinaryIO) -> Response:
    """Read one response, framed by Content-Length or in chunks."""
    status_line = stream.readline().split(None, 2)
    if len(status_line) < 2 or status_line[0] != b"HTTP/1.1":
        raise VerificationError(f"no HTTP/1.1 status line but {b' '.join(status_line)!r}")
    headers = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join(receive_chunks(stream))
    elif "content-length" in headers:
        body = stream.read(int(headers["content-length"]))
    else:
        raise VerificationError("a response without Content-Length")
    return Response(int(status_line[1]), headers, body)


def receive_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Read the chunks of a body (RFC 9112 §7.1); nobody sends trailers here."""
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


def check(response: Response, answer: Answer) -> None:
    """Compare a response with the one right answer."""
    content_type = response.headers.get("content-type", "")
    for what, expected, received in (
        ("status", answer.status, response.status),
        ("body", answer.body, response.body),
        ("Content-Type", _normalize(answer.content_type), _normalize(content_type)),
    ):
        if expected != received:
            raise VerificationError(f"{what} is {received!r}, not {expected!r}")
    if answer.streamed and "transfer-encoding" not in response.headers:
        raise VerificationError("a stream that was put together first")
    if "date" not in response.headers:
        raise VerificationError("a response without Date")


def _normalize(content_type: str) -> str:
    """Return a media type in one spelling: case and spaces do not matter here."""
    return content_type.replace(" ", "").lower()


def verify_case(case: Case, host: str, port: int) -> None:
    """Send every message of the case on one connection and check every response."""
    with socket.create_connection((host, port), TIMEOUT) as connection:
        stream = connection.makefile("rb")
        for message in case.messages(f"{host}:{port}"):
            connection.sendall(message)
            for _ in range(case.depth):
                check(receive_response(stream), case.answer)


def verify_routing(host: str, port: int) -> None:
    """Check that the server routes and computes: other parameters, and a path it lacks."""
    authority = f"{host}:{port}"
    with socket.create_connection((host, port), TIMEOUT) as connection:
        stream = connection.makefile("rb")
        for probe in PROBES:
            connection.sendall(probe.message(authority))
            check(receive_response(stream), probe.answer)
        connection.sendall(serialize_request("GET", UNKNOWN_TARGET, authority))
        if (status := receive_response(stream).status) != 404:
            raise VerificationError(f"{UNKNOWN_TARGET} is answered with {status}, not with 404")


def verify(case: Case, host: str, port: int, *, canned: bool) -> None:
    """Verify one server for one case; a canned server has no routes to verify."""
    try:
        if not canned:
            verify_routing(host, port)
        verify_case(case, host, port)
    except (OSError, ValueError) as error:
        raise VerificationError(f"no proper answer: {error}") from error
