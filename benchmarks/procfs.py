"""What Linux knows of a process and all its children: CPU time and memory, from /proc."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """The fields of ``/proc/<pid>/stat`` that matter here; ``ticks`` is CPU time.

    ``ticks`` is user and system time of all threads, and of the children that have already ended
    and been waited for (proc(5): utime, stime, cutime, cstime).
    """

    pid: int
    parent: int
    ticks: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process tree in MiB; pages that processes share count for each."""

    resident_mib: float
    peak_mib: float


def parse_stat(text: str) -> ProcessStat:
    """Parse one ``/proc/<pid>/stat``; the command's name may hold spaces and parentheses."""
    before, _, after = text.rpartition(")")
    fields = after.split()
    # After the name come field 3 (state) and 4 (parent); 14 to 17 are the CPU times.
    return ProcessStat(
        pid=int(before.partition("(")[0]),
        parent=int(fields[1]),
        ticks=sum(int(field) for field in fields[11:15]),
    )


def parse_memory(text: str) -> Memory:
    """Parse one ``/proc/<pid>/status``; a process that has just ended has no memory lines."""
    values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def mib(name: str) -> float:
        return int(values.get(name, "0").split()[0]) / 1024

    return Memory(mib("VmRSS"), mib("VmHWM"))


def parse_core_ticks(text: str, core: int) -> int:
    """Return the ticks in which a core was not idle, stolen ones included, from /proc/stat."""
    for line in text.splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, interrupt, soft, stolen = map(int, fields[:8])
            return user + nice + system + interrupt + soft + stolen
    raise ValueError(f"no core {core} in /proc/stat")


def select_tree(stats: Mapping[int, ProcessStat], root: int) -> list[ProcessStat]:
    """Return the root and all its descendants."""
    found = [stats[root]] if root in stats else []
    for parent in found:  # grows while it is walked
        found += [stat for stat in stats.values() if stat.parent == parent.pid]
    return found


def cpu_seconds(tree: Iterable[ProcessStat]) -> float:
    """Return the CPU time of a process tree."""
    return sum(stat.ticks for stat in tree) / TICKS_PER_SECOND


def read_tree(root: int) -> list[ProcessStat]:
    """Read the process tree below ``root`` as it is now."""
    stats = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                stat = parse_stat((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            stats[stat.pid] = stat
    return select_tree(stats, root)


def read_cpu_seconds(root: int) -> float:
    """Read the CPU time of the process tree below ``root`` until now."""
    return cpu_seconds(read_tree(root))


def read_memory(root: int) -> Memory:
    """Read the memory of the process tree below ``root`` as it is now."""
    parts = []
    for stat in read_tree(root):
        try:
            parts.append(parse_memory((PROC / str(stat.pid) / "status").read_text()))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return Memory(sum(part.resident_mib for part in parts), sum(part.peak_mib for part in parts))


def read_core_ticks(core: int) -> int:
    """Read how long a core has been busy."""
    return parse_core_ticks((PROC / "stat").read_text(), core)
