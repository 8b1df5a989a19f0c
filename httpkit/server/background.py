"""What goes on without a connection: background calls, and handlers that outlive their exchange.

Owns their tasks, so that a stop can wait for them. Called by `Exchange` and `Server`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from typing import Any

__all__ = ["BackgroundTasks", "run_calls"]

logger = logging.getLogger("httpkit")


class BackgroundTasks:
    """True while there are any.

    Args:
        on_done: called when one has ended.
    """

    def __init__(self, on_done: Callable[[], None]) -> None:
        self._on_done = on_done
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def run(
        self, calls: Iterable[Callable[[], Awaitable[object] | object]], context: Context
    ) -> None:
        """Run an answer's background calls in a task; see `run_calls`.

        Args:
            calls: what they return is awaited, if it can be.
            context: of the request.
        """
        self.keep(asyncio.get_running_loop().create_task(run_calls(calls), context=context))

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold a task that no connection knows any more."""
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._on_done()

    def cancel(self) -> None:
        """Cancel them all; whoever waits for their end goes on doing so."""
        for task in list(self._tasks):
            task.cancel()


async def run_calls(calls: Iterable[Callable[[], Awaitable[object] | object]]) -> None:
    """Run an answer's background calls, one after the other; what they raise is logged."""
    for call in calls:
        try:
            result = call()
            if isinstance(result, Awaitable):
                await result
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody has cancelled this task: the call has waited for something that was.
            logger.exception("a background call failed")
        except (Exception, SystemExit):
            logger.exception("a background call failed")
