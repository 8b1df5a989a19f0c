"""The answer of an application that runs in a task of its own, for whoever wants a `Response`.

Where middleware stands around a hosted ASGI application, or a thread makes the answer, there has to
be a `Response` with an iterator, and the application has to go on while that is read. `Handoff` is
the place between the two: one piece at a time, and `send` returns when it was taken and the next
one is asked for. `ApartTasks` holds the tasks. Called by `httpkit.asgi` and `httpkit.wsgi`.
"""

import asyncio
import copy
import logging
from collections.abc import AsyncGenerator, Awaitable, Iterable
from typing import Any

from httpkit.body import FileBody
from httpkit.errors import ClientDisconnected
from httpkit.response import Response

__all__ = ["ApartTasks", "Handoff"]

logger = logging.getLogger("httpkit")


class Handoff:
    """Implements `Outlet` for an application that is mounted in another one.

    Attributes:
        gone: nobody reads the answer any more.
    """

    def __init__(self) -> None:
        self.gone = False
        self._answer: asyncio.Future[Response] | None = asyncio.get_running_loop().create_future()
        # One piece waits for its reader; `None` is the end.
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._taken = asyncio.Event()
        self._ended = asyncio.Event()
        self._refused = False
        self._error: BaseException | None = None
        self._trailers: list[tuple[bytes, bytes]] = []

    # --- the application's side --------------------------------------------------------------

    def send_head(self, response: Response) -> None:
        """The head of an answer in pieces."""
        # A copy, so that nobody but its reader holds the reader.
        handed = copy.copy(response)
        handed.body = _Reader(self)
        if response.trailers is not None:
            handed.trailers = lambda: self._trailers
        self._hand_out(handed)

    async def send(self, data: bytes) -> None:
        """A piece; returns when the next one is asked for.

        Raises:
            ClientDisconnected: nobody reads any more.
        """
        if data and not self.gone:
            self._taken.clear()
            self._pieces.put_nowait(data)
            await self._taken.wait()
        if self.gone:
            raise ClientDisconnected

    async def pass_file(self, body: FileBody) -> bool:  # noqa: ARG002
        """No: who reads the pieces may change them."""
        return False

    def send_end(self, data: bytes = b"", trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The last piece, and the end."""
        self._trailers = list(trailers)
        if data:
            self._pieces.put_nowait(data)
        self._pieces.put_nowait(None)
        self._ended.set()

    def conclude(self, response: Response) -> None:
        """A whole answer."""
        self._hand_out(response)
        self._ended.set()

    def refuse(self, error: Exception) -> None:
        """Whoever waits for the answer gets an error instead; there is no place for another one.

        An answer that is on its way already is not touched.
        """
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
            self._refused = True
            self.abandon()

    def _hand_out(self, response: Response) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(response)

    async def wait_ended(self) -> None:
        """Return when nobody reads any more, or the answer is complete."""
        await self._ended.wait()

    # --- the reader's side -------------------------------------------------------------------

    async def take(self) -> Response:
        """The answer, once there is one.

        Raises:
            BaseException: what the application raised instead.
        """
        assert self._answer is not None
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.abandon()
            raise
        finally:
            self._answer = None

    def finish(self, error: BaseException | None) -> bool:
        """The application has ended; whether somebody will hear of its error."""
        answer, complete = self._answer, self._ended.is_set()
        self._ended.set()
        if answer is not None and not answer.done():
            answer.set_exception(
                error or RuntimeError("the application has returned without an answer")
            )
            return True
        if not complete:
            self._error = error or RuntimeError("the application has returned within its answer")
            self._pieces.put_nowait(None)
        # What a framework makes of a body that was refused is no failure of its application.
        return not complete or self._refused

    async def read(self) -> bytes:
        """The next piece.

        Raises:
            StopAsyncIteration: that was the last one.
            BaseException: what the application raised instead of going on.
        """
        self._taken.set()
        data = await self._pieces.get()
        if data is not None:
            return data
        self._pieces.put_nowait(None)  # whoever asks again learns the same
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    def abandon(self) -> None:
        """Nobody reads any more."""
        self.gone = True
        self._taken.set()
        self._ended.set()


class _Reader(AsyncGenerator[bytes, None]):
    """The body of an answer; an application whose answer nobody keeps learns that it is gone."""

    def __init__(self, handoff: Handoff) -> None:
        self._handoff = handoff

    async def asend(self, _: None, /) -> bytes:
        return await self._handoff.read()

    async def athrow(self, kind: Any, value: Any = None, traceback: Any = None, /) -> bytes:
        self._handoff.abandon()
        return await super().athrow(kind, value, traceback)

    def __del__(self) -> None:
        self._handoff.abandon()


class ApartTasks:
    """The tasks of applications whose answers are handed off."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(
        self, call: Awaitable[Response | None], handoff: Handoff, request_id: str
    ) -> Response:
        """Run a call in a task of its own until it has answered; it may go on then.

        Args:
            call: gives its answer to the handoff, or returns it.
            handoff: that one.
            request_id: for the log, where nobody hears of what is raised after the answer.

        Raises:
            BaseException: what the call raised instead of answering.
        """
        task = asyncio.create_task(_run(call, handoff, request_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await handoff.take()

    async def close(self) -> None:
        """Cancel what still runs, and wait for its end: the answers are out or lost."""
        for task in self._tasks:
            task.cancel("the server stops")
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _run(call: Awaitable[Response | None], handoff: Handoff, request_id: str) -> None:
    try:
        response = await call
    except BaseException as error:
        # Out of a task `SystemExit` would end the process; it is the failure of one request.
        expected = isinstance(error, Exception | SystemExit)
        failed = expected and not ClientDisconnected.explains(error)
        if not handoff.finish(error) and failed:
            logger.exception("request %s: the application failed after its answer", request_id)
        if not expected:
            raise
    else:
        if response is not None:
            handoff.conclude(response)
        handoff.finish(None)
