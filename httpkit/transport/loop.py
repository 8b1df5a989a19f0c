"""The event loop, and tasks that take their first step at once.

A request handler must run as a task: `asyncio.current_task()`, `asyncio.timeout()`, context
variables and cancellation rely on it. But `create_task` costs a turn of the loop before the first
step, and most handlers never wait for anything. `TaskStarter` takes that first step immediately.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Literal, TypeVar

from httpkit.errors import ConfigurationError

try:
    import uvloop
except ImportError:  # pragma: no cover - Windows has no uvloop
    HAS_UVLOOP = False
else:
    HAS_UVLOOP = True

__all__ = ["LoopChoice", "TaskStarter", "new_event_loop"]

T = TypeVar("T")
_Task = asyncio.Task
LoopChoice = Literal["auto", "uvloop", "asyncio"]


def new_event_loop(choice: LoopChoice = "auto") -> asyncio.AbstractEventLoop:
    """A new loop: uvloop where it is installed, asyncio's otherwise.

    Raises:
        ConfigurationError: uvloop is wanted but not installed.
    """
    if choice == "asyncio" or (choice == "auto" and not HAS_UVLOOP):
        return asyncio.new_event_loop()
    if not HAS_UVLOOP:
        raise ConfigurationError("uvloop is not installed: pip install uvloop, or --loop asyncio")
    return uvloop.new_event_loop()


class TaskStarter:
    """Starts tasks on one loop, eagerly where that is possible.

    How: a task hands its first step to `loop.call_soon` while it is constructed. For that moment
    the loop's `call_soon` is shadowed by a method that keeps the step; it is then run in the
    task's context. This uses public behavior only and works on asyncio and uvloop alike
    (Python 3.12 calls the idea `eager_start`).

    It is not possible, and the step goes to the loop as usual, inside another task's step, on a
    loop with a task factory of its own, and on loops whose attributes cannot be set.
    """

    __slots__ = ("_eager", "_loop", "_step")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._step: Any = None
        self._eager = hasattr(loop, "__dict__") and loop.get_task_factory() is None

    def _keep_step(self, step: Any, *, context: Context | None = None) -> None:  # noqa: ARG002
        self._step = step

    def start(self, coroutine: Coroutine[Any, Any, T], context: Context) -> asyncio.Task[T]:
        """Make a task in `context` and take its first step; it may be done on return."""
        loop = self._loop
        if not self._eager:
            return loop.create_task(coroutine, context=context)
        loop.call_soon = self._keep_step  # type: ignore[assignment,method-assign]
        try:
            task = _Task(coroutine, loop=loop, name="httpkit", context=context)
        finally:
            del loop.call_soon
        # Not kept: it would keep the last task, and what that returned.
        step, self._step = self._step, None
        try:
            context.run(step)
        except RuntimeError:
            # Another task is in the middle of a step, so this one could not be entered; what its
            # own coroutine raises ends in the task.
            loop.call_soon(step, context=context)
        return task
