"""Chunked bodies (RFC 9112 §7.1): framing, extensions and trailers that are not exactly right.

The head of such a request is good, so a handler may run already: it is reset, and the answer is
400 if nothing was answered before. What came before the fault is the same whatever the cut.
"""

import pytest

from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.http1.chunked import ChunkGuard

from .driver import DEFAULT, GET, Driver, all_splits, bytewise, fewer, read_answers, run

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SMALL = Limits(max_header_bytes=256, max_headers=5)


def assert_refused(parser, body, status, received=b"", limits=DEFAULT, *, places=100):
    """The stream is reset, one answer says so, and nothing behind it is read."""
    verdicts = []
    for pieces in all_splits(body, GET, places=fewer(parser, places)):
        driver = run(parser, [HEAD, *pieces], limits)
        (stream,) = driver.streams
        assert (stream.reset, stream.ended, stream.body) == (True, False, received), pieces
        verdicts.append(driver.verdict())
        assert verdicts[-1] == verdicts[0], pieces
    (answer,) = read_answers(driver.output, ["POST"], closed=True)
    assert answer.status == status
    assert answer.values(b"connection") == [b"close"]
    assert driver.engine.close is Close.LINGER
    assert driver.terminated.status == status


def assert_accepted(parser, body, received, trailers=(), limits=DEFAULT, *, places=100):
    """The body is this, and the request behind it is seen."""
    verdicts = []
    for pieces in all_splits(body, GET, places=fewer(parser, places)):
        driver = run(parser, [HEAD, *pieces], limits)
        verdicts.append(driver.verdict())
        assert verdicts[-1] == verdicts[0], pieces
    first, second = driver.streams
    assert first.ended
    assert first.body == received
    assert first.trailers == list(trailers)
    assert second.head.target == b"/"
    assert [answer.status for answer in driver.answers()] == [200, 200]


def cases(table):
    return [pytest.param(*case, id=repr(case[0])[:60]) for case in table]


LONG = b"a" * 2000


