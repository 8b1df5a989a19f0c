"""Runs the rounds: every server in turn for each case, then the next case, then the next round.

So the noise of a machine is spread over all servers, instead of falling on one of them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import procfs, wrk
from benchmarks.cases import CASES, UNKNOWN_TARGET, Case
from benchmarks.machine import Cores
from benchmarks.process import HOST, RunningServer, StartError, last_line, running
from benchmarks.results import Failure, Results, Sample
from benchmarks.servers.registry import SERVERS, Server
from benchmarks.verify import VerificationError, verify

START_SECONDS = 1.5
MAX_OUTPUT_BYTES = 4096
DEV_NULL = Path("/dev/null")


class OutputError(Exception):
    """A server logs when it should not, or does not when it should."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how often each cell is measured; times in seconds."""

    duration: int
    rounds: int
    warmup: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One server under one case in one round."""

    round: int
    case: Case
    server: Server


def plan(cases: Sequence[str], servers: Sequence[str], rounds: int) -> list[Cell]:
    """Return all cells in the order in which they are measured."""
    return [
        Cell(number, CASES[case], SERVERS[server])
        for number in range(1, rounds + 1)
        for case in cases
        for server in servers
        if case in SERVERS[server].only
    ]


def estimate_seconds(cells: Sequence[Cell], settings: Settings) -> float:
    """Return about how long all cells take."""
    return len(cells) * (settings.duration + settings.warmup + START_SECONDS)


def run(
    cells: Sequence[Cell],
    settings: Settings,
    cores: Cores,
    directory: Path,
    *,
    results: Results,
    report: Callable[[int, Cell, Sample | Failure | None], None],
) -> None:
    """Measure every cell into ``results``; ``report`` is called before and after each."""
    for number, cell in enumerate(cells, 1):
        report(number, cell, None)
        outcome = attempt(cell, settings, cores, directory)
        if isinstance(outcome, Sample):
            results.samples.append(outcome)
        else:
            results.failures.append(outcome)
        report(number, cell, outcome)


def attempt(cell: Cell, settings: Settings, cores: Cores, directory: Path) -> Sample | Failure:
    """Measure one cell; whatever is wrong with the server becomes a failure with its reason."""
    output = directory / "output"
    try:
        return measure(cell, settings, cores, output, directory / "messages")
    except (StartError, OutputError) as error:
        reason = str(error)
    except (VerificationError, wrk.LoadError) as error:
        reason = f"{error}; the server's last line: {last_line(output)}"
    return Failure(cell.server.name, cell.case.name, cell.round, reason)


def measure(cell: Cell, settings: Settings, cores: Cores, output: Path, messages: Path) -> Sample:
    """Start the server, verify it, warm it up, load it, and read what it took."""
    case, server = cell.case, cell.server
    if server.access_log:
        check_access_log(server, case, cores, output)
        output = DEV_NULL
    with running(server, case.name, cores.server, output) as process:
        verify(case, HOST, process.port, canned=server.canned)
        wrk.write_messages(messages, case.messages(f"{HOST}:{process.port}"))
        if settings.warmup:
            put_load(case, process, settings.warmup, messages)
        written = output.stat().st_size
        sample = load(cell, settings, cores, process, messages)
        if output.stat().st_size - written > MAX_OUTPUT_BYTES:
            raise OutputError(f"it logs under load: {last_line(output)}")
        return sample


def load(
    cell: Cell, settings: Settings, cores: Cores, process: RunningServer, messages: Path
) -> Sample:
    """Put the load on a verified server and read what the process tree took for it."""
    began = time.monotonic()
    core_before = procfs.read_core_ticks(cores.server)
    cpu_before = procfs.cpu_seconds(procfs.read_tree(process.pid))
    result = put_load(cell.case, process, settings.duration, messages)
    cpu = procfs.cpu_seconds(procfs.read_tree(process.pid)) - cpu_before
    core = (procfs.read_core_ticks(cores.server) - core_before) / procfs.TICKS_PER_SECOND
    seconds = time.monotonic() - began
    memory = procfs.read_memory(process.pid)
    if cpu <= 0:
        raise wrk.LoadError("the server took no CPU time: the load was too short to measure")
    timed = cell.case.depth == 1  # wrk corrects latencies as if each message had one response
    return Sample(
        server=cell.server.name,
        case=cell.case.name,
        round=cell.round,
        requests=result.requests,
        seconds=seconds,
        requests_per_second=result.requests_per_second,
        cpu_us=cpu / result.requests * 1e6,
        latency_p50_ms=result.latency_p50_ms if timed else None,
        latency_p99_ms=result.latency_p99_ms if timed else None,
        resident_mib=memory.resident_mib,
        peak_mib=memory.peak_mib,
        server_busy=cpu / seconds,
        foreign_busy=max(0.0, core - cpu) / seconds,
    )


def put_load(case: Case, process: RunningServer, seconds: int, messages: Path) -> wrk.LoadResult:
    """Replay the messages of the case with wrk."""
    return wrk.run(f"http://{HOST}:{process.port}/", case.connections, seconds, messages)


def check_access_log(server: Server, case: Case, cores: Cores, output: Path) -> None:
    """Check that a server whose access log is measured has one, before it goes to /dev/null."""
    with running(server, case.name, cores.server, output) as process:
        verify(case, HOST, process.port, canned=server.canned)
    if UNKNOWN_TARGET not in output.read_text(errors="replace"):
        raise OutputError("its access log does not show the requests")
