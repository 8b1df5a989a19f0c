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

__all__ = ["TURN", "TURN_PIECE", "NextTurn", "Waiter"]

#: Bytes that one stream sends to a client who takes them all at once, before it is the turn of
#: others; and what each piece counts besides its bytes. A loop over `send` may never wait else.
TURN, TURN_PIECE = 262_144, 256


class Waiter:
    """What one task waits for, again and again, and something else wakes.

    Behaves towards the task like a future. The step of the task that it wakes is taken within
    `wake`, unless that is called within another task's. It wakes nobody who does not wait, and one
    who does may find that there was no reason.

    Attributes:
        callback: takes the next step of the task that waits; `None` while nobody does.
    """

    __slots__ = ("_asyncio_future_blocking", "_context", "_loop", "callback")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # A task that finds no `get_loop` looks here, which spares it a call.
        self._loop = loop
        self.callback: Callable[[Waiter | _Cancellation], object] | None = None
        self._context: Context | None = None

    @coroutine
    def wait(self) -> Generator["Waiter", None, None]:
        """Wait for `wake`; only while nobody else does."""
        self._asyncio_future_blocking = True
        yield self

    def wake(self) -> None:
        """Let whoever waits go on."""
        callback, context = self.callback, self._context
        if callback is None or context is None:
            return
        if current_task(self._loop) is None:
            self.callback = None
            context.run(callback, self)
        else:
            self.wake_soon()

    def wake_soon(self) -> None:
        """Let whoever waits go on in the next turn of the loop, as a future does."""
        self._book(self)

    def _book(self, outcome: "Waiter | _Cancellation") -> bool:
        """Tell whoever waits in the next turn; whether somebody does."""
        callback, self.callback = self.callback, None
        if callback is None:
            return False
        self._loop.call_soon(callback, outcome, context=self._context)
        return True

    # --- as a task sees it -------------------------------------------------------------------

    def add_done_callback(
        self, callback: Callable[["Waiter | _Cancellation"], object], *, context: Context
    ) -> None:
        """See `asyncio.Future.add_done_callback`; only the task that waits calls it."""
        self.callback, self._context = callback, context

    def cancel(self, msg: Any | None = None) -> bool:
        """See `asyncio.Future.cancel`; the task that waits is canceled."""
        return self._book(_Cancellation(msg))

    def result(self) -> None:
        """See `asyncio.Future.result`; the task asks what it was woken for."""


class _Cancellation:
    """What a task that is canceled is told in place of the waiter; another one may wait already."""

    __slots__ = ("_message",)

    def __init__(self, message: Any | None) -> None:
        self._message = message

    def result(self) -> None:
        """See `asyncio.Future.result`."""
        raise CancelledError if self._message is None else CancelledError(self._message)


class NextTurn:
    """Calls things in the next turn of the loop, with one booking for all of them.

    One that raises holds up none of the others.
    """

    __slots__ = ("_booked", "_calls", "_number", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: list[Callable[[], object]] = []
        self._booked = False
        self._number = 0

    def call(self, function: Callable[[], object]) -> None:
        """Call this in the next turn."""
        if not self._booked:
            self._book()
        self._calls.append(function)

    def current(self) -> int:
        """The number of this turn, to see later whether the loop has gone on; never 0."""
        if not self._booked:
            self._book()
        return self._number

    def _book(self) -> None:
        self._booked = True
        self._number += 1
        self.loop.call_soon(self._run)

    def _run(self) -> None:
        self._booked = False
        calls, self._calls = iter(self._calls), []
        try:
            for function in calls:
                function()
        finally:
            for function in calls:
                self.call(function)
