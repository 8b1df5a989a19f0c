"""One cell from start to figures, with a load that is made up."""

import dataclasses

import pytest

from benchmarks import machine
from benchmarks.cases import CASES
from benchmarks.load import GENERATORS, Generator, LoadError, LoadResult
from benchmarks.results import Failure, Results
from benchmarks.runner import Cell, Settings, run
from benchmarks.servers.registry import SERVERS


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Run the limit for one round under a load that is made up; return what came out."""

    def measure(result, *, holds=False, warmup=0.25):
        def load(asked):
            loads.append(asked)
            if isinstance(result, Exception):
                raise result
            return result(asked) if callable(result) else result

        loads = []
        generator = Generator("wrk", load, lambda: "0", holds=holds)
        monkeypatch.setitem(GENERATORS, "wrk", generator)
        cells = [Cell(1, CASES["plaintext"], SERVERS["limit"])]
        results = Results({}, {}, "", ["limit"], ["plaintext"])
        reported = []
        run(
            cells,
            Settings(duration=0.5, rounds=1, warmup=warmup),
            machine.choose_cores(),
            tmp_path,
            results=results,
            report=lambda number, cell, outcome: reported.append((number, cell, outcome)),
        )
        assert reported[0] == (1, cells[0], None)
        assert reported[1:] == [(1, cells[0], (results.samples + results.failures)[0])]
        return reported[1][2], loads

    return measure


RESULT = LoadResult(100, 50.0, 1.0, 2.0, cpu_seconds=0.5)


def test_a_load_after_a_warmup_becomes_a_sample(measure):
    sample, loads = measure(RESULT)
    assert [load.seconds for load in loads] == [0.25, 0.5]
    assert {load.case.name for load in loads} == {"plaintext"}
    assert (sample.requests, sample.requests_per_second, sample.cpu_us) == (100, 50.0, 5000.0)
    assert (sample.latency_p50_ms, sample.latency_p99_ms, sample.growth_mib) == (1.0, 2.0, None)
    assert sample.resident_mib > 1


def test_a_load_can_read_what_the_server_takes(measure):
    readings = []

    def read(load):
        readings.append((load.resident(), load.cpu_seconds()))
        return RESULT

    _, (load,) = measure(read, warmup=0)
    ((resident, cpu),) = readings
    assert resident > 1
    assert cpu >= 0
    assert (load.resident(), load.cpu_seconds()) == (0, 0)  # the server is gone


def test_who_holds_connections_gets_no_load_before_and_has_no_cpu_time(measure):
    sample, loads = measure(LoadResult(7, None, growth_mib=3.5), holds=True)
    assert [load.seconds for load in loads] == [0.5]
    assert (sample.cpu_us, sample.requests_per_second) == (None, None)
    assert (sample.connections, sample.growth_mib, sample.growth_kib_each) == (7, 3.5, 512.0)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (dataclasses.replace(RESULT, cpu_seconds=0.0), "took no CPU time"),
        (LoadError("a timeout"), "a timeout; the server's last line: it wrote nothing"),
    ],
)
def test_what_gave_no_number_is_a_failure_with_its_reason(measure, result, reason):
    failure, _ = measure(result)
    assert isinstance(failure, Failure)
    assert (failure.server, failure.case, failure.round) == ("limit", "plaintext", 1)
    assert reason in failure.reason
