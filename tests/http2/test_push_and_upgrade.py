"""What a server may begin (RFC 9113 §8.4), and streams that leave HTTP (RFC 8441)."""

import asyncio

from httpkit.response import Response, Upgrade

from . import frames
from .client import HTTP2Client
from .frames import ENABLE_PUSH, MAX_CONCURRENT_STREAMS, Code

# --- server push ---------------------------------------------------------------------------------


def pushing(request):
    pushed = request.push("/style.css", {"x-why": "page"}) if request.path == "/" else None
    return Response(f"{request.path} {pushed}")


def test_push(connect) -> None:
    """§8.4: a promise before the answer that refers to it, then an answer on an even stream."""
    client = connect(pushing)
    assert client.get("/").body == b"/ True"
    assert dict(client.promises[2]) == {
        ":method": "GET",
        ":scheme": "http",
        ":authority": "example.com",
        ":path": "/style.css",
        "x-why": "page",
    }
    assert client.log.index(("PushPromise", 1)) < client.log.index(("Headers", 1))
    assert client.answer(2).body == b"/style.css None"


def test_no_push_for_who_takes_none(connect) -> None:
    """§6.5.2, §8.4: MUST NOT once SETTINGS_ENABLE_PUSH is 0."""
    client = connect(pushing, frames.PREFACE + frames.settings((ENABLE_PUSH, 0)))
    assert client.get("/").body == b"/ False"
    assert client.fence()
    assert client.promises == {}


def test_no_more_pushes_than_streams(connect) -> None:
    """§5.1.2: the client's SETTINGS_MAX_CONCURRENT_STREAMS limits pushed streams."""
    client = connect(pushing, frames.PREFACE + frames.settings((MAX_CONCURRENT_STREAMS, 0)))
    assert client.get("/").body == b"/ False"


def test_no_push_after_goaway(connect) -> None:
    """§6.8"""
    client = connect(pushing)
    client.send(frames.goaway())
    assert client.get("/").body == b"/ False"


def test_a_push_that_is_not_wanted(live) -> None:
    """§8.4.2: RST_STREAM with CANCEL or REFUSED_STREAM ends it, and nothing else."""

    async def handler(request):
        if request.path == "/":
            return pushing(request)
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    started, ended = asyncio.Event(), asyncio.Event()
    server = live(handler)
    client = HTTP2Client(server.connect())
    assert client.get("/").body == b"/ True"
    server.until(started.is_set)
    client.send(frames.reset(Code.CANCEL, stream=2))
    server.until(ended.is_set)
    assert client.fence()


# --- extended CONNECT ----------------------------------------------------------------------------


def offer(protocol: str = "websocket", *more: tuple[str, str]) -> bytes:
    fields = [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "example.com"),
        *more,
    ]
    return frames.headers(fields, stream=1, flags=frames.END_HEADERS)


async def shout(stream) -> None:
    while data := await stream.receive():
        await stream.send(data.upper())


def accept(request):
    return Upgrade("websocket", shout, {"x-hello": request.path})


def test_bytes_both_ways(connect) -> None:
    """RFC 8441 §5: 200 instead of 101, then DATA both ways; END_STREAM is the end."""
    client = connect(accept)
    client.send(offer())
    answer = client.stream(1)
    client.until(lambda: answer.status)
    assert (answer.status, answer["x-hello"], answer.ended) == (200, "/chat", False)
    assert not {"upgrade", "content-length"} & set(dict(answer.headers))
    for piece in (b"one", b"two"):
        client.send(frames.data(piece, stream=1))
        client.until(lambda piece=piece: answer.body.endswith(piece.upper()))
    client.send(frames.data(stream=1, end=True))
    assert client.answer(1).body == b"ONETWO"
    assert (answer.ended, client.error) == (True, None)


def test_bytes_before_the_answer(connect) -> None:
    client = connect(accept)
    client.send(offer() + frames.data(b"early", stream=1) + frames.data(stream=1, end=True))
    assert client.answer(1).body == b"EARLY"


def test_other_requests_go_on_beside_it(live) -> None:
    server = live(lambda request: accept(request) if request.path == "/chat" else Response("Hello"))
    client = HTTP2Client(server.connect())
    client.send(offer())
    client.skip_to(3)
    assert client.get("/").body == b"Hello"
    client.send(frames.data(b"a", stream=1))
    client.until(lambda: client.stream(1).body == b"A")
    client.send(frames.reset(stream=1))
    assert client.get("/").body == b"Hello"
    server.until(lambda: not server.server.counters.requests_in_flight)


def test_an_offer_that_is_refused(connect) -> None:
    """RFC 8441 §5: any other status."""
    client = connect(lambda request: Response("no", status=403))
    client.send(offer())
    assert client.answer(1).status == 403


def test_a_protocol_that_is_not_known(live) -> None:
    """RFC 9220 §3 says 501 for HTTP/3; RFC 8441 leaves it open."""
    server = live(accept)
    client = HTTP2Client(server.connect())
    client.send(offer("connect-udp"))
    assert client.answer(1).status == 501
    assert server.requests == []


def test_a_session_that_fails_resets_its_stream(live) -> None:
    async def fail(stream) -> None:
        await stream.send(b"a")
        raise RuntimeError("a bug")

    server = live(
        lambda request: Upgrade("websocket", fail) if request.path == "/chat" else Response("Hello")
    )
    client = HTTP2Client(server.connect())
    client.send(offer())
    assert client.answer(1).reset == Code.INTERNAL_ERROR
    client.skip_to(3)
    assert client.get("/").body == b"Hello"


def test_sessions_are_held_back_by_the_window(live) -> None:
    """§5.2: DATA after an upgrade is flow-controlled like any other."""
    sent: list[int] = []

    async def flood(stream) -> None:
        for i in range(40):
            await stream.send(b"a" * 16_384)
            sent.append(i)

    server = live(lambda request: Upgrade("websocket", flood))
    client = HTTP2Client(server.connect(), credit=False)
    client.send(offer())
    client.until(lambda: len(client.stream(1).body) == 65_535)
    assert client.fence()
    assert len(sent) < 20
    client.send(frames.window_update(2**20) + frames.window_update(2**20, stream=1))
    assert len(client.answer(1).body) == 40 * 16_384
