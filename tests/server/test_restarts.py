"""When a worker is started again."""

import pytest

from httpkit.server.restarts import Restarts

from .live import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def restarts(clock: Clock) -> Restarts:
    return Restarts(clock)


def test_at_once_then_later_and_later_then_not_at_all(restarts: Restarts) -> None:
    assert [restarts.next_delay(0) for _ in range(5)] == [0, 1, 2, 4, None]


def test_ends_that_are_far_apart_are_no_loop(restarts: Restarts, clock: Clock) -> None:
    delays = []
    for _ in range(30):
        delays.append(restarts.next_delay(10))
        clock.now += 15.1  # five of them take longer than a minute
    assert delays[:6] == [0, 1, 2, 4, 5, 5]
    assert set(delays[6:]) == {5}


def test_a_minute_of_service_is_forgiven(restarts: Restarts, clock: Clock) -> None:
    for _ in range(20):
        clock.now += 60
        assert restarts.next_delay(60) == 0
    clock.now += 59
    assert restarts.next_delay(59) == 1
