"""Answers, pushes, windows and priorities (RFC 9113 §5.2, §8; RFC 9218)."""

import pytest

from httpkit.errors import LocalProtocolError
from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.http2 import AnswerFields, choose_session
from httpkit.protocol.http2 import frames as f
from httpkit.protocol.http2.frames import ErrorCode
from httpkit.request import RequestHead
from httpkit.response import Response, Upgrade

from .http2_driver import DATE, GET, POST, Peer, data, number, rst, settings, window

HEAD = ((b":method", b"HEAD"), *GET[1:])
CONNECT = (
    (b":method", b"CONNECT"),
    *GET[1:],
    (b":protocol", b"websocket"),
)


@pytest.fixture(params=["native", "reference"])
def session(request) -> str:
    return request.param


@pytest.fixture
def peer(session) -> Peer:
    return Peer(session)


def stream(peer: Peer, response: Response, *pieces: bytes, length=None, trailers=()) -> int:
    """Answer a new request in pieces."""
    stream_id = peer.request()
    peer.engine.send_headers(stream_id, response, length)
    for piece in pieces:
        peer.engine.send_data(stream_id, piece)
    peer.engine.send_end(stream_id, trailers)
    peer.pump()
    return stream_id


def test_a_whole_answer(peer) -> None:
    peer.answer(peer.request())
    assert peer.answers[1].heads == [
        {
            b":status": b"200",
            b"date": DATE,
            b"server": b"httpkit",
            b"content-type": b"text/plain; charset=utf-8",
            b"content-length": b"5",
        }
    ]
    assert (peer.answers[1].body, peer.answers[1].ended) == (b"Hello", True)
    assert [frame.kind for frame in peer.frames[-2:]] == [f.HEADERS, f.DATA]


def test_the_date_of_answers_is_renewed(session) -> None:
    peer = Peer(session)
    peer.answer(peer.request())
    peer.engine._fields.refresh(b"Thu, 26 Nov 2026 00:00:01 GMT")
    peer.answer(peer.request())
    assert peer.answers[3].fields[b"date"] == b"Thu, 26 Nov 2026 00:00:01 GMT"


def test_no_content(peer) -> None:
    peer.answer(peer.request(), b"")
    assert peer.answers[1].fields[b"content-length"] == b"0"
    assert peer.frames[-1].kind == f.HEADERS
    assert peer.answers[1].ended


@pytest.mark.parametrize(
    ("status", "length"), [(200, b"5"), (204, None), (205, b"0"), (304, None), (404, b"5")]
)
@pytest.mark.parametrize("fields", [GET, HEAD], ids=["GET", "HEAD"])
def test_statuses_and_methods_without_content(peer, fields, status, length) -> None:
    """RFC 9110 §6.4.1, §8.6: the same as in HTTP/1.1."""
    peer.answer(peer.request(fields), "Hello", status)
    answer = peer.answers[1]
    assert answer.ended
    assert answer.fields.get(b"content-length") == length
    bodiless = fields is HEAD or status in (204, 205, 304)
    assert answer.body == (b"" if bodiless else b"Hello")


@pytest.mark.parametrize(("headers", "length"), [({}, None), ({"content-length": "5"}, b"5")])
def test_rfc9110_8_6_an_empty_body_says_nothing_about_a_get(peer, headers, length) -> None:
    """The same as in HTTP/1.1."""
    peer.answer(peer.request(HEAD), b"", headers=headers)
    assert peer.answers[1].fields.get(b"content-length") == length


def test_a_content_length_that_was_given_with_304(peer) -> None:
    peer.answer(peer.request(), b"", 304, headers={"content-length": "7"})
    assert peer.answers[1].fields[b"content-length"] == b"7"


def test_a_streamed_answer(peer) -> None:
    stream(peer, Response(b""), b"Hel", b"", b"lo")
    answer = peer.answers[1]
    assert answer.body == b"Hello"
    assert answer.ended
    assert b"content-length" not in answer.fields


def test_a_streamed_answer_of_known_length(peer) -> None:
    stream(peer, Response(b"", headers={"content-length": "5"}), b"Hello")
    assert peer.answers[1].fields[b"content-length"] == b"5"
    stream(peer, Response(b""), b"Hello", length=5)
    assert peer.answers[3].fields[b"content-length"] == b"5"


