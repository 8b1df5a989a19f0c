"""`max_requests`: when a process has served enough, on a clock that the test turns."""

from collections.abc import Callable
from typing import Any

import pytest

from httpkit import serve
from httpkit.errors import ConfigurationError
from httpkit.server.config import Config
from httpkit.server.counters import Counters
from httpkit.server.request_limit import RequestLimit

from .live import Script


class Loop:
    """One timer, run by the test."""

    def __init__(self) -> None:
        self.timer: Callable[[], None] | None = None

    def call_later(self, seconds: float, callback: Callable[[], None]) -> "Loop":
        assert 0 < seconds <= 1
        self.timer = callback
        return self

    def cancel(self) -> None:
        self.timer = None

    def look(self) -> None:
        assert self.timer is not None
        self.timer()


def make(limit: int, jitter: int = 0) -> tuple[Any, Counters, list[str], RequestLimit]:
    loop, counters, told = Loop(), Counters(), []
    limiter = RequestLimit(loop, counters, limit, jitter, told.append)  # type: ignore[arg-type]
    limiter.start()
    return loop, counters, told, limiter


def test_it_tells_once_and_again_after_as_many_more() -> None:
    loop, counters, told, limiter = make(10)
    for begun, count in ((0, 0), (9, 0), (13, 1), (22, 1), (23, 2), (40, 3), (49, 3), (50, 4)):
        counters.requests_begun = begun
        loop.look()
        assert len(told) == count, begun
    assert told[0] == "13 requests were served (max_requests)"
    limiter.stop()
    assert loop.timer is None


def test_the_jitter_adds_up_to_so_many() -> None:
    reached = set()
    for _ in range(300):
        loop, counters, told, _ = make(10, 3)
        while not told:
            counters.requests_begun += 1
            loop.look()
        reached.add(counters.requests_begun)
    assert reached == {10, 11, 12, 13}


def test_one_that_was_not_started_may_be_stopped() -> None:
    told: list[str] = []
    RequestLimit(Loop(), Counters(), 1, 0, told.append).stop()  # type: ignore[arg-type]
    assert told == []


def test_options_that_make_no_sense() -> None:
    with pytest.raises(ConfigurationError, match="has no effect without max_requests"):
        Config.of(max_requests_jitter=5)
    with pytest.raises(ConfigurationError, match="max_requests: expected `int` >= 1"):
        Config.of(max_requests=0)
    with pytest.raises(ConfigurationError, match="ends a process"):
        serve(Script(), max_requests=5)
