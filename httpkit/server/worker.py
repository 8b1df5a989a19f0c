"""The worker's side of supervision: one process that serves what it was given.

Theory of operation:

1. It is started as a fresh interpreter. On its lifeline, a pipe, it reads one line: its
   `Assignment`. Listening sockets come with it as descriptors; it binds nothing.
2. It reports `ready`, `spent`, `draining` and `failed` on another pipe.
3. The end of the lifeline means that the supervisor is gone, however that happened. It then
   stops as if it was asked to, and removes its directory itself.

Called by `httpkit.cli.worker`.
"""

import asyncio
import logging
import os
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from httpkit.server import process
from httpkit.server.config import Config
from httpkit.server.listening import Listening
from httpkit.server.report import Draining, Failed, Ready, Reporter, Spent
from httpkit.server.server import Server
from httpkit.types import Application, WorkerPlace

__all__ = ["Assignment", "Worker", "receive_assignment"]

logger = logging.getLogger("httpkit")

#: Seconds that clients which have just connected get to send their request, although this worker
#: is asked to stop: a successor may be there already, and nothing shall be lost.
_FIRST_REQUESTS = 0.5


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor tells a worker.

    Attributes:
        number: of the worker, from 1; a successor has the number of the one it replaces.
        listeners: descriptors of the listening sockets.
        schemes: what each of them speaks, `http` or `https`.
        accept_batch: see `Listening`.
        report: descriptor of the report pipe.
        directory: of this worker alone, mode 700; removed when it ends.
        config: options of the server.
        application: what the command line needs to load the application.
    """

    number: int
    listeners: list[int]
    schemes: list[str]
    accept_batch: int
    report: int
    directory: str
    config: Config
    application: dict[str, Any]


def receive_assignment(lifeline: int) -> Assignment:
    """Read the first line of the lifeline.

    Raises:
        EOFError: the supervisor is gone already.
    """
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(lifeline, 65_536)
        if not data:
            raise EOFError("the supervisor is gone")
        line += data
    return msgspec.json.decode(line, type=Assignment)


class Worker:
    """One worker process.

    Args:
        assignment: from the supervisor.
        lifeline: descriptor whose end of file means that the supervisor is gone.
    """

    def __init__(self, assignment: Assignment, lifeline: int) -> None:
        self.assignment = assignment
        self._lifeline = lifeline
        self._reporter = Reporter(assignment.report)
        # What the application starts shall not inherit what belongs to the supervision.
        for descriptor in (lifeline, assignment.report, *assignment.listeners):
            os.set_inheritable(descriptor, False)

    def run(self, application: Application) -> process.ExitCode:
        """Serve until the supervisor says so, or is gone.

        Raises:
            ConfigurationError: the application cannot be used.
        """
        join_workers = getattr(application, "join_workers", None)
        if join_workers is not None:
            directory = os.path.dirname(self.assignment.directory)
            join_workers(WorkerPlace(directory, self.assignment.number))
        sockets = [socket.socket(fileno=each) for each in self.assignment.listeners]
        for each in sockets:
            each.setblocking(False)  # Python forgets it in a new socket object
        return process.run(
            application,
            self.assignment.config,
            self._started,
            listening=Listening(
                sockets,
                schemes=self.assignment.schemes,
                accept_batch=self.assignment.accept_batch,
            ),
            prepare=self._watch_lifeline,
            spent=lambda _: self._reporter.send(Spent()),
            stopping=lambda _: self._reporter.send(Draining()),
            failed=self.fail,
            first_requests=_FIRST_REQUESTS,
        )

    def fail(self, reason: str) -> None:
        """Tell the supervisor why this worker will not be ready."""
        self._reporter.send(Failed(reason))

    def _started(self, server: Server) -> None:
        loop = type(server.loop).__module__.partition(".")[0]
        self._reporter.send(
            Ready(os.getpid(), server.addresses, server.schemes, server.engines, loop, server.debug)
        )

    def _watch_lifeline(self, loop: asyncio.AbstractEventLoop, stop: Callable[[str], None]) -> None:
        def lost() -> None:
            loop.remove_reader(self._lifeline)
            logger.warning("the supervisor is gone: stopping")
            stop("the supervisor is gone")

        loop.add_reader(self._lifeline, lost)

    def clean_up(self) -> None:
        """Remove what an absent supervisor cannot remove any more."""
        os.set_blocking(self._lifeline, False)
        try:
            os.read(self._lifeline, 1)  # nothing but its end comes here
        except BlockingIOError:
            return
        directory = os.path.dirname(self.assignment.directory)
        shutil.rmtree(self.assignment.directory, ignore_errors=True)
        with suppress(FileNotFoundError):
            # The last one removes what belongs to all: others are still there if theirs are.
            if not any(name.startswith("worker-") for name in os.listdir(directory)):
                shutil.rmtree(directory, ignore_errors=True)
