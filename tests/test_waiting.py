"""Waiters, and what is called in the next turn of the loop."""

import asyncio
from contextvars import copy_context

import pytest

from httpkit.transport.loop import new_event_loop
from httpkit.transport.tasks import TaskStarter
from httpkit.waiting import NextTurn, Waiter


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request):
    loop = new_event_loop(request.param)
    yield loop
    loop.close()


def in_callback(loop, function):
    """Call a function from a callback of the running loop, as transports do."""

    async def turn() -> None:
        await asyncio.sleep(0)

    loop.call_soon(function)
    loop.run_until_complete(turn())


@pytest.fixture
def waiter(loop):
    return Waiter(loop)


def waiting(loop, waiter, steps, *, times: int = 1) -> asyncio.Task[None]:
    """A task that has begun to wait, and writes down that it was woken."""

    async def work() -> None:
        for _ in range(times):
            await waiter.wait()
            steps.append(asyncio.current_task())

    task = loop.create_task(work())
    loop.run_until_complete(asyncio.sleep(0))
    assert waiter.callback is not None
    return task


def test_a_woken_task_takes_its_step_at_once(loop, waiter) -> None:
    steps: list[object] = []
    task = waiting(loop, waiter, steps, times=3)
    for n in range(1, 4):
        in_callback(loop, waiter.wake)
        assert steps == [task] * n
    assert waiter.callback is None
    loop.run_until_complete(task)


def test_that_of_a_handler_as_well(loop, waiter) -> None:
    steps: list[object] = []

    async def work() -> None:
        steps.append(asyncio.current_task())
        await waiter.wait()
        steps.append(asyncio.current_task())

    starter = TaskStarter(loop)
    in_callback(loop, lambda: starter.start(lambda _: work(), None, copy_context()))
    in_callback(loop, waiter.wake)
    assert len(steps) == 2
    assert steps[0] is steps[1]


def test_within_another_task_it_is_woken_in_a_turn_of_the_loop(loop, waiter) -> None:
    steps: list[object] = []
    task = waiting(loop, waiter, steps)

    async def other() -> None:
        waiter.wake()
        assert waiter.callback is None
        assert steps == []

    loop.run_until_complete(other())
    loop.run_until_complete(task)
    assert steps == [task]


def test_it_wakes_nobody_who_does_not_wait(loop, waiter) -> None:
    in_callback(loop, waiter.wake)
    steps: list[object] = []
    task = waiting(loop, waiter, steps)
    in_callback(loop, lambda: (waiter.wake(), waiter.wake()))
    loop.run_until_complete(task)
    assert steps == [task]


@pytest.mark.parametrize("message", [(), ("why",)])
def test_cancellation_while_it_waits(loop, waiter, message) -> None:
    task = waiting(loop, waiter, [])
    assert task.cancel(*message)
    assert waiter.callback is None
    in_callback(loop, waiter.wake)  # too late
    with pytest.raises(asyncio.CancelledError) as raised:
        loop.run_until_complete(task)
    assert raised.value.args == message


def test_two_cancellations_in_one_turn(loop, waiter) -> None:
    """As with a future, the task is canceled once, and the first says why."""
    task = waiting(loop, waiter, [])
    assert task.cancel("first")
    assert task.cancel("second")
    with pytest.raises(asyncio.CancelledError) as raised:
        loop.run_until_complete(task)
    assert raised.value.args == ("first",)
    assert task.cancelling() == 2


def test_a_cancellation_does_not_reach_who_waits_next(loop, waiter) -> None:
    """Which may be before the canceled task has heard of it."""
    steps = []

    async def work() -> None:
        await waiter.wait()
        steps.append("woken")

    async def first() -> None:
        try:
            await waiter.wait()
        except asyncio.CancelledError:
            steps.append("canceled")
            raise

    canceled = loop.create_task(first())
    loop.run_until_complete(asyncio.sleep(0))

    def replace() -> None:
        canceled.cancel()
        starter.start(lambda _: work(), None, copy_context())  # waits now
        waiter.wake()
        assert steps == ["woken"]

    starter = TaskStarter(loop)
    in_callback(loop, replace)
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(canceled)
    assert steps == ["woken", "canceled"]


