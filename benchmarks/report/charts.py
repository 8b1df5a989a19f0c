"""The charts of the report: one for each figure, its bars grouped by case."""

from dataclasses import dataclass

from benchmarks.report.svg import Bar, Group, chart_svg
from benchmarks.report.text import FIGURES
from benchmarks.results import Results
from benchmarks.servers.registry import SERVERS


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure that is drawn; ``better`` says which way is better.

    With ``servers``, of these alone, in the cases that all of them but the first have.
    """

    file: str
    title: str
    metric: str
    better: str
    servers: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Return the unit of the figure."""
        return FIGURES[self.metric][1]

    def write(self, value: float) -> str:
        """Write a value with its unit."""
        return f"{FIGURES[self.metric][0](value)} {self.unit}"


CHARTS = (
    Chart("cpu.svg", "CPU time per request", "cpu_us", "less is better"),
    Chart(
        "throughput.svg",
        "Requests per second on one core",
        "requests_per_second",
        "more is better",
    ),
    Chart("memory.svg", "Memory after the load", "resident_mib", "less is better"),
    Chart(
        "pieces.svg",
        "What a request costs without a framework, and with httpkit",
        "cpu_us",
        "less is better",
        ("limit", "pieces", "httpkit"),
    ),
)


def bar(chart: Chart, results: Results, case: str, server: str) -> Bar | None:
    """Return the bar of one cell; None if it was not measured at all."""
    family = SERVERS[server].family
    spread = results.spread(case, server, chart.metric)
    if spread is not None:
        return Bar(
            server, family, chart.write(spread.median), spread.median, spread.low, spread.high
        )
    if results.failed(case, server):
        return Bar(server, family, "failed")
    return None


def draw(chart: Chart, results: Results) -> str:
    """Return one chart as SVG."""
    servers = [name for name in results.servers if not chart.servers or name in chart.servers]
    groups = []
    for case in results.cases:
        drawn = {name: bar(chart, results, case, name) for name in servers}
        if all(drawn.get(name) for name in chart.servers[1:]):
            groups.append(Group(case, [each for each in drawn.values() if each is not None]))
    subtitle = (
        f"{chart.unit}, {chart.better}; median and range of the rounds; each case to its own scale"
    )
    return chart_svg(chart.title, subtitle, [group for group in groups if group.bars])
