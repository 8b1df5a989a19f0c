"""CPU time and memory of a process tree, from the text of /proc."""

import os

import pytest

from benchmarks import procfs
from benchmarks.machine import parse_core_list
from benchmarks.procfs import Memory, ProcessStat

TAIL = "0 -1 4194304 1 2 3 4 {} {} {} {} 20 0 4 0 100 1 2"


def stat_text(pid, name, parent, user=0, system=0, child_user=0, child_system=0):
    times = TAIL.format(user, system, child_user, child_system)
    return f"{pid} ({name}) S {parent} {pid} {pid} {times}\n"


def test_stat_adds_user_and_system_time_of_process_and_ended_children():
    # state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime ...
    text = "42 (python3) S 7 42 42 0 -1 4194304 900 0 1 0 120 30 5 1 20 0 4 0 100 1 2"
    assert procfs.parse_stat(text) == ProcessStat(42, 7, 156)


@pytest.mark.parametrize("name", ["python3", "a b", "a) S 1 (b", "((", "granian worker-1)"])
def test_stat_survives_any_name(name):
    stat = procfs.parse_stat(stat_text(5, name, 4, 10, 20, 3, 4))
    assert stat == ProcessStat(5, 4, 37)


def test_tree_holds_all_descendants_and_nobody_else():
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 13: 10, 20: 1, 21: 20}
    stats = {pid: ProcessStat(pid, parent, pid) for pid, parent in parents.items()}
    assert sorted(stat.pid for stat in procfs.select_tree(stats, 10)) == [10, 11, 12, 13]
    assert procfs.select_tree(stats, 99) == []


def test_cpu_seconds_sums_the_tree():
    tree = [ProcessStat(1, 0, procfs.TICKS_PER_SECOND), ProcessStat(2, 1, 0)]
    assert procfs.cpu_seconds(tree) == 1.0


def test_memory_is_in_mib():
    text = "Name:\tpython3\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t1\n"
    assert procfs.parse_memory(text) == Memory(resident_mib=10.0, peak_mib=20.0)


def test_memory_of_an_ended_process_is_nothing():
    assert procfs.parse_memory("Name:\tpython3\nState:\tZ (zombie)\n") == Memory(0.0, 0.0)


def test_core_ticks_leave_out_idle_and_waiting():
    text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 1000 2000 4 5 6 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\n"
    assert procfs.parse_core_ticks(text, 0) == 21
    assert procfs.parse_core_ticks(text, 1) == 0
    with pytest.raises(ValueError, match="no core 2"):
        procfs.parse_core_ticks(text, 2)


@pytest.mark.skipif(not procfs.PROC.joinpath("self/stat").exists(), reason="needs /proc")
def test_reads_this_very_process():
    tree = procfs.read_tree(os.getpid())
    assert tree[0].pid == os.getpid()
    assert procfs.cpu_seconds(tree) > 0
    memory = procfs.read_memory(os.getpid())
    assert 0 < memory.resident_mib <= memory.peak_mib


@pytest.mark.parametrize(
    ("text", "cores"), [("0\n", {0}), ("0-2,5\n", {0, 1, 2, 5}), ("1,3", {1, 3})]
)
def test_core_list(text, cores):
    assert parse_core_list(text) == cores