def test_trailers(peer) -> None:
    response = Response(b"", trailers={"x": "y"})
    stream(peer, response, b"Hello", trailers=[(b"x", b"y")])
    assert peer.answers[1].heads[1] == {b"x": b"y"}
    assert peer.answers[1].ended


def test_trailers_behind_content_that_waits(session) -> None:
    peer = Peer(session, greet=settings((4, 3)))
    stream(peer, Response(b"", trailers={"x": "y"}), b"Hello", trailers=[(b"x", b"y")])
    assert peer.answers[1].body == b"Hel"
    assert not peer.answers[1].ended
    peer.feed(window(1, 100))
    assert peer.answers[1].body == b"Hello"
    assert peer.answers[1].heads[1] == {b"x": b"y"}
    assert peer.answers[1].ended


def test_trailers_of_an_answer_to_head(peer) -> None:
    """A trailers-only answer, as gRPC has them, and none that are forbidden."""
    stream_id = peer.request(HEAD)
    peer.engine.send_headers(stream_id, Response(b"", trailers={"x": "y"}), None)
    peer.engine.send_data(stream_id, b"swallowed")
    peer.engine.send_end(stream_id, [(b"x", b"y")])
    peer.pump()
    assert peer.answers[1].heads[1] == {b"x": b"y"}
    assert (peer.answers[1].body, peer.answers[1].ended) == (b"", True)


def test_fields_about_the_connection_are_dropped(peer) -> None:
    """§8.2.2; and noted, so that the server can warn."""
    headers = {"connection": "close", "keep-alive": "timeout=5", "x": "y"}
    peer.answer(peer.request(), "Hello", headers=headers)
    assert b"connection" not in peer.answers[1].fields
    assert peer.answers[1].fields[b"x"] == b"y"
    assert peer.engine._fields.dropped == {b"connection", b"keep-alive"}
    assert peer.failure is None


def test_own_date_and_server(peer) -> None:
    peer.answer(peer.request(), "Hello", headers={"date": "now", "server": "mine"})
    assert peer.answers[1].fields[b"date"] == b"now"
    assert peer.answers[1].fields[b"server"] == b"mine"


def test_no_server_field() -> None:
    peer = Peer("native")
    peer.engine._fields = AnswerFields(DATE, b"")
    peer.answer(peer.request())
    assert b"server" not in peer.answers[1].fields


def test_prebuilt_heads_are_bounded(peer, monkeypatch) -> None:
    monkeypatch.setattr("httpkit.protocol.http2.serialize._MAX_KNOWN", 3)
    for size in range(8):
        peer.answer(peer.request(), b"x" * size)
    for status in range(400, 408):
        peer.answer(peer.request(), b"x", status)
    heads = peer.engine._fields.heads
    assert len(heads) <= 3
    assert all(len(sizes) <= 3 for sizes in heads.values())


# --- mistakes of applications ----------------------------------------------------------------


def test_a_length_that_is_not_kept(peer) -> None:
    response = Response(b"", headers={"content-length": "5"})
    peer.request()
    with pytest.raises(LocalProtocolError, match="but the body has 3"):
        peer.engine.send_headers(1, response, 3)
    peer.engine.send_headers(1, response, None)
    with pytest.raises(LocalProtocolError, match="longer"):
        peer.engine.send_data(1, b"123456")
    peer.engine.send_data(1, b"123")
    with pytest.raises(LocalProtocolError, match="shorter"):
        peer.engine.send_end(1)
    peer.engine.send_reset(1)
    peer.pump()
    assert peer.answers[1].reset == ErrorCode.INTERNAL_ERROR


