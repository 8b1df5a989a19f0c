"""Tasks that take their first step at once.

A request handler must run as a task: `asyncio.current_task()`, `asyncio.timeout()`, task groups,
context variables and cancellation rely on it. But `create_task` costs a turn of the loop before
the first step, and making a task costs as much as everything else that is done for a request.
Most handlers never wait for anything.

Theory of operation:

1. There is always one spare task, made but not begun (`TaskStarter`). The first step of a
   coroutine is taken in its name (`asyncio._enter_task`, the documented way for other
   implementations of tasks), so that `current_task()` is a real task from the first line on.
2. A coroutine that ends in its first step leaves the spare task as it was: the next one uses it.
3. A coroutine that waits takes the spare task with it, for good: the task begins, waits for what
   the coroutine waits for, and sends it on. So its identity is the same before and after.
4. A spare task that anybody has kept, observed, renamed or canceled is not used again: what was
   meant for one request never reaches another one.
"""

import asyncio
from asyncio import _enter_task, _leave_task, _register_task, _unregister_task
from collections.abc import Callable, Coroutine
from contextvars import Context
from sys import getrefcount
from types import CoroutineType
from typing import Any, TypeVar
from weakref import getweakrefcount

__all__ = ["HandlerExited", "HandlerTask", "TaskStarter"]

A = TypeVar("A")


class HandlerExited(RuntimeError):
    """A handler has raised `SystemExit`, as `sys.exit()` and parsers of command lines do.

    It is the failure of one request. Out of a task the loop would let it end the whole process.
    """

    def __init__(self) -> None:
        super().__init__("a handler has raised SystemExit")


class HandlerTask(asyncio.Task[Any]):
    """A task that notices when somebody does something to it.

    Attributes:
        touched: it was canceled, renamed, or somebody waits for its end.
    """

    touched = False

    def cancel(self, msg: Any | None = None) -> bool:
        """See `asyncio.Task.cancel`."""
        self.touched = True
        return super().cancel(msg)

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        """See `asyncio.Future.add_done_callback`."""
        self.touched = True
        super().add_done_callback(fn, context=context)

    def set_name(self, value: object, /) -> None:
        """See `asyncio.Task.set_name`."""
        self.touched = True
        super().set_name(value)


class _Rest(Coroutine[Any, Any, Any]):
    """What a handler task runs: the rest of a coroutine that has taken its first step."""

    __slots__ = ("_begun", "_context", "_coroutine", "_waits_for")

    _coroutine: Coroutine[Any, Any, Any]
    _context: Context
    _waits_for: Any

    def __init__(self) -> None:
        self._begun = False

    def take(self, coroutine: Coroutine[Any, Any, Any], context: Context, waits_for: Any) -> None:
        """Go on with this coroutine, which waits for `waits_for`, in its context."""
        self._coroutine = coroutine
        self._context = context
        self._waits_for = waits_for

    def send(self, value: Any, /) -> Any:
        """Tell the task what the first step waits for, then take the next ones."""
        if not self._begun:
            return self._begin()
        try:
            return self._context.run(self._coroutine.send, value)
        except SystemExit as error:
            raise HandlerExited from error

    def throw(self, *error: Any) -> Any:
        """The task is canceled; if that was in the first step, so is what it waits for."""
        if not self._begun:
            waits_for = self._begin()
            if waits_for is not None and waits_for.cancel():
                return waits_for
        try:
            return self._context.run(self._coroutine.throw, *error)
        except SystemExit as raised:
            raise HandlerExited from raised
        finally:
            del error  # its traceback leads here: without this they would hold each other

    def _begin(self) -> Any:
        self._begun = True
        waits_for, self._waits_for = self._waits_for, None
        return waits_for

    def close(self) -> None:
        """The loop ends before the coroutine does."""
        if self._begun:
            self._coroutine.close()

    def __await__(self) -> Any:
        """Only a task runs it."""
        raise RuntimeError("the rest of a handler belongs to its task")


class TaskStarter:
    """Starts coroutines on one loop, eagerly where that is possible.

    It is not possible, and the first step goes to the loop as usual, inside another task's step,
    on a loop with a task factory of its own, and on loops whose attributes cannot be set.
    """

    __slots__ = ("_loop", "_references", "_rest", "_spare", "_step")

    _rest: _Rest

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._step: Callable[[], object] | None = None
        self._references = 0
        self._spare: HandlerTask | None = None
        if hasattr(loop, "__dict__") and loop.get_task_factory() is None:
            self._make_spare()

    def start(self, function: Callable[[A], Any], argument: A, context: Context) -> Any:
        """Call a function, and take the first step of the coroutine it may give, in `context`.

        Returns:
            What came out, if that was all; else the task that goes on with it.

        Raises:
            BaseException: what was raised by then.
        """
        loop, task = self._loop, self._spare
        if task is None:
            return loop.create_task(_call(function, argument), context=context)
        try:
            _enter_task(loop, task)
        except RuntimeError:  # another task is in the middle of a step
            return loop.create_task(_call(function, argument), context=context)
        waiting: Coroutine[Any, Any, Any] | None = None
        try:
            result = context.run(function, argument)
            if type(result) is CoroutineType:
                waiting = result
                try:
                    waits_for = context.run(waiting.send, None)
                except StopIteration as stop:
                    waiting, result = None, stop.value
        except BaseException:
            _leave_task(loop, task)
            self._make_spare()  # the exception knows what happened in it
            raise
        _leave_task(loop, task)
        if waiting is not None:
            return self._go_on(task, waiting, context, waits_for)
        if getrefcount(task) != self._references or getweakrefcount(task) or task.touched:
            self._make_spare()
        return result

    def _go_on(
        self,
        task: HandlerTask,
        coroutine: Coroutine[Any, Any, Any],
        context: Context,
        waits_for: Any,
    ) -> HandlerTask:
        """Let the spare task begin with a coroutine that has to wait, and make another one."""
        step = self._step
        assert step is not None
        self._rest.take(coroutine, context, waits_for)
        self._make_spare()
        _register_task(task)
        task._log_destroy_pending = True  # type: ignore[attr-defined]  # noqa: SLF001 - our own
        step()
        return task

    def _make_spare(self) -> None:
        """Make a task that has not begun.

        While it is constructed a task hands its first step to `loop.call_soon`. For that moment
        the attribute is shadowed on the loop's instance, which works on asyncio and uvloop alike
        and in loops that are not ours.
        """
        loop, rest = self._loop, _Rest()
        loop.call_soon = self._keep_step  # type: ignore[assignment,method-assign]
        try:
            task = HandlerTask(rest, loop=loop, name="httpkit", context=Context())
        finally:
            del loop.call_soon
        # Nobody can see or wait for a task that has nothing to do, nor has to hear of its end.
        _unregister_task(task)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - our own
        self._rest = rest
        self._spare = task
        self._references = getrefcount(task)

    def _keep_step(self, step: Any, *, context: Context | None = None) -> None:  # noqa: ARG002
        self._step = step


async def _call(function: Callable[[A], Any], argument: A) -> Any:
    """What `TaskStarter.start` does, as a coroutine."""
    try:
        result = function(argument)
        return await result if type(result) is CoroutineType else result
    except SystemExit as error:
        raise HandlerExited from error
