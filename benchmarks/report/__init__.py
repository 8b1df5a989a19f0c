"""The report of one run: JSON with every round, a Markdown page, and SVG charts."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bars import Verdict
from benchmarks.report.charts import CHARTS, draw
from benchmarks.report.markdown import render
from benchmarks.report.text import bar_line, cell_line
from benchmarks.results import Results

__all__ = ["bar_line", "cell_line", "write_report"]


def write_report(results: Results, verdicts: Sequence[Verdict], directory: Path) -> list[Path]:
    """Write all files of the report and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {"results.md": render(results, verdicts), "results.json": to_json(results, verdicts)}
    files |= {chart.file: draw(chart, results) for chart in CHARTS}
    paths = []
    for name, text in files.items():
        path = directory / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def to_json(results: Results, verdicts: Sequence[Verdict]) -> str:
    """Serialize everything that was measured, and the bars with it."""
    bars = [
        {
            "case": verdict.bar.case,
            "server": verdict.bar.server,
            "peer": verdict.bar.peer,
            "peer_case": verdict.bar.compared_with,
            "metric": verdict.bar.kind.metric,
            "relation": verdict.bar.kind.relation,
            "limit": verdict.bar.limit,
            "measured": verdict.measured.median if verdict.measured else None,
            "passed": verdict.passed,
        }
        for verdict in verdicts
    ]
    return json.dumps(results.as_dict() | {"bars": bars}, indent=2) + "\n"
