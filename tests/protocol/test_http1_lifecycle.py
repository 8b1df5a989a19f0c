"""The ends of a connection: each of them in each state, as one table.

A state is a way to get there; an act is what happens then: the end of input, a deadline, a
shutdown, a reset by the handler. The table says how the connection stands afterwards.
"""

import tracemalloc

import pytest

from httpkit.limits import Limits
from httpkit.protocol import incoming
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.events import ConnectionTerminated, DataReceived, StreamReset
from httpkit.protocol.http1 import chunked, head
from httpkit.response import Response

from .driver import DEFAULT, GET, Driver, Stream, bytewise, read_answers, run

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
OLD_POST = b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECT = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"


def ignore(driver: Driver, stream: Stream) -> None:
    """Leave the answer to the test."""


def started(parser, *pieces, limits=DEFAULT) -> Driver:
    return Driver(parser, limits, ignore, early=True).feed(*pieces)


def streaming(parser, data) -> Driver:
    """An answer of unknown length has begun."""
    driver = started(parser, data)
    driver.engine.send_headers(1, Response("x"), None)
    driver.engine.send_data(1, b"x")
    return driver.feed(b"")


def answered(parser, *pieces) -> Driver:
    """An answer has come before the request had ended, or right after it."""
    driver = started(parser, *pieces)
    driver.engine.send_response(1, Response("x"))
    return driver.feed(b"")


def upgraded(parser) -> Driver:
    driver = started(parser, UPGRADE)
    driver.engine.accept_upgrade(1, Response(b""), b"foo")
    return driver.feed(b"")


def aborted(parser) -> Driver:
    driver = streaming(parser, b"GET / HTTP/1.0\r\n\r\n")
    driver.engine.send_reset(1)
    return driver


