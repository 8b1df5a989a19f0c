"""States and numbers of streams (RFC 9113 §5), and the errors of one or all (§5.4)."""

import pytest

from . import frames
from .client import HTTP2Client
from .expect import Answered, Expectation, Goes, Tolerated, connection, either
from .frames import Code, frame

PROTOCOL = connection(Code.PROTOCOL_ERROR)
CLOSED = either(Code.STREAM_CLOSED)
GONE = Tolerated((Code.STREAM_CLOSED, Code.PROTOCOL_ERROR))

WAIT = frames.request("/wait", stream=3)
GET = frames.request("/served", stream=3)
SERVED = ("GET /served",)
UPLOAD = frames.post("/wait", stream=3)

# name: (section, what is sent, what is seen, what else the application sees)
CASES: dict[str, tuple[str, bytes, Expectation, tuple[str, ...]]] = {
    # --- §5.1 idle
    "DATA on an idle stream": ("5.1", frames.data(b"a"), PROTOCOL, ()),
    "RST_STREAM on an idle stream": ("5.1", frames.reset(), PROTOCOL, ()),
    "WINDOW_UPDATE on an idle stream": ("5.1", frames.window_update(1, stream=3), PROTOCOL, ()),
    "CONTINUATION on an idle stream": ("5.1", frames.continuation(b""), PROTOCOL, ()),
    "PRIORITY on an idle stream": ("5.1", frames.priority(), Goes(), ()),
    # --- §5.1 half-closed (remote)
    "DATA on a half-closed stream": ("5.1", WAIT + frames.data(b"a"), CLOSED, ()),
    "empty DATA on a half-closed stream": ("5.1", WAIT + frames.data(end=True), CLOSED, ()),
    "HEADERS on a half-closed stream": ("5.1", WAIT + WAIT, CLOSED, ()),
    "trailers after the end": (
        "5.1",
        WAIT + frames.headers([("x-trailer", "a")]),
        CLOSED,
        (),
    ),
    "WINDOW_UPDATE on a half-closed stream": (
        "5.1",
        WAIT + frames.window_update(1, stream=3),
        Goes(),
        (),
    ),
    "PRIORITY on a half-closed stream": ("5.1", WAIT + frames.priority(), Goes(), ()),
    "RST_STREAM on a half-closed stream": ("5.1", WAIT + frames.reset(), Goes(), ()),
    # --- §5.1 closed
    "DATA after RST_STREAM": (
        "5.1",
        UPLOAD + frames.reset() + frames.data(b"a"),
        GONE,
        (),
    ),
    "HEADERS after RST_STREAM": (
        "5.1",
        UPLOAD + frames.reset() + frames.headers(frames.request_fields()),
        GONE,
        (),
    ),
    "CONTINUATION after RST_STREAM": (
        "5.1",
        UPLOAD + frames.reset() + frames.continuation(b""),
        connection(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR),
        (),
    ),
    "RST_STREAM twice": ("5.1", UPLOAD + frames.reset() + frames.reset(), Goes(), ()),
    "WINDOW_UPDATE after RST_STREAM": (
        "5.1",
        UPLOAD + frames.reset() + frames.window_update(1, stream=3),
        Goes(),
        (),
    ),
    "PRIORITY after RST_STREAM": ("5.1", UPLOAD + frames.reset() + frames.priority(), Goes(), ()),
    # --- §5.1.1 numbers
    "an even number": ("5.1.1", frames.request(stream=2), PROTOCOL, ()),
    "a number that went backwards": (
        "5.1.1",
        frames.request("/served", stream=5) + frames.request(stream=3),
        connection(Code.PROTOCOL_ERROR, Code.STREAM_CLOSED),
        SERVED,
    ),
    "a number that was skipped is closed": (
        "5.1.1",
        frames.request("/served", stream=5) + frames.data(b"a", stream=3),
        either(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR),
        SERVED,
    ),
    "numbers with gaps": (
        "5.1.1",
        frames.request("/served", stream=501),
        Answered(stream=501),
        SERVED,
    ),
    "a number twice": (
        "5.1.1",
        WAIT + frames.reset() + frames.request(stream=3),
        GONE,
        (),
    ),
    # --- §5.3.2: dependencies are obsolete. RFC 7540 §5.3.1 made one on itself a stream error, RFC
    # 9113 has no word about it. An idle stream must not be reset (§6.4), so it is one of the
    # connection.
    "PRIORITY that depends on itself": ("5.3.2", frames.priority(3), PROTOCOL, ()),
    "HEADERS that depend on themselves": (
        "5.3.2",
        frames.headers(
            frames.request_fields(),
            prefix=b"\0\0\0\3\17",
            flags=frames.COMPLETE | frames.PRIORITIZED,
        ),
        PROTOCOL,
        (),
    ),
    "HEADERS that depend on what does not exist": (
        "5.3.2",
        frames.headers(
            frames.request_fields("/served"),
            prefix=b"\x80\0\3\xe9\xff",
            flags=frames.COMPLETE | frames.PRIORITIZED,
        ),
        Answered(),
        SERVED,
    ),
    # --- §5.5 extensions
    "an unknown frame between HEADERS and DATA": (
        "5.5",
        frames.post("/served") + frame(frames.UNKNOWN, b"a" * 99, stream=3) + frames.data(end=True),
        Answered(),
        ("POST /served",),
    ),
    # --- §8.1 order of the frames of a message
    "two heads without an end": (
        "8.1",
        UPLOAD + frames.headers([("x-trailer", "a")], flags=frames.END_HEADERS),
        either(Code.PROTOCOL_ERROR),
        (),
    ),
    "DATA after trailers": (
        "8.1",
        UPLOAD + frames.headers([("x-trailer", "a")]) + frames.data(b"a"),
        CLOSED,
        (),
    ),
}


