"""`httpkit serve`: the files of a directory, without a line of code."""

import logging
import os
import sys
import threading
import webbrowser
from contextlib import ExitStack
from typing import TextIO

import click
import msgspec

from httpkit.cli.live_line import LiveLine, StatusLine, is_live, read_server
from httpkit.cli.options import SectionedCommand, effective_settings, setting_options
from httpkit.cli.schema import SERVE_SETTINGS, Site, Target
from httpkit.cli.settings import DEFAULT
from httpkit.cli.site import Served, describe_site, make_site
from httpkit.cli.supervise import Assembly, run_workers
from httpkit.cli.terminal import browser_url, configure_logging, exit_with_error, show_title
from httpkit.errors import ConfigurationError
from httpkit.server import process
from httpkit.server.config import Config
from httpkit.server.listening import Listening, open_listeners
from httpkit.server.report import Ready
from httpkit.server.server import Server
from httpkit.types import Address

__all__ = ["serve_command"]

logger = logging.getLogger("httpkit")

#: Ports that are tried, from the default on, where nobody has asked for one.
_PORTS = 20


@click.command("serve", cls=SectionedCommand, short_help="Serve the files of a directory.")
@setting_options(SERVE_SETTINGS, searched=False)
@click.pass_context
def serve_command(ctx: click.Context, /, **_: object) -> None:
    """Serve the files of DIR until Ctrl-C or SIGTERM.

    Nothing outside of it is served, no name that begins with a dot, and no directory is listed,
    unless an option says so. The first free port from 8000 on is taken; one that is named has to
    be free.

    Options may also stand in the environment (HTTPKIT_SERVE_SPA, HTTPKIT_PORT), or in a file that
    --config names, those of the site in its table [serve]. No file is looked for: in a directory
    that came from somewhere else it would be another one's.
    """
    settings = effective_settings(ctx, SERVE_SETTINGS, searched=False)
    configure_logging(str(settings.found["log_level"].value))
    site = settings.site
    try:
        config = Config.of(**settings.options)
        served = make_site(site)
        served.app.on_freeze()
        anywhere = not (config.fd or config.unix) and settings.found["port"].origin == DEFAULT
        if anywhere and config.workers > 1:
            config = _choose_port(config)
        listening = None
        if config.workers == 1:
            listening = _listen_anywhere(config) if anywhere else open_listeners(config)
    except ConfigurationError as error:
        exit_with_error(str(error))
    if not site.listing and not os.path.exists(os.path.join(site.directory, site.index)):
        logger.info("there is no %s, so / is 404: --listing shows what is there", site.index)
    if listening is None:
        code = _serve_with_workers(site, config)
    else:
        code = _serve(site, served, config, listening)
    if code:
        sys.exit(code)


def _choose_port(config: Config) -> Config:
    """The same with the first free port; workers open listeners of their own there.

    Raises:
        ConfigurationError: there is none.
    """
    listening = _listen_anywhere(config)
    listening.close()
    return msgspec.structs.replace(config, port=listening.addresses[0].port)


def _listen_anywhere(config: Config) -> Listening:
    """Open the first free port.

    Raises:
        ConfigurationError: none can be used; the message is about the first one.
    """
    problem: ConfigurationError | None = None
    for port in range(config.port, config.port + _PORTS):
        try:
            listening = open_listeners(msgspec.structs.replace(config, port=port))
        except ConfigurationError as error:
            problem = problem or error
        else:
            if problem is not None:
                logger.info("port %d is in use: %d is taken instead", config.port, port)
            return listening
    assert problem is not None
    raise problem


def _serve(site: Site, served: Served, config: Config, listening: Listening) -> int:
    """Serve in this process; the exit code."""
    with ExitStack() as stack:
        live: LiveLine | None = None
        line = StatusLine(sys.stderr)
        if site.live_line and is_live(sys.stderr):
            terminal = sys.stderr
            stack.enter_context(line.guard(sys.stdout, terminal))
            _move_log(terminal)

        def started(server: Server) -> None:
            nonlocal live
            _announce(site, server.addresses, server.schemes)
            if site.live_line and is_live(sys.stderr):
                live = LiveLine(line, lambda: read_server(server, served.misses))
                live.start()

        def stopping(reason: str) -> None:
            if live is not None:
                live.close()
            process.announce_stop(reason)

        try:
            return process.run(served.app, config, started, listening=listening, stopping=stopping)
        except ConfigurationError as error:
            exit_with_error(str(error))
        finally:
            if live is not None:
                live.close()


def _move_log(terminal: TextIO) -> None:
    """Let the log go by the live line, too."""
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is terminal:
            handler.setStream(sys.stderr)


def _serve_with_workers(site: Site, config: Config) -> int:
    """Serve with several processes; the exit code."""

    def announce(reports: list[Ready]) -> None:
        _announce(site, reports[0].addresses, reports[0].schemes, len(reports))

    assembly = Assembly(Target(), [*map(os.path.abspath, sys.path)], site)
    return run_workers(assembly, config, announce)


def _announce(site: Site, addresses: list[Address], schemes: list[str], workers: int = 1) -> None:
    count = f" · {workers} workers" if workers > 1 else ""
    show_title(f"{describe_site(site)}{count}", addresses, schemes)
    if not site.open:
        return
    urls = [browser_url(*each) for each in zip(addresses, schemes, strict=True)]
    url = next(filter(None, urls), None)
    if url is None:
        logger.warning("--open: a browser cannot open a Unix socket")
        return
    # A browser may be slow to start, and some stay in the foreground.
    threading.Thread(target=_open, args=(url,), name="httpkit-open", daemon=True).start()


def _open(url: str) -> None:
    if not webbrowser.open(url):
        logger.warning("--open: there is no browser here for %s", url)
