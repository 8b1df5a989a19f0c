"""Serving with several processes, or with one that is started again when files change."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress

import msgspec

from httpkit.cli.schema import Site, Target
from httpkit.cli.terminal import exit_with_error, show_workers
from httpkit.errors import ConfigurationError
from httpkit.server.config import Config
from httpkit.server.listening import Listening, open_for_workers
from httpkit.server.report import Ready
from httpkit.server.supervisor import Supervisor
from httpkit.server.tls_port import with_certificate
from httpkit.server.watch import watch
from httpkit.server.worker_process import WorkerProcess

__all__ = ["Assembly", "run_workers"]

#: Seconds for running requests when files have changed: an open event stream in a browser should
#: not hold up the developer.
_RELOAD_SHUTDOWN = 1.0


class Assembly(msgspec.Struct, frozen=True):
    """What a worker needs to load the application.

    Attributes:
        target: names it.
        import_path: `sys.path` of the command line.
        site: the directory that is served, if there is no application.
    """

    target: Target
    import_path: list[str]
    site: Site | None = None


def run_workers(
    assembly: Assembly, config: Config, announce: Callable[[list[Ready]], object] = show_workers
) -> int:
    """Serve until a signal ends it; the exit code.

    `announce` is called with the reports of all workers when they are ready.
    """
    if sys.platform == "win32":
        exit_with_error("this system cannot hand sockets to workers: one process is what there is")
    try:
        config = with_certificate(config)
        _check_watched(config)
        listening = open_for_workers(config)
    except ConfigurationError as error:
        exit_with_error(str(error))
    if config.reload:
        config = _for_development(config)
    with ExitStack() as stack:
        for each in listening:
            stack.callback(each.close)
        directory = _make_directory(stack)
        # Not uvloop: it would look after children itself.
        runner = stack.enter_context(asyncio.Runner(loop_factory=asyncio.SelectorEventLoop))
        return runner.run(_supervise(assembly, config, listening, directory, announce))


def _make_directory(stack: ExitStack) -> str:
    """The directory of all workers; the stack removes it."""
    try:
        directory = tempfile.mkdtemp(prefix="httpkit-")
    except OSError as error:
        exit_with_error(
            f"workers need a directory for temporary files, which TMPDIR names: {error.strerror}"
        )
    stack.callback(shutil.rmtree, directory, ignore_errors=True)
    # systemd-tmpfiles removes what is old there, unless it is locked.
    descriptor = os.open(directory, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    with suppress(OSError):  # not every file system has locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return directory


async def _supervise(
    assembly: Assembly,
    config: Config,
    listening: list[Listening],
    directory: str,
    announce: Callable[[list[Ready]], object],
) -> int:
    application = msgspec.to_builtins(assembly)

    def spawn(number: int, accepts_from: Listening) -> WorkerProcess:
        return WorkerProcess(_command(), number, accepts_from, config, application, directory)

    changes = None
    if config.reload:
        changes = watch(
            config.reload_dir or (assembly.target.app_dir,),
            config.reload_include,
            config.reload_exclude,
        )
    return await Supervisor(config, listening, spawn, announce=announce, changes=changes).run()


def _command() -> list[str]:
    # As multiprocessing does it: -X, -W, -O and the like hold for workers too.
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return [sys.executable, *flags, "-m", "httpkit.cli.worker"]


def _check_watched(config: Config) -> None:
    """Watching a directory that is not there would wait for nothing, or fail later."""
    for directory in config.reload_dir if config.reload else ():
        if not os.path.isdir(directory):
            raise ConfigurationError(
                f"--reload-dir: there is no directory '{directory}' to watch: correct its name"
            )


def _for_development(config: Config) -> Config:
    seconds = min(config.limits.shutdown_timeout, _RELOAD_SHUTDOWN)
    limits = msgspec.structs.replace(config.limits, shutdown_timeout=seconds)
    return msgspec.structs.replace(config, limits=limits)
