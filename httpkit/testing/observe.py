"""What a test client wants to know of the application beyond its answers.

Owns the wrapper around the application that collects unexpected exceptions, and that tells when
background calls have ended. Called by both drivers and by `LiveServer`; the server behind it is the
real one.
"""

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from inspect import isawaitable
from typing import Any

from httpkit.error_handlers import observer
from httpkit.request import Request
from httpkit.response import Response, Upgrade
from httpkit.types import Address, Application, RawStream

__all__ = ["BackgroundCall", "ObservedApplication", "Record"]

BackgroundCall = Callable[[], Awaitable[object] | object]


class Record:
    """What happened to one request.

    Attributes:
        error: the first unexpected exception: of a handler, a body, the session of an upgrade or a
            background call.
        background: set when a handler that had to wait is through, then when the background calls
            have ended; `None` before they begin.
    """

    __slots__ = ("background", "error")

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.background: asyncio.Event | None = None

    def note(self, error: BaseException) -> None:
        """Keep an exception, unless it follows from an earlier one."""
        if self.error is None:
            self.error = error


class ObservedApplication:
    """An application with a record for each request; implements `types.Application`.

    A client has one request at a time on a connection, so the client's address names the request.

    Args:
        application: what is observed.
        make_record: makes the record of a request that nobody expects.
    """

    def __init__(
        self, application: Application, make_record: Callable[[], Record] = Record
    ) -> None:
        self._application = application
        self._make_record = make_record
        self._records: dict[Address | None, Record] = {}

    def expect(self, client: Address) -> Record:
        """The record of the next request from this address."""
        record = self._records[client] = Record()
        return record

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """That of the application."""
        return self._application.lifespan()

    def on_freeze(self) -> None:
        """That of the application."""
        self._application.on_freeze()

    def handle(self, request: Request, /) -> Response | Awaitable[Response]:
        """Answer a request and note what goes wrong."""
        record = self._records.pop(request.client, None) or self._make_record()
        # Every request runs in a context of its own.
        observer.set(record.note)
        try:
            answer = self._application.handle(request)
        except Exception as error:
            record.note(error)
            raise
        return _watch(answer, record) if isinstance(answer, Response) else _wait(answer, record)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)  # what an Application may have besides


async def _wait(answer: Awaitable[Response], record: Record) -> Response:
    # A hosted application may go on after its answer: so run the background tasks of Starlette.
    record.background = ended = asyncio.Event()
    try:
        return _watch(await answer, record)
    except Exception as error:
        record.note(error)
        raise
    finally:
        ended.set()


def _watch(response: Response, record: Record) -> Response:
    """The same answer, with what runs after the handler watched.

    A copy, since an application may send one Response many times.
    """
    upgrade = isinstance(response, Upgrade)
    if response.background is None and not upgrade and not isinstance(response.body, AsyncIterable):
        return response
    response = copy.copy(response)
    if isinstance(response, Upgrade):
        response.session = _watch_session(response.session, record)
    if isinstance(response.body, AsyncIterable):
        response.body = _watch_body(response.body, record)
    if response.background is not None:
        ended = asyncio.Event()
        calls = [_watch_call(call, record) for call in response.background]
        response.background = [partial(setattr, record, "background", ended), *calls, ended.set]
    return response


async def _watch_body(
    body: AsyncIterable[bytes | str], record: Record
) -> AsyncIterator[bytes | str]:
    iterator = aiter(body)
    try:
        async for chunk in iterator:
            yield chunk
    except Exception as error:
        record.note(error)
        raise
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


def _watch_session(
    session: Callable[[RawStream], Awaitable[None]], record: Record
) -> Callable[[RawStream], Awaitable[None]]:
    async def watched(stream: RawStream) -> None:
        try:
            await session(stream)
        except Exception as error:
            record.note(error)
            raise

    return watched


def _watch_call(call: BackgroundCall, record: Record) -> BackgroundCall:
    async def watched() -> None:
        try:
            result = call()
            if isawaitable(result):
                await result
        except Exception as error:
            record.note(error)
            raise

    return watched
