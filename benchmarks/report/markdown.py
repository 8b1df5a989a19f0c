"""The Markdown page of the report."""

from collections.abc import Callable, Sequence

from benchmarks.bars import Verdict
from benchmarks.cases import CASES
from benchmarks.report.charts import CHARTS
from benchmarks.report.text import WORDS, bar_figures, mebibytes, micros, millis, rate
from benchmarks.report.text import ratio as write_ratio
from benchmarks.results import DISTURBED, Results, Spread
from benchmarks.servers.registry import SERVERS

IDLE = 0.9
COLUMNS: tuple[tuple[str, str, Callable[[float], str], bool], ...] = (
    ("CPU µs/request", "cpu_us", micros, True),
    ("requests/s", "requests_per_second", rate, True),
    ("p50 ms", "latency_p50_ms", millis, False),
    ("p99 ms", "latency_p99_ms", millis, False),
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


def marks(results: Results, case: str, server: str) -> str:
    """Return the footnote marks of one cell."""
    busy = results.spread(case, server, "server_busy")
    foreign = results.spread(case, server, "foreign_busy")
    idle = " †" if busy and foreign and busy.median + foreign.median < IDLE else ""
    return idle + (" ‡" if foreign and foreign.median > DISTURBED else "")


def server_row(results: Results, case: str, server: str) -> list[str]:
    """Return the row of one server in the table of a case."""
    if results.failed(case, server):
        return [server, "**failed**", *[""] * (len(COLUMNS) - 1)]
    row = [server + marks(results, case, server)]
    for _, metric, write, ranged in COLUMNS:
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
    header = ["server", *(title for title, *_ in COLUMNS)]
    rows = [server_row(results, case, server) for server in servers]
    lines = [f"## {case}", "", CASES[case].title + ".", "", *table(header, rows, 1), ""]
    for server in servers:
        lines += [
            f"- **{server} failed** in round {failure.round}: `{failure.reason}`"
            for failure in results.failed(case, server)
        ]
    return [*lines, ""] if lines[-1] else lines


def bars_section(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the section of the bars."""
    rows = []
    for verdict in verdicts:
        bar, ratio = verdict.bar, verdict.ratio
        measured = write_spread(ratio, write_ratio, ranged=True) if ratio else ""
        word = WORDS[verdict.passed]
        bold = f"**{word}**" if verdict.passed is False else word
        limit = f"{bar.kind.relation} {write_ratio(bar.limit)}"
        figures = bar_figures(verdict)
        rows.append([bar.case, bar.kind.title, bar.pair, bold, limit, measured, figures])
    header = ["case", "figure", "server / peer", "result", "bar", "measured", "figures"]
    return ["## Bars", "", *table(header, rows, 4), ""]


def facts_section(results: Results) -> list[str]:
    """Return how and on what the run was made, and what the servers are."""
    settings = results.settings
    ran = (
        f"Started {results.started}: {settings['rounds']} round(s) of {settings['duration']} s "
        f"for each cell after {settings['warmup']} s of warmup."
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
