"""Tasks that take their first step at once."""

import asyncio
import contextvars
import gc
import weakref
from contextvars import copy_context

import pytest

from httpkit.transport import tasks as tasks_module
from httpkit.transport.loop import new_event_loop
from httpkit.transport.tasks import TaskStarter

variable = contextvars.ContextVar("variable", default="outside")


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request):
    loop = new_event_loop(request.param)
    yield loop
    loop.close()


@pytest.fixture
def starter(loop):
    return TaskStarter(loop)


@pytest.fixture
def start(starter):
    """Start an `async def` without arguments; the loop is in a callback at that moment."""
    return lambda work, context=None: starter.start(call, work, context or copy_context())


def call(function):
    return function()


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


# --- the first step ------------------------------------------------------------------------------


def test_what_never_waits_is_done_at_once(loop, start) -> None:
    async def work():
        events.append("work")
        return 5

    def step():
        result = start(work)
        events.append("back")
        return result

    events: list[str] = []
    assert in_callback(loop, step) == 5
    assert events == ["work", "back"]


def test_a_plain_function_runs_in_the_context_and_as_a_task(loop, start) -> None:
    def work():
        variable.set("inside")
        return asyncio.current_task(), variable.get()

    task, value = in_callback(loop, lambda: start(work))
    assert isinstance(task, asyncio.Task)
    assert value == "inside"
    assert variable.get() == "outside"


def test_awaitables_of_other_kinds_are_given_back(loop, start) -> None:
    future = loop.create_future()
    assert in_callback(loop, lambda: start(lambda: future)) is future


def test_what_waits_goes_on_later(loop, start) -> None:
    async def work():
        events.append("first")
        await asyncio.sleep(0)
        events.append("second")
        return 5

    def step():
        task = start(work)
        events.append("back")
        assert not task.done()
        assert task in asyncio.all_tasks(loop)
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
    task = in_callback(loop, lambda: start(work))
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

    task = in_callback(loop, lambda: start(work))
    assert loop.run_until_complete(task) == "late"


def test_context_variables_are_isolated(loop, start) -> None:
    def work(name: str):
        async def work():
            before = variable.get()
            variable.set(name)
            await asyncio.sleep(0)
            return before, variable.get()

        return work

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
    assert in_callback(loop, lambda: [start(work, context), start(work, context)]) == [
        "outside",
        "inside",
    ]


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, StopAsyncIteration])
def test_exceptions_of_the_first_step_are_raised(loop, start, error) -> None:
    async def work():
        raise error

    def step():
        with pytest.raises(error):
            start(work)
        with pytest.raises(error):
            start(lambda: (_ for _ in ()).throw(error))

    in_callback(loop, step)
    assert asyncio.current_task(loop) is None


def test_stop_iteration_of_a_plain_function_is_its_own(loop, start) -> None:
    def step():
        with pytest.raises(StopIteration):
            start(lambda: next(iter(())))

    in_callback(loop, step)


def test_exceptions_of_later_steps_end_in_the_task(loop, start) -> None:
    async def work():
        await asyncio.sleep(0)
        raise ValueError("broken")

    task = in_callback(loop, lambda: start(work))
    with pytest.raises(ValueError, match="broken"):
        loop.run_until_complete(task)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_the_end_of_the_process_passes(loop, start, error) -> None:
    async def work():
        raise error

    def step():
        with pytest.raises(error):
            start(work)

    in_callback(loop, step)


def test_cancellation(loop, start) -> None:
    async def work():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            return str(error)

    task = in_callback(loop, lambda: start(work))
    task.cancel("enough")
    assert loop.run_until_complete(task) == "enough"


def test_cancellation_of_oneself_in_the_first_step(loop, start) -> None:
    async def work():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    task = in_callback(loop, lambda: start(work))
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_cancellation_of_oneself_cancels_what_one_waits_for(loop, start) -> None:
    """As asyncio does: a task that is cancelled takes the child that it awaits with it."""

    async def work():
        child = asyncio.ensure_future(asyncio.Event().wait())
        children.append(child)
        asyncio.current_task().cancel("enough")
        await child

    children: list[asyncio.Task] = []
    task = in_callback(loop, lambda: start(work))
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert children[0].cancelled()


def test_cancellation_of_oneself_when_what_one_waits_for_is_done(loop, start) -> None:
    async def work():
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        asyncio.current_task().cancel("enough")
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            return "cancelled"

    task = in_callback(loop, lambda: start(work))
    assert loop.run_until_complete(task) == "cancelled"


def test_task_groups(loop, start) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    async def work():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(double(i)) for i in range(3)]
        return [task.result() for task in tasks]

    task = in_callback(loop, lambda: start(work))
    assert loop.run_until_complete(task) == [0, 2, 4]