STATES = {
    "first": started,
    "idle": lambda parser: answered(parser, GET),
    "idle after an empty line": lambda parser: answered(parser, GET, b"\r\n"),
    "half an empty line": lambda parser: started(parser, b"\r"),
    "head": lambda parser: started(parser, b"GET / HT"),
    "HEAD head": lambda parser: started(parser, b"HEAD / HT"),
    "body": lambda parser: started(parser, POST, b"he"),
    "chunked body": lambda parser: started(parser, CHUNKED, b"5\r"),
    "body awaited": lambda parser: started(parser, EXPECT),
    "body, answer begun": lambda parser: streaming(parser, POST),
    "body, answer until close": lambda parser: streaming(parser, OLD_POST),
    "complete": lambda parser: started(parser, GET),
    "complete, more behind": lambda parser: started(parser, GET + GET),
    "complete, answer begun": lambda parser: streaming(parser, GET),
    "complete, answer until close": lambda parser: streaming(parser, b"GET / HTTP/1.0\r\n\r\n"),
    "HEAD, answer begun": lambda parser: streaming(parser, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "drain": lambda parser: answered(parser, POST, b"he"),
    "raw": upgraded,
    "closed, linger": lambda parser: run(parser, b"\n"),
    "closed, now": lambda parser: answered(parser, b"GET / HTTP/1.0\r\n\r\n"),
    "closed, abort": aborted,
}

NONE, OPEN, NOW, LINGER, ABORT = None, Close.OPEN, Close.NOW, Close.LINGER, Close.ABORT
RESET, END = "reset", "end"

#: State: deadline, then for each act: status answered, close, events.
#: `send_reset` gives no events and writes nothing, so its column is the close alone.
TABLE = {
    # state: (deadline, end of input, deadline passed, shutdown, send_reset)
    "first": (Deadline.FIRST, (NONE, NOW, [END]), (NONE, NOW, [END]), NOW, OPEN),
    "idle": (Deadline.IDLE, (NONE, NOW, [END]), (NONE, NOW, [END]), NOW, OPEN),
    "idle after an empty line": (
        Deadline.IDLE,
        (NONE, NOW, [END]),
        (NONE, NOW, [END]),
        NOW,
        OPEN,
    ),
    "half an empty line": (Deadline.HEAD, (400, NOW, [END]), (408, LINGER, [END]), OPEN, OPEN),
    "head": (Deadline.HEAD, (400, NOW, [END]), (408, LINGER, [END]), OPEN, OPEN),
    "HEAD head": (Deadline.HEAD, (400, NOW, [END]), (408, LINGER, [END]), OPEN, OPEN),
    "body": (Deadline.BODY, (400, NOW, [RESET, END]), (408, LINGER, [RESET, END]), OPEN, NOW),
    "chunked body": (
        Deadline.BODY,
        (400, NOW, [RESET, END]),
        (408, LINGER, [RESET, END]),
        OPEN,
        NOW,
    ),
    "body awaited": (Deadline.NONE, (400, NOW, [RESET, END]), (NONE, OPEN, []), OPEN, NOW),
    "body, answer begun": (
        Deadline.BODY,
        (NONE, NOW, [RESET, END]),
        (NONE, LINGER, [RESET, END]),
        OPEN,
        NOW,
    ),
    "body, answer until close": (
        Deadline.BODY,
        (NONE, ABORT, [RESET, END]),
        (NONE, ABORT, [RESET, END]),
        OPEN,
        ABORT,
    ),
    "complete": (Deadline.NONE, (NONE, OPEN, []), (NONE, OPEN, []), OPEN, NOW),
    "complete, more behind": (Deadline.NONE, (NONE, OPEN, []), (NONE, OPEN, []), OPEN, NOW),
    "complete, answer begun": (Deadline.NONE, (NONE, OPEN, []), (NONE, OPEN, []), OPEN, NOW),
    "complete, answer until close": (
        Deadline.NONE,
        (NONE, OPEN, []),
        (NONE, OPEN, []),
        OPEN,
        ABORT,
    ),
    "HEAD, answer begun": (Deadline.NONE, (NONE, OPEN, []), (NONE, OPEN, []), OPEN, NOW),
    "drain": (Deadline.BODY, (NONE, NOW, [END]), (NONE, NOW, [END]), LINGER, OPEN),
    "raw": (Deadline.NONE, (NONE, OPEN, [DataReceived]), (NONE, OPEN, []), OPEN, ABORT),
    "closed, linger": (Deadline.LINGER, (NONE, NOW, []), (NONE, NOW, []), LINGER, LINGER),
    "closed, now": (Deadline.NONE, (NONE, NOW, []), (NONE, NOW, []), NOW, NOW),
    "closed, abort": (Deadline.NONE, (NONE, ABORT, []), (NONE, ABORT, []), ABORT, ABORT),
}
_NAMES = {StreamReset: RESET, ConnectionTerminated: END}


def names(events):
    return [_NAMES.get(type(event), type(event)) for event in events]


@pytest.fixture(params=STATES)
def state(request):
    return request.param


def check_outcome(driver, state, events, expected):
    status, close, kinds = expected
    assert names(events) == kinds
    assert driver.engine.close is close
    output = driver.engine.data_to_send()
    if status is None:
        assert output == b""
    else:
        method = "HEAD" if state.startswith("HEAD") else "POST"
        (answer,) = read_answers(output, [method], closed=True)
        assert answer.status == status
        assert answer.values(b"connection") == [b"close"]
        assert events[-1].status == status
        assert events[-1].error.status == status


@pytest.fixture
def driver(parser, state):
    driver = STATES[state](parser)
    driver.output += driver.engine.data_to_send()
    return driver


def test_table_is_complete():
    assert list(TABLE) == list(STATES)


def test_deadline(driver, state):
    assert driver.engine.deadline_kind is TABLE[state][0]


def test_end_of_input(driver, state):
    """RFC 9112 §8: a message that is cut short is an error; after one, a half-close is not."""
    expected = TABLE[state][1]
    check_outcome(driver, state, driver.engine.receive_eof(), expected)
    if expected[1] is Close.OPEN:
        assert driver.engine.deadline_kind is Deadline.HALF_CLOSED
        reset = driver.engine.receive_timeout()
        assert names(reset) == [RESET, END]
        cut = state in ("complete, answer until close", "raw")
        assert driver.engine.close is (Close.ABORT if cut else Close.NOW)
    assert driver.engine.receive_eof() == []
    assert driver.engine.receive_timeout() == []


def test_deadline_passed(driver, state):
    expected = TABLE[state][2]
    check_outcome(driver, state, driver.engine.receive_timeout(), expected)
    if driver.engine.close is not Close.OPEN:
        again = driver.engine.close
        assert driver.engine.receive_data(GET) == []
        assert not driver.engine.has_more_to_send
        assert driver.engine.close is again


def test_shutdown(driver, state):
    driver.engine.begin_shutdown()
    assert driver.engine.close is TABLE[state][3]
    assert not driver.engine.has_more_to_send
    if state == "drain":
        assert driver.engine.deadline_kind is Deadline.LINGER


def test_reset_by_the_handler(driver, state):
    driver.engine.send_reset(max(1, driver.engine.last_stream_id))
    assert driver.engine.close is TABLE[state][4]
    assert not driver.engine.has_more_to_send
    if driver.engine.close is not Close.OPEN:
        # What a handler still does on its stream reaches nobody.
        driver.engine.send_response(1, Response("x"))
        driver.engine.send_headers(1, Response("x"), None)
        driver.engine.send_data(1, b"x")
        driver.engine.send_end(1)
        driver.engine.send_informational(1, 103, [])
        driver.engine.accept_upgrade(1, Response(b""), b"foo")
        driver.engine.consume(1, 1)
        assert not driver.engine.has_more_to_send


# --- half-close -------------------------------------------------------------------------------


def test_after_half_close_the_answer_is_written_and_says_close(parser):
    driver = started(parser, GET).eof()
    assert driver.engine.deadline_kind is Deadline.HALF_CLOSED
    driver.engine.send_response(1, Response("x"))
    driver.feed(b"")
    (answer,) = driver.answers()
    assert answer.values(b"connection") == [b"close"]
    assert driver.engine.close is Close.NOW  # nothing can come any more


def test_after_half_close_every_pipelined_request_is_answered(parser):
    for pieces in ([GET * 3], [GET, GET + GET], bytewise(GET * 3)):
        driver = started(parser, *pieces).eof()
        for stream_id in (1, 2, 3):
            driver.engine.send_response(stream_id, Response("x"))
            driver.feed(b"")
        answers = driver.answers()
        assert [answer.values(b"connection") for answer in answers] == [[], [], [b"close"]]
        assert driver.engine.close is Close.NOW


def test_half_close_in_a_pipelined_request_is_refused_after_the_answer(parser):
    for rest in (b"\r", b"G", GET[:-1], POST, POST + b"h", CHUNKED + b"1\r\nx"):
        driver = started(parser, GET + rest).eof()
        assert len(driver.streams) == 1
        driver.engine.send_response(1, Response("x"))
        driver.feed(b"")
        assert [answer.status for answer in driver.answers()] == [200, 400]
        assert all(stream.reset for stream in driver.streams[1:])
        assert driver.engine.close is Close.NOW
    driver = started(parser, GET + POST + b"hello").eof()
    driver.engine.send_response(1, Response("x"))
    assert driver.feed(b"").streams[1].body == b"hello"
    assert driver.engine.close is Close.OPEN


def test_half_close_after_an_empty_line_behind_a_request(parser):
    """RFC 9112 §2.2: the empty line is no beginning of another request."""
    for pieces in ([GET + b"\r\n"], [POST + b"hello", b"\r\n"], bytewise(GET + b"\r\n")):
        driver = started(parser, *pieces).eof()
        driver.engine.send_response(1, Response("x"))
        driver.feed(b"")
        assert [answer.status for answer in driver.answers()] == [200]
        assert driver.engine.close is Close.NOW


def test_half_close_while_requests_wait_for_the_next_turn(parser):
    """The transport stops after some pipelined requests; those behind must not be lost."""
    driver = started(parser, GET + GET)
    driver.engine.send_response(1, Response("x"))
    driver.output += driver.engine.data_to_send()
    driver.eof()
    assert len(driver.streams) == 2
    driver.engine.send_response(2, Response("y"))
    driver.feed(b"")
    assert [answer.body for answer in driver.answers()] == [b"x", b"y"]


def test_half_close_while_an_answer_runs(parser):
    driver = streaming(parser, GET).eof()
    driver.engine.send_data(1, b"y")
    driver.engine.send_end(1)
    driver.feed(b"")
    (answer,) = driver.answers()
    assert answer.body == b"xy"
    assert driver.engine.close is Close.NOW


# --- shutdown ---------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [GET, POST + b"hello", CHUNKED + b"0\r\n\r\n"])
def test_shutdown_lets_a_request_finish_and_says_so(parser, data):
    driver = started(parser, data[:10])
    driver.engine.begin_shutdown()
    driver.feed(data[10:] + GET)
    driver.engine.send_response(1, Response("x"))
    driver.feed(b"")
    (answer,) = driver.answers()
    assert answer.values(b"connection") == [b"close"]
    assert driver.engine.close is Close.LINGER


def test_shutdown_behind_the_head_of_an_answer_closes_all_the_same(parser):
    driver = streaming(parser, GET)
    driver.engine.begin_shutdown()
    driver.engine.send_end(1)
    driver.feed(b"")
    (answer,) = driver.answers()
    assert answer.values(b"connection") == []  # too late to say
    assert driver.engine.close is Close.LINGER


def test_shutdown_answers_a_request_that_has_come_already(parser):
    driver = started(parser, GET + GET + GET)
    driver.engine.send_response(1, Response("x"))
    driver.output += driver.engine.data_to_send()
    driver.engine.begin_shutdown()
    assert driver.engine.close is Close.OPEN
    driver.feed(b"")
    driver.engine.send_response(2, Response("y"))
    driver.feed(b"")
    first, second = driver.answers()
    assert (first.values(b"connection"), second.values(b"connection")) == ([], [b"close"])
    assert driver.engine.close is Close.LINGER


def test_shutdown_of_an_upgraded_stream_is_left_to_its_session(parser):
    driver = upgraded(parser)
    driver.engine.begin_shutdown()
    assert driver.feed(b"a").streams[0].body == b"a"
    driver.engine.send_end(1)
    assert driver.engine.close is Close.LINGER


# --- backpressure -----------------------------------------------------------------------------


def test_reading_pauses_while_a_body_waits_for_its_handler(parser):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n"
    engine = started(parser, head, limits=Limits(body_buffer=8)).engine
    engine.receive_data(b"1234567")
    assert engine.wants_input
    engine.receive_data(b"8")
    assert not engine.wants_input
    # It is the handler that makes the peer wait: no deadline runs.
    assert engine.deadline_kind is Deadline.NONE
    engine.consume(2, 8)  # another stream
    assert not engine.wants_input
    engine.consume(1, 1)
    assert engine.wants_input
    assert engine.deadline_kind is Deadline.BODY
    engine.consume(1, 1000)
    engine.receive_data(b"12345678")
    assert not engine.wants_input
    assert engine.body_received == 16


def test_what_a_handler_left_behind_does_not_count_for_the_next(parser):
    driver = started(parser, limits=Limits(body_buffer=4))
    driver.engine.receive_data(POST + b"hello")
    assert driver.engine.wants_input  # complete: what counts now is what was read ahead
    driver.engine.send_response(1, Response("x"))
    driver.engine.data_to_send()
    (event,) = driver.engine.receive_data(POST)
    assert event.stream_id == 2
    assert driver.engine.wants_input


def test_reading_ahead_is_bounded(parser):
    engine = started(parser, GET, limits=Limits(input_buffer=10)).engine
    assert engine.wants_input
    assert engine.receive_data(b"GET / HTT") == []
    assert engine.wants_input
    assert engine.receive_data(b"P") == []
    assert not engine.wants_input
    engine.send_response(1, Response("x"))
    engine.data_to_send()
    assert engine.receive_data(b"") == []
    assert engine.wants_input
    assert engine.deadline_kind is Deadline.HEAD


def test_requests_wait_while_answers_are_not_taken(parser):
    """Else a peer that pipelines and reads nothing would fill the queue."""
    limits = Limits(write_buffer=10, input_buffer=1000)
    driver = started(parser, GET, limits=limits)
    driver.engine.send_response(1, Response("x"))
    assert not driver.engine.wants_input
    assert driver.engine.deadline_kind is Deadline.NONE
    assert driver.engine.capacity(1) == 0
    driver.feed(b"")
    assert driver.engine.wants_input
    assert driver.engine.deadline_kind is Deadline.IDLE
    assert driver.engine.capacity(1) == 10


def test_pipelined_requests_that_wait_for_their_turn_are_bounded(parser):
    driver = started(parser, GET + GET, limits=Limits(input_buffer=10))
    driver.engine.send_response(1, Response("x"))
    driver.engine.data_to_send()
    assert not driver.engine.wants_input
    assert driver.feed(b"").engine.wants_input


def test_capacity_and_limited_output(parser):
    limits = Limits(write_buffer=100)
    driver = started(parser, GET, limits=limits)
    engine = driver.engine
    assert engine.capacity(1) == 100
    engine.send_headers(1, Response("x"), 300)
    head = engine.data_to_send()
    engine.send_data(1, b"a" * 60)
    assert engine.capacity(1) == 40
    engine.send_data(1, b"b" * 60)
    assert engine.capacity(1) == 0
    assert engine.data_to_send(0) == b""
    assert engine.data_to_send(50) == b"a" * 50
    assert engine.capacity(1) == 30
    engine.send_data(1, b"c" * 60)
    assert engine.data_to_send(15) == b"a" * 10 + b"b" * 5
    assert engine.data_to_send(55) == b"b" * 55
    assert engine.has_more_to_send
    assert engine.data_to_send(7) == b"c" * 7
    engine.send_data(1, b"d" * 20)
    assert engine.data_to_send() == b"c" * 53 + b"d" * 20
    assert not engine.has_more_to_send
    assert engine.capacity(1) == 100
    engine.send_data(1, b"e" * 100)
    assert engine.data_to_send(1000) == b"e" * 100
    assert engine.data_to_send(5) == engine.data_to_send() == b""
    engine.send_end(1)
    assert head.endswith(b"content-length: 300\r\n\r\n")


# --- what a peer can make the engine do -------------------------------------------------------


class CountingPattern:
    """Stands in for a compiled pattern and counts the bytes it has to look at."""

    def __init__(self, pattern):
        self.pattern = pattern
        self.looked_at = 0

    def search(self, data, start=0):
        self.looked_at += len(data) - start
        return self.pattern.search(data, start)


@pytest.mark.parametrize("module", [head, chunked])
def test_drips_are_looked_at_once(parser, monkeypatch, module):
    """Byte by byte, the scans of a head and of a trailer section stay linear."""
    counter = CountingPattern(head._BARE)
    monkeypatch.setattr(head, "_BARE", counter)
    lines = b"".join(b"X%d: %b\r\n" % (index, b"y" * 100) for index in range(90))
    data = GET[:-2] + lines + b"\r\n"
    if module is chunked:
        data = CHUNKED + b"0\r\n" + lines + b"\r\n"
    driver = run(parser, bytewise(data))
    assert driver.streams[0].ended
    assert counter.looked_at < 4 * len(data)


def test_a_large_body_leaves_in_pieces_without_being_copied_each_time(parser):
    body = bytes(64 * 1024 * 1024)
    driver = started(parser, GET)
    driver.engine.send_response(1, Response(body))
    tracemalloc.start()
    try:
        taken = 0
        while driver.engine.has_more_to_send:
            taken += len(driver.engine.data_to_send(32 * 1024))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken > len(body)
    assert peak < 1024 * 1024


def test_an_idle_connection_keeps_no_input(parser):
    upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    driver = run(parser, upload)
    assert driver.engine._buffer == b""
    driver = run(parser, GET * 100)
    assert driver.engine._buffer == b""
    driver = Driver(parser, early=True).feed(upload[:-1], upload[-1:])
    assert driver.engine._buffer == b""


def test_a_refused_connection_keeps_no_input(parser):
    driver = run(parser, b"GET / HTTP/1.1\n" + bytes(10_000))
    for _ in range(3):
        driver.engine.receive_data(bytes(10_000))
        assert driver.engine._buffer == b""
    assert driver.engine.wants_input  # to throw it away


def test_the_memory_of_known_authorities_is_bounded(parser, monkeypatch):
    monkeypatch.setattr(incoming, "_known_authorities", set())
    request = b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n"
    for number in range(1500):
        run(parser, request % b"host%d" % number)
    assert 0 < len(incoming._known_authorities) <= 1024
    long = b"a" * 5000
    assert len(run(parser, request % long).streams) == 1
    assert long not in incoming._known_authorities
