"""Runs the rounds: every server in turn for each case, then the next case, then the next round.

So the noise of a machine is spread over all servers, instead of falling on one of them.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import procfs
from benchmarks.cases import CASES, UNKNOWN, Case
from benchmarks.clients import VerificationError
from benchmarks.credentials import make_credentials
from benchmarks.files import make_files
from benchmarks.load import GENERATORS, Load, LoadError, LoadResult
from benchmarks.machine import Cores
from benchmarks.process import RunningServer, StartError, last_line, running
from benchmarks.results import Failure, Results, Sample
from benchmarks.servers.registry import SERVERS
from benchmarks.servers.server import Materials, Server
from benchmarks.verify import prepare, verify

START_SECONDS = 1.5
MAX_OUTPUT_BYTES = 4096
DEV_NULL = Path("/dev/null")


class OutputError(Exception):
    """A server logs when it should not, or does not when it should."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how often each cell is measured; times in seconds."""

    duration: float
    rounds: int
    warmup: float


@dataclass(frozen=True, slots=True)
class Setup:
    """What all cells of a run share; ``directory`` is for files that end with the run."""

    settings: Settings
    cores: Cores
    directory: Path
    materials: Materials

    def running(self, cell: "Cell", output: Path) -> AbstractContextManager[RunningServer]:
        """Run the server of a cell on its core."""
        return running(cell.server, cell.case, self.cores.server, output, self.materials)


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


def make_materials(cells: Sequence[Cell], directory: Path) -> Materials:
    """Make the certificate of the run, and the files if a case needs them: they are large."""
    root = directory / "www"
    if any(cell.case.needs == "files" for cell in cells):
        make_files(root)
    return Materials(make_credentials(directory), root)


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
    setup = Setup(settings, cores, directory, make_materials(cells, directory))
    for number, cell in enumerate(cells, 1):
        report(number, cell, None)
        outcome = attempt(cell, setup)
        if isinstance(outcome, Sample):
            results.samples.append(outcome)
        else:
            results.failures.append(outcome)
        report(number, cell, outcome)


def attempt(cell: Cell, setup: Setup) -> Sample | Failure:
    """Measure one cell; whatever is wrong with the server becomes a failure with its reason."""
    output = setup.directory / "output"
    try:
        return measure(cell, setup, output)
    except (StartError, OutputError) as error:
        reason = str(error)
    except (VerificationError, LoadError) as error:
        reason = f"{error}; the server's last line: {last_line(output)}"
    return Failure(cell.server.name, cell.case.name, cell.round, reason)


def measure(cell: Cell, setup: Setup, output: Path) -> Sample:
    """Start the server, verify it, warm it up, load it, and read what it took."""
    server = cell.server
    if server.access_log:
        check_access_log(cell, setup, output)
        output = DEV_NULL
    with setup.running(cell, output) as process:
        case = prepare(cell.case, process.endpoint)
        verify(case, process.endpoint, canned=server.canned)
        if setup.settings.warmup and not GENERATORS[case.generator].holds:
            put_load(case, process, setup.settings.warmup, setup.directory)
        written = output.stat().st_size
        sample = load(replace(cell, case=case), setup, process)
        if output.stat().st_size - written > MAX_OUTPUT_BYTES:
            raise OutputError(f"it logs under load: {last_line(output)}")
        return sample


def load(cell: Cell, setup: Setup, process: RunningServer) -> Sample:
    """Put the load on a verified server and read what the process tree took for it."""
    core_number = setup.cores.server
    began = time.monotonic()
    core_before = procfs.read_core_ticks(core_number)
    cpu_before = procfs.read_cpu_seconds(process.pid)
    result = put_load(cell.case, process, setup.settings.duration, setup.directory)
    cpu = procfs.read_cpu_seconds(process.pid) - cpu_before
    core = (procfs.read_core_ticks(core_number) - core_before) / procfs.TICKS_PER_SECOND
    seconds = time.monotonic() - began
    memory = procfs.read_memory(process.pid)
    return Sample(
        server=cell.server.name,
        case=cell.case.name,
        round=cell.round,
        requests=result.requests,
        seconds=seconds,
        requests_per_second=result.requests_per_second,
        cpu_us=None if GENERATORS[cell.case.generator].holds else cpu_per_request(result, cpu),
        latency_p50_ms=result.latency_p50_ms,
        latency_p99_ms=result.latency_p99_ms,
        resident_mib=memory.resident_mib,
        peak_mib=memory.peak_mib,
        server_busy=cpu / seconds,
        foreign_busy=max(0.0, core - cpu) / seconds,
        growth_mib=result.growth_mib,
    )


def cpu_per_request(result: LoadResult, cpu: float) -> float:
    """Return the microseconds of CPU time that a request took."""
    if result.cpu_seconds is not None:
        cpu = result.cpu_seconds
    if cpu <= 0:
        raise LoadError("the server took no CPU time: the load was too short to measure")
    return cpu / result.requests * 1e6


def put_load(case: Case, process: RunningServer, seconds: float, directory: Path) -> LoadResult:
    """Put the load of the case on a server with its generator."""
    return GENERATORS[case.generator].run(
        Load(
            case,
            process.endpoint,
            seconds,
            directory,
            cpu_seconds=partial(procfs.read_cpu_seconds, process.pid),
            resident=lambda: procfs.read_memory(process.pid).resident_mib,
        )
    )


def check_access_log(cell: Cell, setup: Setup, output: Path) -> None:
    """Check that a server whose access log is measured has one, before it goes to /dev/null."""
    with setup.running(cell, output) as process:
        verify(cell.case, process.endpoint, canned=cell.server.canned)
    if UNKNOWN.target not in output.read_text(errors="replace"):
        raise OutputError("its access log does not show the requests")
