"""What is written to the terminal: logs, the banner, errors. All of it goes to standard error.

Standard output belongs to the access log, so that the two can be redirected apart.
"""

import logging
import os
import sys
from typing import NoReturn, TextIO

import click

from httpkit import __version__
from httpkit.server.report import Ready
from httpkit.server.server import Server
from httpkit.types import Address

__all__ = [
    "browser_url",
    "configure_logging",
    "exit_with_error",
    "is_colored",
    "show_banner",
    "show_title",
    "show_workers",
]

_COLORS = {
    logging.DEBUG: "bright_black",
    logging.WARNING: "yellow",
    logging.ERROR: "red",
    logging.CRITICAL: "red",
}
#: Addresses that stand for every interface, and the name by which this machine reaches them.
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "localhost"}  # noqa: S104 - compared, not bound


def is_colored(stream: TextIO) -> bool:
    """Whether color is wanted: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


class Formatter(logging.Formatter):
    """Time, level, message; color for the level where it is wanted."""

    def __init__(self, *, colored: bool, worker: int | None = None) -> None:
        who = "" if worker is None else f"[{worker}] "
        super().__init__(f"%(asctime)s %(label)s {who}%(message)s", "%Y-%m-%d %H:%M:%S")
        self._colored = colored

    def format(self, record: logging.LogRecord) -> str:
        """One record; a traceback follows on lines of its own."""
        label = record.levelname.ljust(7)
        color = _COLORS.get(record.levelno)
        record.label = click.style(label, fg=color) if self._colored and color else label
        return super().format(record)


def configure_logging(level: str, worker: int | None = None) -> None:
    """Send the `httpkit` logger to standard error; the root logger stays the user's.

    An application that has given that logger a handler keeps it, and its level applies to both.

    Args:
        level: of `Config`.
        worker: number of this process among several, to stand in every line.
    """
    logger = logging.getLogger("httpkit")
    logger.setLevel(level.upper())
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(colored=is_colored(sys.stderr), worker=worker))
    logger.addHandler(handler)
    # The root logger may have a handler too, and every line would come twice.
    logger.propagate = False


def show_banner(server: Server) -> None:
    """Say where the server listens and what it runs on, unless the log level is above info."""
    loop = type(server.loop).__module__.partition(".")[0]
    _show_banner(server.addresses, server.schemes, server.engines, loop, debug=server.debug)


def show_workers(reports: list[Ready]) -> None:
    """The same for a supervisor, with its workers."""
    first = reports[0]
    pids = " ".join(str(report.pid) for report in reports)
    count = f"{len(reports)} workers" if len(reports) > 1 else "1 worker"
    workers = f" · {count} ({pids})"
    _show_banner(
        first.addresses, first.schemes, first.engines, first.loop, workers, debug=first.debug
    )


def _show_banner(
    addresses: list[Address],
    schemes: list[str],
    engines: dict[str, str],
    loop: str,
    workers: str = "",
    *,
    debug: bool,
) -> None:
    protocols = " · ".join(f"{protocol} ({engine})" for protocol, engine in engines.items())
    show_title(f"{protocols} · {loop} · pid {os.getpid()}{workers}", addresses, schemes)
    if debug:
        logging.getLogger("httpkit").warning(
            "debug mode: clients see tracebacks, so this is for your own machine only"
        )


def show_title(text: str, addresses: list[Address], schemes: list[str]) -> None:
    """The name of the program with a text, and below it where it can be reached."""
    if not logging.getLogger("httpkit").isEnabledFor(logging.INFO):
        return
    title = click.style(f"httpkit {__version__}", bold=True)
    lines = [f"{title} · {text}"]
    lines += [f"  {_link(*each)}" for each in zip(addresses, schemes, strict=True)]
    click.echo("\n".join(lines), err=True, color=is_colored(sys.stderr))


def browser_url(address: Address, scheme: str) -> str | None:
    """A URL that a browser on this machine can open; `None` for a Unix socket."""
    if not address.port:
        return None
    host = _WILDCARDS.get(address.host, address.host)
    return f"{scheme}://{Address(host, address.port)}"


def _link(address: Address, scheme: str) -> str:
    """A URL that terminals make clickable, for TCP; what curl needs, for a Unix socket."""
    url = browser_url(address, scheme)
    if url is None:
        path = click.style(f"unix:{address.host}", fg="cyan")
        return f"{path}  (curl --unix-socket {address.host} {scheme}://localhost/)"
    link = click.style(url, fg="cyan", underline=True)
    return f"{link}  (all addresses)" if address.host in _WILDCARDS else link


def exit_with_error(message: str) -> NoReturn:
    """Print `httpkit: error: …` and end with code 1; the exception has the message as a note."""
    label = click.style("error:", fg="red", bold=True)
    click.echo(f"httpkit: {label} {message}", err=True, color=is_colored(sys.stderr))
    error = SystemExit(1)
    error.add_note(message)
    raise error
