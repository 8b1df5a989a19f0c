"""`httpkit routes`: the route table of an application, to be read or searched."""

import os

import click

from httpkit.app import App
from httpkit.cli.load import load_target
from httpkit.cli.options import effective_settings, setting_options
from httpkit.cli.terminal import exit_with_error
from httpkit.errors import ConfigurationError
from httpkit.hosting import ANY_METHOD, RootedApplication
from httpkit.routing import RouteInfo

__all__ = ["routes_command"]

_EMPTY = ({"*"}, {"-"})
_HEADINGS = ("METHODS", "HOST", "PATTERN", "NAME", "HANDLER", "WHERE")


@click.command("routes")
@setting_options(("app", "app_dir"))
@click.pass_context
def routes_command(ctx: click.Context, /, **_: object) -> None:
    """List the routes of MODULE:APP by host and pattern."""
    settings = effective_settings(ctx)
    application = load_target(settings, "routes")
    target = settings.target.app
    if isinstance(application, RootedApplication):
        application = application.application
    if not isinstance(application, App):
        exit_with_error(f"{target} has no routes: it is not an httpkit App")
    try:
        infos = application.routes()
    except ConfigurationError as error:
        exit_with_error(str(error))
    for line in format_table([_HEADINGS, *map(_row, sorted(infos, key=_order))]):
        click.echo(line)


def _order(info: RouteInfo) -> tuple[str, str, tuple[str, ...]]:
    return info.host or "", info.pattern, info.methods


def _row(info: RouteInfo) -> tuple[str, ...]:
    file, colon, line = info.source.rpartition(":")
    where = os.path.relpath(file) + colon + line if os.path.isabs(file) else info.source
    # A path that climbs out of the project is longer than it is helpful.
    where = info.source if where.startswith(os.pardir) else where
    methods = "*" if info.methods == ANY_METHOD else ",".join(info.methods)
    return (
        "WEBSOCKET" if info.websocket else methods,
        info.host or "*",
        info.pattern,
        info.name or "-",
        info.handler,
        where,
    )


def format_table(rows: list[tuple[str, ...]]) -> list[str]:
    """Lines with aligned columns; a column that says nothing but `*` or `-` is left out."""
    columns = [column for column in zip(*rows, strict=True) if set(column[1:]) not in _EMPTY]
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
