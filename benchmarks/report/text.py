"""How figures are written, in one place for the terminal, the Markdown page and the charts."""

from collections.abc import Callable

from benchmarks.bars import Verdict
from benchmarks.results import Sample

WORDS = {True: "pass", False: "FAIL", None: "not measured"}


def rate(value: float) -> str:
    """Write requests per second, with a decimal where they are few."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def micros(value: float) -> str:
    """Write microseconds with three significant digits where they are small."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def millis(value: float) -> str:
    """Write milliseconds."""
    return f"{value:.2f}"


def ratio(value: float) -> str:
    """Write a ratio or its limit, with a further decimal where it is small."""
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def mebibytes(value: float) -> str:
    """Write MiB."""
    return f"{value:.0f}"


#: How each figure is written, and its unit.
FIGURES: dict[str, tuple[Callable[[float], str], str]] = {
    "cpu_us": (micros, "µs"),
    "requests_per_second": (rate, "req/s"),
    "resident_mib": (mebibytes, "MiB"),
}


def cell_line(sample: Sample) -> str:
    """Return one measurement as a line of the terminal."""
    p99 = "" if sample.latency_p99_ms is None else millis(sample.latency_p99_ms)
    return (
        f"{rate(sample.requests_per_second):>9} req/s {micros(sample.cpu_us):>7} µs CPU"
        f"  p99 {p99:>6} ms {mebibytes(sample.resident_mib):>5} MiB"
    )


def bar_line(verdict: Verdict) -> str:
    """Return one bar as a line of the terminal."""
    bar = verdict.bar
    limit = f"{bar.kind.relation} {ratio(bar.limit)}"
    line = f"{WORDS[verdict.passed]:<13}{bar.case:<21}{bar.pair} {limit}"
    if verdict.ratio is None:
        return line
    return f"{line}: {ratio(verdict.ratio.median)} ({bar_figures(verdict)})"


def bar_figures(verdict: Verdict) -> str:
    """Write the two figures that a bar compares, with their unit; empty if one is missing."""
    if verdict.server_figure is None or verdict.peer_figure is None:
        return ""
    write, unit = FIGURES[verdict.bar.kind.metric]
    return f"{write(verdict.server_figure)} / {write(verdict.peer_figure)} {unit}"
