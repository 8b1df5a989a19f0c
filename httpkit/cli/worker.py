"""`python -m httpkit.cli.worker N`: one worker, started by the supervisor and by nobody else.

N is the descriptor of its lifeline; everything else comes from there.
"""

import sys

import msgspec

from httpkit.cli.load import load_application
from httpkit.cli.supervise import Assembly
from httpkit.cli.terminal import configure_logging, exit_with_error
from httpkit.errors import ConfigurationError
from httpkit.server.worker import Worker, receive_assignment
from httpkit.types import Application

__all__ = ["run_worker"]


def run_worker(lifeline: int) -> int:
    """Serve until the supervisor says so, or is gone; the exit code."""
    try:
        assignment = receive_assignment(lifeline)
    except EOFError:
        return 0
    assembly = msgspec.convert(assignment.application, Assembly)
    sys.path[:] = assembly.import_path
    configure_logging(assignment.config.log_level, assignment.number)
    worker = Worker(assignment, lifeline)
    try:
        try:
            return worker.run(_load(assembly))
        except ConfigurationError as error:
            exit_with_error(str(error))
    except SystemExit as error:
        worker.fail("; ".join(getattr(error, "__notes__", ())) or "the application has exited")
        raise
    finally:
        worker.clean_up()


def _load(assembly: Assembly) -> Application:
    """The application, or that for a directory.

    Raises:
        ConfigurationError: the directory cannot be served.
    """
    if assembly.site is None:
        return load_application(assembly.target)
    from httpkit.cli.site import make_site  # noqa: PLC0415 - others need none of it

    return make_site(assembly.site).app


if __name__ == "__main__":
    sys.exit(run_worker(int(sys.argv[1])))
