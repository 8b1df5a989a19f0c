"""Running a server in the foreground of a process: signals, the way out, exit codes.

Theory of operation:

1. The first SIGINT or SIGTERM asks the loop to stop gracefully. A start that is still going on is
   cancelled; the lifespan sees the cancellation and cleans up.
2. The second one ends the process from inside the signal handler, so that it works while a
   request handler blocks the loop: what was logged is written, then `os._exit`. If even that
   hangs, the kernel ends the process a second later.
3. SIGHUP reads certificates anew, where there are any; without TLS it ends the process as always.
4. A server that has served `max_requests` stops as by a signal, or says so to whoever replaces it.
5. What is there once the server has started lives as long as it does: the garbage collector does
   not look at it again, since its full collections hold up every connection.
6. Start, waiting and stop are one task, since what a lifespan holds (task groups, timeouts) must
   be left by the task that entered it.

Called by `httpkit.cli`; an embedded `Server` uses nothing of this.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import IntEnum
from functools import partial
from types import FrameType
from typing import Any

from httpkit.errors import ConfigurationError
from httpkit.server.config import Config
from httpkit.server.descriptors import raise_descriptor_limit
from httpkit.server.listening import Listening
from httpkit.server.request_limit import RequestLimit
from httpkit.server.server import Server
from httpkit.transport.loop import new_event_loop
from httpkit.types import Application

__all__ = ["ExitCode", "announce_stop", "heed_termination", "run"]

logger = logging.getLogger("httpkit")

#: Seconds in which the second signal may still write logs.
_LAST_WORDS = 1.0


class ExitCode(IntEnum):
    """What the process says when it ends; by a second signal it is 128 and the signal's number."""

    #: A graceful stop.
    STOPPED = 0
    #: A wrong option, an address in use, an application that failed while it was stopping.
    FAILED = 1
    #: The application failed to start.
    NOT_STARTED = 3


def announce_stop(reason: str) -> None:
    """Log that a stop has begun, and why."""
    second = "; a second one ends at once" if reason in signal.Signals.__members__ else ""
    logger.info("%s: stopping%s", reason, second)


@contextmanager
def _frozen() -> Iterator[None]:
    """Take what is there now out of the sight of the garbage collector; see rule 5."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _ignore(*_: object) -> None:
    pass


class Foreground:
    """One run of one server, from start to exit code.

    Args:
        server: not started yet.
        loop: where it will run.
        started, listening, spent, stopping, failed, first_requests: of `run`.
    """

    def __init__(
        self,
        server: Server,
        loop: asyncio.AbstractEventLoop,
        started: Callable[[Server], object],
        *,
        listening: Listening | None = None,
        spent: Callable[[str], object] | None = None,
        stopping: Callable[[str], object] = announce_stop,
        failed: Callable[[str], object] = _ignore,
        first_requests: float = 0.0,
    ) -> None:
        self._server = server
        self._loop = loop
        self._started = started
        self._listening = listening
        self._spent = spent or self.begin_stop
        self._stopping = stopping
        self._failed = failed
        self._first_requests = first_requests
        self._task: asyncio.Task[Any] | None = None
        self._asked: signal.Signals | None = None
        self._wakeup = asyncio.Event()

    async def serve(self) -> ExitCode:
        """Start, wait to be asked, stop.

        Raises:
            ConfigurationError: the application or the address cannot be used.
        """
        self._task = asyncio.current_task()
        if not self._wakeup.is_set():
            try:
                await self._server.start(listening=self._listening)
            except ConfigurationError:
                raise
            except (Exception, asyncio.CancelledError) as error:
                if self._wakeup.is_set() and isinstance(error, asyncio.CancelledError):
                    return ExitCode.STOPPED
                logger.exception("the application failed to start")
                self._failed(f"the application failed to start: {type(error).__name__}: {error}")
                return ExitCode.NOT_STARTED
            self._task = None
            self._started(self._server)
        with self._limited(), _frozen():
            return await self._wait_and_stop()

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """As long as it serves `max_requests` counts."""
        config = self._server.config
        if config.max_requests is None:
            yield
            return
        limit = RequestLimit(
            self._loop,
            self._server.counters,
            config.max_requests,
            config.max_requests_jitter,
            self._spent,
        )
        limit.start()
        try:
            yield
        finally:
            limit.stop()

    async def _wait_and_stop(self) -> ExitCode:
        code = ExitCode.STOPPED
        try:
            await self._wakeup.wait()
        except asyncio.CancelledError:
            # A task group of the lifespan cancels the task that entered it when a child fails;
            # the failure itself comes out of stop().
            logger.error("the application has cancelled the server")  # noqa: TRY400
            code = ExitCode.FAILED
        try:
            await self._server.stop(first_requests=self._first_requests)
        except Exception:
            logger.exception("the application failed while it was stopping")
            code = ExitCode.FAILED
        return code

    def receive_signal(self, number: int, _frame: FrameType | None) -> None:
        """Handler of `signal.signal`; runs between any two bytecodes of the main thread."""
        if self._asked is not None:
            self._exit_now(number)
        self._asked = signal.Signals(number)
        try:
            self._loop.call_soon_threadsafe(self.begin_stop, self._asked.name)
        except RuntimeError:
            return  # the loop is closed: everything has ended already

    def receive_hangup(self, _number: int, _frame: FrameType | None) -> None:
        """SIGHUP: the certificates may have changed."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._begin_reload)

    def _begin_reload(self) -> None:
        logger.info("SIGHUP: reading certificates anew")
        self._server.begin_reload()

    def begin_stop(self, reason: str) -> None:
        """Stop gracefully, for a reason that stands in the log; called in the loop."""
        if self._wakeup.is_set():
            return
        self._stopping(reason)
        self._wakeup.set()
        if self._task is not None:
            self._task.cancel()

    def _exit_now(self, number: int) -> None:
        # The handler may have interrupted code that holds a lock which is needed below.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _LAST_WORDS)
        try:
            logger.warning("%s again: ended at once", signal.Signals(number).name)
            if self._server.access_log is not None:
                self._server.access_log.close()
        finally:
            os._exit(128 + number)


