"""Requests and answers on one connection: what follows what, and when it ends."""

import pytest

from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.events import DataReceived, RequestReceived
from httpkit.response import Response

from .driver import (
    DEFAULT,
    GET,
    Driver,
    Stream,
    all_splits,
    bytewise,
    read_answer,
    read_answers,
    run,
    two_splits,
)

LENGTH = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nSum: 1\r\n\r\n"
)
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
EXPECT = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: foo, bar/1\r\n\r\n"
)


def ignore(driver: Driver, stream: Stream) -> None:
    """Leave the answer to the test."""


def started(parser, data, limits=DEFAULT) -> Driver:
    """A connection whose requests wait for the test to answer them."""
    return Driver(parser, limits, ignore, early=True).feed(data)


def collect(driver: Driver) -> None:
    """Take the output, and go on with what waited."""
    driver.output += driver.engine.data_to_send()
    driver.pump(driver.engine.receive_data(b""))


# --- persistence (RFC 9112 §9.3) --------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order_whatever_the_cut(parser):
    """RFC 9112 §9.3.2."""
    data = GET + LENGTH + HEAD + CHUNKED + GET
    verdict = run(parser, data).verdict()
    for pieces in all_splits(data, places=60):
        driver = run(parser, pieces)
        assert driver.verdict() == verdict
    answers = driver.answers()
    assert [answer.body for answer in answers] == [
        b"answer 1",
        b"answer 2",
        b"",
        b"answer 4",
        b"answer 5",
    ]
    assert [stream.body for stream in driver.streams] == [b"", b"hello", b"", b"hello", b""]
    assert driver.streams[3].trailers == [(b"sum", b"1")]
    assert driver.engine.close is Close.OPEN
    assert driver.engine.last_stream_id == 5
    assert driver.engine.body_received == 10


def test_the_next_request_waits_for_the_answer(parser):
    driver = started(parser, GET + GET)
    assert len(driver.streams) == 1
    driver.engine.send_headers(1, Response("x"), None)
    driver.feed(b"").engine.send_data(1, b"x")
    assert len(driver.feed(b"").streams) == 1
    driver.engine.send_end(1)
    assert len(driver.feed(b"").streams) == 2
    driver.engine.send_response(2, Response("y"))
    collect(driver)
    assert [answer.body for answer in driver.answers()] == [b"x", b"y"]


def test_keep_alive_is_answered_when_asked_for(parser):
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: %b\r\n\r\n"
    for value in (b"keep-alive", b"Keep-Alive", b"foo, keep-alive", b"keep-alive\t, foo"):
        driver = run(parser, [head % value, GET])
        first, second = driver.answers()
        assert first.values(b"connection") == [b"keep-alive"]
        assert first.values(b"keep-alive") == [b"timeout=75"]
        assert second.values(b"connection") == second.values(b"keep-alive") == []
        assert driver.engine.close is Close.OPEN


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: close",
        b"Connection: Close",
        b"Connection: keep-alive, close",
        b"Connection: close, keep-alive",
        b"Connection: foo ,\tCLOSE",
        b"Connection: keep-alive\r\nConnection: close",
        b"Connection: close\r\nConnection: keep-alive",
    ],
)
def test_close_wins_and_what_follows_is_not_read(parser, fields):
    for pieces in all_splits(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % fields, GET):
        driver = run(parser, pieces)
        (answer,) = driver.answers()
        assert answer.values(b"connection") == [b"close"]
        # It lingers if the other request has come before the answer was complete.
        assert driver.engine.close is not Close.OPEN
        assert driver.engine.receive_data(GET) == []


