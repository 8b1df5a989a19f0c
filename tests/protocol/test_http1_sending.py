"""What must not reach the wire: an exception here, and not a byte written for that call."""

import pytest

from httpkit.errors import InvalidHeader, LocalProtocolError
from httpkit.protocol.engine import Close
from httpkit.protocol.http1 import Preamble
from httpkit.response import Response

from .driver import DATE, GET, Driver, Stream

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo, bar\r\n\r\n"


def ignore(driver: Driver, stream: Stream) -> None:
    """Leave the answer to the test."""


def started(parser, data=GET) -> Driver:
    return Driver(parser, answer=ignore, early=True).feed(data)


def raw(*fields, status=200, body=b"x") -> Response:
    """An answer whose fields nobody has checked, as a list."""
    response = Response(body)
    response.status = status
    response.raw_headers = list(fields)
    return response


def constant(*fields, status=200, body=b"x") -> Response:
    """The same with a constant tuple, whose head is memoized."""
    response = raw(*fields, status=status, body=body)
    response.raw_headers = tuple(fields)
    return response


def assert_refused_then_answerable(driver, call, error=LocalProtocolError):
    """The call raises, writes nothing, and another answer is still possible."""
    for _ in range(2):  # a memo must not make it good the second time
        with pytest.raises(error):
            call(driver.engine)
        assert not driver.engine.has_more_to_send
    driver.engine.send_response(1, Response("after all", 500))
    driver.feed(b"")
    answer = driver.answers()[0]
    assert (answer.status, answer.body) == (500, b"after all")
    closed = driver.engine.close is not Close.OPEN
    assert (answer.values(b"connection") == [b"close"]) is closed


BAD_FIELDS = [
    (b"x", b"a\r\nInjected: b"),
    (b"x", b"a\nb"),
    (b"x", b"a\rb"),
    (b"x", b"a\0b"),
    (b"x", b"a\x7f"),
    (b"x", b" a"),
    (b"x", b"a\t"),
    (b"x\r\nInjected", b"a"),
    (b"x:", b"a"),
    (b"x y", b"a"),
    (b"", b"a"),
    (b"\xe9", b"a"),
    ("x", "\N{SNOWMAN}"),
    ("\N{SNOWMAN}", "x"),
    (b"x", 1),
    (1, b"x"),
    (b"x", None),
    (b"x", bytearray(b"a")),
]


@pytest.mark.parametrize("field", BAD_FIELDS, ids=repr)
@pytest.mark.parametrize("make", [raw, constant])
def test_fields_that_would_break_the_message(parser, field, make):
    """RFC 9110 §5.5: response splitting."""
    good = (b"good", b"value")
    if make is raw or not isinstance(field[1], bytearray):  # which is no constant
        assert_refused_then_answerable(
            started(parser),
            lambda engine: engine.send_response(1, make(good, field)),
            InvalidHeader,
        )
    for length in (None, 1):
        assert_refused_then_answerable(
            started(parser),
            lambda engine, n=length: engine.send_headers(1, raw(good, field), n),
            InvalidHeader,
        )
    assert_refused_then_answerable(
        started(parser),
        lambda engine: engine.send_informational(1, 103, [good, field]),
        InvalidHeader,
    )
    assert_refused_then_answerable(
        started(parser, OLD),  # nothing would be written, but a mistake is one on every version
        lambda engine: engine.send_informational(1, 103, [field]),
        InvalidHeader,
    )
    assert_refused_then_answerable(
        started(parser, UPGRADE),
        lambda engine: engine.accept_upgrade(1, raw(good, field), b"foo"),
        InvalidHeader,
    )


@pytest.mark.parametrize(
    "status", [0, 1, 99, 100, 101, 199, 600, 999, 2000, -200, "200", None, True]
)
def test_statuses_that_are_not_final(parser, status):
    for response in (raw(status=status), constant(status=status)):
        assert_refused_then_answerable(
            started(parser), lambda engine, r=response: engine.send_response(1, r)
        )
        assert_refused_then_answerable(
            started(parser), lambda engine, r=response: engine.send_headers(1, r, None)
        )