def heed_termination() -> None:
    """End on SIGTERM until a server heeds it, also as the first process of a container.

    The kernel spares that one what it has no handler for, and an import may take its time.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


def run(
    application: Application,
    config: Config,
    started: Callable[[Server], object] = _ignore,
    *,
    listening: Listening | None = None,
    spent: Callable[[str], object] | None = None,
    prepare: Callable[[asyncio.AbstractEventLoop, Callable[[str], None]], object] = _ignore,
    stopping: Callable[[str], object] = announce_stop,
    failed: Callable[[str], object] = _ignore,
    first_requests: float = 0.0,
) -> ExitCode:
    """Serve until SIGINT or SIGTERM; call it in the main thread, outside any loop.

    Args:
        application: what is served.
        config: checked options.
        started: called with the server when it accepts connections.
        listening: sockets to accept from, instead of the configured address.
        spent: called with a reason each time that it has served `max_requests`; by default a stop
            begins.
        prepare: called before the start with the loop and a function that begins a stop, for a
            reason, as a signal does.
        stopping: called with the reason when a stop begins.
        failed: called with the reason when the application fails to start.
        first_requests: of `Server.stop`.

    Raises:
        ConfigurationError: the application or the address cannot be used, or the thread is not
            the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigurationError(
            "only the main thread gets signals: run the server there, or use httpkit.serve"
        )
    raise_descriptor_limit()
    server = Server(application, config)
    runner = asyncio.Runner(loop_factory=partial(new_event_loop, config.loop))
    loop = runner.get_loop()
    foreground = Foreground(
        server,
        loop,
        started,
        listening=listening,
        spent=spent,
        stopping=stopping,
        failed=failed,
        first_requests=first_requests,
    )
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous = signal.signal(number, foreground.receive_signal)
            stack.callback(signal.signal, number, previous)
        if config.serves_tls and sys.platform != "win32":
            previous = signal.signal(signal.SIGHUP, foreground.receive_hangup)
            stack.callback(signal.signal, signal.SIGHUP, previous)
        # Closing the loop waits for its threads: the second signal must work there too.
        stack.enter_context(runner)
        prepare(loop, foreground.begin_stop)
        return runner.run(foreground.serve())
