"""The order of content, and the Priority field (RFC 9218)."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.protocol.http2 import scheduler as module
from httpkit.protocol.http2.priority import parse_priority
from httpkit.protocol.http2.scheduler import Scheduler


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", (3, False)),
        (b"u=0", (0, False)),
        (b"u=7, i", (7, True)),
        (b"i,u=5", (5, True)),
        (b"i=?1", (3, True)),
        (b"i=?0", (3, False)),
        (b"u=2;x=1, i;y", (2, True)),
        (b" u=1 ,\ti", (1, True)),
        (b"u=1, u=6", (6, False)),
        (b"x=9, y, u=4", (4, False)),
        # Malformed or out of range: ignored (§4).
        (b"u=8", (3, False)),
        (b"u=-1", (3, False)),
        (b"u=1.5", (3, False)),
        (b"u", (3, False)),
        (b"i=1", (3, False)),
        (b"U=1", (3, False)),
        (b"=1,,u=1", (1, False)),
        (b"\xff", (3, False)),
        # Long, which costs more to look at than to send.
        (b"u=1" + b", x" * 84, (1, False)),
        (b"u=1" + b", x" * 85, (3, False)),
    ],
)
def test_parse_priority(value, expected) -> None:
    assert parse_priority(value) == expected


@given(st.binary(max_size=50))
def test_any_value_is_a_priority(value) -> None:
    urgency, incremental = parse_priority(value)
    assert 0 <= urgency <= 7
    assert isinstance(incremental, bool)


def drain(scheduler: Scheduler, limit: int = 10) -> list[tuple[int, bytes, bool]]:
    """Everything that can be sent, in order."""
    pieces = []
    while (stream_id := scheduler.next_stream()) is not None:
        piece = scheduler.take(stream_id, limit)
        pieces.append((stream_id, piece.data, piece.end))
    assert not scheduler.has_ready
    return pieces


def test_one_stream() -> None:
    scheduler = Scheduler()
    assert scheduler.next_stream() is None
    assert not scheduler.has_ready
    scheduler.push(1, b"abc")
    scheduler.push(1, b"defghijklmno")
    assert (scheduler.queued(1), scheduler.size, scheduler.has_ready) == (15, 15, True)
    assert drain(scheduler) == [(1, b"abcdefghij", False), (1, b"klmno", False)]
    assert scheduler.size == 0
    scheduler.end(1, [(b"x", b"y")])
    piece = scheduler.take(scheduler.next_stream(), 10)
    assert (piece.data, piece.end, piece.trailers) == (b"", True, [(b"x", b"y")])
    assert scheduler.next_stream() is None


def test_the_end_goes_with_the_last_piece() -> None:
    scheduler = Scheduler()
    scheduler.push(1, b"abc")
    scheduler.end(1)
    assert drain(scheduler) == [(1, b"abc", True)]


def test_urgency_then_age() -> None:
    scheduler = Scheduler()
    scheduler.prioritize(5, 1, incremental=False)
    for stream_id in (3, 1, 5):
        scheduler.push(stream_id, b"x" * 20)
    assert [stream_id for stream_id, _, _ in drain(scheduler)] == [5, 5, 1, 1, 3, 3]


def test_incremental_streams_take_turns() -> None:
    scheduler = Scheduler()
    for stream_id in (1, 3):
        scheduler.prioritize(stream_id, 3, incremental=True)
        scheduler.push(stream_id, b"x" * 30)
    assert [stream_id for stream_id, _, _ in drain(scheduler)] == [1, 3, 1, 3, 1, 3]


def test_a_new_stream_begins_where_the_others_are() -> None:
    """It has not missed any turns that it could claim."""
    scheduler = Scheduler()
    scheduler.prioritize(1, 3, incremental=True)
    scheduler.push(1, b"x" * 100)
    for _ in range(5):
        scheduler.take(scheduler.next_stream(), 10)
    scheduler.prioritize(3, 3, incremental=True)
    scheduler.push(3, b"y" * 50)
    assert [stream_id for stream_id, _, _ in drain(scheduler)][:4] in ([3, 1, 3, 1], [1, 3, 1, 3])


def test_a_priority_that_changes_while_content_waits() -> None:
    scheduler = Scheduler()
    scheduler.push(1, b"a")
    scheduler.push(3, b"b")
    scheduler.prioritize(3, 0, incremental=False)
    scheduler.prioritize(1, 7, incremental=False)
    assert [stream_id for stream_id, _, _ in drain(scheduler)] == [3, 1]


def test_the_server_has_the_last_word() -> None:
    """§8."""
    scheduler = Scheduler()
    scheduler.push(1, b"a")
    scheduler.push(3, b"b")
    scheduler.prioritize(3, 0, incremental=False, by_server=True)
    scheduler.prioritize(3, 7, incremental=False)
    assert scheduler.next_stream() == 3


def test_parked_streams() -> None:
    scheduler = Scheduler()
    scheduler.push(1, b"a")
    scheduler.push(3, b"b")
    scheduler.park(1)
    scheduler.push(1, b"aa")
    scheduler.prioritize(1, 0, incremental=False)
    assert drain(scheduler) == [(3, b"b", False)]
    scheduler.unpark(1)
    scheduler.unpark(1)
    scheduler.unpark(9)
    assert drain(scheduler) == [(1, b"aaa", False)]
    scheduler.push(3, b"b")
    scheduler.park(3)
    scheduler.unpark_all()
    scheduler.unpark_all()
    assert drain(scheduler) == [(3, b"b", False)]


def test_an_end_needs_no_window() -> None:
    scheduler = Scheduler()
    scheduler.push(1, b"a")
    scheduler.park(1)
    scheduler.end(1)
    assert scheduler.next_stream() is None
    scheduler.unpark(1)
    assert drain(scheduler) == [(1, b"a", True)]


def test_a_stream_that_is_dropped() -> None:
    scheduler = Scheduler()
    scheduler.push(1, b"abc")
    scheduler.prioritize(1, 0, incremental=True, by_server=True)
    scheduler.drop(1)
    scheduler.drop(1)
    assert (scheduler.size, scheduler.has_ready, scheduler.next_stream()) == (0, False, None)
    scheduler.push(3, b"abc")
    scheduler.park(3)
    scheduler.drop(3)
    scheduler.unpark_all()
    assert scheduler.next_stream() is None


def test_priorities_of_streams_that_never_come_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MAX_PRIORITIES", 10)
    scheduler = Scheduler()
    scheduler.prioritize(1, 0, incremental=False)
    scheduler.push(1, b"a")
    for stream_id in range(3, 200, 2):
        scheduler.prioritize(stream_id, 7, incremental=False)
    assert len(scheduler._priorities) <= 10
    scheduler.push(201, b"b")
    assert [stream_id for stream_id, _, _ in drain(scheduler)] == [1, 201]


def test_the_oldest_of_them_go_first(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MAX_PRIORITIES", 3)
    scheduler = Scheduler()
    for stream_id in (1, 3, 5, 7):
        scheduler.prioritize(stream_id, 0, incremental=False)
    for stream_id in (1, 3, 5, 7):
        scheduler.push(stream_id, b"a")
    assert [stream_id for stream_id, _, _ in drain(scheduler)] == [3, 5, 7, 1]


def test_what_the_server_says_of_a_stream_without_content_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MAX_PRIORITIES", 10)
    scheduler = Scheduler()
    for stream_id in range(1, 200, 2):
        scheduler.prioritize(stream_id, 1, incremental=False, by_server=True)
    assert len(scheduler._priorities) <= 10


def test_each_urgency_has_turns_of_its_own() -> None:
    """What streams of another urgency have had says nothing about the share of these."""
    scheduler = Scheduler()
    for stream_id, urgency in ((1, 5), (3, 1)):
        scheduler.prioritize(stream_id, urgency, incremental=True)
        scheduler.push(stream_id, b"x" * 100)
    for _ in range(15):
        scheduler.take(scheduler.next_stream(), 10)
    assert (scheduler.queued(1), scheduler.queued(3)) == (50, 0)
    # These are new: one takes turns with stream 1 from here on, one has no past in its urgency.
    scheduler.prioritize(5, 5, incremental=True)
    scheduler.push(5, b"y" * 30)
    assert [stream_id for stream_id, _, _ in drain(scheduler)][:6] in (
        [1, 5, 1, 5, 1, 5],
        [5, 1, 5, 1, 5, 1],
    )


def test_a_stream_that_changes_its_urgency_is_not_charged_for_the_past() -> None:
    scheduler = Scheduler()
    for stream_id, urgency in ((1, 5), (3, 1)):
        scheduler.prioritize(stream_id, urgency, incremental=True)
        scheduler.push(stream_id, b"x" * 100)
    scheduler.park(3)
    for _ in range(5):
        scheduler.take(scheduler.next_stream(), 10)
    scheduler.prioritize(1, 1, incremental=True)
    scheduler.unpark(3)
    assert [stream_id for stream_id, _, _ in drain(scheduler)][:4] == [1, 3, 1, 3]


def test_age_counts_whatever_others_have_sent() -> None:
    """§10: in the order of the requests, also if the older answer begins later."""
    scheduler = Scheduler()
    scheduler.push(3, b"x" * 20)
    scheduler.prioritize(5, 1, incremental=True)
    scheduler.push(5, b"x" * 50)
    for _ in range(4):
        assert scheduler.take(scheduler.next_stream(), 10).data
    scheduler.push(1, b"x" * 20)
    assert [stream_id for stream_id, _, _ in drain(scheduler)] == [5, 1, 1, 3, 3]


def test_a_connection_whose_window_is_closed() -> None:
    """RFC 9113 §6.9: nothing goes but ends that have no content."""
    scheduler = Scheduler()
    scheduler.push(1, b"a")
    scheduler.end(3)
    scheduler.held = True
    assert scheduler.has_ready
    assert scheduler.next_stream() == 3
    assert scheduler.take(3, 10).end
    assert (scheduler.has_ready, scheduler.next_stream()) == (False, None)
    scheduler.held = False
    assert drain(scheduler) == [(1, b"a", False)]


def test_an_end_behind_content_that_is_gone_is_first() -> None:
    scheduler = Scheduler()
    scheduler.push(1, b"a")
    scheduler.push(3, b"b")
    assert scheduler.take(scheduler.next_stream(), 10).data == b"a"
    scheduler.push(1, b"")
    scheduler.end(1)
    assert drain(scheduler) == [(1, b"", True), (3, b"b", False)]


def test_an_end_that_is_dropped() -> None:
    scheduler = Scheduler()
    scheduler.end(1)
    scheduler.drop(1)
    assert (scheduler.has_ready, scheduler.next_stream()) == (False, None)


def test_the_heap_is_bounded() -> None:
    """A peer changes its mind all the time, while nothing can be sent."""
    scheduler = Scheduler()
    scheduler.prioritize(1, 0, incremental=False)
    for stream_id in (1, 3, 5):
        scheduler.push(stream_id, b"x")
    for turn in range(1000):
        scheduler.prioritize(3, 5 + turn % 2, incremental=False)
    assert len(scheduler._heap) < 100
    assert [stream_id for stream_id, _, _ in drain(scheduler)] == [1, 5, 3]


def test_the_cost_of_a_piece_does_not_grow_with_the_streams() -> None:
    def calls(count: int) -> float:
        scheduler = Scheduler()
        for number in range(count):
            scheduler.prioritize(2 * number + 1, 3, incremental=True)
            scheduler.push(2 * number + 1, b"x" * 100)
        total = 0

        def note(frame: object, event: str, argument: object) -> None:
            nonlocal total
            total += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            pieces = drain(scheduler, 10)
        finally:
            sys.setprofile(None)
        return total / len(pieces)

    assert calls(1000) < 1.2 * calls(10)


steps = st.lists(
    st.tuples(
        st.sampled_from(["push", "end", "drop", "park", "unpark", "take", "prioritize"]),
        st.sampled_from([1, 3, 5, 7]),
        st.integers(0, 20),
    ),
    max_size=60,
)


@given(steps)
def test_nothing_is_lost_or_sent_twice(script) -> None:
    scheduler = Scheduler()
    pushed: dict[int, bytes] = {}
    taken: dict[int, bytes] = {}
    ended: set[int] = set()
    counter = 0
    for step, stream_id, size in script:
        if step == "push" and stream_id not in ended:
            content = b"".join(b"%d," % (counter + n) for n in range(size))
            counter += size
            pushed[stream_id] = pushed.get(stream_id, b"") + content
            scheduler.push(stream_id, content)
        elif step == "end" and stream_id not in ended:
            ended.add(stream_id)
            scheduler.end(stream_id)
        elif step == "drop":
            scheduler.drop(stream_id)
            ended.add(stream_id)
            pushed[stream_id] = taken.get(stream_id, b"")
        elif step == "park" and scheduler.queued(stream_id):
            scheduler.park(stream_id)
        elif step == "unpark":
            scheduler.unpark(stream_id)
        elif step == "prioritize":
            scheduler.prioritize(stream_id, size % 8, incremental=size % 2 == 1)
        elif step == "take" and (ready := scheduler.next_stream()) is not None:
            piece = scheduler.take(ready, size + 1)
            assert len(piece.data) <= size + 1
            taken[ready] = taken.get(ready, b"") + piece.data
        assert scheduler.size == sum(scheduler.queued(each) for each in (1, 3, 5, 7))
    scheduler.unpark_all()
    for stream_id, content, _ in drain(scheduler):
        taken[stream_id] = taken.get(stream_id, b"") + content
    assert {key: value for key, value in taken.items() if value} == {
        key: value for key, value in pushed.items() if value
    }


def test_a_priority_that_changes_while_the_window_is_closed() -> None:
    scheduler = Scheduler()
    scheduler.push(1, b"a")
    scheduler.push(3, b"b")
    scheduler.park(3)
    scheduler.prioritize(3, 0, incremental=False)
    assert scheduler.next_stream() == 1
    scheduler.unpark(3)
    assert [stream_id for stream_id, _, _ in drain(scheduler)] == [3, 1]


def test_a_stream_that_takes_turns_from_now_on() -> None:
    scheduler = Scheduler()
    for stream_id in (1, 3):
        scheduler.push(stream_id, b"x" * 20)
        scheduler.prioritize(stream_id, 3, incremental=True)
    assert [stream_id for stream_id, _, _ in drain(scheduler)] == [1, 3, 1, 3]
