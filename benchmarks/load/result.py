"""What a load generator is asked to do, what it saw, and how a program that is one is run."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.endpoint import Endpoint

GRACE_SECONDS = 20


class LoadError(Exception):
    """The load did not run, or the server did not answer all of it well."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator is asked to do.

    ``directory`` is for its files. ``cpu_seconds`` and ``resident`` read what the server, all its
    processes together, has used until now and how many MiB it has in memory.
    """

    case: Case
    endpoint: Endpoint
    seconds: float
    directory: Path
    cpu_seconds: Callable[[], float]
    resident: Callable[[], float]


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the load generator saw; a figure is None where it cannot tell it.

    ``requests`` is how many there were, or how many connections have been held. ``growth_mib`` is
    how much more memory the server had while it held them. ``cpu_seconds`` is the server's CPU time
    where it was not that of the whole load.
    """

    requests: int
    requests_per_second: float | None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    growth_mib: float | None = None
    cpu_seconds: float | None = None


def run_program(command: Sequence[str], seconds: float) -> str:
    """Run a load generator for some seconds and return what it printed."""
    program = command[0]
    try:
        finished = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"{program} did not end within {error.timeout:.0f} s") from error
    if finished.returncode != 0:
        raise LoadError(f"{program} ended with {finished.returncode}: {finished.stderr.strip()}")
    return finished.stdout
