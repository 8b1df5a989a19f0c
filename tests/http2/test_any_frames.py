"""Frames by chance, good and broken ones in any order: no surprise, and nobody else notices."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from httpkit.response import Response
from tests.server.live import LiveServer

from . import frames
from .client import HTTP2Client

STREAMS = st.sampled_from([0, 1, 1, 3, 3, 5, 7, 2, 4, 9, 2**31 - 1])
FIELDS = st.sampled_from(
    [
        frames.block(frames.request_fields()),
        frames.block(frames.request_fields("/echo", method="POST")),
        frames.block(frames.request_fields("/echo", ("content-length", "3"), method="POST")),
        frames.block(frames.request_fields("/stream")),
        frames.block(frames.request_fields("/push")),
        frames.block(frames.request_fields("/", ("X", "upper"))),
        frames.block([("x-trailer", "a")]),
        frames.block([(":status", "200")]),
        b"\x82\x86\x84\x01\x01a\xbe",
        b"",
    ]
)
FLAGS = st.sampled_from([0, 1, 4, 5, 5, 5, 8, 9, 0x20, 0x25, 0x2D, 0xFF])
NUMBERS = st.sampled_from([0, 1, 2, 100, 65_535, 2**31 - 1, 2**31, 2**32 - 1])

ONE = st.one_of(
    st.builds(frames.headers, FIELDS, stream=STREAMS, flags=FLAGS),
    st.builds(frames.headers, FIELDS, stream=st.sampled_from([1, 3, 5]), flags=st.just(5)),
    st.builds(frames.post, st.just("/echo"), stream=st.sampled_from([1, 3, 5])),
    st.builds(
        frames.data, st.binary(max_size=40), stream=st.sampled_from([1, 3, 5]), end=st.booleans()
    ),
    st.builds(
        frames.frame, st.just(frames.DATA), st.binary(max_size=40), flags=FLAGS, stream=STREAMS
    ),
    st.builds(frames.continuation, FIELDS, stream=STREAMS, end=st.booleans()),
    st.builds(frames.window_update, NUMBERS, stream=STREAMS),
    st.builds(frames.reset, NUMBERS, stream=STREAMS),
    st.builds(frames.priority, STREAMS, stream=STREAMS),
    st.builds(frames.priority_update, st.sampled_from([b"u=0", b"i", b"\0"]), prioritized=STREAMS),
    st.builds(lambda name, value: frames.settings((name, value)), st.integers(0, 10), NUMBERS),
    st.builds(frames.ping),
    st.builds(frames.goaway, last=STREAMS),
    st.builds(
        frames.frame, st.integers(0, 20), st.binary(max_size=20), flags=FLAGS, stream=STREAMS
    ),
    st.binary(max_size=12),
)


async def application(request):
    async def chunks():
        yield b"one"
        yield b"two"

    if request.path == "/echo":
        return Response(await request.body())
    if request.path == "/stream":
        return Response(chunks(), trailers={"x-trailer": "a"})
    if request.path == "/push":
        request.push("/")
    return Response("Hello")


@pytest.fixture(scope="module", params=["native", "reference"])
def served(request):
    """One server for all examples, and a connection that is served beside them."""
    with LiveServer(application, http2=request.param) as server:
        yield server, HTTP2Client(server.connect())


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(ONE, min_size=1, max_size=12), st.booleans())
@example([frames.post("/echo", stream=1), frames.headers([("x", "a")], stream=1)], False)
def test_any_frames(served, sent: list[bytes], in_one_piece: bool) -> None:
    """Whatever comes is answered by valid frames only (the client checks them) or ended."""
    server, bystander = served
    with server.connect() as socket:
        client = HTTP2Client(socket)
        for part in [b"".join(sent)] if in_one_piece else sent:
            client.send(part)
        assert bystander.get().status == 200
        client.look()
    assert bystander.get().status == 200
    assert not server.unhandled
