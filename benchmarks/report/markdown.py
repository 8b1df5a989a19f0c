"""The Markdown page of the report."""

from collections.abc import Callable, Sequence

from benchmarks.bars import Verdict
from benchmarks.cases import CASES
from benchmarks.report.charts import CHARTS
from benchmarks.report.text import (
    WORDS,
    bar_figures,
    bar_limit,
    count,
    measure,
    mebibytes,
    micros,
    millis,
    rate,
    tenths,
)
from benchmarks.results import DISTURBED, Results, Spread
from benchmarks.servers.registry import SERVERS

IDLE = 0.9
#: Title, figure, how it is written, and whether the range of the rounds is shown.
Column = tuple[str, str, Callable[[float], str], bool]
COLUMNS: tuple[Column, ...] = (
    ("CPU µs/request", "cpu_us", micros, True),
    ("requests/s", "requests_per_second", rate, True),
    ("p50 ms", "latency_p50_ms", millis, False),
    ("p99 ms", "latency_p99_ms", millis, False),
    ("connections", "connections", count, True),
    ("growth MiB", "growth_mib", tenths, True),
    ("KiB/connection", "growth_kib_each", tenths, False),
    ("RSS MiB", "resident_mib", mebibytes, False),
    ("peak MiB", "peak_mib", mebibytes, False),
)
LEGEND = (
    "Medians over the rounds, in parentheses the lowest and the highest round. "
    "CPU is user and system time of the server with all its processes. "
    "† the server was idle for more than a tenth of the time: the load generator was the limit, "
    "so the throughput is a lower bound (CPU per request stays right). "
    "‡ others took more than a twentieth of the server's core."
)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int) -> list[str]:
    """Return the lines of a table; all columns but the first are figures, to the right."""
    rule = ["---" if index < text_columns else "---:" for index in range(len(header))]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]


def write_spread(spread: Spread, write: Callable[[float], str], *, ranged: bool) -> str:
    """Write a median, with the range of the rounds where it is wanted."""
    if not ranged or spread.low == spread.high:
        return write(spread.median)
    return f"{write(spread.median)} ({write(spread.low)}..{write(spread.high)})"


def columns(results: Results, case: str, servers: Sequence[str]) -> list[Column]:
    """Return the columns in which a case has figures; all of them if no server has any."""
    shown = [
        column
        for column in COLUMNS
        if any(results.spread(case, server, column[1]) for server in servers)
    ]
    return shown or list(COLUMNS)


def marks(results: Results, case: str, server: str) -> str:
    """Return the footnote marks of one cell; who only holds connections is idle anyway."""
    if results.spread(case, server, "connections"):
        return ""
    busy = results.spread(case, server, "server_busy")
    foreign = results.spread(case, server, "foreign_busy")
    idle = " †" if busy and foreign and busy.median + foreign.median < IDLE else ""
    return idle + (" ‡" if foreign and foreign.median > DISTURBED else "")


def server_row(results: Results, case: str, server: str, shown: Sequence[Column]) -> list[str]:
    """Return the row of one server in the table of a case."""
    if results.failed(case, server):
        return [server, "**failed**", *[""] * (len(shown) - 1)]
    row = [server + marks(results, case, server)]
    for _, metric, write, ranged in shown:
        spread = results.spread(case, server, metric)
        row.append(write_spread(spread, write, ranged=ranged) if spread else "")
    return row


def case_section(results: Results, case: str) -> list[str]:
    """Return the section of one case."""
    servers = [
        server
        for server in results.servers
        if results.cell(case, server) or results.failed(case, server)
    ]
    shown = columns(results, case, servers)
    header = ["server", *(title for title, *_ in shown)]
    rows = [server_row(results, case, server, shown) for server in servers]
    lines = [f"## {case}", "", CASES[case].title + ".", "", *table(header, rows, 1), ""]
    for server in servers:
        lines += [
            f"- **{server} failed** in round {failure.round}: `{failure.reason}`"
            for failure in results.failed(case, server)
        ]
    return [*lines, ""] if lines[-1] else lines


def write_measured(verdict: Verdict) -> str:
    """Write what a bar has measured, with the range of the rounds; empty if nothing."""
    if verdict.measured is None:
        return ""
    return write_spread(verdict.measured, lambda value: measure(verdict.bar, value), ranged=True)


def bars_section(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the section of the bars."""
    rows = []
    for verdict in verdicts:
        bar = verdict.bar
        word = WORDS[verdict.passed]
        rows.append(
            [
                bar.case,
                bar.kind.title,
                bar.pair,
                f"**{word}**" if verdict.passed is False else word,
                bar_limit(verdict),
                write_measured(verdict),
                bar_figures(verdict),
            ]
        )
    header = ["case", "figure", "server / peer", "result", "bar", "measured", "figures"]
    return ["## Bars", "", *table(header, rows, 4), ""]


def facts_section(results: Results) -> list[str]:
    """Return how and on what the run was made, and what the servers are."""
    settings = results.settings
    ran = (
        f"Started {results.started}: {settings['rounds']:g} round(s) of {settings['duration']:g} s "
        f"for each cell after {settings['warmup']:g} s of warmup."
    )
    facts = table(["fact", "value"], [[name, value] for name, value in results.facts.items()], 2)
    servers = [f"- `{name}`: {SERVERS[name].title}" for name in results.servers]
    return ["## How it was measured", "", ran, "", *facts, "", *servers, ""]


def render(results: Results, verdicts: Sequence[Verdict]) -> str:
    """Return the whole page."""
    lines = ["# Benchmarks", "", LEGEND, ""]
    lines += [f"![{chart.title}]({chart.file})" for chart in CHARTS]
    lines += ["", *bars_section(verdicts)]
    for case in results.cases:
        lines += case_section(results, case)
    return "\n".join([*lines, *facts_section(results)])
