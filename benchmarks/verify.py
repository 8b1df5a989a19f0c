"""Verifies that a server answers a case correctly, before anything is measured.

A server that answers something cheaper than the others (a wrong body, no Date, a canned answer)
must never become a number. Over HTTP/1.1 the very bytes are sent that wrk replays, over HTTP/2 the
same requests on as many streams at once.
"""

from benchmarks.cases import PROBES, UNKNOWN, Answer, Case
from benchmarks.clients import (
    Client,
    RefusedError,
    Response,
    VerificationError,
    WebSocketClient,
    connect,
)
from benchmarks.endpoint import Endpoint


def check(response: Response, answer: Answer) -> None:
    """Compare a response with the one right answer."""
    content_type = response.headers.get("content-type", "")
    for what, expected, received in (
        ("status", answer.status, response.status),
        ("Content-Type", _normalize(answer.content_type), _normalize(content_type)),
    ):
        if expected != received:
            raise VerificationError(f"{what} is {received!r}, not {expected!r}")
    if answer.body != response.body:
        raise VerificationError(f"body is {_shorten(response.body)}, not {_shorten(answer.body)}")
    if answer.streamed and "transfer-encoding" not in response.headers:
        raise VerificationError("a stream that was put together first")
    if "date" not in response.headers:
        raise VerificationError("a response without Date")


def _normalize(content_type: str) -> str:
    """Return a media type in one spelling: case and spaces do not matter here."""
    return content_type.replace(" ", "").lower()


def _shorten(body: bytes) -> str:
    """Return a body for people: some are as long as a download."""
    return repr(body) if len(body) <= 100 else f"{body[:50]!r}... of {len(body)} bytes"


def verify_case(case: Case, client: Client) -> None:
    """Send every request of the case on one connection and check every response."""
    for request in case.requests():
        for response in client.exchange(request, case.depth):
            check(response, case.answer)


def verify_routing(client: Client) -> None:
    """Check that the server routes and computes: other parameters, and a path it lacks."""
    for probe in PROBES:
        (response,) = client.exchange(probe.request)
        check(response, probe.answer)
    (response,) = client.exchange(UNKNOWN)
    if response.status != 404:
        raise VerificationError(f"{UNKNOWN.target} is answered with {response.status}, not 404")


def verify_websocket(case: Case, endpoint: Endpoint) -> None:
    """Check that both kinds of messages come back, that it closes, and that it is on one path."""
    (request,) = case.requests()
    with WebSocketClient(endpoint, request.target) as client:
        for message in ("a", "\N{SNOWMAN}", b"\x00\xff", case.answer.body.decode()):
            if (echo := client.echo(message)) != message:
                raise VerificationError(f"the echo of {message[:50]!r} is {echo[:50]!r}")
        client.close()
    try:
        with WebSocketClient(endpoint, UNKNOWN.target):
            raise VerificationError(f"there is a WebSocket on {UNKNOWN.target}")
    except RefusedError:
        pass


def verify(case: Case, endpoint: Endpoint, *, canned: bool) -> None:
    """Verify one server for one case; a canned server has no routes to verify."""
    try:
        if case.protocol == "websocket":
            verify_websocket(case, endpoint)
            return
        if not canned:
            with connect(endpoint, case.protocol) as client:
                verify_routing(client)
        with connect(endpoint, case.protocol) as client:
            verify_case(case, client)
    except (OSError, ValueError) as error:
        raise VerificationError(f"no proper answer: {error}") from error
