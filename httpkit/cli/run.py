"""`httpkit run`, and `run_app`, which `App.run` calls: serving in the foreground."""

import os
import sys

import click

from httpkit.cli.load import importing, load_application
from httpkit.cli.options import SectionedCommand, given_options, server_options
from httpkit.cli.terminal import configure_logging, exit_with_error, show_banner
from httpkit.errors import ConfigurationError
from httpkit.server import process
from httpkit.server.config import Config
from httpkit.types import Application

__all__ = ["run_app", "run_command"]


def run_app(application: Application, **options: object) -> None:
    """Serve an application in the foreground until SIGINT or SIGTERM; then return.

    Prints the banner and the `httpkit` log to standard error, the access log to standard output.

    Args:
        application: what is served.
        **options: fields of `Config` and `Limits` by name, as for `httpkit.serve`.

    Raises:
        SystemExit: with the exit codes of the command line, unless the stop was graceful.
    """
    if importing:
        exit_with_error(
            f"app.run() is called while {importing[-1]} is being imported: put it under "
            'if __name__ == "__main__":'
        )
    try:
        config = Config.of(**options)
        configure_logging(config.log_level)
        code = process.run(application, config, show_banner)
    except ConfigurationError as error:
        exit_with_error(str(error))
    if code:
        sys.exit(code)


@click.command("run", cls=SectionedCommand)
@click.argument("target", metavar="MODULE:APP")
@click.option(
    "--app-dir",
    default=os.curdir,
    type=click.Path(exists=True, file_okay=False),
    help="Directory that modules are imported from.  [default: the current one]",
)
@click.option("--debug", is_flag=True, help="Show tracebacks to clients: for development only.")
@server_options
@click.pass_context
def run_command(
    ctx: click.Context, /, target: str, app_dir: str, *, debug: bool, **_: object
) -> None:
    """Serve MODULE:APP, e.g. main:app, until Ctrl-C or SIGTERM.

    The first signal stops gracefully: running requests are finished. The second one ends at once.
    """
    options = given_options(ctx)
    if "unix" in options and ("host" in options or "port" in options):
        raise click.UsageError("--unix replaces --host and --port: give one or the other")
    configure_logging(str(options.get("log_level", Config().log_level)))
    application = load_application(target, app_dir)
    if debug and hasattr(application, "debug"):
        application.debug = True
    run_app(application, **options)
