"""`WSGIApplication`: somebody else's WSGI application (PEP 3333) as an `Application`.

Each request is answered in one thread from its first line to `close()`: what frameworks keep in
thread-local variables, database connections for example, stays what it is. An answer in one piece
is returned from the thread; pieces are handed to the loop one by one, and the thread waits while
the client is slow.
"""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from httpkit.body import FileBody
from httpkit.errors import LocalProtocolError
from httpkit.headers import RawHeaders, encode_header
from httpkit.request import Request
from httpkit.response import Response
from httpkit.server.handoff import ApartTasks, Handoff
from httpkit.threads import ThreadPool
from httpkit.urls import quote_path
from httpkit.wsgi.body import open_body
from httpkit.wsgi.environ import FileWrapper, make_environ

__all__ = ["WSGIApp", "WSGIApplication"]

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class WSGIApplication:
    """A WSGI application, served; implements `types.Application`.

    Args:
        app: `app(environ, start_response)`.
        threads: how many requests it has at a time; others wait.
        root_path: where a proxy has mounted it: the part of the path that it has cut off.
    """

    def __init__(self, app: WSGIApp, *, threads: int = 40, root_path: str = "") -> None:
        self.app = app
        self._root = quote_path(root_path.rstrip("/")).encode()
        self._threads = ThreadPool(threads)
        self._apart = ApartTasks()

    @property
    def debug(self) -> bool:
        """Whether it says that it shows tracebacks, as those of most frameworks do."""
        return bool(getattr(self.app, "debug", False))

    def on_freeze(self) -> None:
        """There is nothing to check."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """WSGI has none; threads end here."""
        try:
            yield
        finally:
            await self._apart.close()
            await self._threads.close()

    def handle(self, request: Request, /) -> Awaitable[Response]:
        """Answer a request."""
        return self.handle_below(request, self._root)

    async def handle_below(self, request: Request, raw_root: bytes) -> Response:
        """Answer a request.

        Args:
            request: its target does not have the root path.
            raw_root: where the application is mounted, percent-encoded.
        """
        handoff = Handoff()
        channel = request._channel  # noqa: SLF001 - a border may look behind the request
        body = open_body(channel, handoff)
        environ = make_environ(request, raw_root, body)
        run = _Run(self.app, environ, handoff, asyncio.get_running_loop())
        return await self._apart.answer(self._threads.run(run), handoff, request.id)


class _Run:
    """One request in its thread."""

    def __init__(
        self,
        app: WSGIApp,
        environ: dict[str, Any],
        handoff: Handoff,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._app = app
        self._environ = environ
        self._handoff = handoff
        self._loop = loop
        self._head: tuple[int, RawHeaders] | None = None
        self._head_sent = False

    def __call__(self) -> Response | None:
        """Answer; the response, unless it was handed off in pieces."""
        iterable = self._app(self._environ, self._start_response)
        try:
            if not self._head_sent:
                whole = self._whole(iterable)
                if whole is not None:
                    return whole
            for piece in iterable:
                self._write(piece)
            if not self._head_sent:
                return self._response(b"")
            self._call(self._handoff.send_end)
            return None
        finally:
            if hasattr(iterable, "close"):
                iterable.close()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        try:
            if exc_info is not None and exc_info[1] is not None and self._head_sent:
                raise exc_info[1].with_traceback(exc_info[2])
            if exc_info is None and self._head is not None:
                raise LocalProtocolError("start_response was called twice without exc_info")
        finally:
            exc_info = None  # its traceback leads here
        code = status[:3]
        if not (code.isascii() and code.isdigit() and status[3:4] in ("", " ")):
            raise LocalProtocolError(f"{status!r} is no status of WSGI, as in '200 OK'")
        self._head = int(code), [encode_header(name, value.strip(" \t")) for name, value in headers]
        return self._write

    def _response(self, body: Any) -> Response:
        if self._head is None:
            raise LocalProtocolError("the application has not called start_response")
        response = Response(b"", self._head[0])
        response.raw_headers = self._head[1]
        response.body = body
        return response

    def _announced(self) -> int | None:
        """The Content-Length, if there is a proper one; the server refuses others."""
        fields = () if self._head is None else self._head[1]
        lengths = [value for name, value in fields if name == b"content-length"]
        return int(lengths[0]) if len(lengths) == 1 and lengths[0].isdigit() else None

    def _whole(self, iterable: Iterable[bytes]) -> Response | None:
        """The answer, if nothing of it has to be waited for: one piece, or a file of a disk."""
        if isinstance(iterable, FileWrapper):
            # "… or until Content-Length bytes have been written" (PEP 3333)
            iterable.left = self._announced()
            file = _file_body(iterable)
            return None if file is None else self._response(file)
        if isinstance(iterable, list | tuple):
            return self._response(b"".join(iterable))
        return None

    def _write(self, piece: bytes) -> None:
        """Hand a piece to the loop; waits until there is room for the next."""
        if not isinstance(piece, bytes):
            raise TypeError(f"a WSGI application gives bytes, not {type(piece).__name__}")
        if not piece:
            return
        if not self._head_sent:
            response = self._response(b"")
            self._head_sent = True
            self._call(self._handoff.send_head, response)
        asyncio.run_coroutine_threadsafe(self._handoff.send(piece), self._loop).result()

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        async def call() -> None:
            function(*args)

        asyncio.run_coroutine_threadsafe(call(), self._loop).result()


def _is_plain(file: Any) -> bool:
    """Whether what is read are the bytes behind the descriptor.

    A `GzipFile` has a descriptor, too. Files of frameworks and of `tempfile` are in `file`.
    """
    for _ in range(4):
        if isinstance(file, io.FileIO):
            return True
        file = getattr(file, "raw", None) or getattr(file, "file", None)
    return False


def _file_body(wrapper: FileWrapper) -> FileBody | None:
    """The rest of a file of a disk, opened once more; `None` for all else."""
    if not _is_plain(wrapper.file):
        return None
    try:
        descriptor = wrapper.file.fileno()
        body = FileBody.from_descriptor(os.dup(descriptor))
        body.offset = wrapper.file.tell()
    except (AttributeError, OSError, ValueError):
        return None
    body.length = max(0, body.size - body.offset)
    if wrapper.left is not None:
        body.length = min(body.length, wrapper.left)
    return body
