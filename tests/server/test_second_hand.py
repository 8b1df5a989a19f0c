"""`Date` changes when the second does, on a wall clock that the test turns."""

from collections.abc import Callable
from typing import Any

import pytest

from httpkit.server.embedded import serve
from httpkit.server.second_hand import SecondHand

from .live import Script, run
from .wire import Client, eventually

#: Sun, 06 Nov 1994 08:49:37 GMT
MOMENT = 784111777.0


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Turn the wall clock, forwards or back."""
    return lambda now: monkeypatch.setattr("time.time", lambda: now)


class Loop:
    """One timer, run by the test."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.timer: Callable[[], None] | None = None

    def call_later(self, seconds: float, callback: Callable[[], None]) -> "Loop":
        self.seconds, self.timer = seconds, callback
        return self

    def cancel(self) -> None:
        self.timer = None


def test_it_waits_for_the_next_second_and_no_longer(turn) -> None:
    loop: Any = Loop()
    calls: list[int] = []
    hand = SecondHand(loop, lambda: calls.append(1))
    hand.stop()  # not started: nothing to do
    for number, (now, until) in enumerate(
        [(0.0, 1.0), (0.25, 0.75), (0.999, 0.001), (-3600.5, 0.5)], start=1
    ):
        turn(MOMENT + now)
        (loop.timer or hand.start)()
        assert loop.seconds == pytest.approx(until + 0.001, abs=1e-6)
        assert len(calls) == number
    hand.stop()
    assert loop.timer is None


def test_the_date_of_a_server_that_was_made_long_before_it_starts(loop, turn) -> None:
    async def main() -> None:
        turn(MOMENT - 3600.0)
        server = serve(Script(), port=0, access_log=False)
        turn(MOMENT)
        async with server:
            head = await server.loop.run_in_executor(None, ask, server.addresses[0])
        assert head["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"

    def ask(address: Any) -> Any:
        with Client(address) as client:
            return client.get()

    run(main(), loop)


def test_the_date_follows_the_clock(live, turn) -> None:
    """RFC 9110 §8.8.2.1: no Last-Modified of a file that was just written is later than it."""
    turn(MOMENT - 0.005)
    server = live()
    client = server.connect()
    assert client.get()["date"] == "Sun, 06 Nov 1994 08:49:36 GMT"
    turn(MOMENT + 0.5)
    eventually(lambda: client.get()["date"] == "Sun, 06 Nov 1994 08:49:37 GMT", "the next second")
