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
        self.deadline_mark = 1
        self.waits: list[tuple[int, Deadline, int]] = []

    def stream_waits(self) -> list[tuple[int, Deadline, int]]:
        return self.waits


LIMITS = Limits(
    header_timeout=10,
    keep_alive_timeout=75,
    half_close_timeout=30,
    linger_timeout=5,
    ping_interval=40,
    ping_timeout=7,
)


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        (Deadline.FIRST, 10),
        (Deadline.HEAD, 10),
        (Deadline.IDLE, 75),
        (Deadline.HALF_CLOSED, 30),
        (Deadline.LINGER, 5),
        (Deadline.FAREWELL, 5),
        (Deadline.QUIET, 40),
        (Deadline.PONG, 7),
    ],
)
def test_each_wait_has_its_limit(kind, seconds) -> None:
    engine, watch = Engine(kind), DeadlineWatch()
    assert not watch.passed(engine, 0, 0, 100.0, LIMITS)
    assert not watch.passed(engine, 0, 0, 100.0 + seconds, LIMITS)
    assert watch.passed(engine, 0, 0, 100.1 + seconds, LIMITS)


@pytest.mark.parametrize("kind", [Deadline.NONE, Deadline.BODY])
def test_waiting_for_nothing_has_none(kind) -> None:
    """Bodies are watched stream by stream."""
    engine, watch = Engine(kind), DeadlineWatch()
    assert not watch.passed(engine, 0, 0, 0.0, LIMITS)
    assert not watch.passed(engine, 0, 0, 1e9, LIMITS)


def test_another_wait_begins_anew() -> None:
    engine, watch = Engine(Deadline.HEAD), DeadlineWatch()
    watch.passed(engine, 0, 0, 0.0, LIMITS)
    engine.deadline_kind = Deadline.IDLE
    assert not watch.passed(engine, 0, 0, 9.0, LIMITS)
    engine.deadline_kind = Deadline.HEAD
    assert not watch.passed(engine, 0, 0, 18.0, LIMITS)
    engine.deadline_mark = 2  # the head of another request
    assert not watch.passed(engine, 0, 0, 27.0, LIMITS)
    assert not watch.passed(engine, 0, 0, 36.0, LIMITS)
    assert watch.passed(engine, 0, 0, 38.0, LIMITS)


@pytest.mark.parametrize("kind", list(Deadline))
def test_bytes_that_flow_extend_some_waits(kind) -> None:
    engine, watch = Engine(kind), DeadlineWatch()
    limits = Limits(
        header_timeout=10, keep_alive_timeout=10, half_close_timeout=10, linger_timeout=10
    )
    late = [watch.passed(engine, 8, taken, taken * 9.0, limits) for taken in range(9)]
    begun_anew = {Deadline.IDLE, Deadline.FAREWELL, Deadline.HALF_CLOSED, Deadline.LINGER}
    extended = kind in begun_anew
    assert any(late) is not (extended or kind in (Deadline.NONE, Deadline.BODY))


def test_what_is_said_to_frames_that_ask_for_nothing_is_no_answer() -> None:
    """RFC 9113 §6.7: a PING is acknowledged; whoever sends one now and then asks for nothing."""
    engine, watch = Engine(Deadline.IDLE), DeadlineWatch()
    late = [watch.passed(engine, 100 + 17 * n, 100 + 17 * n, n * 25.0, LIMITS) for n in range(5)]
    assert late == [False, False, False, False, True]


def test_an_answer_that_is_still_taken_is_not_idle_but_what_follows_it_is() -> None:
    engine, watch = Engine(Deadline.IDLE), DeadlineWatch()
    for taken in (0, 50, 100):  # of the answer
        assert not watch.passed(engine, 100, taken, taken * 1.4, LIMITS)
    assert not watch.passed(engine, 117, 117, 215.0, LIMITS)
    assert watch.passed(engine, 134, 134, 216.0, LIMITS)


def test_who_has_yet_to_take_the_announcement_of_an_end_has_time_from_then_on() -> None:
    """RFC 9113 §6.8: but what is said to a peer that goes on is not waited for."""
    engine, watch = Engine(Deadline.FAREWELL), DeadlineWatch()
    for taken in (0, 50, 100):  # of what stands before it
        assert not watch.passed(engine, 100, taken, taken * 0.09, LIMITS)
    assert not watch.passed(engine, 200, 200, 13.9, LIMITS)
    assert watch.passed(engine, 300, 300, 14.1, LIMITS)


