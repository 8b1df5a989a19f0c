"""Requests that come in so many pieces that they take several turns of the loop."""

import asyncio

from hpack import Encoder

from httpkit.protocol.http2 import PREFACE
from httpkit.transport.loop import new_event_loop
from tests.test_hops import connected, frame


def test_nobody_is_late_whose_pieces_are_here_already():
    fields = [(":method", "POST"), (":path", "/length"), (":scheme", "http"), (":authority", "a")]
    head = PREFACE + frame(4, 0, 0) + frame(1, 4, 1, Encoder().encode(fields))

    async def main() -> None:
        async with connected("native") as (connection, transport):
            connection.data_received(head + frame(0, 0, 1, b"a") * 2000 + frame(0, 1, 1))
            assert connection.engine.turn_is_over
            for seconds in (1e6, 2e6, 3e6):
                connection.check_deadlines(seconds)
            for _ in range(20):
                await asyncio.sleep(0)
            assert b"".join(transport.writes).endswith(b"2000")

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
