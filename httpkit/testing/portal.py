"""A thread with an event loop, in which a context manager is entered and left by one task.

Owns the thread's beginning and end, and that what goes wrong there is raised where the thread was
asked for. `Client` runs an application in one, `LiveServer` a server.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, NamedTuple, TypeVar

from httpkit.transport.loop import new_event_loop

__all__ = ["Portal"]

T = TypeVar("T")


class Portal:
    """A way into a thread and its loop; opened and closed once.

    Args:
        manager: entered when the thread begins, left before it ends.
        name: of the thread.
        loop_factory: makes the loop.

    Attributes:
        entered: done when the manager is entered, or has failed to.
        left: done when the thread ends.
    """

    def __init__(
        self,
        manager: AbstractAsyncContextManager[object],
        *,
        name: str = "httpkit-test-client",
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = new_event_loop,
    ) -> None:
        self._manager = manager
        self._loop_factory = loop_factory
        self.entered: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.left: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._closing: asyncio.Event

    def open(self) -> None:
        """Start the thread; raises what entering raises."""
        self.thread.start()
        self.entered.result()

    def begin_close(self) -> None:
        """Ask the manager to be left; `left` tells when that is done, and what it raised."""
        with suppress(RuntimeError):  # the loop is closed: the manager gave up by itself
            self._loop.call_soon_threadsafe(self._closing.set)

    def close(self) -> None:
        """End the thread; raises what leaving raises."""
        self.begin_close()
        self.thread.join()
        self.left.result()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for it."""
        carried = asyncio.run_coroutine_threadsafe(_carry(coroutine), self._loop).result()
        if isinstance(carried, _Exit):
            raise carried.error
        return carried

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the test
            result = self.left if self.entered.done() else self.entered
            result.set_exception(error)
        else:
            self.left.set_result(None)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        async with self._manager:
            if self.entered.set_running_or_notify_cancel():  # else nobody waits for it any more
                self.entered.set_result(None)
                await self._closing.wait()


class _Exit(NamedTuple):
    error: SystemExit


async def _carry(coroutine: Coroutine[Any, Any, T]) -> T | _Exit:
    """What the application has raised is the test's; out of a task it would end the loop."""
    try:
        return await coroutine
    except SystemExit as error:
        return _Exit(error)
