"""The fast lane for plain heads: it may be faster, never different."""

import msgspec
import pytest

from httpkit.limits import Limits
from httpkit.protocol.http1 import Preamble, make_engine, state
from httpkit.protocol.http1 import plain as plain_module
from httpkit.protocol.http1.head import Framing
from httpkit.protocol.http1.plain import PlainHeads
from httpkit.response import Response

from .driver import DEFAULT, GET, all_splits, run

HEAD = (
    b"GET /a?b HTTP/1.1\r\nHost: a:80\r\nUser-Agent: x\r\nAccept:  */* \t\r\n"
    b"Connection: keep-alive\r\nCookie: c=d\r\n\r\n"
)
POST = b"POST /a HTTP/1.1\r\nX: y\r\nhost: a\r\ncontent-length: 3\r\nX: z\r\n\r\n"


@pytest.fixture
def hits(monkeypatch):
    """The heads that took the fast lane."""
    found = []

    class Counting(PlainHeads):
        def match(self, data, start):
            head = super().match(data, start)
            if head is not None:
                found.append(head)
            return head

    monkeypatch.setattr(state, "plain_heads", Counting)
    return found


def check_both(data, limits=DEFAULT):
    """The fast lane gives what the reference gives, whatever the cut."""
    expected = run("reference", data, limits).verdict()
    for pieces in all_splits(data, places=60):
        assert run("native", pieces, limits).verdict() == expected, pieces
    return expected


@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        GET,
        POST,
        b"GET / HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n",
        b"HEAD /%2e%7E HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nX:\r\nContent-Type: a\r\nContent-Length: 003\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade-Insecure-Requests: 1\r\nHosts: b\r\n\r\n",
    ],
)
def test_plain_heads_take_the_fast_lane_and_mean_the_same(hits, head):
    body = b"abc" if b"ength" in head else b""
    expected = check_both(head + body + head + body)
    assert hits
    first, second = expected.streams
    assert first == second


def test_fields_are_cut_apart_when_somebody_asks(hits):
    (event,) = make_engine("native", DEFAULT, Preamble(b"now")).receive_data(HEAD)
    assert event.head._headers is None
    assert event.head.headers == (
        (b"host", b"a:80"),
        (b"user-agent", b"x"),
        (b"accept", b"*/*"),
        (b"connection", b"keep-alive"),
        (b"cookie", b"c=d"),
    )
    assert event.head.headers is event.head.headers


def test_the_last_head_of_a_connection_is_recognized(hits):
    engine = make_engine("native", DEFAULT, Preamble(b"now"))
    heads = set()
    for _ in range(4):
        (event,) = engine.receive_data(HEAD)
        heads.add(id(event.head))
        engine.send_response(event.stream_id, Response("ok"))
    assert len(hits) == len(heads) == 1


def test_the_last_head_is_recognized_before_a_body_and_in_a_pipeline(hits):
    driver = run("native", (POST + b"abc") * 2 + POST)
    assert len(hits) == 1
    assert [stream.body for stream in driver.streams] == [b"abc", b"abc", b""]


def test_a_long_head_is_not_kept_by_its_connection(hits):
    head = HEAD[:-2] + b"X-Long: %b\r\n" % (b"x" * 500) * 3 + b"\r\n"
    engine = make_engine("native", DEFAULT, Preamble(b"now"))
    for _ in range(3):
        (event,) = engine.receive_data(head)
        engine.send_response(event.stream_id, Response("ok"))
    assert len(hits) == 3


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


def test_no_line_opens_the_fast_lane_for_a_head_that_is_not_plain(hits):
    heads = [
        b"%b\r\nHost: a\r\n%b\r\n%b\r\n\r\n" % (line, one, two)
        for line in REQUEST_LINES
        for one in LINES
        for two in (LINES if line is REQUEST_LINES[0] else [b"X: y"])
    ]
    heads += [
        b"GET / HTTP/1.1\r\n%b\r\nHost: a\r\n%b\r\n\r\n" % (a, b) for a in LINES for b in LINES
    ]
    heads += [b"GET / HTTP/1.1\r\n%b\r\n\r\n" % line for line in LINES]
    for data in heads:
        expected = run("reference", data + b"abc").verdict()
        assert run("native", data + b"abc").verdict() == expected, data
        assert run("native", [data, b"abc"]).verdict() == expected, data
    assert 0 < len(hits) < len(heads)


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
def test_what_stands_behind_a_plain_head_is_seen(hits, behind):
    check_both(HEAD + behind)
    assert hits


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n",
        HEAD[:-1],
        HEAD[:-2],
        HEAD[:-4],
        b"\r\n" + HEAD,
        HEAD.replace(b"\r\n", b"\n"),
        b"GET / HTTP/1.0\r\nHost: a\r\nX: y\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
        b"GET /# HTTP/1.1\r\nHost: a\r\n\r\n",
        b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nCONTENT-LENGTH: 1\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 1, 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nExpect: 100-continue\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\ntransfer-ENCODING: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n Z: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    ],
)
def test_what_is_not_plain_takes_the_ordinary_road(head):
    assert PlainHeads(DEFAULT).match(head, 0) is None


@pytest.mark.parametrize("byte", range(256))
@pytest.mark.parametrize("place", ["method", "target", "host", "name", "value"])
def test_every_byte_in_every_place(place, byte):
    parts = {"method": b"GET", "target": b"/a", "host": b"a", "name": b"X", "value": b"y"}
    parts[place] = parts[place][:1] + bytes([byte]) + parts[place][1:]
    template = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b: %b\r\n\r\n"
    data = template % tuple(parts.values())
    assert run("native", data).verdict() == run("reference", data).verdict()


def test_limits_hold_in_the_fast_lane(hits):
    assert run("native", HEAD, Limits(max_headers=4)).terminated.status == 431
    assert run("native", HEAD, Limits(max_target=3)).terminated.status == 414
    assert run("native", HEAD, Limits(max_header_bytes=10)).terminated.status == 431
    assert not hits
    assert len(run("native", HEAD, Limits(max_headers=5)).streams) == 1


@pytest.mark.parametrize("limit", [1, 2, 5, 9, 20])
def test_no_head_of_the_fast_lane_has_too_many_fields(hits, limit):
    limits = Limits(max_headers=limit)
    for before in range(limit + 1):
        for between in range(limit + 1 - before):
            for behind in range(limit + 1 - before - between):
                data = b"GET / HTTP/1.1\r\n%bHost: a\r\n%bContent-Length: 0\r\n%b\r\n" % (
                    b"A: b\r\n" * before,
                    b"A: b\r\n" * between,
                    b"A: b\r\n" * behind,
                )
                driver = run("native", data, limits)
                assert len(driver.streams) == (before + between + behind + 2 <= limit)
    assert limit < 5 or hits


def test_the_last_request_is_the_last_in_the_fast_lane_too(hits):
    expected = check_both(HEAD * 3, Limits(max_requests_per_connection=2))
    assert len(expected.streams) == 2
    assert expected.closed
    assert hits


def test_shared_framings_are_never_changed():
    """Those of plain heads belong to all connections."""
    check_both(HEAD * 2)
    for framing, said in ((plain_module._PLAIN, False), (plain_module._KEEP_ALIVE, True)):
        fresh = Framing(keep_alive=True, said_keep_alive=said)
        assert msgspec.structs.astuple(framing) == msgspec.structs.astuple(fresh)


def test_the_reference_has_no_fast_lane(hits):
    run("reference", HEAD)
    assert not hits
