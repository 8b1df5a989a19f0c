"""The load generator wrk: its command, and what its output says.

A run in which anything went wrong (an error status, a socket error, a timeout) is a
:class:`LoadError` and never a number.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("replay.lua")
GRACE_SECONDS = 20

_COMPLETED = re.compile(r"^\s*(\d+) requests in ", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_PERCENTILE = r"^\s+{}%\s+([\d.]+)(us|ms|s|m|h)\s*$"
_ERRORS = re.compile(r"^\s*((?:Socket errors|Non-2xx or 3xx responses):.*)$", re.MULTILINE)
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}


class LoadError(Exception):
    """The load did not run, or the server did not answer all of it well."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the load generator saw.

    wrk corrects the latencies for coordinated omission and takes a message for one request while
    doing so; where a message holds several, the latencies mean nothing.
    """

    requests: int
    requests_per_second: float
    latency_p50_ms: float
    latency_p99_ms: float


def is_installed() -> bool:
    """Tell whether there is a wrk to run."""
    return shutil.which("wrk") is not None


def version() -> str:
    """Return the version line of wrk."""
    # wrk prints its usage and exits with 1 here; the version is in the first line all the same.
    shown = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return (shown.stdout or shown.stderr).partition("[")[0].removeprefix("wrk ").strip()


def write_messages(path: Path, messages: Sequence[bytes]) -> None:
    """Write the file that ``replay.lua`` reads."""
    path.write_bytes(b"".join(b"%d\n%b" % (len(message), message) for message in messages))


def command(url: str, connections: int, seconds: int, messages: Path) -> list[str]:
    """Return the command of one load: one thread, since it has one core."""
    options = ["-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--latency"]
    return ["wrk", *options, "-s", str(SCRIPT), url, "--", str(messages)]


def run(url: str, connections: int, seconds: int, messages: Path) -> LoadResult:
    """Put the load on the server and wait for its end."""
    line = command(url, connections, seconds, messages)
    try:
        finished = subprocess.run(
            line, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"wrk did not end within {error.timeout:.0f} s") from error
    if finished.returncode != 0:
        raise LoadError(f"wrk ended with {finished.returncode}: {finished.stderr.strip()}")
    return parse(finished.stdout)


def parse(output: str) -> LoadResult:
    """Parse what wrk prints with ``--latency``."""
    if errors := _ERRORS.findall(output):
        raise LoadError("; ".join(errors))
    completed = _COMPLETED.search(output)
    rate = _RATE.search(output)
    if completed is None or rate is None:
        raise LoadError(f"wrk printed something unknown: {output.strip()!r}")
    if int(completed[1]) == 0:
        raise LoadError("no request was answered")
    return LoadResult(
        requests=int(completed[1]),
        requests_per_second=float(rate[1]),
        latency_p50_ms=_percentile(output, 50),
        latency_p99_ms=_percentile(output, 99),
    )


def _percentile(output: str, percent: int) -> float:
    """Return one line of the latency distribution in milliseconds."""
    found = re.search(_PERCENTILE.format(percent), output, re.MULTILINE)
    if found is None:
        raise LoadError(f"wrk printed no {percent}% latency")
    return float(found[1]) * _MILLISECONDS[found[2]]
