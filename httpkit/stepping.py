"""Awaiting what has taken its first step already.

Whoever takes the first step of a coroutine by hand (`coroutine.send(None)`) learns whether it waits
for anything at all. If it does, `Rest` is how to go on with it. Called by endpoints, which answer
without a task where they can, and by the server, which holds back the head of a streamed answer
until it is known that its first chunk has to be waited for.
"""

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any

__all__ = ["Rest"]


class Rest(Awaitable[Any]):
    """The rest of a coroutine, or of the steps that `__await__` gives.

    Args:
        steps: has taken its first step.
        waits_for: what came out of that step.
    """

    __slots__ = ("_steps", "_waits_for")

    def __init__(
        self, steps: Coroutine[Any, Any, Any] | Generator[Any, Any, Any], waits_for: Any
    ) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._steps
        waits_for, self._waits_for = self._waits_for, None
        try:
            while True:
                try:
                    value = yield waits_for
                except GeneratorExit:
                    steps.close()
                    raise
                # A future that fails holds the exception, whose traceback will lead to this frame:
                # with it here they would live until the garbage collector finds the circle.
                except BaseException as error:  # noqa: BLE001 - cancellation goes in as it came
                    waits_for = None
                    waits_for = steps.throw(error)
                else:
                    waits_for = None
                    waits_for = steps.send(value)
        except StopIteration as stop:
            return stop.value
