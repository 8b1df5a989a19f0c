"""The watch and the reaper, without a server."""

import asyncio

import pytest

from httpkit.limits import Limits
from httpkit.protocol.engine import Deadline
from httpkit.transport.deadlines import DeadlineWatch, Reaper, reaper_interval


class Engine:
    """What the watch asks of one."""

    def __init__(self, kind: Deadline) -> None:
        self.deadline_kind = kind
        self.last_stream_id = 1
        self.body_received = 0


LIMITS = Limits(
    header_timeout=10, keep_alive_timeout=75, half_close_timeout=30, linger_timeout=5, body_grace=3
)


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        (Deadline.FIRST, 10),
        (Deadline.HEAD, 10),
        (Deadline.IDLE, 75),
        (Deadline.HALF_CLOSED, 30),
        (Deadline.LINGER, 5),
        (Deadline.BODY, 3),
    ],
)
def test_each_wait_has_its_limit(kind, seconds) -> None:
    engine, watch = Engine(kind), DeadlineWatch()
    assert not watch.passed(engine, 0, 100.0, LIMITS, LIMITS.min_body_rate)
    assert not watch.passed(engine, 0, 100.0 + seconds, LIMITS, LIMITS.min_body_rate)
    assert watch.passed(engine, 0, 100.1 + seconds, LIMITS, LIMITS.min_body_rate)


def test_waiting_for_nothing_has_none() -> None:
    engine, watch = Engine(Deadline.NONE), DeadlineWatch()
    assert not watch.passed(engine, 0, 0.0, LIMITS, LIMITS.min_body_rate)
    assert not watch.passed(engine, 0, 1e9, LIMITS, LIMITS.min_body_rate)


def test_another_wait_begins_anew() -> None:
    engine, watch = Engine(Deadline.HEAD), DeadlineWatch()
    watch.passed(engine, 0, 0.0, LIMITS, LIMITS.min_body_rate)
    engine.deadline_kind = Deadline.IDLE
    assert not watch.passed(engine, 0, 9.0, LIMITS, LIMITS.min_body_rate)
    engine.deadline_kind = Deadline.HEAD
    assert not watch.passed(engine, 0, 18.0, LIMITS, LIMITS.min_body_rate)
    engine.last_stream_id = 2  # the head of another request
    assert not watch.passed(engine, 0, 27.0, LIMITS, LIMITS.min_body_rate)
    assert not watch.passed(engine, 0, 36.0, LIMITS, LIMITS.min_body_rate)
    assert watch.passed(engine, 0, 38.0, LIMITS, LIMITS.min_body_rate)


@pytest.mark.parametrize("kind", list(Deadline))
def test_bytes_that_flow_extend_some_waits(kind) -> None:
    engine, watch = Engine(kind), DeadlineWatch()
    limits = Limits(**dict.fromkeys(("header_timeout", "keep_alive_timeout", "body_grace"), 10))
    late = [
        watch.passed(engine, taken, taken * 9.0, limits, limits.min_body_rate) for taken in range(9)
    ]
    extended = kind in (Deadline.NONE, Deadline.IDLE, Deadline.HALF_CLOSED, Deadline.LINGER)
    assert any(late) is not extended


def test_the_rate_of_a_body() -> None:
    engine, watch = Engine(Deadline.BODY), DeadlineWatch()
    limits = Limits(body_grace=5, min_body_rate=100)
    engine.body_received = 1_000_000  # of requests before
    assert not watch.passed(engine, 0, 0.0, limits, limits.min_body_rate)
    assert not watch.passed(engine, 0, 5.0, limits, limits.min_body_rate)
    assert watch.passed(engine, 0, 5.1, limits, limits.min_body_rate)
    engine.body_received += 200
    assert not watch.passed(engine, 0, 7.0, limits, limits.min_body_rate)
    assert watch.passed(engine, 0, 7.1, limits, limits.min_body_rate)


def test_no_rate() -> None:
    engine, watch = Engine(Deadline.BODY), DeadlineWatch()
    limits = Limits(min_body_rate=None)
    assert not watch.passed(engine, 0, 0.0, limits, limits.min_body_rate)
    assert not watch.passed(engine, 0, 1e6, limits, limits.min_body_rate)


def test_stalled_writing() -> None:
    watch = DeadlineWatch()
    limits = Limits(write_stall=60)
    assert not watch.write_stalled(0, 0, 0.0, limits)
    assert not watch.write_stalled(0, 0, 1000.0, limits)  # nothing waits
    assert not watch.write_stalled(10, 5, 1001.0, limits)
    assert not watch.write_stalled(10, 5, 1061.0, limits)
    assert not watch.write_stalled(9, 6, 1062.0, limits)  # a byte was taken
    assert not watch.write_stalled(9, 6, 1122.0, limits)
    assert watch.write_stalled(9, 6, 1122.1, limits)


@pytest.mark.parametrize(
    ("options", "interval"),
    [
        ({}, 1.0),
        ({"linger_timeout": 2}, 0.5),
        ({"header_timeout": 0.4}, 0.1),
        ({"request_timeout": 0.04}, 0.01),
    ],
)
def test_interval(options, interval) -> None:
    assert reaper_interval(Limits(**options)) == pytest.approx(interval)


class Watched:
    def __init__(self) -> None:
        self.seen: list[float] = []

    def check_deadlines(self, now: float) -> None:
        self.seen.append(now)


def test_the_reaper_scans_until_it_is_stopped() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        watched = {Watched(), Watched()}
        ticks: list[int] = []
        done = loop.create_future()

        def each() -> None:
            ticks.append(1)
            if len(ticks) == 3:
                done.set_result(None)

        reaper = Reaper(loop, 0.001, lambda: 5.0, lambda: watched, each)
        reaper.stop()  # not started: nothing to do
        reaper.start()
        await done
        reaper.stop()
        reaper.stop()
        assert all(each.seen[:2] == [5.0, 5.0] for each in watched)
        assert reaper._handle is None

    asyncio.run(main())


def test_connections_may_end_while_they_are_scanned() -> None:
    class Ending(Watched):
        def check_deadlines(self, now: float) -> None:
            super().check_deadlines(now)
            watched.discard(self)

    watched = {Ending(), Ending(), Ending()}
    before = set(watched)
    Reaper(None, 1, lambda: 0.0, lambda: watched, lambda: None).scan(7.0)
    assert [each.seen for each in before] == [[7.0]] * 3
    assert not watched
