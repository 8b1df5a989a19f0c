"""`httpkit compress`: the compressed siblings of the files of a directory, made once and for good.

Owns the words, the bar and the table. What is made stands in `httpkit.static.precompress`.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import click

from httpkit.cli.routes import format_table
from httpkit.cli.terminal import exit_with_error, is_colored
from httpkit.errors import ConfigurationError
from httpkit.middleware.codings import CODINGS
from httpkit.static.listing import format_size
from httpkit.static.precompress import (
    MINIMUM_SIZE,
    SUFFIXES,
    Outcome,
    Result,
    Source,
    find_sources,
    precompress,
    remove_siblings,
)

__all__ = ["compress_command"]

_HEADINGS = ("CODING", "FILES", "BEFORE", "AFTER", "SAVED")


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@click.command("compress", short_help="Make .br, .zst and .gz files for `httpkit serve`.")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path())
@click.option(
    "--coding",
    "codings",
    multiple=True,
    type=click.Choice(list(SUFFIXES), case_sensitive=False),
    help="A coding; may be given several times.  [default: all that are installed]",
)
@click.option(
    "--min-size",
    type=click.IntRange(0),
    default=MINIMUM_SIZE,
    show_default=True,
    metavar="BYTES",
    help="Leave smaller files alone.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=_usable_cores,
    show_default="cores of this machine",
    metavar="N",
    help="Files at a time.",
)
@click.option("--force", is_flag=True, help="Make them anew where they are up to date, too.")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if any is missing.")
@click.option("--remove", is_flag=True, help="Remove them instead.")
def compress_command(
    *,
    directory: str,
    codings: tuple[str, ...],
    min_size: int,
    jobs: int,
    force: bool,
    check: bool,
    remove: bool,
) -> None:
    """Compress the files below DIR once, as well as it goes, for `httpkit serve --precompressed`.

    Beside each file of a compressible type stand then FILE.br, FILE.zst and FILE.gz, as far as they
    are smaller, with the modification time of the file. Those that are up to date are not made
    again. Names that begin with a dot and symbolic links are left out.
    """
    if sum((force, check, remove)) > 1:
        raise click.UsageError("--force, --check and --remove are three different wishes: give one")
    try:
        # To remove, any size: the limit may have been another one when they were made.
        sources = find_sources(directory, 0 if remove else min_size)
        if remove:
            _remove(sources, codings or tuple(SUFFIXES))
            return
        chosen = _choose(codings)
    except ConfigurationError as error:
        exit_with_error(str(error))
    results = _run(sources, chosen, check=check, force=force, jobs=jobs)
    _report(results, check=check)
    failed = [result for result in results if result.outcome is Outcome.FAILED]
    for result in failed:
        click.echo(result.problem, err=True)
    if failed:
        exit_with_error(f"{len(failed)} of {len(results)} could not be made, see above")
    if check and (missing := [r for r in results if r.outcome is Outcome.WRITTEN]):
        exit_with_error(
            f"{len(missing)} are missing or out of date, {missing[0].source.path}"
            f"{SUFFIXES[missing[0].coding]} for one: run httpkit compress"
        )


def _choose(codings: tuple[str, ...]) -> list[str]:
    """The codings that are named, else those that can be written here.

    Raises:
        ConfigurationError: one that is named needs a library that is not there.
    """
    available = [name for name, is_there in CODINGS.items() if is_there()]
    for name in codings:
        if name not in available:
            raise ConfigurationError(f"{name} needs a library: pip install 'httpkit[compress]'")
    if not codings and (absent := [name for name in CODINGS if name not in available]):
        names = " and ".join(absent)
        click.echo(f"without {names}: pip install 'httpkit[compress]' adds that", err=True)
    return list(dict.fromkeys(codings)) or available


def _run(
    sources: Sequence[Source], codings: Sequence[str], *, check: bool, force: bool, jobs: int
) -> list[Result]:
    total = sum(source.size for source in sources) * len(codings)
    with ExitStack() as stack:
        # Nothing of a bar in a log: there it is a line for each step.
        if not sys.stderr.isatty():
            return precompress(sources, codings, check=check, force=force, jobs=jobs)
        bar = stack.enter_context(
            click.progressbar(
                length=total,
                label="checking" if check else "compressing",
                file=sys.stderr,
                item_show_func=lambda result: result and os.path.basename(result.source.path),
            )
        )

        def show(result: Result) -> None:
            bar.update(result.source.size, result)

        return precompress(sources, codings, check=check, force=force, jobs=jobs, done=show)


def _report(results: list[Result], *, check: bool) -> None:
    """A table of what was made, and a line on the rest."""
    rows = [_row(results, coding) for coding in dict.fromkeys(r.coding for r in results)]
    written = [row for row in rows if row[1] != "0"]
    if written and not check:
        heading, *lines = format_table([_HEADINGS, *written])
        click.echo(click.style(heading, bold=True), color=is_colored(sys.stdout))
        click.echo("\n".join(lines))
    counts = {
        outcome: sum(result.outcome is outcome for result in results)
        for outcome in (Outcome.CURRENT, Outcome.NOT_SMALLER)
    }
    words = [
        f"{counts[Outcome.CURRENT]} up to date" if counts[Outcome.CURRENT] else "",
        f"{counts[Outcome.NOT_SMALLER]} not worth it" if counts[Outcome.NOT_SMALLER] else "",
    ]
    if rest := ", ".join(filter(None, words)):
        click.echo(rest)
    if not results:
        click.echo("Nothing to compress.")


def _row(results: list[Result], coding: str) -> tuple[str, ...]:
    """What one coding has saved."""
    made = [r for r in results if r.coding == coding and r.outcome is Outcome.WRITTEN]
    before = sum(result.source.size for result in made)
    after = sum(result.size for result in made)
    saved = f"{format_size(before - after)} ({1 - after / before:.0%})" if before else "-"
    return coding, str(len(made)), format_size(before), format_size(after), saved


def _remove(sources: Sequence[Source], codings: Sequence[str]) -> None:
    try:
        removed = remove_siblings(sources, codings)
    except OSError as error:
        exit_with_error(f"{error.filename} cannot be removed: {error.strerror}")
    click.echo(f"{len(removed)} removed")
