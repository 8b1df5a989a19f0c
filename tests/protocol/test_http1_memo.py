"""The fast lane for known heads: it may be faster, never different."""

import pytest

from httpkit.limits import Limits
from httpkit.protocol.http1 import Preamble, make_engine
from httpkit.protocol.http1 import memo as memo_module
from httpkit.protocol.http1.head import Framing
from httpkit.protocol.http1.memo import HeadMemo
from httpkit.protocol.http1.native import HttptoolsParser
from httpkit.response import Response

from .driver import DEFAULT, GET, all_splits, run

HEAD = (
    b"GET /a?b HTTP/1.1\r\nHost: a:80\r\nUser-Agent: x\r\nAccept:  */* \t\r\n"
    b"Connection: keep-alive\r\nCookie: c=d\r\n\r\n"
)


class CountingMemo(HeadMemo):
    """Counts what took the fast lane."""

    hits = 0

    def recall(self, head):
        known = super().recall(head)
        self.hits += known is not None
        return known


@pytest.fixture
def memo(monkeypatch):
    memo = CountingMemo()
    monkeypatch.setattr(HttptoolsParser, "memo", memo)
    return memo


def check_both(data, limits=DEFAULT):
    """A warm fast lane gives what the reference gives, whatever the cut."""
    expected = run("reference", data, limits).verdict()
    for pieces in all_splits(data, places=60):
        assert run("native", pieces, limits).verdict() == expected, pieces
    return expected


def test_a_known_head_is_the_same_head(memo):
    expected = check_both(HEAD + HEAD)
    assert memo.hits > 50  # the second head is the connection's last one, and not looked up
    (first, second) = expected.streams
    assert first == second
    assert (b"accept", b"*/*") in first.headers
    assert expected.output.count(b"connection: keep-alive\r\n") == 2


def test_the_last_head_of_a_connection_is_recognized_and_its_fields_are_not_shared(memo):
    engine = make_engine("native", DEFAULT, Preamble(b"now"))
    seen = []
    for _ in range(4):
        (event,) = engine.receive_data(HEAD)
        assert (b"accept", b"*/*") in event.headers
        event.headers.append((b"added", b"by a handler"))
        seen.append(event.headers)
        engine.send_response(event.stream_id, Response("ok"))
    # Learned, then looked up once; the others are the connection's own.
    assert memo.hits == 1
    assert len({id(headers) for headers in seen}) == 4
    assert all(headers.count((b"added", b"by a handler")) == 1 for headers in seen)


def test_a_long_head_is_not_kept_by_its_connection(memo):
    head = HEAD[:-2] + b"X-Long: %b\r\n" % (b"x" * 500) * 3 + b"\r\n"
    engine = make_engine("native", DEFAULT, Preamble(b"now"))
    for _ in range(3):
        (event,) = engine.receive_data(head)
        engine.send_response(event.stream_id, Response("ok"))
    assert memo.hits == 2


def test_known_lines_make_new_heads(memo):
    check_both(HEAD)
    before = memo.hits
    check_both(b"GET /a?b HTTP/1.1\r\nHost: a:80\r\nCookie: c=d\r\nUser-Agent: x\r\n\r\n")
    assert memo.hits > before


LINES = [
    b"Host: a",
    b"Host: b",
    b"host: a",
    b"X: y",
    b"X:y",
    b"Connection: keep-alive",
    b"connection: keep-alive",
    b"Connection: close",
    b"Connection: upgrade",
    b"Upgrade: foo",
    b"Content-Length: 0",
    b"Content-Length: 3",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Expect: x",
    b"Proxy-Connection: close",
    b" X: y",
    b"X : y",
    b"X: y\nZ: a",
    b"",
]
REQUEST_LINES = [
    b"GET / HTTP/1.1",
    b"GET / HTTP/1.0",
    b"OPTIONS * HTTP/1.1",
    b"GET http://c/ HTTP/1.1",
    b"HEAD / HTTP/1.1",
    b"GET  / HTTP/1.1",
]


