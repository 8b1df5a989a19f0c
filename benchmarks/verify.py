"""Verifies that a server answers a case correctly, before anything is measured.

A server that answers something cheaper than the others (a wrong body, no Date, a canned answer)
must never become a number. Over HTTP/1.1 the very bytes are sent that wrk replays, over HTTP/2 the
same requests on as many streams at once.
"""

from dataclasses import replace

from benchmarks.cases import UNKNOWN, Answer, Case
from benchmarks.clients import (
    Client,
    RefusedError,
    Response,
    VerificationError,
    WebSocketClient,
    connect,
)
from benchmarks.endpoint import Endpoint
from benchmarks.messages import JOINED, SENT, Request


def check(response: Response, answer: Answer) -> None:
    """Compare a response with the one right answer."""
    if answer.status != response.status:
        raise VerificationError(f"status is {response.status}, not {answer.status}")
    if answer.content_type is not None:
        expected = _normalize(answer.content_type)
        received = _normalize(response.headers.get("content-type", ""))
        if expected != received:
            raise VerificationError(f"Content-Type is {received!r}, not {expected!r}")
    for name, text in answer.fields:
        value = response.headers.get(name)
        if value is None or text not in value:
            raise VerificationError(f"{name} is {value!r}, without {text!r}")
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
        answer = case.answer_to(request)
        for response in client.exchange(request, case.depth):
            check(response, answer)


def verify_routing(case: Case, client: Client) -> None:
    """Check that the server routes and computes: other parameters, and a path it lacks."""
    for probe in case.probes:
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


def verify_fanout(case: Case, endpoint: Endpoint) -> None:
    """Check that all who have joined get what is posted, and that one who leaves harms nobody."""
    (request,) = case.requests()
    with (
        WebSocketClient(endpoint, request.target) as staying,
        WebSocketClient(endpoint, request.target) as leaving,
    ):
        for member in (staying, leaving):
            check_message(member, JOINED)
        post(endpoint, request.target, "\N{SNOWMAN}")
        for member in (staying, leaving):
            check_message(member, "\N{SNOWMAN}")
        leaving.close()
        post(endpoint, request.target, "again")
        check_message(staying, "again")
        staying.close()


def check_message(client: WebSocketClient, expected: str) -> None:
    """Receive the next message and compare it."""
    if (message := client.receive()) != expected:
        raise VerificationError(f"the message is {message!r}, not {expected!r}")


def post(endpoint: Endpoint, target: str, message: str) -> None:
    """Post a message to a room."""
    with connect(endpoint, "http1") as client:
        (response,) = client.exchange(Request("POST", target, body=message.encode()))
    if (response.status, response.body) != (200, SENT):
        raise VerificationError(f"the post is answered with {response.status}: {response.body!r}")


def prepare(case: Case, endpoint: Endpoint) -> Case:
    """Send what a server has to have seen before the case, and return the case as it is sent.

    Raises:
        VerificationError: It does not answer, or gives no validator where the case needs one.
    """
    if not (case.primed or case.conditional):
        return case
    requests = []
    try:
        with connect(endpoint, case.protocol) as client:
            for request in case.requests():
                (response,) = client.exchange(request)
                requests.append(with_validators(request, response) if case.conditional else request)
    except (OSError, ValueError) as error:
        raise VerificationError(f"no proper answer: {error}") from error
    return replace(case, requests=lambda: requests)


def with_validators(request: Request, response: Response) -> Request:
    """Return the request of a client that has the response already (RFC 9110 §13.1)."""
    conditions = [
        (condition, response.headers[validator])
        for condition, validator in (
            ("If-None-Match", "etag"),
            ("If-Modified-Since", "last-modified"),
        )
        if validator in response.headers
    ]
    if not conditions:
        raise VerificationError("a response without ETag and Last-Modified")
    return replace(request, headers=(*request.headers, *conditions))


def verify(case: Case, endpoint: Endpoint, *, canned: bool) -> None:
    """Verify one server for one case; a canned server has no routes to verify."""
    try:
        if case.generator == "fanout":
            verify_fanout(case, endpoint)
            return
        if case.protocol == "websocket":
            verify_websocket(case, endpoint)
            return
        if not canned:
            with connect(endpoint, case.protocol) as client:
                verify_routing(case, client)
        with connect(endpoint, case.protocol) as client:
            verify_case(case, client)
    except (OSError, ValueError) as error:
        raise VerificationError(f"no proper answer: {error}") from error