def test_calls_out_of_order(peer) -> None:
    peer.request()
    for call in (
        lambda: peer.engine.send_data(1, b"x"),
        lambda: peer.engine.send_end(1),
        lambda: peer.engine.send_informational(1, 200, ()),
        lambda: peer.engine.send_informational(1, 101, ()),
        lambda: peer.engine.accept_upgrade(1, Response(b""), b"websocket"),
    ):
        with pytest.raises(LocalProtocolError):
            call()
    peer.engine.send_headers(1, Response(b""), None)
    for call in (
        lambda: peer.engine.send_response(1, Response("Hello")),
        lambda: peer.engine.send_headers(1, Response(b""), None),
        lambda: peer.engine.send_informational(1, 103, ()),
        lambda: peer.engine.accept_upgrade(1, Response(b""), b"websocket"),
        lambda: peer.engine.send_end(1, [(b"content-length", b"1")]),
    ):
        with pytest.raises(LocalProtocolError):
            call()
    peer.engine.send_end(1)
    peer.pump()
    assert peer.answers[1].ended


@pytest.mark.parametrize("over", ["answered", "reset", "never"])
def test_calls_on_streams_that_are_over_do_nothing(peer, over) -> None:
    if over != "never":
        peer.request(POST, end=False)
    if over == "answered":
        peer.engine.send_response(1, Response("Hello"))
    elif over == "reset":
        peer.feed(rst(1))
    peer.pump()
    before = len(peer.frames)
    engine = peer.engine
    engine.send_response(1, Response("Again"))
    engine.send_headers(1, Response("Again"), 5)
    engine.send_data(1, b"x")
    engine.send_end(1)
    engine.send_informational(1, 103, ())
    engine.accept_upgrade(1, Response(b""), b"websocket")
    if over != "answered":
        engine.send_reset(1)
    assert engine.send_push(1, RequestHead("GET", b"/")) is None
    engine.consume(1, 5)
    engine.consume(9, 5)
    engine.release(9)
    peer.pump()
    assert len(peer.frames) == before


def test_a_reset_before_and_after_the_head(peer) -> None:
    peer.request()
    peer.engine.send_headers(1, Response(b""), None)
    peer.engine.send_data(1, b"x" * 100_000)
    peer.engine.send_reset(1)
    peer.engine.release(1)
    peer.pump()
    assert peer.answers[1].reset == ErrorCode.INTERNAL_ERROR
    assert not peer.answers[1].ended
    assert peer.engine.deadline_kind is Deadline.IDLE


# --- interim responses -----------------------------------------------------------------------


def test_early_hints(peer) -> None:
    """RFC 8297."""
    peer.request()
    peer.engine.send_informational(1, 103, [(b"link", b"</a>")])
    peer.answer(1)
    assert peer.answers[1].heads[0] == {b":status": b"103", b"link": b"</a>"}
    assert peer.answers[1].status == 200


# --- requests that are not read to their end ------------------------------------------------


def test_an_answer_to_a_request_that_is_still_coming(peer) -> None:
    """§8.1: the whole answer, then RST_STREAM(NO_ERROR)."""
    peer.request(POST, end=False)
    peer.feed(data(1, b"x" * 1000))
    peer.answer(1)
    assert [frame.kind for frame in peer.of_kind(f.DATA)] == [f.DATA]
    assert (peer.answers[1].ended, peer.answers[1].reset) == (True, ErrorCode.NO_ERROR)
    assert peer.frames[-1].kind == f.RST_STREAM
    assert peer.engine.deadline_kind is Deadline.IDLE


def test_the_reset_waits_for_the_answer(session) -> None:
    peer = Peer(session, greet=settings((4, 3)))
    peer.request(POST, end=False)
    peer.answer(1)
    assert peer.answers[1].body == b"Hel"
    assert peer.answers[1].reset is None
    peer.feed(data(1, b"ignored") + window(1, 100))
    assert peer.answers[1].body == b"Hello"
    assert peer.answers[1].reset == ErrorCode.NO_ERROR


def test_an_answer_before_its_request_is_read(peer) -> None:
    """Full duplex: the exchange goes on to read."""
    peer.request(POST, end=False)
    peer.engine.send_response(1, Response("Hello"))
    peer.pump()
    assert peer.answers[1].ended
    assert peer.answers[1].reset is None
    peer.feed(data(1, b"more", end=True))
    assert peer.streams[1].body == b"more"
    peer.engine.consume(1, 4)
    peer.engine.release(1)
    peer.pump()
    assert peer.answers[1].reset is None
    assert peer.engine.deadline_kind is Deadline.IDLE


# --- windows (§5.2, §6.9) ---------------------------------------------------------------------


