"""The pieces answer like a server, however the bytes come."""

import asyncio

import pytest

from benchmarks.cases import CASES
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.servers.pieces import HTTP1, HTTP2, forget_dates, payload_start, serialize_frame
from benchmarks.servers.web import PIECES
from benchmarks.verify import verify


@pytest.mark.parametrize("name", [name for name in PIECES if not CASES[name].tls])
def test_the_pieces_are_no_canned_answer(name):
    case = CASES[name]

    async def scenario():
        forget_dates()
        loop = asyncio.get_running_loop()
        protocol = HTTP2 if case.protocol == "http2" else HTTP1
        async with await loop.create_server(protocol, HOST, 0) as server:
            port = server.sockets[0].getsockname()[1]
            await asyncio.to_thread(verify, case, Endpoint(port), canned=False)

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_that_is_cut_waits_for_its_rest(size):
    frame = bytearray(serialize_frame(0x81, b"x" * size))
    head = len(frame) - size
    frame[1] |= 0x80
    frame[head:head] = b"mask"
    data = b"before" + frame
    assert payload_start(data, 6) == (6 + head + 4, len(data))
    for cut in range(6, 6 + head):
        found = payload_start(data[:cut], 6)
        assert found is None or found[1] > cut
