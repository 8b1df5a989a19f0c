"""The lifespan protocol of a hosted application (ASGI lifespan, specification 2.0).

Theory of operation: the application's lifespan call runs in a task of its own from before the
first request until after the last one. The server waits for `startup.complete`, and at the end
sends `lifespan.shutdown` and waits for `shutdown.complete`, or for the end of the task.
"""

import asyncio
import logging
from typing import Any, Literal, Self

from httpkit.asgi.messages import ASGIApp, ASGIProtocolError, Message
from httpkit.errors import HTTPKitError

__all__ = ["Lifespan", "LifespanChoice", "LifespanFailed"]

logger = logging.getLogger("httpkit")

LifespanChoice = Literal["auto", "on", "off"]


class LifespanFailed(HTTPKitError):
    """The application said that it could not start or stop, and why."""


class Lifespan:
    """Runs the lifespan of an application; entered before the first request.

    Args:
        app: the application.
        choice: `auto` takes an application that raises before it has started for one without a
            lifespan, `on` for one that failed; `off` does not ask.

    Attributes:
        state: what the application has put into its scope, for those of requests.
    """

    def __init__(self, app: ASGIApp, choice: LifespanChoice) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._choice = choice
        self._task: asyncio.Task[None] | None = None
        self._received = 0
        self._started: asyncio.Future[None]
        self._stopped: asyncio.Future[None]
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        if self._choice == "off":
            return self
        loop = asyncio.get_running_loop()
        self._started, self._stopped = loop.create_future(), loop.create_future()
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        self._task = loop.create_task(self._run(scope), name="lifespan")
        try:
            await asyncio.wait((self._task, self._started), return_when=asyncio.FIRST_COMPLETED)
            if self._started.done():
                self._started.result()
            else:
                self._did_not_start(self._task)
        except BaseException:
            await self._cancel()
            raise
        return self

    async def _run(self, scope: dict[str, Any]) -> None:
        await self._app(scope, self._receive, self._send)

    def _did_not_start(self, task: "asyncio.Task[None]") -> None:
        """The call has ended without a word."""
        error = None if task.cancelled() else task.exception()
        self._task = None
        if self._choice == "on":
            raise LifespanFailed("the application has no lifespan, or it broke off") from error
        if error is not None and self._received:
            # ASGI has the server go on. It asked for `lifespan.startup`, so it does have one.
            logger.warning("the application goes on without its lifespan", exc_info=error)
        else:
            logger.debug("the application has no lifespan", exc_info=error)

    async def __aexit__(self, *_: object) -> None:
        task = self._task
        if task is None:
            return
        self._stop.set()
        try:
            await asyncio.wait((task, self._stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not self._stopped.done():
                self._stopped.cancel()
            elif not task.done():
                # It has a moment to return; what comes after `shutdown.complete` is not waited for.
                await asyncio.wait((task,), timeout=0)
            await self._cancel()
        if not self._stopped.cancelled():
            self._stopped.result()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _cancel(self) -> None:
        """Nothing of it is left behind."""
        task = self._task
        if task is not None and not task.done():
            task.cancel("the server stops")
            await asyncio.wait((task,))
        for future in (self._started, self._stopped):
            future.cancel()
            told = not future.cancelled() and future.exception() is not None
            if told and task is not None and not task.cancelled():
                task.exception()  # who says that he failed often raises why, too

    # --- what the application calls ----------------------------------------------------------

    async def _receive(self) -> Message:
        self._received += 1
        if self._received == 1:
            return {"type": "lifespan.startup"}
        await self._stop.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind, text = message["type"], str(message.get("message", ""))
        phase, _, outcome = kind.removeprefix("lifespan.").partition(".")
        futures = {"startup": self._started, "shutdown": self._stopped}
        future = futures.get(phase)
        if future is None or outcome not in ("complete", "failed") or "lifespan." not in kind:
            raise ASGIProtocolError(f"{kind!r} is no message of a lifespan")
        if future.done() or (phase == "shutdown" and not self._stop.is_set()):
            raise ASGIProtocolError(f"{kind} was sent twice, or too early")
        if outcome == "complete":
            future.set_result(None)
        else:
            future.set_exception(LifespanFailed(text or f"the application failed: {phase}"))
            if phase == "startup":
                future.exception()  # retrieved in any case