@pytest.mark.parametrize("name", [f"{section}: {name}" for name, (section, *_) in CASES.items()])
def test_stream(run_case, name: str) -> None:
    _, sent, expected, served = CASES[name.partition(": ")[2]]
    run_case(sent, expected, served)


@pytest.mark.parametrize("block", [frames.block(frames.request_fields()), b"\xff\xff\x07"])
def test_the_first_stream_is_odd(live, block: bytes) -> None:
    """§5.1.1, for the one number that nothing comes before; its field section is not looked at."""
    server = live()
    client = HTTP2Client(server.connect())
    client.send(frames.headers(block, stream=2))
    client.until_end()
    assert client.error == Code.PROTOCOL_ERROR
    assert client.goaways[-1].last_stream_id == 0
    assert server.requests == []


# --- after the answer ----------------------------------------------------------------------------

AFTER_THE_ANSWER = {
    "DATA": (frames.data(b"a", stream=1), CLOSED),
    "trailers": (frames.headers([("x", "a")], stream=1), CLOSED),
    "HEADERS": (frames.request(stream=1), either(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR)),
    "CONTINUATION": (
        frames.continuation(b"", stream=1),
        connection(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR),
    ),
    "WINDOW_UPDATE": (frames.window_update(1, stream=1), Goes()),
    "RST_STREAM": (frames.reset(stream=1), Goes()),
    "PRIORITY": (frames.priority(stream=1), Goes()),
}


@pytest.mark.parametrize("name", AFTER_THE_ANSWER)
def test_on_a_closed_stream(live, name: str) -> None:
    """§5.1 closed: both sides have sent END_STREAM.

    DATA or HEADERS may be a connection error; what may have been on its way is no error.
    """
    sent, expected = AFTER_THE_ANSWER[name]
    server = live()
    client = HTTP2Client(server.connect())
    assert client.get().status == 200
    client.send(sent)
    if isinstance(expected, Goes):
        expected.check(client)
        return
    if not client.fence():
        assert client.error in expected.codes, client.error
    assert server.requests == ["GET /"]


@pytest.mark.parametrize("kind", ["DATA", "trailers", "WINDOW_UPDATE", "RST_STREAM"])
def test_what_was_on_its_way_when_the_server_reset(live, kind: str) -> None:
    """§5.1 closed: after it has sent RST_STREAM a server has to discard what comes."""
    sent = {
        "DATA": frames.data(b"a" * 1000),
        "trailers": frames.headers([("x-trailer", "a")]),
        "WINDOW_UPDATE": frames.window_update(1, stream=3),
        "RST_STREAM": frames.reset(),
    }[kind]
    server = live()
    client = HTTP2Client(server.connect())
    client.send(frames.request(stream=1))
    client.send(frames.post("/", ("connection", "close"), stream=3))
    assert client.answer(3).reset == Code.PROTOCOL_ERROR
    client.send(sent)
    client.skip_to(5)
    assert client.get().status == 200
    assert client.error is None