def test_what_a_handler_may_send(session) -> None:
    peer = Peer(session, Limits(write_buffer=1000), greet=settings((4, 0)))
    peer.request()
    peer.engine.send_headers(1, Response(b""), None)
    assert peer.engine.capacity(1) == 1000
    peer.engine.send_data(1, bytes(600))
    peer.pump()
    assert peer.engine.capacity(1) == 400
    peer.engine.send_data(1, bytes(600))
    assert peer.engine.capacity(1) == 0
    peer.feed(window(1, 500))
    assert len(peer.answers[1].body) == 500
    assert peer.engine.capacity(1) == 300
    assert not peer.engine.has_more_to_send


def test_the_window_of_the_connection_holds_back_all(peer) -> None:
    for _ in range(2):
        stream_id = peer.request()
        peer.feed(window(stream_id, 100_000))
        peer.engine.send_headers(stream_id, Response(b""), None)
        peer.engine.send_data(stream_id, bytes(50_000))
        peer.engine.send_end(stream_id)
        peer.engine.release(stream_id)
    peer.pump()
    assert sum(len(answer.body) for answer in peer.answers.values()) == 65_535
    assert peer.engine.deadline_kind is Deadline.QUIET
    peer.feed(window(0, 100_000))
    assert all(answer.ended for answer in peer.answers.values())


def test_a_window_that_shrinks_below_zero(session) -> None:
    """§6.9.2."""
    peer = Peer(session, greet=settings((4, 10)))
    peer.request()
    peer.engine.send_headers(1, Response(b""), None)
    peer.engine.send_data(1, bytes(30))
    peer.pump()
    peer.feed(settings((4, 0)))
    assert len(peer.answers[1].body) == 10
    peer.feed(window(1, 10))
    assert len(peer.answers[1].body) == 10
    peer.feed(window(1, 5))
    assert len(peer.answers[1].body) == 15
    peer.feed(settings((4, 100)))
    assert len(peer.answers[1].body) == 30


def test_a_window_opens_when_content_is_consumed(session) -> None:
    peer = Peer(session, Limits(body_buffer=1000))
    peer.request(POST, end=False)
    peer.feed(data(1, bytes(900)))
    assert peer.of_kind(f.WINDOW_UPDATE)[1:] == []
    assert list(peer.engine.stream_waits()) == [(1, Deadline.BODY, 900)]
    peer.engine.consume(1, 900)
    assert peer.engine.has_more_to_send
    peer.pump()
    assert (
        sum(
            int.from_bytes(frame.payload, "big")
            for frame in peer.frames
            if frame.kind == 8 and frame.stream_id
        )
        == 900
    )


def test_a_peer_that_overruns_its_window(session) -> None:
    """§6.9: FLOW_CONTROL_ERROR, whatever the library makes of it."""
    peer = Peer(session, Limits(body_buffer=1000))
    peer.request(POST, end=False)
    peer.feed(data(1, bytes(1001)))
    assert ErrorCode.FLOW_CONTROL_ERROR in (
        peer.failure,
        peer.answers.get(1, peer).reset if 1 in peer.answers else None,
    )


def test_a_full_buffer_is_no_late_body(session) -> None:
    peer = Peer(session, Limits(body_buffer=1000))
    peer.request(POST, end=False)
    peer.feed(data(1, bytes(1000)))
    assert list(peer.engine.stream_waits()) == []


def test_a_part_of_a_frame_is_progress(peer) -> None:
    peer.request(POST, end=False)
    peer.feed(data(1, bytes(1000))[:500])
    assert list(peer.engine.stream_waits()) == [(1, Deadline.BODY, 500)]
    assert peer.engine.deadline_kind is Deadline.QUIET


# --- output in portions -----------------------------------------------------------------------


def test_output_is_cut_where_the_socket_is_slow(peer) -> None:
    peer.request()
    peer.engine.send_response(1, Response(b"x" * 60_000))
    sizes = []
    while peer.engine.has_more_to_send:
        sizes.append(len(peer.pump(limit=5_000)))
    assert max(sizes) <= 25_000
    assert len(sizes) > 2
    assert len(peer.answers[1].body) == 60_000
    assert peer.answers[1].ended


