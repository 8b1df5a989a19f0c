"""Answers that are sent many times: prepared bytes change nothing but the work."""

import pytest

from httpkit.errors import InvalidHeader
from httpkit.response import Response

from .driver import GET, Driver, Stream

HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
ASKED = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"


def serve(parser, data, responses):
    """What a connection writes when it answers with these in turn."""
    left = iter(responses)

    def answer(driver: Driver, stream: Stream) -> None:
        driver.engine.send_response(stream.id, next(left))

    return Driver(parser, answer=answer).feed(data).output


def kept(body=b"x" * 5000, **options) -> Response:
    return Response(body, headers={"etag": '"1"'}, **options)


@pytest.mark.parametrize("data", [GET, ASKED, HEAD, LAST, OLD, POST + b"12345"])
@pytest.mark.parametrize("status", [200, 404, 204, 304])
@pytest.mark.parametrize("first", [GET, ASKED, HEAD])
def test_shared_answers_are_the_same_bytes(parser, data, status, first):
    """Whatever request came first, and whatever it left behind."""
    answer = kept(b"" if status in (204, 304) else b"body", status=status)
    expected = serve(parser, first + data, [answer.copy(), answer.copy()])
    assert serve(parser, first + data, [answer.share(), answer.share()]) == expected
    # A third time, on a connection of another server, with what the first two have left.
    assert serve(parser, first + data, [answer.share(), answer.share()]) == expected


@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_connection_writes_the_very_bytes_again(parser, status):
    answer, sent = kept(b"" if status != 200 else b"x" * 5000, status=status), []

    def send(driver: Driver, stream: Stream) -> None:
        driver.engine.send_response(stream.id, answer.share())
        sent.append(driver.engine.data_to_send())

    Driver(parser, answer=send).feed(GET, GET, GET)
    assert sent[0] is sent[1] is sent[2]


@pytest.mark.parametrize(
    ("change", "shows"),
    [
        (lambda response: setattr(response, "body", b"other"), b"\r\n\r\nother"),
        (lambda response: setattr(response, "status", 404), b"HTTP/1.1 404 "),
        (lambda response: response.headers.add("x", "y"), b"\r\nx: y\r\n"),
        (lambda response: setattr(response, "raw_headers", ((b"x", b"y"),)), b"\r\nx: y\r\n"),
    ],
)
def test_who_changes_a_shared_answer_changes_that_one_alone(parser, change, shows):
    answer = kept(b"body")
    changed = answer.share()
    change(changed)
    output = serve(parser, GET * 3, [answer.share(), changed, answer.share()])
    first, second, third = (b"HTTP/1.1" + each for each in output.split(b"HTTP/1.1")[1:])
    assert first == third
    assert shows in second
    assert shows not in first


def test_the_date_stays_that_of_the_server(parser):
    answer, output = kept(), []

    def send(driver: Driver, stream: Stream) -> None:
        driver.engine.send_response(stream.id, answer.share())
        output.append(driver.engine.data_to_send())
        driver.engine._preamble.refresh(b"Sun, 06 Nov 1994 08:49:38 GMT")

    Driver(parser, answer=send).feed(GET, GET)
    assert b"date: Sun, 06 Nov 1994 08:49:38 GMT" not in output[0]
    assert b"date: Sun, 06 Nov 1994 08:49:38 GMT" in output[1]


def test_rfc9110_5_5_a_bad_field_is_refused_each_time(parser):
    answer = Response(b"x")
    answer.raw_headers = ((b"x", b"a\r\nb"),)
    for _ in range(2):
        with pytest.raises(InvalidHeader):
            serve(parser, GET, [answer.share()])


@pytest.mark.parametrize(
    ("length", "size", "passes"), [(10, 0, True), (10, 10, True), (10, 11, False), (None, 1, False)]
)
def test_what_goes_past_the_engine_counts_as_sent(parser, length, size, passes):
    """Only a body whose length was announced is on the wire as it is (RFC 9112 §6)."""

    def answer(driver: Driver, stream: Stream) -> None:
        engine = driver.engine
        engine.send_headers(stream.id, Response(), length)
        assert engine.passthrough(stream.id, size) is passes
        if length is not None:
            engine.send_data(stream.id, b"x" * (length - size if passes else length))
        engine.send_end(stream.id)
        assert not engine.passthrough(stream.id, 0)

    output = Driver(parser, answer=answer).feed(GET).output
    assert output.endswith(b"\r\n\r\n" + b"x" * (10 - size if passes else 10)) or length is None
