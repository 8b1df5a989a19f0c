"""`httpkit run`, and `run_app`, which `App.run` calls: serving in the foreground."""

import os
import sys

import click

from httpkit.cli.load import importing, load_application, named_target
from httpkit.cli.options import SectionedCommand, effective_settings, setting_options
from httpkit.cli.supervise import Assembly, run_workers
from httpkit.cli.terminal import configure_logging, exit_with_error, show_banner
from httpkit.errors import ConfigurationError
from httpkit.server import process
from httpkit.server.config import Config
from httpkit.server.descriptors import open_standard_streams
from httpkit.types import Application

__all__ = ["run_app", "run_command"]


def run_app(application: Application, **options: object) -> None:
    """Serve an application in the foreground until SIGINT or SIGTERM; then return.

    What is not given has its default: neither the environment nor a configuration file is read.
    Prints the banner and the `httpkit` log to standard error, the access log to standard output.

    Args:
        application: what is served.
        **options: fields of `Config` and `Limits` by name, as for `httpkit.serve`.

    Raises:
        SystemExit: with the exit codes of the command line, unless the stop was graceful.
    """
    open_standard_streams()
    if importing:
        exit_with_error(
            f"app.run() is called while {importing[-1]} is being imported: put it under "
            'if __name__ == "__main__":'
        )
    try:
        config = Config.of(**options)
        if config.supervised:
            raise ConfigurationError(  # noqa: TRY301 - as every other mistake in the options
                "workers and reload start processes of their own, which import the application: "
                "httpkit run module:app"
            )
        configure_logging(config.log_level)
        code = process.run(application, config, show_banner)
    except ConfigurationError as error:
        exit_with_error(str(error))
    if code:
        sys.exit(code)


@click.command("run", cls=SectionedCommand)
@setting_options()
@click.pass_context
def run_command(ctx: click.Context, /, **_: object) -> None:
    """Serve MODULE:APP, e.g. main:app, until Ctrl-C or SIGTERM.

    The first signal stops gracefully: running requests are finished. The second one ends at once.
    With several workers, SIGHUP replaces them one by one.

    Every option may also stand in the environment (HTTPKIT_PORT), in httpkit.toml or in the table
    tool.httpkit of pyproject.toml; the command line comes first, files come last. `httpkit config`
    prints what is in effect, and where it comes from.
    """
    settings = effective_settings(ctx)
    configure_logging(str(settings.found["log_level"].value))
    target = named_target(settings, "run")
    config = Config.of(**settings.options)
    if config.supervised:
        sys.exit(run_workers(Assembly(target, [*map(os.path.abspath, sys.path)]), config))
    run_app(load_application(target), **settings.options)
