"""The load generator wrk, for HTTP/1.1: its command, and what its output says."""

import math
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load.result import Load, LoadError, LoadResult, run_program

SCRIPT = Path(__file__).with_name("replay.lua")

_COMPLETED = re.compile(r"^\s*(\d+) requests in ", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_PERCENTILE = r"^\s+{}%\s+([\d.]+)(us|ms|s|m|h)\s*$"
_ERRORS = re.compile(r"^\s*((?:Socket errors|Non-2xx or 3xx responses):.*)$", re.MULTILINE)
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}


def version() -> str:
    """Return the version of wrk."""
    # wrk prints its usage and exits with 1 here; the version is in the first line all the same.
    shown = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return (shown.stdout or shown.stderr).partition("[")[0].removeprefix("wrk ").strip()


def write_messages(path: Path, messages: Sequence[bytes]) -> None:
    """Write the file that ``replay.lua`` reads."""
    path.write_bytes(b"".join(b"%d\n%b" % (len(message), message) for message in messages))


def command(url: str, connections: int, seconds: float, messages: Path) -> list[str]:
    """Return the command of one load: one thread, since it has one core; for whole seconds."""
    options = ["-t", "1", "-c", str(connections), "-d", f"{math.ceil(seconds)}s", "--latency"]
    return ["wrk", *options, "-s", str(SCRIPT), url, "--", str(messages)]


def run(load: Load) -> LoadResult:
    """Replay the messages of the case and wait for the end."""
    case, endpoint = load.case, load.endpoint
    messages = load.directory / "messages"
    write_messages(messages, case.messages(endpoint.authority))
    line = command(endpoint.url(), case.connections, load.seconds, messages)
    # wrk corrects latencies for coordinated omission as if each message had one response.
    return parse(run_program(line, load.seconds), timed=case.depth == 1)


def parse(output: str, *, timed: bool = True) -> LoadResult:
    """Parse what wrk prints with ``--latency``; it is left out where it means nothing."""
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
        latency_p50_ms=_percentile(output, 50) if timed else None,
        latency_p99_ms=_percentile(output, 99) if timed else None,
    )


def _percentile(output: str, percent: int) -> float:
    """Return one line of the latency distribution in milliseconds."""
    found = re.search(_PERCENTILE.format(percent), output, re.MULTILINE)
    if found is None:
        raise LoadError(f"wrk printed no {percent}% latency")
    return float(found[1]) * _MILLISECONDS[found[2]]
