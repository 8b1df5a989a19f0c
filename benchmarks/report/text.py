"""How figures are written, in one place for the terminal, the Markdown page and the charts."""

from collections.abc import Callable

from benchmarks.bars import Bar, Verdict
from benchmarks.results import Sample

WORDS = {True: "pass", False: "FAIL", None: "not measured"}


def rate(value: float) -> str:
    """Write requests per second, with a decimal where they are few."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def micros(value: float) -> str:
    """Write microseconds with three significant digits where they are small."""
    if value >= 1000:
        return f"{value:,.0f}"
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


def tenths(value: float) -> str:
    """Write a small amount of memory."""
    return f"{value:.1f}"


def count(value: float) -> str:
    """Write a number of things."""
    return f"{value:,.0f}"


#: How each figure is written, and its unit.
FIGURES: dict[str, tuple[Callable[[float], str], str]] = {
    "cpu_us": (micros, "µs"),
    "requests_per_second": (rate, "req/s"),
    "resident_mib": (mebibytes, "MiB"),
    "growth_mib": (tenths, "MiB"),
}


def cell_line(sample: Sample) -> str:
    """Return one measurement as a line of the terminal."""
    memory = f"{mebibytes(sample.resident_mib):>5} MiB"
    if sample.growth_mib is not None:
        return f"{count(sample.requests)} connections: {tenths(sample.growth_mib)} more of {memory}"
    figures = [
        "" if value is None else write(value)
        for value, write in (
            (sample.requests_per_second, rate),
            (sample.cpu_us, micros),
            (sample.latency_p99_ms, millis),
        )
    ]
    return "{:>9} req/s {:>7} µs CPU  p99 {:>6} ms {}".format(*figures, memory)


def bar_limit(verdict: Verdict) -> str:
    """Write how what was measured has to stand to which limit."""
    return f"{verdict.bar.kind.relation} {measure(verdict.bar, verdict.bar.limit)}"


def measure(bar: Bar, value: float) -> str:
    """Write a ratio, or a figure with its unit where the bar has no peer."""
    if bar.peer:
        return ratio(value)
    write, unit = FIGURES[bar.kind.metric]
    return f"{write(value)} {unit}"


def bar_line(verdict: Verdict) -> str:
    """Return one bar as a line of the terminal."""
    bar = verdict.bar
    line = f"{WORDS[verdict.passed]:<13}{bar.case:<21}{bar.pair} {bar_limit(verdict)}"
    if verdict.measured is None:
        return line
    figures = f" ({bar_figures(verdict)})" if bar.peer else ""
    return f"{line}: {measure(bar, verdict.measured.median)}{figures}"


def bar_figures(verdict: Verdict) -> str:
    """Write the two figures that a bar compares, with their unit; empty if one is missing."""
    if verdict.server_figure is None or verdict.peer_figure is None:
        return ""
    write, unit = FIGURES[verdict.bar.kind.metric]
    return f"{write(verdict.server_figure)} / {write(verdict.peer_figure)} {unit}"
