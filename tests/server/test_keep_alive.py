"""How long a connection lives, and what the answers say about it."""

import pytest

from httpkit.protocol.engine import Deadline
from httpkit.response import Response

from .wire import chunked, make_request

#: More than the buffers of the kernel take.
BIG = b"a" * 12_000_000


def test_requests_follow_each_other(live) -> None:
    server = live(lambda request: Response(request.path))
    client = server.connect()
    for i in range(5):
        answer = client.get(f"/{i}")
        assert (answer.status, answer.body, answer.get("connection")) == (200, b"/%d" % i, None)
    assert server.server.counters.connections_opened == 1
    assert server.server.counters.requests_begun == 5


def test_connection_close_is_honored(live) -> None:
    client = live().connect()
    answer = client.get("/", "Connection: close")
    assert (answer.status, answer.closes) == (200, True)
    client.expect_end()


def test_a_response_may_ask_for_the_end(live) -> None:
    client = live(lambda request: Response("bye", headers={"connection": "close"})).connect()
    assert client.get().closes
    client.expect_end()


def test_who_says_keep_alive_hears_the_terms(live) -> None:
    client = live(keep_alive_timeout=42).connect()
    answer = client.get("/", "Connection: keep-alive")
    assert (answer["connection"], answer["keep-alive"]) == ("keep-alive", "timeout=42")
    assert client.get().status == 200


@pytest.mark.parametrize("headers", [[], ["Connection: keep-alive"], ["Connection: close"]])
def test_http_1_0_closes(live, headers) -> None:
    server = live()
    client = server.connect()
    client.request("/", *headers, version="1.0")
    assert client.receive().closes
    client.expect_end()


def test_http_1_0_needs_no_host(live) -> None:
    client = live().connect()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.receive().status == 200


def test_max_requests_for_each_connection(live) -> None:
    server = live(max_requests_per_connection=3)
    client = server.connect()
    assert [client.get().closes for _ in range(3)] == [False, False, True]
    client.expect_end()
    assert server.connect().get().closes is False


def test_requests_behind_the_last_one_are_not_answered(live) -> None:
    server = live(max_requests_per_connection=2)
    client = server.connect()
    client.send(make_request() * 5)
    assert [client.receive().closes for _ in range(2)] == [False, True]
    client.expect_end()
    assert len(server.requests) == 2


def test_head_says_what_get_would(live) -> None:
    client = live(lambda request: Response("12345")).connect()
    answer = client.get(method="HEAD")
    assert (answer.status, answer["content-length"], answer.body) == (200, "5", b"")
    assert client.get().body == b"12345"


def test_head_of_a_stream(live) -> None:
    started = []

    async def body():
        started.append(1)
        yield b"never"

    client = live(lambda request: Response(body())).connect()
    answer = client.get(method="HEAD")
    assert (answer.status, answer.get("content-length"), answer.body) == (200, None, b"")
    assert client.get(method="HEAD").status == 200
    assert started == []


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_a_body(live, status) -> None:
    client = live(lambda request: Response("text", status)).connect()
    for _ in range(2):
        answer = client.get()
        assert (answer.status, answer.body) == (status, b"")


def test_absolute_form(live) -> None:
    def handler(request):
        return Response(f"{request.authority} {request.path} {request.query_string.decode()}")

    client = live(handler).connect()
    assert client.get("http://other.example:81/a?b=c").body == b"other.example:81 /a b=c"


def test_options_asterisk(live) -> None:
    client = live(lambda request: Response(request.path)).connect()
    assert client.get("*", method="OPTIONS").body == b"*"


def test_date_and_server(live) -> None:
    answer = live().connect().get()
    assert answer["server"] == "httpkit"
    assert answer["date"].endswith(" GMT")
    for none in ("", None):
        assert live(server_header=none).connect().get().get("server") is None


# --- deadlines between requests ----------------------------------------------------------------


def test_idle_connections_are_closed_in_silence(live) -> None:
    server = live(keep_alive_timeout=75)
    client = server.connect()
    client.get()
    server.until_receiving(Deadline.IDLE)
    server.pass_time(74.9)
    assert client.get().status == 200
    server.until_receiving(Deadline.IDLE)
    server.pass_time(74.9)
    client.expect_silence()
    server.pass_time(0.2)
    client.expect_end()


def test_a_connection_that_says_nothing_is_closed_in_silence(live) -> None:
    server = live(header_timeout=10)
    client = server.connect()
    server.until_receiving(Deadline.FIRST)
    server.pass_time(9.9)
    client.expect_silence()
    server.pass_time(0.2)
    client.expect_end()
    assert server.requests == []


