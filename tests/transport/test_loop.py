"""Loops, and tasks that take their first step at once."""

import asyncio
import contextvars
import gc
import weakref
from contextvars import copy_context

import pytest

from httpkit.errors import ConfigurationError
from httpkit.transport import loop as loop_module
from httpkit.transport.loop import TaskStarter, new_event_loop

variable = contextvars.ContextVar("variable", default="outside")


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request):
    loop = new_event_loop(request.param)
    yield loop
    loop.close()


@pytest.fixture
def start(loop):
    """Start a coroutine on the loop, which is not running at that moment or in a callback."""
    starter = TaskStarter(loop)
    return lambda coroutine, context=None: starter.start(coroutine, context or copy_context())


def in_callback(loop, function):
    """Call a function from a callback of the running loop, as transports do; its result."""
    future = loop.create_future()

    def step() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - raised below
            future.set_exception(error)
        else:
            future.set_result(result)

    loop.call_soon(step)
    return loop.run_until_complete(future)


# --- loops ---------------------------------------------------------------------------------------


def test_choices(monkeypatch) -> None:
    names = {}
    for choice in ("auto", "uvloop", "asyncio"):
        loop = new_event_loop(choice)
        names[choice] = type(loop).__module__.split(".")[0]
        loop.close()
    assert names == {"auto": "uvloop", "uvloop": "uvloop", "asyncio": "asyncio"}
    monkeypatch.setattr(loop_module, "HAS_UVLOOP", False)
    loop = new_event_loop("auto")
    assert type(loop).__module__.startswith("asyncio")
    loop.close()
    with pytest.raises(ConfigurationError, match="uvloop is not installed"):
        new_event_loop("uvloop")


# --- the first step ------------------------------------------------------------------------------


def test_a_task_that_never_waits_is_done_at_once(loop, start) -> None:
    async def work():
        events.append("work")
        return 5

    def step():
        task = start(work())
        events.append("back")
        assert task.done()
        return task.result()

    events: list[str] = []
    assert in_callback(loop, step) == 5
    assert events == ["work", "back"]


def test_a_task_that_waits_goes_on_later(loop, start) -> None:
    async def work():
        events.append("first")
        await asyncio.sleep(0)
        events.append("second")
        return 5

    def step():
        task = start(work())
        events.append("back")
        assert not task.done()
        return task

    events: list[str] = []
    task = in_callback(loop, step)
    assert loop.run_until_complete(task) == 5
    assert events == ["first", "back", "second"]


def test_current_task(loop, start) -> None:
    async def work():
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    seen: list[asyncio.Task] = []
    task = in_callback(loop, lambda: start(work()))
    loop.run_until_complete(task)
    assert seen == [task, task]
    assert asyncio.current_task(loop) is None
    assert task not in asyncio.all_tasks(loop)


def test_timeout(loop, start) -> None:
    async def work():
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "late"

    task = in_callback(loop, lambda: start(work()))
    assert loop.run_until_complete(task) == "late"


def test_context_variables_are_isolated(loop, start) -> None:
    async def work(name: str):
        before = variable.get()
        variable.set(name)
        await asyncio.sleep(0)
        return before, variable.get()

    def step():
        tasks = [start(work("one")), start(work("two"))]
        assert variable.get() == "outside"
        return tasks

    tasks = in_callback(loop, step)
    assert [loop.run_until_complete(task) for task in tasks] == [
        ("outside", "one"),
        ("outside", "two"),
    ]


def test_a_context_can_be_used_again(loop, start) -> None:
    async def work():
        before = variable.get()
        variable.set("inside")
        return before

    context = copy_context()
    tasks = in_callback(loop, lambda: [start(work(), context), start(work(), context)])
    assert [task.result() for task in tasks] == ["outside", "inside"]


def test_exceptions_end_in_the_task(loop, start) -> None:
    async def work():
        raise ValueError("broken")

    task = in_callback(loop, lambda: start(work()))
    assert task.done()
    assert str(task.exception()) == "broken"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_the_end_of_the_process_passes(loop, start, error) -> None:
    async def work():
        raise error

    def step():
        with pytest.raises(error):
            start(work())

    in_callback(loop, step)


def test_cancellation(loop, start) -> None:
    async def work():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            return str(error)

    task = in_callback(loop, lambda: start(work()))
    task.cancel("enough")
    assert loop.run_until_complete(task) == "enough"


def test_cancellation_of_oneself_in_the_first_step(loop, start) -> None:
    async def work():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    task = in_callback(loop, lambda: start(work()))
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_task_groups(loop, start) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    async def work():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(double(i)) for i in range(3)]
        return [task.result() for task in tasks]

    task = in_callback(loop, lambda: start(work()))
    assert loop.run_until_complete(task) == [0, 2, 4]


def test_inside_a_task_the_step_is_taken_later(loop, start) -> None:
    """Two tasks cannot be in the middle of a step at once."""

    async def inner():
        events.append("inner")
        return asyncio.current_task()

    async def outer():
        task = start(inner())
        events.append("outer")
        assert not task.done()
        assert await task is task
        return asyncio.current_task()

    events: list[str] = []
    task = in_callback(loop, lambda: start(outer()))
    assert loop.run_until_complete(task) is task
    assert events == ["outer", "inner"]


def test_a_task_that_is_no_coroutine(loop, start) -> None:
    def step():
        with pytest.raises(TypeError):
            start(5)
        return loop.call_soon

    # The loop is as it was.
    assert getattr(in_callback(loop, step), "__self__", None) is loop


def test_a_loop_with_a_task_factory(loop) -> None:
    """Its tasks are made as it wants them, and start as usual."""

    class Custom(asyncio.Task):
        pass

    def factory(loop, coroutine, **options):
        return Custom(coroutine, loop=loop, **options)

    async def work():
        return variable.get()

    loop.set_task_factory(factory)
    starter = TaskStarter(loop)
    context = copy_context()
    context.run(variable.set, "inside")
    task = in_callback(loop, lambda: starter.start(work(), context))
    assert type(task) is Custom
    assert loop.run_until_complete(task) == "inside"


def test_a_loop_whose_attributes_cannot_be_set(loop) -> None:
    class Closed:
        """Has no `__dict__`."""

        __slots__ = ("loop",)

        def __init__(self) -> None:
            self.loop = loop

        def get_task_factory(self):
            return None

        def create_task(self, coroutine, *, context):
            return loop.create_task(coroutine, context=context)

    async def work():
        return 5

    starter = TaskStarter(Closed())
    task = in_callback(loop, lambda: starter.start(work(), copy_context()))
    assert loop.run_until_complete(task) == 5


def test_debug_mode(loop, start) -> None:
    async def work():
        await asyncio.sleep(0)
        return 5

    loop.set_debug(True)
    task = in_callback(loop, lambda: start(work()))
    assert loop.run_until_complete(task) == 5


def test_tasks_are_not_kept(loop) -> None:
    """Neither is what they return."""

    class Result:
        pass

    async def work():
        return Result()

    starter = TaskStarter(loop)
    gc.disable()
    try:
        alive = in_callback(
            loop, lambda: weakref.ref(starter.start(work(), copy_context()).result())
        )
        assert alive() is None
    finally:
        gc.enable()