def test_a_failing_task_group_cancels_the_handler_only(loop, start) -> None:
    async def fail():
        raise ValueError("broken")

    async def work():
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.Event().wait()
        except* ValueError:
            pass
        return asyncio.current_task().cancelling()

    task = in_callback(loop, lambda: start(work))
    assert loop.run_until_complete(task) == 0


def test_inside_a_task_the_call_is_made_later(loop, start) -> None:
    """Two tasks cannot be in the middle of a step at once."""

    async def inner():
        events.append("inner")
        return asyncio.current_task()

    async def outer():
        task = start(inner)
        events.append("outer")
        assert not task.done()
        assert await task is task
        return asyncio.current_task()

    events: list[str] = []
    task = in_callback(loop, lambda: start(outer))
    assert loop.run_until_complete(task) is task
    assert events == ["outer", "inner"]


def test_inside_a_task_a_plain_function_is_called_later_too(loop, start) -> None:
    async def outer():
        return await start(lambda: 5)

    task = in_callback(loop, lambda: start(outer))
    assert loop.run_until_complete(task) == 5


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
    task = in_callback(loop, lambda: starter.start(call, work, context))
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
    task = in_callback(loop, lambda: starter.start(call, work, copy_context()))
    assert loop.run_until_complete(task) == 5


def test_debug_mode(loop, start) -> None:
    async def work():
        await asyncio.sleep(0)
        return 5

    loop.set_debug(True)
    task = in_callback(loop, lambda: start(work))
    assert loop.run_until_complete(task) == 5


def test_the_loop_is_as_it_was(loop, start) -> None:
    async def work():
        await asyncio.sleep(0)

    def step():
        start(work)
        return loop.call_soon

    assert getattr(in_callback(loop, step), "__self__", None) is loop


# --- the spare task ------------------------------------------------------------------------------


def test_a_task_that_nobody_has_noticed_serves_again(loop, start) -> None:
    async def work():
        return id(asyncio.current_task())

    def step():
        return [start(work) for _ in range(3)]

    assert len(set(in_callback(loop, step))) == 1


@pytest.mark.parametrize(
    "notice",
    [
        lambda task, kept: kept.append(task),
        lambda task, kept: kept.append(weakref.ref(task)),
        lambda task, kept: kept.append(task.cancel),
        lambda task, kept: task.cancel(),
        lambda task, kept: task.set_name("mine"),
        lambda task, kept: task.add_done_callback(kept.append),
    ],
    ids=["kept", "weakly kept", "method kept", "cancelled", "renamed", "observed"],
)
def test_a_task_that_somebody_has_noticed_does_not_serve_again(loop, start, notice) -> None:
    """Otherwise a late `cancel` would hit the request of somebody else."""

    async def first():
        notice(asyncio.current_task(), kept)
        return id(asyncio.current_task())

    async def second():
        task = asyncio.current_task()
        assert not task.cancelling()
        assert task.get_name() == "httpkit"
        await asyncio.sleep(0)
        return id(task)

    kept: list[object] = []
    identity = in_callback(loop, lambda: start(first))
    task = in_callback(loop, lambda: start(second))
    later = loop.run_until_complete(task)
    assert not any(kept_task is task for kept_task in kept)
    if any(not isinstance(each, weakref.ref) for each in kept):
        assert later != identity  # kept alive, so no other object can have its identity


def test_a_task_is_taken_by_the_first_that_waits(loop, start) -> None:
    async def work():
        task = asyncio.current_task()
        await asyncio.sleep(0)
        return task

    tasks = in_callback(loop, lambda: [start(work) for _ in range(3)])
    assert len(set(tasks)) == 3
    assert [loop.run_until_complete(task) for task in tasks] == tasks


def test_the_spare_task_is_seen_by_nobody_and_leaves_no_word(loop, starter, caplog) -> None:
    gc.collect()  # what other tests have left behind says its word now
    caplog.clear()
    assert asyncio.all_tasks(loop) == set()
    del starter
    gc.collect()
    assert not caplog.records


def test_a_task_that_is_lost_while_it_waits_is_logged(loop, start, caplog) -> None:
    """As asyncio does, since it is a mistake; the handler is told."""

    async def work():
        try:
            await loop.create_future()
        finally:
            events.append("closed")

    events: list[str] = []
    in_callback(loop, lambda: start(work) and None)
    gc.collect()
    assert events == ["closed"]
    assert "Task was destroyed but it is pending" in caplog.text


def test_the_rest_of_a_handler_is_awaited_by_nobody_else(loop) -> None:
    with pytest.raises(RuntimeError):
        tasks_module._Rest().__await__()


def test_results_are_not_kept(loop, starter) -> None:
    class Result:
        pass

    async def work():
        return Result()

    gc.disable()
    try:
        alive = in_callback(loop, lambda: weakref.ref(starter.start(call, work, copy_context())))
        assert alive() is None
    finally:
        gc.enable()