# --- §5.1.2 concurrency --------------------------------------------------------------------------


def test_a_hundred_streams_at_once(gated) -> None:
    """§5.1.2: one more is refused, all others go on; a free place is used again."""
    server, release = gated()
    client = HTTP2Client(server.connect())
    held = [client.request("/held") for _ in range(100)]
    refused = client.answer(client.request("/refused"))
    assert (refused.reset, refused.status) == (Code.REFUSED_STREAM, 0)
    client.send(frames.reset(stream=held.pop()))
    server.until(lambda: server.server.counters.requests_in_flight == 99)
    held.append(client.request("/held"))
    assert client.fence()
    assert not any(client.stream(number).done for number in held)
    release()
    assert {client.answer(number).status for number in held} == {200}
    assert "GET /refused" not in server.requests
    assert client.get().status == 200


def test_the_limit_is_an_option(gated) -> None:
    server, release = gated(max_concurrent_streams=2)
    client = HTTP2Client(server.connect())
    first, second, third = (client.request("/held") for _ in range(3))
    assert client.answer(third).reset == Code.REFUSED_STREAM
    assert client.settings[frames.MAX_CONCURRENT_STREAMS] == 2
    release()
    assert [client.answer(number).status for number in (first, second)] == [200, 200]


def test_a_refused_request_may_have_a_body(gated) -> None:
    """§8.7: it was not processed; its DATA counts against the connection's window only for now."""
    server, release = gated(max_concurrent_streams=1, connection_window=65_535)
    client = HTTP2Client(server.connect())
    held = client.request("/held")
    for _ in range(20):
        refused = client.request("/refused", method="POST", body=b"a" * 16_384)
        assert client.answer(refused).reset == Code.REFUSED_STREAM
        assert client.fence()
    assert client.window_updates[0] >= 20 * 16_384 - 65_535
    release()
    assert client.answer(held).status == 200


# --- §5.4 errors ---------------------------------------------------------------------------------


def test_a_stream_error_leaves_the_others_alone(live) -> None:
    """§5.4.2, in the middle of two uploads."""
    from httpkit.response import Response

    async def handler(request):
        return Response(await request.body())

    client = HTTP2Client(live(handler).connect())
    client.send(frames.post(stream=1) + frames.data(b"one ", stream=1))
    client.send(frames.post(stream=3) + frames.data(b"three ", stream=3))
    client.send(frames.headers([("UPPER", "case")], stream=3))
    client.send(frames.data(b"more", stream=1, end=True))
    assert client.answer(3).reset == Code.PROTOCOL_ERROR
    assert client.answer(1).body == b"one more"
    assert client.error is None


def test_the_last_stream_is_named(live) -> None:
    """§6.8: the client knows what it may send again."""
    server = live()
    client = HTTP2Client(server.connect())
    for _ in range(3):
        assert client.get().status == 200
    client.send(frames.frame(frames.PING, b"short"))
    client.until_end()
    assert client.goaways[-1].last_stream_id == 5


def test_what_comes_behind_a_connection_error_is_not_served(live) -> None:
    server = live()
    client = HTTP2Client(server.connect())
    client.send(frames.request("/before", stream=1) + frames.data(stream=0))
    client.send(frames.request("/behind", stream=3))
    client.until_end()
    assert client.error == Code.PROTOCOL_ERROR
    assert client.stream(1).status == 200
    assert server.requests == ["GET /before"]


def test_running_requests_end_with_the_connection(live) -> None:
    """§5.4.1: their handlers are cancelled."""
    import asyncio

    async def handler(request):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(request.path)
            raise

    cancelled: list[str] = []
    server = live(handler)
    client = HTTP2Client(server.connect())
    client.request("/1")
    client.request("/3")
    client.send(frames.data(stream=0))
    client.until_end()
    server.until(lambda: sorted(cancelled) == ["/1", "/3"])