def test_time_in_which_the_answer_is_taken_is_not_idle(live) -> None:
    """The handler is long through, but the client still takes its answer."""
    server = live(lambda request: Response(BIG), keep_alive_timeout=75)
    client = server.connect(receive_buffer=65_536)
    client.request()
    server.until_receiving(Deadline.IDLE)
    client.receive_until(b"\r\n\r\n")
    take_slowly(server, client, 50)
    assert client.get().body == BIG


# --- the body of an early answer ---------------------------------------------------------------


def test_a_short_unread_body_is_drained(live) -> None:
    server = live(drain_bytes=100)
    client = server.connect()
    client.request("/", "Content-Length: 100", method="POST")
    assert not client.receive().closes
    client.send(b"a" * 60)
    client.send(b"a" * 40 + make_request("/next"))
    assert client.receive().status == 200
    assert server.requests == ["POST /", "GET /next"]


def test_a_long_unread_body_closes(live) -> None:
    server = live(drain_bytes=100)
    client = server.connect()
    client.request("/", "Content-Length: 101", method="POST")
    assert client.receive().closes
    client.send(b"a" * 101 + make_request("/next"))
    client.expect_end()
    assert server.requests == ["POST /"]


def test_a_chunked_body_that_turns_out_too_long_closes(live) -> None:
    server = live(drain_bytes=100)
    client = server.connect()
    client.request("/", "Transfer-Encoding: chunked", method="POST")
    assert not client.receive().closes
    client.send(chunked(b"a" * 200)[:-5])
    client.expect_end()
    assert server.requests == ["POST /"]


def test_an_unread_body_is_drained_at_its_rate(live) -> None:
    """A client that stops in the middle of a body nobody wants does not stay."""
    server = live(body_grace=5)
    client = server.connect()
    client.request("/", "Content-Length: 100", method="POST")
    assert not client.receive().closes
    server.pass_time(5.1)
    client.expect_end()


def test_ten_megabytes_into_a_413(live) -> None:
    """The server closes, but only when the client has had the chance to read why."""

    async def handler(request):
        await request.body()
        raise AssertionError("too large a body was read")

    server = live(handler, max_body=1000)
    client = server.connect()
    size = 10_000_000
    client.request("/", f"Content-Length: {size}", method="POST")
    client.send(b"a" * size)
    answer = client.receive()
    assert (answer.status, answer.closes) == (413, True)
    client.expect_end()
    client.close()
    server.until(lambda: server.connection() is None)


def test_ten_megabytes_of_chunks_into_a_413(live) -> None:
    async def handler(request):
        await request.body()

    server = live(handler, max_body=1000)
    client = server.connect()
    client.request("/", "Transfer-Encoding: chunked", method="POST")
    client.send(chunked(*[b"a" * 100_000] * 100))
    assert client.receive().status == 413  # how much is coming shows only later
    client.expect_end()


def test_lingering_has_an_end(live) -> None:
    server = live(linger_timeout=5)
    client = server.connect()
    client.send(b"nonsense\r\n\r\n")
    assert client.receive().status == 400
    client.expect_end()
    server.until_receiving(Deadline.LINGER)
    server.pass_time(4.9)
    client.send(b"a" * 1000)
    server.pass_time(0.2)
    server.until(lambda: server.connection() is None)


def test_lingering_waits_until_the_answer_is_taken(live) -> None:
    server = live(lambda request: Response(BIG), linger_timeout=5, drain_bytes=0)
    client = server.connect(receive_buffer=65_536)
    client.request("/", "Content-Length: 1", method="POST")
    server.until_receiving(Deadline.LINGER)
    client.receive_until(b"\r\n\r\n")
    take_slowly(server, client, 4)
    client.expect_end()


def take_slowly(server, client, seconds) -> None:
    """Take the body of an answer in three parts, with a pause behind each."""
    transport = server.the_connection().transport
    for _ in range(3):
        before = server.call(transport.get_write_buffer_size)
        assert before > 0
        client.receive_exactly(len(BIG) // 4)
        server.until(lambda before=before: transport.get_write_buffer_size() < before)
        server.pass_time(seconds)
        assert not server.call(transport.is_closing)
    client.receive_exactly(len(BIG) - 3 * (len(BIG) // 4))


def test_a_client_that_closes_ends_the_lingering(live) -> None:
    server = live()
    client = server.connect()
    client.send(b"nonsense\r\n\r\n")
    assert client.receive().status == 400
    client.close()
    server.until(lambda: server.connection() is None)
