"""The load generator h2load, for HTTP/2: its command, and what its output says.

h2load ends with 0 whatever happened, even if nobody answered, so its output is read strictly. It
prints no percentiles of the latency.
"""

import re
import subprocess

from benchmarks.cases import Case
from benchmarks.endpoint import CIPHER, Endpoint
from benchmarks.load.result import Load, LoadError, LoadResult, run_program

_FINISHED = re.compile(r"^finished in [\d.]+\w+, ([\d.]+) req/s", re.MULTILINE)
_REQUESTS = re.compile(
    r"^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, "
    r"(\d+) failed, (\d+) errored, (\d+) timeout$",
    re.MULTILINE,
)
_STATUS = re.compile(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx$", re.MULTILINE)
_PROTOCOL = re.compile(r"^Application protocol: (\S+)$", re.MULTILINE)
_SLOWEST_CLIENT = re.compile(r"^req/s\s+:\s+([\d.]+)", re.MULTILINE)


def version() -> str:
    """Return the version of h2load."""
    shown = subprocess.run(["h2load", "--version"], capture_output=True, text=True, check=True)
    return shown.stdout.strip().removeprefix("h2load ")


def command(case: Case, endpoint: Endpoint, seconds: float) -> list[str]:
    """Return the command of one load: one thread, since it has one core.

    h2load counts in timed runs what is answered in time; what is in flight then is dropped.
    """
    (request,) = case.requests()
    return [
        *("h2load", "-t", "1", "-D", f"{seconds * 1000:.0f}ms"),
        *("-c", str(case.connections), "-m", str(case.depth)),
        *("--npn-list=h2", "--no-tls-proto=h2c", f"--tls13-ciphers={CIPHER}"),
        *(part for name, value in request.headers for part in ("-H", f"{name}: {value}")),
        endpoint.url(request.target),
    ]


def run(load: Load) -> LoadResult:
    """Put the load on the server and wait for its end."""
    output = run_program(command(load.case, load.endpoint, load.seconds), load.seconds)
    return parse(output, "h2" if load.case.tls else "h2c")


def parse(output: str, protocol: str) -> LoadResult:
    """Parse what h2load prints at the end of a timed run.

    Raises:
        LoadError: A request was not answered with 2xx, a connection carried no request, the
            protocol is another one, or the output is not understood.
    """
    finished, requests = _FINISHED.search(output), _REQUESTS.search(output)
    status, slowest = _STATUS.search(output), _SLOWEST_CLIENT.search(output)
    if finished is None or requests is None or status is None or slowest is None:
        raise LoadError(f"h2load printed something unknown: {output.strip()!r}")
    done, succeeded, *unsuccessful = map(int, requests.groups())
    good, *others = map(int, status.groups())
    # An answer that has begun but not ended in time has a status, and is not done.
    if any(unsuccessful) or any(others) or not done == succeeded <= good:
        raise LoadError(f"{requests[0]}; {status[0]}")
    if done == 0:
        raise LoadError("no request was answered")
    if set(_PROTOCOL.findall(output)) != {protocol}:
        raise LoadError(f"the protocol is {_PROTOCOL.findall(output)}, not {protocol}")
    if float(slowest[1]) == 0:
        raise LoadError("a connection carried no request")
    return LoadResult(requests=done, requests_per_second=float(finished[1]))