@pytest.mark.parametrize(
    ("body", "received"),
    cases(
        [
            # Sizes are hexadecimal digits and nothing else; int() takes most of these.
            (b"5 \r\nhello\r\n0\r\n\r\n", b""),
            (b" 5\r\nhello\r\n0\r\n\r\n", b""),
            (b"5\t\r\nhello\r\n0\r\n\r\n", b""),
            (b"0x5\r\nhello\r\n0\r\n\r\n", b""),
            (b"+5\r\nhello\r\n0\r\n\r\n", b""),
            (b"-1\r\nhello\r\n0\r\n\r\n", b""),
            (b"-0\r\n\r\n", b""),
            (b"0_5\r\nhello\r\n0\r\n\r\n", b""),
            (b"5h\r\nhello\r\n0\r\n\r\n", b""),
            (b"g\r\nhello\r\n0\r\n\r\n", b""),
            (b"5.0\r\nhello\r\n0\r\n\r\n", b""),
            (b"5\x00\r\nhello\r\n0\r\n\r\n", b""),
            (b"\x0b5\r\nhello\r\n0\r\n\r\n", b""),
            ("\N{FULLWIDTH DIGIT FIVE}\r\nhello\r\n0\r\n\r\n".encode(), b""),
            (b"\r\nhello\r\n0\r\n\r\n", b""),
            (b"\r\n5\r\nhello\r\n0\r\n\r\n", b""),
            (b";\r\n", b""),
            (b";a=b\r\nhello\r\n0\r\n\r\n", b""),
            # 2^64 and more: 17 digits wrap around in C.
            (b"00000000000000005\r\nhello\r\n0\r\n\r\n", b""),
            (b"10000000000000000\r\nhello\r\n0\r\n\r\n", b""),
            (b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n", b""),
            (b"0" * 1100 + b"5\r\nhello\r\n0\r\n\r\n", b""),
            # RFC 9112 §2.2: bare CR and LF in framing (TERM.EXT, EXT.TERM smuggling).
            (b"5\nhello\r\n0\r\n\r\n", b""),
            (b"5\rhello\r\n0\r\n\r\n", b""),
            (b"5\r\rhello\r\n0\r\n\r\n", b""),
            (b"5\n\rhello\r\n0\r\n\r\n", b""),
            (b"5\r\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a\nhello\r\n0\r\n\r\n", b""),
            (b"5;\nhello\r\n0\r\n\r\n", b""),
            (b"5;a\rb\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a\n\r\nhello\r\n0\r\n\r\n", b""),
            # CVE-2025-43859 (h11): any two bytes ended a chunk.
            (b"5\r\nhelloXX0\r\n\r\n", b"hello"),
            (b"5\r\nhelloX\n0\r\n\r\n", b"hello"),
            (b"5\r\nhello\rX0\r\n\r\n", b"hello"),
            (b"5\r\nhello\n\n0\r\n\r\n", b"hello"),
            (b"5\r\nhello\n0\r\n\r\n", b"hello"),
            (b"5\r\nhello\n\r0\r\n\r\n", b"hello"),
            (b"5\r\nhello0\r\n\r\n", b"hello"),
            (b"5\r\nhello!\r\n0\r\n\r\n", b"hello"),
            (b"5\r\nhelloab\r\n\r\n", b"hello"),
            (b"5\r\nhell\r\n0\r\n\r\n", b"hell\r"),
            (b"5\r\nhello\r\n\r\n0\r\n\r\n", b"hello"),
            (b"5\r\nhello\r\nz\r\n", b"hello"),
            (b"3\r\nabc\r\n2\r\nde\r\n 0\r\n\r\n", b"abcde"),
            # Extensions: RFC 9112 §7.1.1, without the whitespace it calls bad.
            (b"5;\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;;\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;=b\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a=\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a=b=c\r\nhello\r\n0\r\n\r\n", b""),
            (b"5 ;a\r\nhello\r\n0\r\n\r\n", b""),
            (b"5; a\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a \r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a =b\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a= b\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a\x00\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a\xe9\r\nhello\r\n0\r\n\r\n", b""),
            (b'5;a="b\r\nhello\r\n0\r\n\r\n', b""),
            (b'5;a="b"c\r\nhello\r\n0\r\n\r\n', b""),
            (b'5;a="\x01"\r\nhello\r\n0\r\n\r\n', b""),
            (b'5;a="\\\r\n"\r\nhello\r\n0\r\n\r\n', b""),
            (b'5;a="\\"\r\nhello\r\n0\r\n\r\n', b""),
            (b"5,a\r\nhello\r\n0\r\n\r\n", b""),
            # CVE-2024-22019 (node): an extension without end.
            (b"5;a=" + LONG + b"\r\nhello\r\n0\r\n\r\n", b""),
            (b"5;a=" + LONG, b""),
            (b"0;a=" + LONG + b"\r\n\r\n", b""),
            # The last chunk and the trailer section.
            (b"0\n\r\n", b""),
            (b"0\r\n\n", b""),
            (b"0\r\n\rX", b""),
            (b"0\r\nX: y\n\r\n", b""),
            (b"0\r\nX: y\r\n\n", b""),
            (b"0\r\nX: y\nZ: a\r\n\r\n", b""),
            (b"0\r\nX: y\rZ: a\r\n\r\n", b""),
            (b"0\r\nX: y\r\r\n\r\n", b""),
            (b"0\r\nX: y\x00\r\n\r\n", b""),
            (b"0\r\nX: y\x7f\r\n\r\n", b""),
            (b"0\r\n X: y\r\n\r\n", b""),
            (b"0\r\n\tX: y\r\n\r\n", b""),
            (b"0\r\nX: y\r\n z\r\n\r\n", b""),
            (b"0\r\nX : y\r\n\r\n", b""),
            (b"0\r\n: y\r\n\r\n", b""),
            (b"0\r\nX\r\n\r\n", b""),
            (b"0\r\nX(: y\r\n\r\n", b""),
            (b"0\r\nX\xe9: y\r\n\r\n", b""),
            (b"3\r\nabc\r\n0\r\nGET / HTTP/1.1\r\n\r\n", b"abc"),
            # RFC 9110 §6.5.1: framing and routing do not belong into trailers.
            (b"0\r\nContent-Length: 5\r\n\r\n", b""),
            (b"0\r\nContent-Length: x\r\n\r\n", b""),
            (b"0\r\nX: y\r\ncontent-LENGTH: 0\r\n\r\n", b""),
            (b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
            (b"0\r\nTransfer-Encoding: gzip\r\n\r\n", b""),
            (b"0\r\nX: y\r\ntransfer-encoding:\r\nZ: a\r\n\r\n", b""),
            (b"0\r\nHost: b\r\n\r\n", b""),
            (b"3\r\nabc\r\n0\r\nX: y\r\nHost: a\r\n\r\n", b"abc"),
        ]
    ),
)
def test_malformed_framing_is_400(parser, body, received):
    assert_refused(parser, body, 400, received)


@pytest.mark.parametrize(
    ("body", "received", "trailers"),
    cases(
        [
            (b"0\r\n\r\n", b"", []),
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello", []),
            (b"a\r\n0123456789\r\n000\r\n\r\n", b"0123456789", []),
            (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", []),
            (b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", b"hello", []),
            (b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", b"abcdef", []),
            # Data that looks like framing.
            (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", []),
            (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", []),
            (b"4\r\n\r\r\n\n\r\n0\r\n\r\n", b"\r\r\n\n", []),
            (b"1c\r\n" + GET + b" " + b"\r\n0\r\n\r\n", GET + b" ", []),
            (b"4\r\n\x00\xff\x80\x7f\r\n0\r\n\r\n", b"\x00\xff\x80\x7f", []),
            # Extensions are read and forgotten.
            (b"5;a\r\nhello\r\n0;b\r\n\r\n", b"hello", []),
            (b"5;a=b;c;d=e\r\nhello\r\n0\r\n\r\n", b"hello", []),
            (b'5;a="b c;\\"\\\\";d=""\r\nhello\r\n0\r\n\r\n', b"hello", []),
            (b'5;a="\t\x80\xff"\r\nhello\r\n0\r\n\r\n', b"hello", []),
            (b"5;!#$%&'*+-.^_`|~=!#$%&'*+-.^_`|~\r\nhello\r\n0\r\n\r\n", b"hello", []),
            (b"5;a=" + b"b" * 1000 + b"\r\nhello\r\n0\r\n\r\n", b"hello", []),
            # Trailers.
            (b"0\r\nX: y\r\n\r\n", b"", [(b"x", b"y")]),
            (
                b"1\r\na\r\n0\r\nX:y\r\nX: \t z \t\r\nEmpty:\r\nL: \xe9\r\n\r\n",
                b"a",
                [(b"x", b"y"), (b"x", b"z"), (b"empty", b""), (b"l", b"\xe9")],
            ),
            # RFC 9110 §6.5.1: those that change the meaning of a message are dropped.
            (b"0\r\nConnection: close\r\nX: y\r\n\r\n", b"", [(b"x", b"y")]),
            (b"0\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n", b"", []),
            (b"0\r\nAuthorization: a\r\nCookie: b\r\nExpect: c\r\nRange: d\r\n\r\n", b"", []),
            (b"0\r\nX-Content-Length: 5\r\n\r\n", b"", [(b"x-content-length", b"5")]),
        ]
    ),
)
def test_good_bodies(parser, body, received, trailers):
    assert_accepted(parser, body, received, trailers)


def test_trailers_have_the_limits_of_a_head(parser):
    def trailers(count, size=1):
        return b"".join(b"X%d: %b\r\n" % (index, b"y" * size) for index in range(count))

    fields = [(b"x%d" % index, b"y") for index in range(5)]
    assert_accepted(parser, b"0\r\n%b\r\n" % trailers(5), b"", fields, SMALL)
    assert_refused(parser, b"0\r\n%b\r\n" % trailers(6), 431, limits=SMALL)
    assert_accepted(
        parser,
        b"0\r\n%b\r\n" % trailers(1, 248),
        b"",
        [(b"x0", b"y" * 248)],
        SMALL,
        places=0,
    )
    for size in (249, 252, 300, 1000):
        assert_refused(parser, b"0\r\n%b\r\n" % trailers(1, size), 431, limits=SMALL, places=60)
        assert_refused(parser, b"0\r\n%b" % trailers(1, size), 431, limits=SMALL, places=60)
    # What is wrong first is answered.
    early = b"0\r\nX: y\nZ: %b\r\n\r\n" % (b"y" * 400)
    assert_refused(parser, early, 400, limits=SMALL, places=0)
    late = b"0\r\nZ: %b\nX: y\r\n\r\n" % (b"y" * 400)
    assert_refused(parser, late, 431, limits=SMALL, places=0)


@pytest.mark.parametrize(
    "body",
    [b"z", b"5z", b"5 ", b"\r", b"\n", b"5\rX", b"5;a\rX", b"f" * 17, b";", b"5;a=" + LONG],
    ids=lambda body: repr(body)[:20],
)
def test_garbage_is_refused_without_waiting_for_the_end_of_a_chunk_line(parser, body):
    """CVE-2024-22019: what cannot become good is not kept until it has an end."""
    for pieces in all_splits(body, places=fewer(parser)):
        assert run(parser, [HEAD, *pieces]).terminated.status == 400


@pytest.mark.parametrize("end", [b"X", b"\n", b"\rX", b"0"])
def test_a_wrong_end_of_a_chunk_is_refused_at_its_first_byte(parser, end):
    driver = run(parser, [HEAD + b"5\r\nhello", *bytewise(end)])
    assert driver.terminated.status == 400
    assert driver.streams[0].body == b"hello"


def test_extensions_may_not_outweigh_the_data(parser):
    """CVE-2023-39326 (Go): lines within their limit, but a kilobyte of them for each byte."""
    line = b"1;a=%b\r\nx\r\n" % (b"b" * 1000)
    driver = run(parser, HEAD + line * 16 + b"0\r\n\r\n")
    assert driver.streams[0].body == b"x" * 16
    driver = run(parser, HEAD + line * 17)
    assert driver.terminated.status == 400
    assert driver.streams[0].body == b"x" * 16
    # A signature for each large chunk is paid by its data, and single bytes may flow.
    signed = b"400;signature=%b\r\n%b\r\n" % (b"f" * 500, b"x" * 1024)
    assert run(parser, HEAD + signed * 100 + b"0\r\n\r\n").streams[0].ended
    assert run(parser, HEAD + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n").streams[0].ended


def test_a_fault_in_a_body_that_is_thrown_away_ends_the_connection(parser):
    for pieces in all_splits(b"5\r\nhelloXX", GET):
        driver = Driver(parser, early=True).feed(HEAD, *pieces)
        (answer,) = read_answers(driver.output, ["POST"], closed=True)
        assert answer.status == 200
        assert driver.engine.close is Close.LINGER
        assert driver.terminated.status is None
        assert driver.terminated.error is not None


def walk(*pieces):
    """The guard alone: what it lets through of each piece, and its state."""
    guard = ChunkGuard(DEFAULT)
    rest, passed = b"", []
    for piece in pieces:
        data = b"prefix" + rest + piece
        end = guard.walk(data, 6)
        passed.append(data[6:end])
        rest = data[end:]
    return passed, rest, guard


def test_guard_lets_data_through_as_it_comes():
    passed, rest, guard = walk(b"5\r", b"\nhe", b"llo", b"\r", b"\n0\r\n", b"\r\n", b"more")
    assert passed == [b"", b"5\r\nhe", b"llo", b"", b"\r\n0\r\n", b"\r\n", b""]
    assert rest == b"more"
    assert guard.done
    assert guard.error is None


def test_guard_stops_before_what_is_wrong():
    passed, rest, guard = walk(b"5\r\nhello\r\n2\r\nab\r\nX\r\n")
    assert passed == [b"5\r\nhello\r\n2\r\nab\r\n"]
    assert rest == b"X\r\n"
    assert guard.error.status == 400
    assert not guard.done


def test_guard_needs_a_whole_trailer_section():
    passed, _, guard = walk(b"0\r\nX: y\r\n", b"\r", b"\n")
    assert passed == [b"0\r\n", b"", b"X: y\r\n\r\n"]
    assert guard.done


def test_many_small_chunks_are_taken_in_turns(parser):
    """One read may bring 40 000 of them: others on the loop would wait for all."""
    driver = Driver(parser, early=True, answer=lambda *_: None)
    driver._handle(*driver.engine.receive_data(HEAD))
    (event,) = driver.engine.receive_data(b"1\r\nx\r\n" * 1_200 + b"0\r\n\r\n" + GET)
    assert event.data == b"x" * 512
    assert driver.engine.turn_is_over
    assert not driver.engine.wants_input
    assert driver.engine.deadline_kind is Deadline.NONE
    (event,) = driver.engine.receive_data(b"")
    assert event.data == b"x" * 512
    (event,) = driver.engine.receive_data(b"")
    assert (event.data, event.end_stream) == (b"x" * 176, True)
    assert not driver.engine.turn_is_over


@pytest.mark.parametrize("chunks", [511, 512, 513, 1024])
def test_turns_do_not_depend_on_what_stands_behind(parser, chunks):
    body = b"1\r\nx\r\n" * chunks
    assert run(parser, [HEAD + body + b"0\r\n\r\n" + GET]).streams[1].ended
    early = Driver(parser, early=True).feed(HEAD + body + b"0\r\n\r\n" + GET)
    assert early.streams[1].ended
    driver = run(parser, [HEAD + body])
    assert driver.streams[0].body == b"x" * chunks
    assert not driver.engine.turn_is_over


@pytest.mark.parametrize("whole", [True, False])
def test_the_end_of_input_waits_for_what_came_before_it(parser, whole):
    driver = Driver(parser)
    events = driver.engine.receive_data(
        HEAD + b"1\r\nx\r\n" * 1_200 + (b"0\r\n\r\n" if whole else b"")
    )
    events += driver.engine.receive_eof()
    driver.pump(events)
    assert driver.streams[0].body == b"x" * 1_200
    assert driver.streams[0].reset is not whole
    assert driver.streams[0].ended is whole


def test_a_huge_chunk_is_only_counted():
    passed, rest, guard = walk(b"ffffffffffffffff\r\nab", b"cd")
    assert passed == [b"ffffffffffffffff\r\nab", b"cd"]
    assert (rest, guard.done, guard.error) == (b"", False, None)


def test_a_huge_chunk_reaches_both_parsers(parser):
    driver = run(parser, bytewise(HEAD + b"ffffffffffffffff\r\nabcd"))
    assert driver.streams[0].body == b"abcd"
    assert driver.engine.close is Close.OPEN
