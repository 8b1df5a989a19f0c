"""The supervisor: keeps listeners open and workers running.

Theory of operation:

1. Listeners are opened before this begins and closed when a stop begins. In between they are never
   closed, so what waits in their queues survives every worker.
2. There is a `_Place` for each worker. The first worker starts alone, so that a mistake in the
   application is shown once and not by each of them; then the others do.
3. A worker that leaves its place without being asked (it died, or it drains) is replaced as
   `Restarts` says. A crash loop, or a failure at the first start, ends everything. Where the system
   cannot start a process now, the others go on.
4. SIGHUP replaces worker by worker: a new one is ready before the old one is asked to stop. If a
   new one fails, the old ones stay.
5. When files are watched there is one worker: it is stopped, then started anew. One that fails
   waits for the next change; connections wait in the listener's queue meanwhile.
6. A worker that has served `max_requests` is replaced the same way, when it says so; if the new one
   fails, the old one serves as many again.
7. The first SIGINT or SIGTERM is passed on as a graceful stop. The second one kills the workers.

It never loads the application. Called by `httpkit.cli`.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from httpkit.server.config import Config
from httpkit.server.listening import Listening
from httpkit.server.process import ExitCode
from httpkit.server.report import Ready
from httpkit.server.restarts import Restarts
from httpkit.server.worker_process import Spawn, WorkerProcess, describe_end

__all__ = ["Supervisor"]

logger = logging.getLogger("httpkit")

#: Seconds beyond `shutdown_timeout` for what follows it: clean-up, the lifespan, the log.
_GRACE = 10.0
#: Seconds until the system is asked again for a process that it could not start.
_SPAWN_AGAIN = 5.0


class _Place:
    """What one worker at a time occupies."""

    def __init__(self, number: int, listening: Listening, restarts: Restarts) -> None:
        self.number = number
        self.listening = listening
        self.restarts = restarts
        #: The worker that serves here.
        self.worker: WorkerProcess | None = None
        #: Held by whoever puts a new worker here.
        self.lock = asyncio.Lock()


class Supervisor:
    """Runs workers until a signal ends it, or they do. Made inside the running loop.

    Args:
        config: options of the server.
        listening: what each worker accepts from; their number is that of the workers.
        spawn: starts a worker.
        announce: called with the reports of all workers, once they are ready for the first time.
        changes: sets of changed paths; each starts the worker anew.
        clock: monotonic seconds.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        config: Config,
        listening: list[Listening],
        spawn: Spawn,
        *,
        announce: Callable[[list[Ready]], object],
        changes: AsyncIterator[set[str]] | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock or self._loop.time
        self._sleep = sleep
        self._start_timeout = config.worker_start_timeout
        self._stop_timeout = config.limits.shutdown_timeout + _GRACE
        self._places = [
            _Place(number, each, Restarts(self._clock)) for number, each in enumerate(listening, 1)
        ]
        self._spawn = spawn
        self._announce = announce
        self._announced = False
        self._changes = changes
        #: Every process that has not ended.
        self._workers: set[WorkerProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._roll_pending = False
        #: The exit code, once it is clear that there will be one.
        self._end: asyncio.Future[int] = self._loop.create_future()
        self._killed_by: int | None = None

    async def run(self) -> int:
        """Start, watch over, stop; the exit code."""
        with self._signals():
            self._begin(self._start_all())
            code = await self._end
            for task in self._tasks:
                task.cancel()
            for place in self._places:
                place.listening.close()
            # A worker that has just been started is among them.
            await asyncio.gather(*[self._stop(worker) for worker in self._workers])
        return code if self._killed_by is None else 128 + self._killed_by

    # --- signals -----------------------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[None]:
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGINT: lambda: self.receive_stop_signal(signal.SIGINT),
            signal.SIGTERM: lambda: self.receive_stop_signal(signal.SIGTERM),
            signal.SIGHUP: self.roll,
            signal.SIGCHLD: self._check_workers,
        }
        for number, handler in handlers.items():
            self._loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                self._loop.remove_signal_handler(number)

    def receive_stop_signal(self, number: signal.Signals) -> None:
        """SIGINT or SIGTERM: stop; the second time at once."""
        if not self._end.done():
            logger.info("%s: stopping; a second one ends at once", number.name)
            self._end.set_result(ExitCode.STOPPED)
            return
        logger.warning("%s again: the workers are killed", number.name)
        self._killed_by = number
        for worker in self._workers:
            worker.kill()

    def roll(self) -> None:
        """Replace every worker, one after the other."""
        if not self._roll_pending:  # else one that has not begun will do
            self._roll_pending = True
            self._begin(self._roll())

    def _check_workers(self) -> None:
        for worker in list(self._workers):
            worker.check()

    # --- starting ----------------------------------------------------------------------------

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("the supervisor failed", exc_info=task.exception())
            self._give_up(ExitCode.FAILED)

    async def _start_all(self) -> None:
        first, *others = self._places
        if self._changes is not None:
            self._begin(self._follow_changes(first, self._changes))
        if not await self._start_first(first):
            return
        if not all(await asyncio.gather(*[self._start_first(place) for place in others])):
            return
        self._announce_once()

    async def _start_first(self, place: _Place) -> bool:
        async with place.lock:
            worker = await self._fill(place)
        if worker.serving:
            return True
        if self._changes is not None:
            logger.error("%s; waiting for a change", _story(worker))
        elif not self._end.done():  # of several that fail the first one is enough
            logger.error("%s", _story(worker))
            self._give_up(_exit_code(worker))
        return False

    async def _fill(self, place: _Place) -> WorkerProcess:
        """Start a worker and put it in its place if it becomes ready, as far as `serving` says."""
        worker = await self._try_to_spawn(place)
        self._workers.add(worker)
        worker.ended.add_done_callback(lambda _: self._workers.discard(worker))
        await asyncio.wait({worker.ready}, timeout=self._start_timeout)
        if not worker.ready.done():
            worker.kill(f"it was not ready after {self._start_timeout:g} s (worker_start_timeout)")
            await asyncio.wait({worker.ready})
        if worker.ready.result() is None:
            await asyncio.wait({worker.ended})
        else:
            since = self._clock()
            place.worker = worker
            worker.leaving.add_done_callback(lambda _: self._left(place, worker, since))
            worker.on_spent = lambda: self._begin(self._renew(place, worker))
        return worker

    async def _try_to_spawn(self, place: _Place) -> WorkerProcess:
        """A new process, as soon as the system can start one: those that serve shall go on."""
        while True:
            try:
                return self._spawn(place.number, place.listening)
            except OSError as error:
                if not self._announced:
                    raise
                logger.error(  # noqa: TRY400 - the system's reason says it all
                    "worker %d cannot be started: %s; the next try is in %g s",
                    place.number,
                    error,
                    _SPAWN_AGAIN,
                )
            await self._sleep(_SPAWN_AGAIN)

    def _announce_once(self) -> None:
        reports = [place.worker.ready.result() for place in self._places if place.worker]
        if not self._announced and len(reports) == len(self._places):
            self._announced = True
            self._announce([report for report in reports if report is not None])

    def _give_up(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    # --- replacing ---------------------------------------------------------------------------

    def _left(self, place: _Place, worker: WorkerProcess, since: float) -> None:
        """A worker serves no more; if it was not asked to, somebody has to take its place."""
        if place.worker is not worker or self._end.done():
            return
        place.worker = None
        self._begin(self._restore(place, worker, self._clock() - since))

    async def _restore(self, place: _Place, worker: WorkerProcess, served: float) -> None:
        async with place.lock:
            while place.worker is None:
                if self._changes is not None:
                    logger.error("%s; waiting for a change", _story(worker))
                    return
                delay = place.restarts.next_delay(served)
                if delay is None:
                    logger.error("%s; it ends again and again, so everything does", _story(worker))
                    self._give_up(_exit_code(worker))
                    return
                logger.error("%s; the next one starts in %g s", _story(worker), delay)
                await self._sleep(delay)
                worker, served = await self._fill(place), 0.0
                if worker.ready.result() is not None:
                    logger.info("worker %d (pid %d) is ready", place.number, worker.pid)
                    self._announce_once()

    async def _roll(self) -> None:
        for place in self._places:
            async with place.lock:
                self._roll_pending = False
                if not await self._replace(place):
                    return

    async def _renew(self, place: _Place, worker: WorkerProcess) -> None:
        """Replace a worker that has served its requests."""
        async with place.lock:
            if place.worker is worker and not self._end.done():
                logger.info("worker %d (pid %d) has served its requests", place.number, worker.pid)
                await self._replace(place)

    async def _replace(self, place: _Place) -> bool:
        """Stop the worker of a place once a new one is ready; whether it was."""
        old, worker = place.worker, await self._fill(place)
        if not worker.serving:
            logger.error("%s; the old workers stay", _story(worker))
            return False
        logger.info("worker %d (pid %d) is ready", place.number, worker.pid)
        if old is not None:
            self._begin(self._stop(old))
        return True

    async def _follow_changes(self, place: _Place, changes: AsyncIterator[set[str]]) -> None:
        async for paths in changes:
            async with place.lock:
                first, *more = sorted(paths)
                others = f" and {len(more)} more" if more else ""
                logger.info("%s%s changed: starting again", first, others)
                old, place.worker = place.worker, None
                if old is not None:
                    await self._stop(old)
                worker = await self._fill(place)
            if worker.serving:
                self._announce_once()
                logger.info("worker %d (pid %d) is ready", place.number, worker.pid)
            else:
                logger.error("%s; waiting for a change", _story(worker))

    async def _stop(self, worker: WorkerProcess) -> None:
        """Ask a worker to stop, and see to it that it does."""
        worker.ask_to_stop()
        await asyncio.wait({worker.ended}, timeout=self._stop_timeout)
        if not worker.ended.done():
            logger.error("worker %d (pid %d) does not stop: killed", worker.number, worker.pid)
            worker.kill()
            await asyncio.wait({worker.ended})


def _story(worker: WorkerProcess) -> str:
    """What happened to a worker."""
    what = (
        describe_end(worker.ended.result()) if worker.ended.done() else "stops without being asked"
    )
    reason = f": {worker.reason}" if worker.reason is not None else ""
    return f"worker {worker.number} (pid {worker.pid}) {what}{reason}"


def _exit_code(worker: WorkerProcess) -> ExitCode:
    """What the worker's end means for the whole."""
    code = worker.ended.result() if worker.ended.done() else None
    return ExitCode.NOT_STARTED if code == ExitCode.NOT_STARTED else ExitCode.FAILED
