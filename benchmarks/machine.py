"""The machine: which cores the benchmark uses, and the facts that the report names."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.load import GENERATORS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    *("httpkit", "h11", "httptools", "h2", "hpack", "ngh2", "uvloop", "msgspec"),
    *("granian", "uvicorn", "zttp", "websockets", "starlette"),
    *("hypercorn", "sanic", "aiohttp"),
)
_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the server and the core of the load generator."""

    server: int
    load: int

    @property
    def shared(self) -> bool:
        """Tell whether both have to live on one core."""
        return self.server == self.load


def parse_core_list(text: str) -> set[int]:
    """Parse a list of cores as Linux writes it: ``0-2,5``."""
    cores: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return cores


def choose_cores() -> Cores:
    """Choose two cores, if possible ones that are not two threads of one physical core."""
    available = sorted(os.sched_getaffinity(0))
    server, *others = available
    try:
        siblings = parse_core_list(Path(_TOPOLOGY.format(server)).read_text())
    except FileNotFoundError:
        siblings = set()
    apart = [core for core in others if core not in siblings]
    return Cores(server, (apart or others or available)[0])


def raise_descriptor_limit() -> None:
    """Let this process and those it starts open as many sockets as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Pin this process, and what it starts meanwhile, to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_model() -> str:
    """Return the name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def package_version(name: str) -> str | None:
    """Return the installed version of a package, if any."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """Return the commit of this checkout, marked if files differ from it."""
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(describe, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return found.stdout.strip() or None


def facts(cores: Cores) -> dict[str, str]:
    """Return what one has to know of the machine to read the figures."""
    found = {
        "CPU": cpu_model(),
        "cores": str(os.cpu_count()),
        "server core": str(cores.server),
        "load generator core": f"{cores.load} (the same)" if cores.shared else str(cores.load),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {sys.version.split()[0]}",
    }
    found |= {each.name: each.version() for each in GENERATORS.values() if each.installed}
    found |= {name: version for name in PACKAGES if (version := package_version(name))}
    if (described := commit()) is not None:
        found["commit"] = described
    return found
