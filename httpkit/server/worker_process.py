"""The supervisor's side of one worker: a child process with its pipes and its directory.

It starts a fresh interpreter in a session of its own, so that Ctrl-C in a terminal, which goes to
the whole process group of the supervisor, does not reach it a second time. Nothing is forked.

Called by `Supervisor`, which decides what happens next.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import msgspec

from httpkit.server.config import Config
from httpkit.server.listening import Listening
from httpkit.server.report import Draining, Failed, Ready, ReportReader, Spent
from httpkit.server.worker import Assignment

__all__ = ["WORKER_VARIABLES", "Spawn", "WorkerProcess", "describe_end"]

#: Where a worker finds its number and its directory.
WORKER_VARIABLES = ("HTTPKIT_WORKER_ID", "HTTPKIT_WORKER_DIR")


def describe_end(code: int) -> str:
    """An exit code of `subprocess` in words."""
    if code >= 0:
        return f"ended with code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


class WorkerProcess:
    """One worker, from its start to its end. Made inside the running loop.

    Args:
        command: starts a worker; the descriptor of its lifeline is appended.
        number: from 1.
        listening: what it accepts from; stays open here.
        config: options of its server.
        application: handed on in the `Assignment`.
        directory: where its own directory is made.

    Raises:
        OSError: the system has not what it takes: descriptors, memory, processes, space.

    Attributes:
        number: as given.
        pid: of the process.
        reason: why it failed, once it has said so.
        ready: result: its report, or `None` if it has ended without one.
        leaving: done when it accepts no more: it drains, or has ended.
        ended: result: the exit code, negative for a signal.
        on_spent: called each time that it has served its requests.
    """

    def __init__(
        self,
        command: Sequence[str],
        number: int,
        listening: Listening,
        config: Config,
        application: dict[str, Any],
        directory: str,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.reason: str | None = None
        self.ready: asyncio.Future[Ready | None] = loop.create_future()
        self.leaving: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self.on_spent: Callable[[], object] | None = None
        self._loop = loop
        self._asked = False
        self._reader = ReportReader()
        with ExitStack() as opened:  # what is undone if it cannot be started
            self._directory = _make_directory(directory, number)
            opened.callback(shutil.rmtree, self._directory, ignore_errors=True)
            self._reports, report = _open_pipe(opened)
            lifeline, self._lifeline = _open_pipe(opened)
            os.set_blocking(self._reports, False)
            descriptors = [listener.fileno() for listener in listening.sockets]
            assignment = Assignment(
                number=number,
                listeners=descriptors,
                schemes=listening.schemes,
                accept_batch=listening.accept_batch,
                report=report,
                directory=self._directory,
                config=config,
                application=application,
            )
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [*command, str(lifeline)],
                pass_fds=[*descriptors, report, lifeline],
                start_new_session=True,
                env={
                    **os.environ,
                    **dict(zip(WORKER_VARIABLES, (str(number), self._directory), strict=True)),
                },
            )
            opened.pop_all()
        self.pid = self._process.pid
        os.close(report)
        os.close(lifeline)
        loop.add_reader(self._reports, self._read_reports)
        with suppress(BrokenPipeError):  # it has ended already, which is noticed below
            os.write(self._lifeline, msgspec.json.encode(assignment) + b"\n")

    @property
    def serving(self) -> bool:
        """Whether it accepts connections, as far as is known."""
        return self.ready.done() and self.ready.result() is not None and not self.leaving.done()

    def ask_to_stop(self) -> None:
        """Stop gracefully; a second signal would end it at once, so there is none."""
        if not self._asked and not self.leaving.done():
            self._asked = True
            self._process.send_signal(signal.SIGTERM)

    def kill(self, reason: str | None = None) -> None:
        """End it at once, for a reason."""
        self.reason = reason or self.reason
        self._process.kill()  # does nothing once the end has been noticed

    def check(self) -> None:
        """Notice that the process has ended, if it has; called on SIGCHLD."""
        code = self._process.poll()
        if code is None or self.ended.done():
            return
        self._read_reports()
        self._close_reports()
        os.close(self._lifeline)
        shutil.rmtree(self._directory, ignore_errors=True)
        _resolve(self.ready, None)
        _resolve(self.leaving, None)
        _resolve(self.ended, code)

    def _read_reports(self) -> None:
        while self._reports >= 0:
            try:
                data = os.read(self._reports, 65_536)
            except BlockingIOError:
                return
            if not data:
                self._close_reports()
            for report in self._reader.receive_data(data):
                if isinstance(report, Ready):
                    _resolve(self.ready, report)
                elif isinstance(report, Draining):
                    _resolve(self.leaving, None)
                elif isinstance(report, Spent):
                    if self.on_spent is not None:
                        self.on_spent()
                else:
                    assert isinstance(report, Failed)
                    self.reason = report.reason

    def _close_reports(self) -> None:
        if self._reports >= 0:
            self._loop.remove_reader(self._reports)
            os.close(self._reports)
            self._reports = -1


def _make_directory(parent: str, number: int) -> str:
    """One for a worker; its parent may have been taken for a forgotten one, and removed."""
    with suppress(FileExistsError):
        os.mkdir(parent, 0o700)
    return tempfile.mkdtemp(prefix=f"worker-{number}-", dir=parent)


def _open_pipe(opened: ExitStack) -> tuple[int, int]:
    """A pipe that is closed with the stack."""
    pipe = os.pipe()
    for descriptor in pipe:
        opened.callback(os.close, descriptor)
    return pipe


def _resolve(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


#: Starts a worker of a number, which accepts from what is given.
Spawn = Callable[[int, Listening], WorkerProcess]
