"""The clients that verify: over both versions of HTTP, against good servers and bad ones."""

import socket
import threading
from contextlib import contextmanager

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from benchmarks.apps.httpkit_app import app
from benchmarks.cases import CASES
from benchmarks.clients import HTTP1Client, HTTP2Client, VerificationError, connect
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.messages import Request
from benchmarks.verify import prepare, verify
from httpkit import App, Response
from httpkit.testing import LiveServer
from tests.ports import refusing_port

GET = Request("GET", "/")


@pytest.fixture(scope="module")
def endpoint():
    """The benchmark application itself."""
    with LiveServer(app, host=HOST) as server:
        yield Endpoint(server.port)


CLEARTEXT = [
    name
    for name, case in CASES.items()
    if not (case.tls or case.routes or case.needs == "files" or case.protocol == "websocket")
]


@pytest.mark.parametrize("name", CLEARTEXT)
def test_the_application_is_verified(endpoint, name):
    verify(prepare(CASES[name], endpoint), endpoint, canned=False)


def test_a_download_is_longer_than_every_window(endpoint):
    verify(CASES["download-h2-tls"], endpoint, canned=True)


@pytest.mark.parametrize("name", ["plaintext", "h2c-1x100"])
def test_an_application_that_answers_from_a_can_is_found_out(name):
    canned = App()

    @canned.get("/{path:path}")
    async def answer(request, path):
        return "Hello, World!"

    with LiveServer(canned, host=HOST) as server:
        with pytest.raises(VerificationError, match=r"Content-Type|body"):
            verify(CASES[name], Endpoint(server.port), canned=False)
        verify(CASES[name], Endpoint(server.port), canned=True)


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_requests_carry_headers_and_a_body(protocol):
    echo = App()

    @echo.post("/")
    async def answer(request):
        return request.headers["x-name"] + (await request.body()).decode()

    with (
        LiveServer(echo, host=HOST) as server,
        connect(Endpoint(server.port), protocol) as client,
    ):
        for response in client.exchange(Request("POST", "/", [("X-Name", "a")], b"b"), 3):
            assert (response.status, response.body) == (200, b"ab")


def test_nobody_listening_is_no_proper_answer():
    for name in ("plaintext", "h2c-1x100"):
        with refusing_port() as port, pytest.raises(VerificationError, match="no proper answer"):
            verify(CASES[name], Endpoint(port), canned=True)


def test_the_end_of_a_connection_is_waited_for(endpoint):
    with HTTP1Client(endpoint) as client:
        client.exchange(Request("GET", "/", [("Connection", "close")]))
        client.receive_end()


def test_a_server_that_goes_on_after_its_end_is_found_out():
    end = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nX"

    def act(peer):
        assert peer.recv(1000)
        peer.sendall(end)

    with served(act) as endpoint, HTTP1Client(endpoint) as client:
        client.exchange(GET)
        with pytest.raises(VerificationError, match="goes on after its end with b'X'"):
            client.receive_end()


@contextmanager
def served(act):
    """Serve one connection by a function of its socket."""
    with socket.create_server((HOST, 0)) as listener:

        def serve():
            peer, _ = listener.accept()
            with peer:
                act(peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint(listener.getsockname()[1])
        thread.join(10)
        assert not thread.is_alive()


def answer_http2(answer):
    """Let h2 take a request and a function answer it; then wait for the client's end."""

    def act(peer):
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        while data := peer.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    answer(connection, event.stream_id)
            peer.sendall(connection.data_to_send())

    return act


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda connection, stream: connection.reset_stream(stream, 7), "StreamReset"),
        (lambda connection, stream: connection.close_connection(2), "ConnectionTerminated"),
    ],
)
def test_a_failed_stream_or_connection_is_no_answer(answer, reason):
    with (
        served(answer_http2(answer)) as endpoint,
        HTTP2Client(endpoint) as client,
        pytest.raises(VerificationError, match=reason),
    ):
        client.exchange(GET)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed the connection"),  # no whole frame
        (b"\0\0\0\x04\0\0\0\0\x01", "no proper HTTP/2"),  # SETTINGS on a stream
    ],
)
def test_a_server_that_does_not_speak_http2_is_found_out(data, reason):
    def act(peer):
        peer.recv(65536)
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(65536):
            pass

    with (
        served(act) as endpoint,
        HTTP2Client(endpoint) as client,
        pytest.raises(VerificationError, match=reason),
    ):
        client.exchange(GET)


def test_a_body_of_another_length_than_announced_is_found_out():
    # RFC 9113 §8.1.1: malformed
    def answer(connection, stream):
        connection.send_headers(stream, [(":status", "200"), ("content-length", "5")])
        connection.send_data(stream, b"four", end_stream=True)

    with (
        served(answer_http2(answer)) as endpoint,
        HTTP2Client(endpoint) as client,
        pytest.raises(VerificationError, match="InvalidBodyLengthError"),
    ):
        client.exchange(GET)


def test_responses_come_in_the_order_of_the_requests(endpoint):
    async def number(request):
        numbers.append(len(numbers))
        return Response(str(numbers[-1]))

    numbers = []
    counting = App()
    counting.get("/")(number)
    with (
        LiveServer(counting, host=HOST) as server,
        HTTP2Client(Endpoint(server.port)) as client,
    ):
        bodies = [int(response.body) for response in client.exchange(GET, 20)]
    assert bodies == list(range(20))