def test_a_fault_in_the_middle_of_a_frame(peer) -> None:
    """The rest of it goes out before GOAWAY."""
    peer.request()
    peer.engine.send_response(1, Response(b"x" * 30_000))
    peer.pump(limit=1_000)
    peer.feed(window(0, 0))
    assert peer.failure == ErrorCode.PROTOCOL_ERROR
    assert len(peer.answers[1].body) == 30_000
    assert peer._rest == b""


def test_a_fault_that_the_library_finds_in_the_middle_of_a_frame(session) -> None:
    peer = Peer(session, Limits(body_buffer=1000))
    peer.request(POST, end=False)
    peer.engine.send_headers(1, Response(b""), None)
    peer.engine.send_data(1, b"x" * 30_000)
    peer.pump(limit=1_000)
    peer.feed(f.serialize_frame(f.HEADERS, 5, 3, b"\xff\xff\x01"))
    assert peer.failure == ErrorCode.COMPRESSION_ERROR
    assert peer._rest == b""
    assert [code for _, code in peer.goaways] == [ErrorCode.COMPRESSION_ERROR]


@pytest.mark.parametrize("cause", ["a fault", "an abort"])
def test_the_end_copies_no_large_answers(session, cause) -> None:
    """A peer with wide windows that takes nothing, then breaks a rule: small answers go out."""
    peer = Peer(session).feed(settings((f.Setting.INITIAL_WINDOW_SIZE, 2**31 - 1)))
    peer.feed(window(0, 2**31 - 1 - 65_535))
    small = peer.request()
    large = [peer.request() for _ in range(50)]
    peer.pump()
    for stream_id in large:
        peer.engine.send_response(stream_id, Response(b"x" * 200_000))
    peer.engine.send_response(small, Response(b"small"))
    if cause == "a fault":
        peer.note(peer.engine.receive_data(window(0, 0)))
        octets = peer.pump()
        assert len(octets) < 400_000
        assert peer.failure == ErrorCode.PROTOCOL_ERROR
        assert peer.answers[small].body == b"small"
        assert peer._rest == b""
    else:
        peer.note(peer.engine.receive_eof())
        assert peer.engine.deadline_kind is Deadline.HALF_CLOSED
        peer.note(peer.engine.receive_timeout())
        assert peer.engine.close is Close.ABORT
        assert peer.engine.data_to_send() == b""


# --- upgrades (RFC 8441) ---------------------------------------------------------------------


def test_an_upgrade(peer) -> None:
    peer.request(CONNECT, end=False)
    peer.engine.accept_upgrade(1, Upgrade("websocket", None, {"x": "y"}), b"websocket")
    peer.engine.send_data(1, b"out")
    peer.feed(data(1, b"in"))
    assert peer.answers[1].status == 200
    assert peer.answers[1].fields[b"x"] == b"y"
    assert b"content-length" not in peer.answers[1].fields
    assert (peer.answers[1].body, peer.streams[1].body) == (b"out", b"in")
    assert list(peer.engine.stream_waits()) == []
    peer.engine.send_end(1)
    peer.engine.release(1)
    peer.pump()
    assert (peer.answers[1].ended, peer.answers[1].reset) == (True, ErrorCode.NO_ERROR)


def test_an_upgrade_that_nobody_accepts(peer) -> None:
    """A 2xx would open the tunnel."""
    peer.request(CONNECT, end=False)
    peer.answer(1)
    assert peer.answers[1].status == 501
    peer.request(CONNECT, end=False)
    peer.answer(3, "no", 403)
    assert peer.answers[3].status == 403


# --- push (§8.4) ------------------------------------------------------------------------------

PUSHED = RequestHead("GET", b"/a", b"a", ((b"host", b"a"), (b"x", b"y")), "http", "2")


def test_a_push(peer) -> None:
    peer.request()
    event = peer.engine.send_push(1, PUSHED)
    assert event.stream_id == 2
    assert event.head is PUSHED
    peer.answer(1)
    peer.answer(2, "pushed")
    assert peer.promises[2] == {
        b":method": b"GET",
        b":scheme": b"http",
        b":authority": b"a",
        b":path": b"/a",
        b"x": b"y",
    }
    assert (peer.answers[2].body, peer.answers[2].ended) == (b"pushed", True)
    kinds = [frame.kind for frame in peer.frames]
    assert kinds.index(f.PUSH_PROMISE) < kinds.index(f.DATA)