def test_a_cancellation_that_is_caught_does_not_come_back(loop, waiter) -> None:
    steps = []

    async def work() -> None:
        try:
            await waiter.wait()
        except asyncio.CancelledError as error:
            steps.append(error.args)
        await waiter.wait()
        steps.append("woken")

    task = loop.create_task(work())
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel("why")
    loop.run_until_complete(asyncio.sleep(0))
    in_callback(loop, waiter.wake)
    assert steps == [("why",), "woken"]


def test_cancellation_after_it_was_woken_in_the_same_turn(loop, waiter) -> None:
    """The task has gone on already, and meets the cancellation where it waits next."""
    steps: list[object] = []
    task = waiting(loop, waiter, steps, times=2)
    in_callback(loop, lambda: (waiter.wake(), task.cancel()))
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert steps == [task]


def test_a_timeout_around_it(loop, waiter) -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0):
                await waiter.wait()
        except TimeoutError:
            return "late"
        return "woken"

    assert loop.run_until_complete(work()) == "late"
    assert loop.run_until_complete(asyncio.wait_for(woken(loop, waiter), 10)) == "woken"


async def woken(loop, waiter) -> str:
    loop.call_soon(waiter.wake)
    await waiter.wait()
    return "woken"


def test_what_the_step_raises_is_the_task_s(loop, waiter) -> None:
    async def work() -> None:
        await waiter.wait()
        raise ZeroDivisionError

    task = loop.create_task(work())
    loop.run_until_complete(asyncio.sleep(0))
    in_callback(loop, waiter.wake)
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(task)


def test_tasks_in_pure_python_know_it_too(loop, waiter) -> None:
    """As debuggers and other interpreters have them."""
    steps: list[object] = []

    async def work() -> None:
        await waiter.wait()
        steps.append("woken")

    task = asyncio.tasks._PyTask(work(), loop=loop)
    loop.run_until_complete(asyncio.sleep(0))
    in_callback(loop, waiter.wake)
    assert steps == ["woken"]
    assert task.done()


# --- the next turn -------------------------------------------------------------------------------


def test_calls_of_the_next_turn_share_one_booking(loop, monkeypatch) -> None:
    bookings, called = [], []
    turn = NextTurn(loop)

    async def work() -> None:
        for n in range(3):
            turn.call(lambda n=n: called.append(n))
        assert called == []
        await asyncio.sleep(0)
        assert called == [0, 1, 2]

    class Counting:
        def call_soon(self, function):
            bookings.append(function)
            loop.call_soon(function)

    turn.loop = Counting()
    loop.run_until_complete(work())
    assert len(bookings) == 1


def test_what_is_asked_for_meanwhile_is_called_in_the_turn_after_that(loop) -> None:
    called = []
    turn = NextTurn(loop)

    async def work() -> None:
        turn.call(lambda: (called.append(1), turn.call(lambda: called.append(2))))
        await asyncio.sleep(0)
        assert called == [1]
        await asyncio.sleep(0)
        assert called == [1, 2]

    loop.run_until_complete(work())


def test_a_turn_has_a_number_until_the_loop_goes_on(loop) -> None:
    turn = NextTurn(loop)

    async def work() -> list[int]:
        seen = []
        for _ in range(2):
            seen += [turn.current(), turn.current()]
            turn.call(int)
            seen.append(turn.current())
            await asyncio.sleep(0)
        return seen

    assert loop.run_until_complete(work()) == [1, 1, 1, 2, 2, 2]


def test_one_call_that_fails_holds_up_no_other(loop) -> None:
    called, errors = [], []
    turn = NextTurn(loop)
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))

    def fail() -> None:
        raise ZeroDivisionError

    async def work() -> None:
        for function in (lambda: called.append(1), fail, lambda: called.append(2)):
            turn.call(function)
        for _ in range(3):
            await asyncio.sleep(0)

    loop.run_until_complete(work())
    assert called == [1, 2]
    assert [type(error) for error in errors] == [ZeroDivisionError]
