"""The command line: ``python -m benchmarks --help``.

Exit codes: 0 all well, 1 a cell failed or a bar was missed, 2 the benchmark cannot run,
130 interrupted.
"""

import importlib.util
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks import machine
from benchmarks.bars import Verdict, judge_all
from benchmarks.cases import CASES
from benchmarks.load import GENERATORS
from benchmarks.report import bar_line, cell_line, write_report
from benchmarks.results import Failure, Results, Sample
from benchmarks.runner import Cell, Settings, estimate_seconds, plan, run
from benchmarks.servers.registry import SERVERS

GENERATOR_MISSING = (
    "{name}, a load generator, is not installed: "
    "install the Debian package {package} (apt install {package})."
)
FULL = Settings(duration=5, rounds=3, warmup=1)
SECONDS = click.FloatRange(0, min_open=True)
QUICK = Settings(duration=1, rounds=1, warmup=1)


class Names(click.ParamType[list[str]]):
    """Comma-separated names out of a known set, kept in the order of the set."""

    name = "names"

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """Turn the text into names, or say which names there are."""
        wanted = {name.strip() for name in str(value).split(",")}
        if unknown := wanted - set(self.known):
            self.fail(
                f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(self.known)}",
                param,
                ctx,
            )
        return [name for name in self.known if name in wanted]


@click.command()
@click.option("--cases", type=Names(list(CASES)), help="Comma-separated cases.  [default: all]")
@click.option(
    "--servers", type=Names(list(SERVERS)), help="Comma-separated servers.  [default: all]"
)
@click.option("--duration", type=SECONDS, help="Seconds of each measurement.  [default: 5]")
@click.option("--rounds", type=click.IntRange(1), help="Rounds over all cells.  [default: 3]")
@click.option("--warmup", type=click.FloatRange(0), help="Seconds of load before it.  [default: 1]")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=machine.ROOT / "docs" / "benchmarks",
    help="Folder of the report.  [default: docs/benchmarks]",
)
@click.option("--quick", is_flag=True, help="One round of one second: a smoke test, no figure.")
def main(
    *,
    cases: list[str] | None,
    servers: list[str] | None,
    duration: float | None,
    rounds: int | None,
    warmup: float | None,
    output: Path,
    quick: bool,
) -> None:
    """Measure httpkit and its peers, one at a time, and judge the bars."""
    cases = cases or list(CASES)
    require_generators(cases)
    machine.raise_descriptor_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    defaults = QUICK if quick else FULL
    settings = Settings(
        duration=duration or defaults.duration,
        rounds=rounds or defaults.rounds,
        warmup=defaults.warmup if warmup is None else warmup,
    )
    chosen = installed(list(SERVERS) if servers is None else servers)
    try:
        results = collect(cases, chosen, settings)
    except KeyboardInterrupt:
        click.secho("\ninterrupted: nothing was written", fg="red", err=True)
        sys.exit(130)
    verdicts = judge_all(results)
    paths = write_report(results, verdicts, output)
    summarize(results, verdicts, paths)
    sys.exit(1 if results.failures or any(v.passed is False for v in verdicts) else 0)


def require_generators(cases: list[str]) -> None:
    """End with a message for each load generator that the cases need and that is missing."""
    needed = {CASES[case].generator for case in cases}
    missing = [each for each in GENERATORS.values() if each.name in needed and not each.installed]
    for each in missing:
        message = GENERATOR_MISSING.format(name=each.name, package=each.package)
        click.secho(message, fg="red", err=True)
    if missing:
        sys.exit(2)


def installed(servers: list[str]) -> list[str]:
    """Leave out the servers that cannot run here, and say so."""
    found = []
    for name in servers:
        server = SERVERS[name]
        missing = [m for m in server.requires if importlib.util.find_spec(m) is None]
        if server.program and shutil.which(server.program[0]) is None:
            missing.append(f"the Debian package {server.program[1]}")
        if missing:
            note(f"left out: {name} needs {', '.join(missing)}", "yellow")
        else:
            found.append(name)
    if not found:
        raise click.UsageError("no server is left; see benchmarks/README.md")
    return found


def collect(cases: list[str], servers: list[str], settings: Settings) -> Results:
    """Measure all cells."""
    cores = machine.choose_cores()
    if cores.shared:
        note("one core only: server and load generator share it, read no throughput", "yellow")
    results = Results(
        facts=machine.facts(cores),
        settings={
            "duration": settings.duration,
            "rounds": settings.rounds,
            "warmup": settings.warmup,
        },
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        servers=servers,
        cases=cases,
    )
    cells = plan(cases, servers, settings.rounds)
    note(f"{len(cells)} measurements, about {estimate_seconds(cells, settings) / 60:.0f} min")

    def report(number: int, cell: Cell, outcome: Sample | Failure | None) -> None:
        show_progress(f"[{number:{len(str(len(cells)))}}/{len(cells)}]", cell, outcome)

    with tempfile.TemporaryDirectory() as directory, machine.pinned(cores.load):
        run(cells, settings, cores, Path(directory), results=results, report=report)
    return results


def show_progress(counter: str, cell: Cell, outcome: Sample | Failure | None) -> None:
    """Show a line for each measurement: first what runs, then what came out."""
    if outcome is None:
        start = f"{counter} round {cell.round}  {cell.case.name:<21}{cell.server.name:<22}"
        click.echo(start, nl=False, err=True)
    elif isinstance(outcome, Failure):
        click.secho(f"FAILED: {outcome.reason}", fg="red", bold=True, err=True)
    else:
        click.echo(cell_line(outcome), err=True)


def summarize(results: Results, verdicts: Sequence[Verdict], paths: Sequence[Path]) -> None:
    """Print the failures, the bars and where the report is."""
    for failure in results.failures:
        click.secho(
            f"FAILED  {failure.case} {failure.server} round {failure.round}: {failure.reason}",
            fg="red",
        )
    part = [v for v in verdicts if v.bar.case in results.cases and v.bar.server in results.servers]
    for verdict in part:
        color = {True: "green", False: "red", None: "yellow"}[verdict.passed]
        click.secho(bar_line(verdict), fg=color)
    if len(part) < len(verdicts):
        click.echo(f"{len(verdicts) - len(part)} more bars are not part of this run")
    if disturbed := len(results.disturbed()):
        share = f"{disturbed} of {len(results.samples)} measurements"
        note(f"others used the server's core during {share}: repeat when it is idle", "yellow")
    for path in paths:
        click.echo(f"wrote {path}")


def note(text: str, color: str | None = None) -> None:
    """Say something about the run itself."""
    click.secho(text, fg=color, err=True)