@pytest.mark.parametrize("value", [b"foo", b"closed", b"xclose", b"", b",", b'"close"'])
def test_other_connection_options_say_nothing_about_the_end(parser, value):
    driver = run(parser, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: %b\r\n\r\n" % value + GET)
    assert len(driver.answers()) == 2


@pytest.mark.parametrize(
    "fields", [b"Proxy-Connection: close", b"Keep-Alive: timeout=0", b"X: close"]
)
def test_fields_that_are_not_connection_do_not_close(parser, fields):
    """llhttp takes Proxy-Connection for Connection and refused what came next."""
    driver = run(parser, b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % fields + GET)
    assert [answer.status for answer in driver.answers()] == [200, 200]


def test_connection_close_in_a_trailer_closes_nothing(parser):
    """llhttp believed it."""
    data = CHUNKED.replace(b"Sum: 1", b"Connection: close")
    assert [answer.status for answer in run(parser, data + GET).answers()] == [200, 200]


@pytest.mark.parametrize("fields", [b"", b"Connection: keep-alive\r\n", b"Connection: close\r\n"])
def test_http_1_0_is_answered_then_closed(parser, fields):
    """So is a client that asked for the end; neither sends anything more."""
    if fields.endswith(b"close\r\n"):
        assert (
            run(parser, b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % fields).engine.close is Close.NOW
        )
    driver = run(parser, [b"GET / HTTP/1.0\r\n%b\r\n" % fields, GET])
    (answer,) = driver.answers()
    assert answer.values(b"connection") == [b"close"]
    assert answer.values(b"keep-alive") == []
    assert driver.engine.close is Close.NOW


def test_max_requests_per_connection(parser):
    limits = Limits(max_requests_per_connection=2)
    driver = run(parser, GET * 3, limits)
    first, second = driver.answers()
    assert first.values(b"connection") == []
    assert second.values(b"connection") == [b"close"]
    # The client did not ask for the end: its next request may be on the way (RFC 9112 §9.6).
    assert driver.engine.close is Close.LINGER
    assert run(parser, GET * 2, limits).engine.close is Close.LINGER


def test_an_answer_may_ask_for_the_end(parser):
    for response in (
        Response("x", headers={"connection": "close"}),
        Response("x", headers=[("connection", "foo, Close")]),
    ):
        driver = run(
            parser, GET + GET, answer=lambda d, s, r=response: d.engine.send_response(s.id, r)
        )
        (answer,) = driver.answers()
        assert answer.values(b"connection") == [b"close"]
    constant = Response("x")
    constant.raw_headers = ((b"connection", b"close"), (b"x", b"y"))
    driver = run(parser, GET + GET, answer=lambda d, s: d.engine.send_response(s.id, constant))
    (answer,) = driver.answers()
    assert answer.values(b"connection") == [b"close"]
    assert answer.values(b"x") == [b"y"]


def test_an_answer_cannot_change_the_connection_otherwise(parser):
    response = Response(
        "x",
        headers={"connection": "not-close", "keep-alive": "1", "upgrade": "a", "te": "b"},
    )
    driver = run(parser, GET + GET, answer=lambda d, s: d.engine.send_response(s.id, response))
    for answer in driver.answers():
        for name in (b"connection", b"keep-alive", b"upgrade", b"te"):
            assert answer.values(name) == []


# --- bodies of answers (RFC 9112 §6) ----------------------------------------------------------


def stream_answer(driver: Driver, stream: Stream) -> None:
    """An answer of unknown length, in pieces, with a trailer."""
    response = Response("", headers={"x": "y"})
    driver.engine.send_headers(stream.id, response, None)
    for piece in (b"one", b"", b"two" * 10):
        driver.engine.send_data(stream.id, piece)
    driver.engine.send_end(stream.id, [(b"Sum", b"1")])


def test_an_answer_of_unknown_length_is_chunked(parser):
    driver = run(parser, GET + GET, answer=stream_answer)
    for answer in driver.answers():
        assert answer.body == b"one" + b"two" * 10
        assert answer.trailers == [(b"sum", b"1")]
        assert answer.values(b"transfer-encoding") == [b"chunked"]
        assert answer.values(b"content-length") == []


def test_an_answer_of_unknown_length_to_http_1_0_ends_with_the_connection(parser):
    """RFC 9112 §7: no Transfer-Encoding to 1.0."""
    driver = run(parser, OLD, answer=stream_answer)
    (answer,) = driver.answers()
    assert answer.body == b"one" + b"two" * 10
    assert answer.trailers == []
    assert answer.values(b"transfer-encoding") == answer.values(b"content-length") == []
    assert answer.values(b"connection") == [b"close"]
    assert driver.engine.close is Close.NOW


def test_trailers_make_a_known_length_chunked_where_they_can_travel(parser):
    def answer_with_trailers(driver, stream):
        response = Response("hello", trailers={"sum": "1"})
        driver.engine.send_headers(stream.id, response, 5)
        driver.engine.send_data(stream.id, b"hello")
        driver.engine.send_end(stream.id, [(b"sum", b"1")])

    (answer,) = run(parser, GET, answer=answer_with_trailers).answers()
    assert (answer.body, answer.trailers) == (b"hello", [(b"sum", b"1")])
    (answer,) = run(parser, OLD, answer=answer_with_trailers).answers()
    assert (answer.body, answer.trailers) == (b"hello", [])
    assert answer.values(b"content-length") == [b"5"]


def test_head_gets_the_fields_of_a_body_without_the_body(parser):
    driver = run(parser, HEAD + GET)
    first, second = driver.answers()
    assert first.values(b"content-length") == second.values(b"content-length") == [b"8"]
    driver = run(parser, HEAD + GET, answer=stream_answer)
    first, second = driver.answers()
    assert first.body == b""
    assert second.body != b""


def test_head_keeps_the_length_that_the_application_announced(parser):
    response = Response(b"", headers={"content-length": "1234"})
    driver = run(parser, HEAD, answer=lambda d, s: d.engine.send_response(s.id, response))
    (answer,) = driver.answers()
    assert answer.values(b"content-length") == [b"1234"]


@pytest.mark.parametrize(
    ("status", "headers", "length"),
    [
        (204, {}, []),
        (204, {"content-length": "5"}, []),
        (304, {}, []),
        (304, {"content-length": "5"}, [b"5"]),
        (205, {}, [b"0"]),
        (205, {"content-length": "5"}, [b"0"]),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_statuses_without_content(parser, status, headers, length, method):
    """RFC 9110 §6.4.1, §8.6 and §15.3.6: what a handler gives as a body is not written."""
    for response in (Response("hello", status, headers), Response(b"hello", status)):
        if not headers or response.raw_headers != ():
            driver = run(
                parser,
                GET.replace(b"GET", method) + GET,
                answer=lambda d, s, r=response: d.engine.send_response(s.id, r),
            )
            first, second = driver.answers()
            assert first.status == second.status == status
            assert first.body == second.body == b""
            assert first.values(b"transfer-encoding") == []
    response = Response("hello", status, headers)
    driver = run(parser, GET, answer=lambda d, s: d.engine.send_response(s.id, response))
    assert driver.answers()[0].values(b"content-length") == length


@pytest.mark.parametrize(
    ("headers", "length"), [({}, []), ({"content-length": "5"}, [b"5"])], ids=["none", "announced"]
)
def test_rfc9110_8_6_an_empty_body_says_nothing_about_a_get(parser, headers, length):
    """Applications may leave the content out by themselves where they are asked with HEAD."""
    response = Response(b"", headers=headers)
    driver = run(parser, HEAD, answer=lambda d, s: d.engine.send_response(s.id, response))
    assert driver.answers()[0].values(b"content-length") == length


def test_a_streamed_204_swallows_its_body(parser):
    def answer(driver, stream):
        driver.engine.send_headers(stream.id, Response(b"", 204), None)
        driver.engine.send_data(stream.id, b"hello")
        driver.engine.send_end(stream.id)

    first, second = run(parser, GET + GET, answer=answer).answers()
    assert first.status == second.status == 204
    assert first.body == second.body == b""


@pytest.mark.parametrize("status", [200, 299, 404, 418, 599])
def test_unregistered_statuses_have_an_empty_reason(parser, status):
    response = Response("x", status)
    driver = run(parser, GET, answer=lambda d, s: d.engine.send_response(s.id, response))
    assert driver.answers()[0].status == status


def test_date_and_server_are_added_once_unless_set(parser):
    driver = run(parser, GET)
    (answer,) = driver.answers()
    assert answer.values(b"date") == [b"Sun, 06 Nov 1994 08:49:37 GMT"]
    assert answer.values(b"server") == [b"httpkit"]
    own = {"date": "Mon, 07 Nov 1994 08:49:37 GMT", "Server": "mine"}
    response = Response("x", headers=own)
    driver = run(parser, GET, answer=lambda d, s: d.engine.send_response(s.id, response))
    (answer,) = driver.answers()
    assert answer.values(b"date") == [own["date"].encode()]
    assert answer.values(b"server") == [b"mine"]


# --- 100 (Continue) and other interim responses (RFC 9110 §10.1.1, §15.2) ---------------------


def test_continue_is_expected_until_it_is_sent(parser):
    driver = started(parser, EXPECT)
    assert driver.engine.expects_continue(1)
    assert not driver.engine.expects_continue(2)
    # It is this side that makes the peer wait: no deadline for the body runs.
    assert driver.engine.deadline_kind is Deadline.NONE
    assert driver.engine.receive_timeout() == []
    driver.engine.send_informational(1, 100, ())
    assert not driver.engine.expects_continue(1)
    assert driver.engine.deadline_kind is Deadline.BODY
    driver.feed(b"hello")
    driver.engine.send_response(1, Response("x"))
    collect(driver)
    (answer,) = driver.answers()
    assert [status for status, _ in answer.informational] == [100]
    assert answer.values(b"connection") == []
    assert driver.streams[0].body == b"hello"


def test_continue_is_not_expected_without_a_body_or_after_it_began(parser):
    assert not started(parser, GET).engine.expects_continue(1)
    no_body = b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n"
    assert not started(parser, no_body).engine.expects_continue(1)
    empty = no_body.replace(b"Expect", b"Content-Length: 0\r\nExpect")
    assert not started(parser, empty).engine.expects_continue(1)
    for pieces in two_splits(b"hello"):
        driver = started(parser, EXPECT + pieces[0])
        assert not driver.engine.expects_continue(1)
        assert driver.engine.deadline_kind is Deadline.BODY
        assert not driver.feed(pieces[1]).engine.expects_continue(1)
    chunked = EXPECT.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
    assert started(parser, chunked).engine.expects_continue(1)
    assert not started(parser, chunked + b"5").engine.expects_continue(1)


def test_http_1_0_expects_nothing(parser):
    """RFC 9110 §10.1.1: MUST ignore."""
    for value in (b"100-continue", b"foo"):
        driver = started(parser, EXPECT.replace(b"1.1", b"1.0").replace(b"100-continue", value))
        assert not driver.engine.expects_continue(1)
        driver.engine.send_informational(1, 100, ())
        driver.engine.send_informational(1, 103, [(b"link", b"</a>")])
        driver.feed(b"hello").engine.send_response(1, Response("x"))
        collect(driver)
        assert driver.answers()[0].informational == []


def test_a_final_answer_instead_of_continue_closes(parser):
    """RFC 9110 §10.1.1: the client may send the body then or not; only the end makes it one."""
    driver = started(parser, EXPECT)
    driver.engine.send_response(1, Response("no", 403))
    collect(driver)
    (answer,) = driver.answers()
    assert (answer.status, answer.values(b"connection")) == (403, [b"close"])
    assert driver.engine.close is Close.LINGER
    assert driver.feed(b"hello", GET).streams[1:] == []


def test_a_client_that_did_not_wait_keeps_its_connection(parser):
    driver = started(parser, EXPECT + b"hel")
    driver.engine.send_response(1, Response("no", 403))
    driver.feed(b"", b"lo" + GET)
    assert len(driver.streams) == 2
    driver.engine.send_response(2, Response("yes"))
    collect(driver)
    assert [answer.status for answer in driver.answers()] == [403, 200]


def test_once_the_answer_has_begun_no_continue_is_expected(parser):
    """Else a handler that reads late would wait for a client that never gets its 100."""
    driver = started(parser, EXPECT)
    driver.engine.send_headers(1, Response("x"), None)
    assert not driver.engine.expects_continue(1)
    assert driver.engine.deadline_kind is Deadline.BODY
    driver.engine.send_end(1)
    collect(driver)
    assert driver.answers()[0].values(b"connection") == [b"close"]


def test_early_hints(parser):
    driver = started(parser, GET)
    driver.engine.send_informational(1, 103, [(b"Link", b"</style.css>; rel=preload")])
    driver.engine.send_informational(1, 103, [("link", "</b>"), ("connection", "close")])
    driver.engine.send_response(1, Response("x"))
    collect(driver)
    (answer,) = driver.answers()
    assert answer.informational == [
        (103, [(b"link", b"</style.css>; rel=preload")]),
        (103, [(b"link", b"</b>")]),
    ]
    assert answer.values(b"connection") == []


# --- targets (RFC 9112 §3.2) ------------------------------------------------------------------


def test_absolute_form_overrides_host(parser):
    """RFC 9112 §3.2.2."""
    driver = run(parser, b"GET http://b:81/c?d HTTP/1.1\r\nHost: a\r\n\r\n")
    head = driver.streams[0].head
    assert (head.authority, head.target) == (b"b:81", b"http://b:81/c?d")


def test_options_asterisk(parser):
    driver = run(parser, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    assert driver.streams[0].head.target == b"*"
    assert len(driver.answers()) == 2


def test_events_say_what_there_is(parser):
    driver = run(
        parser, b"POST /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 0\r\n\r\n" + OLD
    )
    first, second = (stream.received for stream in driver.streams)
    head = first.head
    assert (first.stream_id, head.method, head.scheme, head.version) == (1, "POST", "", "1.1")
    assert head.headers == ((b"host", b"a"), (b"x", b"y"), (b"content-length", b"0"))
    assert (first.end_stream, first.content_length, first.upgrade) == (True, None, None)
    assert (second.stream_id, second.head.version, second.head.authority) == (2, "1.0", b"")
    assert (second.end_stream, second.content_length) == (True, None)


# --- upgrades (RFC 9110 §7.8) -----------------------------------------------------------------


def upgraded(parser, data=UPGRADE, limits=DEFAULT) -> Driver:
    """A connection that speaks `bar/1` now; raw bytes arrive as the body of its stream."""
    driver = started(parser, data, limits)
    response = Response(b"", headers={"x": "y", "content-length": "0"})
    driver.engine.accept_upgrade(1, response, b"BAR/1")
    collect(driver)
    return driver


def test_accepted_upgrade(parser):
    for pieces in all_splits(b"raw\r\n\r\n\x00GET"):
        driver = upgraded(parser, UPGRADE + pieces[0])
        driver.feed(*pieces[1:])
        assert driver.streams[0].body == b"raw\r\n\r\n\x00GET"
    driver.engine.send_data(1, b"answer\x00")
    driver.engine.send_data(1, b"")
    driver.output += driver.engine.data_to_send()
    answer, rest = read_answer(driver.output, closed=False)
    assert answer.status == 101
    assert answer.values(b"connection") == [b"upgrade"]
    assert answer.values(b"upgrade") == [b"BAR/1"]
    assert answer.values(b"x") == [b"y"]
    assert answer.values(b"content-length") == answer.values(b"transfer-encoding") == []
    assert len(answer.values(b"date")) == 1
    assert rest == b"answer\x00"
    assert driver.engine.deadline_kind is Deadline.NONE
    assert driver.engine.receive_timeout() == []


def test_the_end_of_an_upgraded_stream(parser):
    """Either side may end first."""
    driver = upgraded(parser)
    driver.engine.send_end(1)
    assert driver.engine.close is Close.LINGER
    assert driver.feed(b"late").streams[0].body == b""

    driver = upgraded(parser)
    driver.feed(b"a").eof()
    last = driver.events[-1]
    assert isinstance(last, DataReceived)
    assert (last.data, last.end_stream) == (b"", True)
    assert driver.engine.close is Close.OPEN
    assert driver.engine.deadline_kind is Deadline.HALF_CLOSED
    driver.engine.send_data(1, b"b")
    driver.engine.send_end(1)
    assert driver.engine.close is Close.NOW


def test_the_end_of_input_before_the_upgrade_is_not_forgotten(parser):
    """The session would wait for bytes that cannot come."""
    for rest in (b"", b"raw"):
        driver = started(parser, UPGRADE + rest).eof()
        driver.engine.accept_upgrade(1, Response(b""), b"foo")
        assert driver.engine.has_more_input
        collect(driver)
        assert not driver.engine.has_more_input
        ends = [event.end_stream for event in driver.events if isinstance(event, DataReceived)]
        assert ends == ([True] if not rest else [False, True])
        assert driver.streams[0].body == rest
        assert driver.engine.receive_eof() == []


def test_raw_bytes_wait_for_the_session(parser):
    driver = upgraded(parser, limits=Limits(body_buffer=4))
    assert driver.engine.wants_input
    (event,) = driver.engine.receive_data(b"four")
    assert event.data == b"four"
    assert not driver.engine.wants_input
    driver.engine.consume(1, 1)
    assert driver.engine.wants_input


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        (b"Connection: upgrade\r\nUpgrade: foo", b"foo"),
        (b"Connection: Upgrade\r\nUpgrade: h2c, websocket", b"h2c, websocket"),
        (b"Connection: a, UPGRADE ,b\r\nUpgrade: foo\r\nUpgrade: bar", b"foo,bar"),
        (b"Upgrade: foo\r\nConnection: keep-alive\r\nConnection: upgrade", b"foo"),
        (b"Connection: keep-alive\r\nUpgrade: foo", None),
        (b"Upgrade: foo", None),
        (b"Connection: upgrade", None),
        (b"Connection: upgrade\r\nUpgrade:", None),
        (b"Connection: upgrade\r\nUpgrade: ,", None),
        (b"Connection: xupgrade\r\nUpgrade: foo", None),
    ],
)
def test_what_counts_as_an_offer(parser, fields, offered):
    data = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % fields + GET
    for pieces in all_splits(data):
        driver = run(parser, pieces)
        # Nobody accepts it: it is ignored, and parsing goes on right behind it.
        assert [answer.status for answer in driver.answers()] == [200, 200]
        assert driver.streams[0].received.upgrade == offered


def test_http_1_0_offers_nothing(parser):
    driver = run(parser, UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert driver.streams[0].received.upgrade is None


@pytest.mark.parametrize("request_with_body", [LENGTH, CHUNKED])
def test_an_offer_with_a_body_is_ignored_and_the_body_is_a_body(parser, request_with_body):
    """llhttp ends such a message at its head."""
    offer = b"Host: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
    data = request_with_body.replace(b"Host: a\r\n", offer)
    verdict = run(parser, data + data + GET).verdict()
    for pieces in all_splits(data + data + GET, places=60):
        assert run(parser, pieces).verdict() == verdict
    assert [stream.body for stream in verdict.streams] == [b"hello", b"hello", b""]
    assert [stream.upgrade for stream in verdict.streams] == [None] * 3
    assert verdict.streams[0].trailers == ((b"sum", b"1"),) * (request_with_body is CHUNKED)


# --- early answers (RFC 9112 §9.3: the rest of a body is read or the connection closed) -------


@pytest.mark.parametrize("data", [LENGTH, CHUNKED])
def test_after_an_early_answer_the_rest_of_the_body_is_thrown_away(parser, data):
    head, body = data[: data.index(b"\r\n\r\n") + 4], data[data.index(b"\r\n\r\n") + 4 :]
    for pieces in all_splits(body, GET):
        driver = Driver(parser, early=True).feed(head, *pieces)
        assert [answer.status for answer in driver.answers()] == [200, 200]
        assert driver.streams[0].body == b""
        assert driver.streams[1].head.target == b"/"
        assert driver.engine.close is Close.OPEN


def test_an_early_answer_in_the_middle_of_a_body(parser):
    driver = started(parser, LENGTH[:-2])
    driver.engine.send_response(1, Response("x"))
    collect(driver)
    assert driver.engine.deadline_kind is Deadline.BODY
    assert driver.engine.wants_input
    assert driver.feed(b"l").engine.deadline_kind is Deadline.BODY
    driver.feed(b"o").feed(b"")
    assert driver.engine.deadline_kind is Deadline.IDLE
    assert driver.streams[0].body == b"hel"
    assert len(driver.feed(GET).streams) == 2


def test_a_long_rest_of_known_length_is_announced_as_the_end(parser):
    limits = Limits(drain_bytes=10)
    for length, kept in ((10, True), (11, False)):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length
        driver = Driver(parser, limits, early=True).feed(head, b"x" * length, GET)
        answers = driver.answers()
        assert (answers[0].values(b"connection") == []) is kept
        assert len(answers) == (2 if kept else 1)
        assert driver.engine.close is (Close.OPEN if kept else Close.LINGER)
    # Only what is still missing counts.
    driver = started(parser, head + b"x", limits)
    driver.engine.send_response(1, Response("x"))
    assert driver.engine.close is Close.OPEN


def test_a_long_rest_of_unknown_length_ends_the_connection_when_it_is_too_long(parser):
    limits = Limits(drain_bytes=10)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"6\r\nhello!\r\n0\r\n\r\n"
    for pieces in ([body + GET], bytewise(body + GET)):
        driver = Driver(parser, limits, early=True).feed(head, *pieces)
        (answer,) = driver.answers()
        assert answer.values(b"connection") == []  # it could not be known
        assert driver.engine.close is Close.LINGER
        assert driver.terminated.status is None
        assert driver.terminated.error is None


def test_a_body_that_ends_after_an_announced_end_does_not_reopen(parser):
    driver = started(parser, EXPECT)
    driver.engine.send_headers(1, Response("x"), None)
    driver.feed(b"hello" + GET)
    assert driver.streams[0].ended
    driver.engine.send_end(1)
    collect(driver)
    (answer,) = driver.answers()
    assert answer.values(b"connection") == [b"close"]
    assert driver.engine.close is Close.LINGER


def test_an_answer_may_run_beside_its_request(parser):
    driver = started(parser, LENGTH[:-4])
    driver.engine.send_headers(1, Response("x"), None)
    driver.engine.send_data(1, b"one")
    driver.feed(b"ell")
    driver.engine.send_data(1, b"two")
    driver.feed(b"o" + GET)
    assert driver.streams[0].body == b"hello"
    assert len(driver.streams) == 1
    driver.engine.send_end(1)
    collect(driver)
    assert len(driver.streams) == 2
    answers = read_answers(driver.output, ["POST"], closed=False)
    assert answers[0].body == b"onetwo"


def test_a_body_fault_after_the_answer_began_cuts_the_answer_short(parser):
    chunked = CHUNKED[: CHUNKED.index(b"\r\n\r\n") + 4]
    driver = started(parser, chunked)
    driver.engine.send_headers(1, Response("x"), None)
    driver.engine.send_data(1, b"one")
    driver.output += driver.engine.data_to_send()
    before = driver.output
    driver.feed(b"nonsense\r\n")
    assert driver.output == before  # no 400 in the middle of a 200
    assert driver.streams[0].reset
    assert driver.terminated.status is None
    assert driver.engine.close is Close.LINGER


def test_a_body_fault_while_an_answer_runs_until_the_end_resets_the_connection(parser):
    """HTTP/1.0 could not tell the cut answer from a whole one."""
    driver = started(parser, b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n")
    driver.engine.send_headers(1, Response("x"), None)
    driver.eof()
    assert driver.streams[0].reset
    assert driver.engine.close is Close.ABORT


def test_a_malformed_body_of_a_head_request_is_refused_without_a_body(parser):
    driver = run(parser, CHUNKED.replace(b"POST", b"HEAD").replace(b"3;x", b"3;"))
    (answer,) = read_answers(driver.output, ["HEAD"], closed=True)
    assert answer.status == 400


def test_several_requests_of_one_read_are_separate_events(parser):
    driver = started(parser, GET)
    driver.engine.send_response(1, Response("x"))
    events = driver.engine.receive_data(GET + GET)
    assert [type(event) for event in events] == [RequestReceived]