def test_a_frame_that_was_incomplete_does_not_begin_idle_time_anew() -> None:
    engine, watch = Engine(Deadline.IDLE), DeadlineWatch()
    late = []
    for n in range(10):
        engine.deadline_kind = Deadline.HEAD if n % 2 else Deadline.IDLE
        late.append(watch.passed(engine, 0, 0, n * 9.5, LIMITS))
    assert late == [False] * 8 + [True, False]
    engine.deadline_kind, engine.deadline_mark = Deadline.IDLE, 2  # there was a request
    assert not watch.passed(engine, 0, 0, 100.0, LIMITS)
    assert not watch.passed(engine, 0, 0, 175.0, LIMITS)
    assert watch.passed(engine, 0, 0, 175.1, LIMITS)


def test_time_that_passes() -> None:
    watch = DeadlineWatch()
    assert watch.elapsed(100.0) == 0.0
    assert watch.elapsed(101.5) == 1.5
    assert watch.elapsed(101.5) == 0.0


def late(watch: DeadlineWatch, engine: Engine, now: float, rate: int | None = 100) -> list[int]:
    limits = Limits(body_grace=5, write_stall=60)
    return watch.late_streams(engine, now, limits, lambda stream_id: rate)


def test_the_rate_of_a_body() -> None:
    engine, watch = Engine(Deadline.NONE), DeadlineWatch()
    engine.waits = [(1, Deadline.BODY, 1_000_000)]  # of requests before
    assert late(watch, engine, 0.0) == []
    assert late(watch, engine, 5.0) == []
    assert late(watch, engine, 5.1) == [1]
    engine.waits = [(1, Deadline.BODY, 1_000_200)]
    assert late(watch, engine, 7.0) == []
    assert late(watch, engine, 7.1) == [1]


def test_no_rate() -> None:
    engine, watch = Engine(Deadline.NONE), DeadlineWatch()
    engine.waits = [(1, Deadline.BODY, 0)]
    assert late(watch, engine, 0.0, None) == []
    assert late(watch, engine, 1e6, None) == []


def test_each_stream_is_watched_by_itself() -> None:
    engine, watch = Engine(Deadline.NONE), DeadlineWatch()
    engine.waits = [(1, Deadline.BODY, 0), (3, Deadline.BODY, 0)]
    assert late(watch, engine, 0.0) == []
    engine.waits = [(1, Deadline.BODY, 0), (3, Deadline.BODY, 100), (5, Deadline.BODY, 0)]
    assert late(watch, engine, 5.5) == [1]
    engine.waits = [(5, Deadline.BODY, 0)]
    assert late(watch, engine, 10.5) == []
    engine.waits = [(3, Deadline.BODY, 100)]  # has been out of sight: it waits anew
    assert late(watch, engine, 11.0) == []


def test_an_answer_that_nobody_takes() -> None:
    engine, watch = Engine(Deadline.NONE), DeadlineWatch()
    engine.waits = [(1, Deadline.WINDOW, 10), (1, Deadline.BODY, 1)]
    assert late(watch, engine, 0.0, None) == []
    assert late(watch, engine, 60.0, None) == []
    engine.waits = [(1, Deadline.WINDOW, 11), (1, Deadline.BODY, 1)]
    assert late(watch, engine, 61.0, None) == []
    assert late(watch, engine, 121.0, None) == []
    assert late(watch, engine, 121.1, None) == [1]


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
        self.aborted = False

    def check_deadlines(self, now: float) -> None:
        self.seen.append(now)

    def abort(self) -> None:
        self.aborted = True


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


def test_a_connection_that_fails_is_closed_and_the_others_are_looked_at(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Watched):
        def check_deadlines(self, now: float) -> None:
            super().check_deadlines(now)
            raise ZeroDivisionError

    watched = [Watched(), Failing(), Watched()]
    Reaper(None, 1, lambda: 0.0, lambda: watched, lambda: None).scan(7.0)
    assert [each.seen for each in watched] == [[7.0]] * 3
    assert [each.aborted for each in watched] == [False, True, False]
    assert "ZeroDivisionError" in caplog.text
