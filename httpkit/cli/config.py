"""`httpkit config`: the effective value of every option, and where it comes from."""

import json
import shlex
import sys
from collections.abc import Iterator

import click

from httpkit.cli.options import SectionedCommand, effective_settings, setting_options
from httpkit.cli.schema import RUN_SETTINGS, SETTINGS
from httpkit.cli.settings import Settings, is_changed
from httpkit.cli.sources import Found
from httpkit.cli.terminal import is_colored

__all__ = ["config_command"]


@click.command("config", cls=SectionedCommand)
@setting_options()
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
@click.option(
    "--changed/--defaults",
    help="Leave out what has its default, or show everything.  [default: defaults]",
)
@click.pass_context
def config_command(ctx: click.Context, /, *, as_json: bool, changed: bool, **_: object) -> None:
    """Print what `httpkit run` with the same options would use, and where each value comes from.

    Values are written as on the command line. A star marks what is not the default.
    """
    settings = effective_settings(ctx)
    shown = {
        name: found
        for name, found in settings.found.items()
        if name in RUN_SETTINGS and (not changed or is_changed(name, found))
    }
    if as_json:
        click.echo(json.dumps(_to_json(settings, shown), indent=2, ensure_ascii=False))
        return
    click.echo("\n".join(_lines(settings, shown)), color=is_colored(sys.stdout))


def _to_json(settings: Settings, shown: dict[str, Found]) -> dict[str, object]:
    options: dict[str, object] = {}
    limits: dict[str, object] = {}
    for name, found in shown.items():
        setting = SETTINGS[name]
        (limits if setting.table else options)[name] = {
            "value": found.value,
            "text": setting.show(found.value),
            "origin": found.origin,
            "changed": is_changed(name, found),
        }
    return {"file": settings.file, "options": options, "limits": limits}


def _lines(settings: Settings, shown: dict[str, Found]) -> Iterator[str]:
    yield f"Configuration file: {settings.file or 'none'}"
    names = max(map(len, RUN_SETTINGS))
    texts = {name: shlex.quote(SETTINGS[name].show(found.value)) for name, found in shown.items()}
    values = max(map(len, texts.values()), default=0)
    section = ""
    for name, found in shown.items():
        setting = SETTINGS[name]
        if setting.section != section:
            section = setting.section
            yield from ("", click.style(section, bold=True))
        changed = is_changed(name, found)
        line = f"{'*' if changed else ' '} {name:{names}}  {texts[name]:{values}}  "
        yield click.style(line, fg="yellow" if changed else None) + click.style(
            found.origin, dim=True
        )
