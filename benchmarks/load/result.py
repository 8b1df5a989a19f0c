"""What a load generator saw, and how one is run."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

GRACE_SECONDS = 20


class LoadError(Exception):
    """The load did not run, or the server did not answer all of it well."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the load generator saw; the latencies are None where it cannot tell them."""

    requests: int
    requests_per_second: float
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None


def run_program(command: Sequence[str], seconds: int) -> str:
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
