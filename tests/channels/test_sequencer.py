"""One order for all workers: numbers, and what waits for those that are missing."""

import gc
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.channels import sequencer
from httpkit.channels.sequencer import LocalNumbers, Sequencer, SharedNumbers
from tests.app.conftest import fuzz


def test_what_comes_in_order_goes_on_at_once():
    found = Sequencer(4)
    assert [found.receive(number, number) for number in (5, 6)] == [[5], [6]]
    assert (found.position, found.gap_until) == (6, 0)


def test_what_comes_early_waits():
    found = Sequencer(0)
    assert found.receive(3, "c") == found.receive(2, "b") == []
    assert found.gap_until == 3
    assert found.receive(1, "a") == ["a", "b", "c"]
    assert found.gap_until == 0


def test_what_is_missing_is_skipped_and_then_too_late():
    found = Sequencer(0)
    found.receive(2, "b")
    found.receive(5, "e")
    assert found.skip(2) == ["b"]
    assert (found.position, found.gap_until, found.missed) == (2, 5, 1)
    assert found.receive(1, "a") == found.receive(2, "b") == []
    assert found.skip(4) == ["e"]
    assert (found.position, found.missed) == (5, 3)


def test_numbers_that_are_known_to_exist_are_waited_for():
    found = Sequencer(0)
    found.expect(2)
    assert found.gap_until == 2
    assert found.receive(1, "a") == ["a"]
    assert found.gap_until == 2
    assert found.skip(2) == []
    assert (found.position, found.gap_until, found.missed) == (2, 0, 1)


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(sequencer, "_MAX_HELD", 3)
    found = Sequencer(0)
    for number in (2, 4, 6):
        assert found.receive(number, number) == []
    assert found.receive(8, 8) == [2, 4, 6, 8]
    assert (found.position, found.missed) == (8, 4)


@fuzz
@given(st.permutations(range(1, 30)), st.sets(st.integers(1, 29)), st.data())
def test_any_order_of_arrival_gives_one_order(numbers, lost, data):
    found = Sequencer(0)
    delivered = []
    for number in numbers:
        if number not in lost:
            delivered += found.receive(number, number)
        if data.draw(st.booleans()):
            delivered += found.receive(number, number) if number not in lost else []  # twice
    delivered += found.skip(29)
    assert delivered == [number for number in range(1, 30) if number not in lost]
    assert found.missed == len(lost)
    assert not found._held


# --- numbers -------------------------------------------------------------------------------------


def test_local_numbers():
    numbers = LocalNumbers(7)
    assert [numbers.last(), numbers.draw(), numbers.draw(), numbers.last()] == [0, 1, 2, 2]
    numbers.close()
    assert numbers.epoch == 7


def test_every_number_is_drawn_once(tmp_path):
    path = str(tmp_path / "numbers")
    drawn = []

    def draw():
        numbers = SharedNumbers(path, 7)
        assert numbers.epoch == 7
        drawn.extend([numbers.draw() for _ in range(500)])
        numbers.close()

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(drawn) == list(range(1, 2001))
    later = SharedNumbers(path, 8)
    assert (later.epoch, later.last()) == (7, 2000), "the file goes on"
    later.close()
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_what_cannot_be_mapped_is_closed(monkeypatch, tmp_path):
    def fail(*_):
        raise OSError("no memory")

    monkeypatch.setattr(sequencer.mmap, "mmap", fail)
    gc.collect()  # what other tests have left is not counted
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="no memory"):
        SharedNumbers(str(tmp_path / "numbers"), 7)
    assert len(os.listdir("/proc/self/fd")) == before