def test_pushes_are_limited(peer) -> None:
    """Eight for a request, none from a push, none after the answer."""
    peer.request()
    events = [peer.engine.send_push(1, PUSHED) for _ in range(9)]
    assert [event and event.stream_id for event in events] == [*range(2, 17, 2), None]
    assert peer.engine.send_push(2, PUSHED) is None
    peer.answer(1)
    assert peer.engine.send_push(1, PUSHED) is None


def test_a_peer_without_push(session) -> None:
    peer = Peer(session, greet=settings((2, 0)))
    peer.request()
    assert peer.engine.send_push(1, PUSHED) is None
    peer.feed(settings((2, 1)))
    assert peer.engine.send_push(1, PUSHED) is not None


def test_a_peer_with_few_streams(session) -> None:
    """§5.1.2: pushed streams count against the peer's limit."""
    peer = Peer(session, greet=settings((3, 1)))
    peer.request()
    assert peer.engine.send_push(1, PUSHED) is not None
    assert peer.engine.send_push(1, PUSHED) is None
    peer.answer(2)
    assert peer.engine.send_push(1, PUSHED) is not None


def test_a_push_that_the_peer_resets(peer) -> None:
    peer.request()
    peer.engine.send_push(1, PUSHED)
    peer.pump()
    peer.note(peer.engine.receive_data(rst(2)))
    assert peer.refused[2].stream_id == 2
    peer.answer(2, "late")
    assert peer.answers.get(2) is None or not peer.answers[2].ended
    peer.answer(1)
    assert peer.answers[1].ended


# --- priorities (RFC 9218) -------------------------------------------------------------------


def race(session: str, *priorities: bytes, body: int = 60_000, **options) -> list[int]:
    """Answers with these priorities on a slow socket; the streams of DATA frames as they come."""
    peer = Peer(session)
    peer.feed(window(0, 10_000_000))
    for priority in priorities:
        fields = [*GET, (b"priority", priority)] if priority else GET
        stream_id = peer.request(fields)
        peer.feed(window(stream_id, 1_000_000))
    for stream_id in list(peer.streams):
        headers = options.get("headers", {}).get(stream_id)
        peer.engine.send_response(stream_id, Response(b"x" * body, headers=headers))
        peer.engine.release(stream_id)
    if "update" in options:
        peer.note(peer.engine.receive_data(options["update"]))
    while peer.engine.has_more_to_send:
        peer.pump(limit=16_384)
    assert all(answer.ended for answer in peer.answers.values())
    return [frame.stream_id for frame in peer.of_kind(f.DATA)]


def test_the_more_urgent_answer_comes_first(session) -> None:
    order = race(session, b"u=7", b"u=0")
    assert order == sorted(order, reverse=True)
    assert set(order) == {1, 3}


def test_whole_answers_go_out_one_after_the_other(session) -> None:
    assert race(session, b"", b"u=3") == sorted([1] * 4 + [3] * 4)


def test_incremental_answers_take_turns(session) -> None:
    order = race(session, b"i", b"i")
    assert order[:4] in ([1, 3, 1, 3], [3, 1, 3, 1])


def test_a_priority_update(session) -> None:
    """§7.1."""
    update = f.serialize_frame(f.PRIORITY_UPDATE, 0, 0, number(3) + b"u=0")
    order = race(session, b"", b"", update=update)
    assert order == sorted(order, reverse=True)


def test_the_server_has_the_last_word(session) -> None:
    """§8."""
    update = f.serialize_frame(f.PRIORITY_UPDATE, 0, 0, number(1) + b"u=0")
    order = race(
        session,
        b"u=0",
        b"u=7",
        headers={3: {"priority": "u=0"}, 1: {"priority": "u=6"}},
        update=update,
    )
    assert order == sorted(order, reverse=True)


def test_names(session) -> None:
    assert Peer(session).engine.name == session
    assert choose_session("off") is None
    assert choose_session("auto").name == "native"