def test_no_line_opens_the_fast_lane_for_a_head_that_is_not_plain(memo):
    """Every pair of lines after each other has been learned where it can be; then all again."""
    heads = [
        b"%b\r\nHost: a\r\n%b\r\n%b\r\n\r\n" % (line, one, two)
        for line in REQUEST_LINES
        for one in LINES
        for two in (LINES if line is REQUEST_LINES[0] else [b"X: y"])
    ]
    heads += [b"GET / HTTP/1.1\r\n%b\r\nHost: a\r\n\r\n" % line for line in LINES]
    heads += [b"GET / HTTP/1.1\r\n%b\r\n\r\n" % line for line in LINES]
    expected = {data: run("reference", data + b"abc").verdict() for data in heads}
    for _ in range(2):
        for data in heads:
            assert run("native", data + b"abc").verdict() == expected[data], data
            assert run("native", [data, b"abc"]).verdict() == expected[data], data
    assert memo.hits > 0


@pytest.mark.parametrize(
    "behind",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"G",
        GET,
        HEAD,
        b"\n",
        b"\r",
        b"\0",
        b"X: y\r\n\r\n",
        b"\r\n" + HEAD,
    ],
)
def test_what_stands_behind_a_known_head_is_seen(memo, behind):
    check_both(HEAD)
    before = memo.hits
    check_both(HEAD + behind)
    assert memo.hits > before


@pytest.mark.parametrize("data", [b"\r\n", b"\r\n\r\n", b"GET /a?b HTTP/1.1\r\n\r\n", b"X", b"\r"])
def test_what_is_no_head_is_not_recalled(memo, data):
    check_both(HEAD)
    assert memo.recall(data) is None
    check_both(data)


def test_only_whole_heads_are_recalled(memo):
    check_both(HEAD)
    assert memo.recall(HEAD) is not None
    for data in (HEAD[:-1], HEAD[:-2], HEAD[:-4], HEAD + b"\r\n", HEAD + HEAD, b"\r\n" + HEAD):
        assert memo.recall(data) is None


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\nHost: a\r\nX: y\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nExpect: 100-continue\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n Z: a\r\n\r\n",
    ],
)
def test_only_plain_heads_teach(memo, head):
    run("native", head)
    assert memo._request_lines == memo._hosts == memo._fields == {}


def test_limits_hold_in_the_fast_lane(memo):
    """The memo is shared by servers with other limits."""
    check_both(HEAD * 2)
    assert run("native", HEAD, Limits(max_headers=4)).terminated.status == 431
    assert run("native", HEAD, Limits(max_target=3)).terminated.status == 414
    assert run("native", HEAD, Limits(max_header_bytes=10)).terminated.status == 431
    assert len(run("native", HEAD, Limits(max_headers=5)).streams) == 1


def test_the_last_request_is_the_last_in_the_fast_lane_too(memo):
    expected = check_both(HEAD * 3, Limits(max_requests_per_connection=2))
    assert len(expected.streams) == 2
    assert expected.closed


def test_shared_framings_are_never_changed(memo):
    """Those of recalled heads belong to all connections."""
    check_both(HEAD * 2)
    plain, asking = memo_module._PLAIN_FRAMING, memo_module._KEEP_ALIVE_FRAMING
    for framing, said in ((plain, False), (asking, True)):
        fresh = Framing(keep_alive=True)
        fresh.said_keep_alive = said
        assert all(getattr(framing, name) == getattr(fresh, name) for name in Framing.__slots__)


def test_headers_of_a_recalled_head_belong_to_its_request(memo):
    first, second = run("native", HEAD + HEAD).streams
    first.head.headers.append((b"x", b"y"))
    assert (b"x", b"y") not in second.head.headers
    assert len(run("native", HEAD).streams[0].head.headers) == 5


def test_memory_is_bounded(memo, monkeypatch):
    monkeypatch.setattr(memo_module, "_MAX_LINES", 10)
    for number in range(40):
        run("native", b"GET /%d HTTP/1.1\r\nHost: h%d\r\nX: %d\r\n\r\n" % ((number,) * 3))
        assert len(memo._request_lines) <= 10
        assert len(memo._hosts) <= 10
        assert len(memo._fields) <= 10
    long = b"X: %b" % (b"y" * 600)
    run("native", b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % long)
    assert long not in memo._fields


def test_the_reference_has_no_fast_lane():
    assert run("reference", GET).engine._parser.memo is None
