"""Debug mode's watchdog: names the handler that holds the event loop, with its stack.

While a handler computes, sleeps or waits for a file between two `await`s, no other request is
served. Owns one daemon thread that samples, a quarter of the threshold apart, how long the step
that runs now has been running; each step that exceeds the threshold is logged once.

Only exists with `App(debug=True)`: it costs a few microseconds for each step of each request.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Generator
from types import FrameType
from typing import Any

from httpkit.request import Request
from httpkit.response import Response

__all__ = ["Watchdog"]

logger = logging.getLogger("httpkit")

Endpoint = Callable[[Request], Response | Awaitable[Response]]


class _Step:
    """One uninterrupted run of a handler: from a start or wake-up to its next await."""

    __slots__ = ("reported", "request", "started")

    def __init__(self, request: Request, started: float) -> None:
        self.request = request
        self.started = started
        self.reported = False


class Watchdog:
    """Watches the endpoints that it wraps.

    Args:
        threshold: seconds that one step may take.
        clock: monotonic seconds; another one for tests.
    """

    def __init__(self, threshold: float = 0.1, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold = threshold
        self._clock = clock
        #: The step that runs now, by the thread of its event loop.
        self._steps: dict[int, _Step] = {}
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def watch(self, endpoint: Endpoint) -> Endpoint:
        """Wrap an endpoint so that each of its steps is timed."""

        def watched(request: Request) -> Response | Awaitable[Response]:
            self.begin(request)
            try:
                answer = endpoint(request)
            finally:
                self.finish()
            return answer if isinstance(answer, Response) else self._drive(request, answer)

        return watched

    def check(self) -> None:
        """Log every step that has exceeded the threshold and was not logged before."""
        now = self._clock()
        for thread, step in list(self._steps.items()):
            if step.reported or now - step.started < self._threshold:
                continue
            frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way
            if frame is None or self._steps.get(thread) is not step:
                continue  # it has just come to its end
            step.reported = True
            route = step.request.route
            logger.warning(
                "%s %s has held the event loop for more than %.0f ms (request %s); "
                "await what blocks, or use thread=True:\n%s",
                step.request.method,
                route.pattern if route is not None else _target(step.request),
                self._threshold * 1000,
                step.request.id,
                "".join(_stack(frame)).rstrip("\n"),
            )

    def start(self) -> None:
        """Start the thread that calls `check`."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="httpkit-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopped.set()
            thread.join()

    def begin(self, request: Request) -> None:
        """A step begins in this thread."""
        self._steps[threading.get_ident()] = _Step(request, self._clock())

    def finish(self) -> None:
        """The step of this thread is over."""
        self._steps.pop(threading.get_ident(), None)

    def _run(self) -> None:
        while not self._stopped.wait(self._threshold / 4):
            self.check()

    async def _drive(self, request: Request, answer: Awaitable[Response]) -> Response:
        return await _Steps(self, request, answer)


class _Steps(Awaitable[Response]):
    """Awaits another awaitable and tells the watchdog of each step of it."""

    def __init__(self, watchdog: Watchdog, request: Request, answer: Awaitable[Response]) -> None:
        self._watchdog = watchdog
        self._request = request
        self._answer = answer

    def __await__(self) -> Generator[Any, Any, Response]:
        steps = self._answer.__await__()
        send, argument = steps.send, None
        while True:
            self._watchdog.begin(self._request)
            try:
                waiting = send(argument)
            except StopIteration as finished:
                response: Response = finished.value
                return response
            finally:
                self._watchdog.finish()
            try:
                argument = yield waiting
                send = steps.send
            except BaseException as error:  # noqa: BLE001 - cancellation goes in as it came
                argument, send = error, steps.throw


def _target(request: Request) -> str:
    return request.target.decode("ascii", "backslashreplace")


def _stack(frame: FrameType) -> list[str]:
    """The frames below the watchdog's own, outermost first."""
    frames = []
    for entry in traceback.walk_stack(frame):
        if entry[0].f_code.co_filename == __file__:
            break
        frames.append(entry)
    frames.reverse()
    return traceback.StackSummary.extract(iter(frames)).format()
