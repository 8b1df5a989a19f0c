"""Waiting, and waking, at the lowest cost that the loop allows.

A future costs its waiter a turn of the loop, booked for it alone, and is used up after that. What
is waited for again and again (the next message, the next piece of a body) is a `Waiter` instead.
What may wait until the next turn shares one booking with everything else of its kind: `NextTurn`.
Called by the server and by channels, which know nothing of each other.
"""

import asyncio
from asyncio import CancelledError, current_task
from collections.abc import Callable, Generator
from contextvars import Context
from types import coroutine
from typing import Any

__all__ = ["NextTurn", "Waiter"]


class Waiter:
    """What one task waits for, again and again, and something else wakes.

    Behaves towards the task like a future. The step of the task that it wakes is taken within
    `wake`, unless that is called within another task's. It wakes nobody who does not wait, and one
    who does may find that there was no reason.
    """

    __slots__ = ("_asyncio_future_blocking", "_callback", "_canceled", "_context", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callback: Callable[[Waiter], object] | None = None
        self._context: Context | None = None
        self._canceled: CancelledError | None = None

    @coroutine
    def wait(self) -> Generator["Waiter", None, None]:
        """Wait for `wake`; only while nobody else does."""
        self._asyncio_future_blocking = True
        yield self

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits."""
        return self._callback is not None

    def wake(self) -> None:
        """Let whoever waits go on."""
        callback, context = self._callback, self._context
        if callback is not None and context is not None:
            self._callback = None
            if current_task(self._loop) is None:
                context.run(callback, self)
            else:
                self._loop.call_soon(callback, self, context=context)

    def wake_soon(self) -> None:
        """Let whoever waits go on in the next turn of the loop, as a future does."""
        callback, self._callback = self._callback, None
        if callback is not None:
            self._loop.call_soon(callback, self, context=self._context)

    # --- as a task sees it -------------------------------------------------------------------

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """See `asyncio.Future.get_loop`."""
        return self._loop

    def add_done_callback(
        self, callback: Callable[["Waiter"], object], *, context: Context
    ) -> None:
        """See `asyncio.Future.add_done_callback`; only the task that waits calls it."""
        self._callback, self._context = callback, context

    def cancel(self, msg: Any | None = None) -> bool:
        """See `asyncio.Future.cancel`; the task that waits is canceled."""
        if self._callback is None:
            return False
        self._canceled = CancelledError() if msg is None else CancelledError(msg)
        self.wake_soon()
        return True

    def result(self) -> None:
        """See `asyncio.Future.result`; the task asks what it was woken for."""
        error, self._canceled = self._canceled, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback leads here: without this they would hold each other


class NextTurn:
    """Calls things in the next turn of the loop, with one booking for all of them.

    One that raises holds up none of the others.
    """

    __slots__ = ("_calls", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: list[Callable[[], object]] = []

    def call(self, function: Callable[[], object]) -> None:
        """Call this in the next turn."""
        if not self._calls:
            self.loop.call_soon(self._run)
        self._calls.append(function)

    def _run(self) -> None:
        calls, self._calls = iter(self._calls), []
        try:
            for function in calls:
                function()
        finally:
            for function in calls:
                self.call(function)