@pytest.mark.parametrize("status", [0, 99, 101, 200, 204, 304, 404, "103", None])
def test_statuses_that_are_not_interim(parser, status):
    """101 or 200 would end the exchange behind the engine's back."""
    assert_refused_then_answerable(
        started(parser), lambda engine: engine.send_informational(1, status, [])
    )


@pytest.mark.parametrize(
    "fields",
    [
        [(b"content-length", b"2")],
        [(b"Content-Length", b"0")],
        [(b"content-length", b"1"), (b"content-length", b"1")],
        [(b"content-length", b"+1")],
        [(b"content-length", b"1, 1")],
        [(b"content-length", b"x")],
        [(b"content-length", b"")],
        [(b"content-length", b"-1")],
        [(b"content-length", b"9" * 5000)],
    ],
    ids=lambda fields: repr(fields)[:60],
)
def test_content_length_against_the_body(parser, fields):
    for response in (raw(*fields), constant(*fields)):
        assert_refused_then_answerable(
            started(parser), lambda engine, r=response: engine.send_response(1, r)
        )
    assert_refused_then_answerable(
        started(parser), lambda engine: engine.send_headers(1, raw(*fields), 1)
    )


def test_a_right_content_length_is_written_once(parser):
    for response in (raw((b"content-length", b"1")), constant((b"content-length", b"1"))):
        driver = started(parser)
        driver.engine.send_response(1, response)
        driver.feed(b"")
        (answer,) = driver.answers()
        assert answer.values(b"content-length") == [b"1"]
        assert answer.body == b"x"


def test_an_announced_length_of_a_stream_is_kept(parser):
    driver = started(parser)
    driver.engine.send_headers(1, raw((b"content-length", b"5")), None)
    driver.engine.send_data(1, b"he")
    driver.output += driver.engine.data_to_send()
    with pytest.raises(LocalProtocolError, match="longer"):
        driver.engine.send_data(1, b"llo!")
    with pytest.raises(LocalProtocolError, match="shorter"):
        driver.engine.send_end(1)
    assert not driver.engine.has_more_to_send
    driver.engine.send_data(1, b"llo")
    driver.engine.send_end(1)
    driver.feed(b"")
    (answer,) = driver.answers()
    assert answer.body == b"hello"
    assert answer.values(b"transfer-encoding") == []


def test_a_stream_that_breaks_off_shows_it(parser):
    driver = started(parser)
    driver.engine.send_headers(1, Response("x"), 5)
    with pytest.raises(LocalProtocolError):
        driver.engine.send_end(1)
    driver.engine.send_reset(1)
    assert driver.engine.close is Close.NOW  # five bytes were promised


@pytest.mark.parametrize(
    "name",
    [
        b"content-length",
        b"Transfer-Encoding",
        b"host",
        b"connection",
        b"trailer",
        b"te",
        b"upgrade",
        b"content-type",
        b"content-encoding",
        b"set-cookie",
        b"cache-control",
        b"authorization",
        b"www-authenticate",
        b"date",
        b"location",
    ],
)
@pytest.mark.parametrize("data", [GET, OLD])
def test_fields_that_are_no_trailers(parser, name, data):
    """RFC 9110 §6.5.1; the mistake is found even where trailers cannot travel."""
    driver = started(parser, data)
    driver.engine.send_headers(1, Response("x"), None)
    driver.output += driver.engine.data_to_send()
    with pytest.raises(LocalProtocolError, match="trailer"):
        driver.engine.send_end(1, [(b"ok", b"1"), (name, b"2")])
    with pytest.raises(InvalidHeader):
        driver.engine.send_end(1, [(b"x", b"a\r\nb")])
    assert not driver.engine.has_more_to_send
    driver.engine.send_end(1, [(b"ok", b"1")])
    driver.feed(b"")
    (answer,) = driver.answers()
    assert answer.trailers == ([(b"ok", b"1")] if data == GET else [])


