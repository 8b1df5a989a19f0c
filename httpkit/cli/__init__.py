"""The command line, `httpkit`; also as `python -m httpkit`.

Owns what a person sees in a terminal. What a server does stands in `httpkit.server`.

Exit codes: 0 after a graceful stop; 1 for a mistake in the options, the module or the application;
2 for a wrong command line; 3 if the application failed to start; 128 and the number of the signal
if a second one ended the process.
"""

import importlib

import click

from httpkit import __version__
from httpkit.cli.config import config_command
from httpkit.cli.routes import routes_command
from httpkit.cli.run import run_command
from httpkit.server import process
from httpkit.server.descriptors import open_standard_streams

__all__ = ["main"]


#: Commands that are loaded when they are asked for, by their place: every worker imports this
#: module, and none needs X.509 or a directory's listing.
_LATER = {
    "cert": ("httpkit.cli.cert", "cert_group"),
    "serve": ("httpkit.cli.serve", "serve_command"),
    "compress": ("httpkit.cli.compress", "compress_command"),
}


class _Main(click.Group):
    """Knows all commands, and loads some of them late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_LATER])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _LATER:
            module, name = _LATER[cmd_name]
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="httpkit %(version)s")
def main() -> None:
    """An asyncio HTTP server and web framework."""
    open_standard_streams()
    process.heed_termination()


main.add_command(run_command)
main.add_command(config_command)
main.add_command(routes_command)