def test_an_answer_has_one_head_and_it_comes_first(parser):
    driver = started(parser, POST)
    for call in (
        lambda engine: engine.send_data(1, b"x"),
        lambda engine: engine.send_data(1, b""),
        lambda engine: engine.send_end(1),
    ):
        with pytest.raises(LocalProtocolError):
            call(driver.engine)
    driver.engine.send_headers(1, Response("x"), None)
    driver.output += driver.engine.data_to_send()
    for call in (
        lambda engine: engine.send_headers(1, Response("x"), None),
        lambda engine: engine.send_response(1, Response("x")),
        lambda engine: engine.send_informational(1, 103, []),
        lambda engine: engine.accept_upgrade(1, Response("x"), b"foo"),
    ):
        with pytest.raises(LocalProtocolError):
            call(driver.engine)
    assert not driver.engine.has_more_to_send
    driver.engine.send_end(1)
    driver.feed(b"hello")
    assert [answer.body for answer in driver.answers()] == [b""]


def test_calls_on_other_streams_do_nothing(parser):
    """The stream may have ended while the handler was at work."""
    driver = started(parser)
    driver.engine.send_response(1, Response("x"))
    driver.feed(GET)
    for stream_id in (0, 1, 3):
        driver.engine.send_response(stream_id, Response("y"))
        driver.engine.send_headers(stream_id, Response("y"), None)
        driver.engine.send_data(stream_id, b"y")
        driver.engine.send_end(stream_id)
        driver.engine.send_informational(stream_id, 103, [])
        driver.engine.accept_upgrade(stream_id, Response("y"), b"foo")
        driver.engine.send_reset(stream_id)
    assert not driver.engine.has_more_to_send
    assert driver.engine.close is Close.OPEN


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (GET, b"foo"),
        (GET, b""),
        (UPGRADE, b""),
        (UPGRADE.replace(b"foo, bar", b"foo, , bar,"), b""),
        (UPGRADE, b"baz"),
        (UPGRADE, b"foo, bar"),
        (UPGRADE, b"foo\r\nX: y"),
        (UPGRADE.replace(b"1.1", b"1.0"), b"foo"),
        (UPGRADE.replace(b"upgrade\r\n", b"keep-alive\r\n"), b"foo"),
        (UPGRADE.replace(b"GET", b"POST").replace(b"Host", b"Content-Length: 5\r\nHost"), b"foo"),
    ],
)
def test_upgrades_that_were_not_offered(parser, data, protocol):
    assert_refused_then_answerable(
        started(parser, data), lambda engine: engine.accept_upgrade(1, Response(b""), protocol)
    )


REQUESTS = [
    GET,
    OLD,
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
]
CONSTANTS = [
    ((b"a", b"b"),),
    ((b"content-length", b"1"),),
    ((b"connection", b"close"),),
    ((b"date", b"x"), (b"server", b"y")),
]


@pytest.mark.parametrize("eof", [False, True])
@pytest.mark.parametrize("trailers", [None, [("x", "y")]])
@pytest.mark.parametrize("length", [None, 1])
@pytest.mark.parametrize("status", [200, 206, 404])
@pytest.mark.parametrize("fields", CONSTANTS, ids=repr)
@pytest.mark.parametrize("data", REQUESTS)
def test_a_head_from_memory_is_the_same(parser, data, fields, status, length, trailers, eof):
    """Of an answer in pieces, whose fields are a constant: first, and again."""
    outputs, preamble = [], Preamble(DATE)
    for make in (raw, constant, constant):
        driver = started(parser, data)
        driver.engine._preamble = preamble
        if eof:
            driver.engine.receive_eof()
        response = make(*fields, status=status)
        response.trailers = trailers
        driver.engine.send_headers(1, response, length)
        driver.engine.send_data(1, b"x")
        driver.engine.send_end(1, trailers or ())
        driver.feed(b"")
        outputs.append((driver.output, driver.engine.close))
    assert outputs[0] == outputs[1] == outputs[2]


def test_a_head_from_memory_is_held_against_the_body(parser):
    driver = started(parser)
    driver.engine.send_headers(1, constant((b"a", b"b")), 1)
    with pytest.raises(LocalProtocolError, match="longer"):
        driver.engine.send_data(1, b"xx")
    with pytest.raises(LocalProtocolError, match="shorter"):
        driver.engine.send_end(1)
