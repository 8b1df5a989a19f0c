"""One request and its answer, on any version of HTTP.

An `Exchange` stands between an engine's events and the application: it runs the application on the
`Request` and writes the `Response`. It never sees the kind of connection; it asks for a flush.
It is one object in three files: `channel.py` has what the request asks of it, `writing.py` what
writes an answer in pieces, and this one the way from the first to the last.

    begin ──▶ application ──▶ respond ─────────────▶ finish    the whole answer at once
                   │             └──▶ send_stream ──▶ finish    a body in pieces
                   ├─▶ send_head, send, send_end ───▶ finish    written by the handler itself
                   └─▶ fail                                     maps an exception to the wire

A handler may write its answer by itself instead of returning it, as ASGI wants it: `send_head`,
`send` and `send_end`, or `conclude` for a whole one. The exchange then ends with the answer; the
handler may go on, and a graceful stop waits for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from contextvars import Context, copy_context
from functools import partial
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from httpkit.errors import (
    ClientDisconnected,
    HTTPError,
    LocalProtocolError,
    ProtocolError,
)
from httpkit.headers import HeaderFields, RawHeaders
from httpkit.limits import WebSocketLimits
from httpkit.response import Response, Upgrade
from httpkit.server.body_reader import BodyReader
from httpkit.server.send import send_at_once, send_stream
from httpkit.server.writing import AnswerWriter
from httpkit.websocket import WebSocketUpgrade

if TYPE_CHECKING:
    from httpkit.server.websocket import WebSocketSession

__all__ = ["Exchange"]

logger = logging.getLogger("httpkit")

_RETRY = {"retry-after": "1"}
_NO_CONTEXT = Context()


class Exchange(AnswerWriter):
    """One request and its answer; implements `RequestChannel` and `contracts.Stream`."""

    _task: asyncio.Task[Any] | None = None
    _timed_out: bool = False
    _context: Context = _NO_CONTEXT
    _session: "WebSocketSession | None" = None

    # --- the way of a request ----------------------------------------------------------------

    def begin(self) -> None:
        """Run the application; it may be through on return."""
        if self.gone:  # refused by the engine in the same breath: no handler ever sees it
            self.connection.streams.pop(self.stream_id, None)
            self.connection.engine.release(self.stream_id)
            del self.request  # as in `finish`
            return
        server = self._server
        counters = server.counters
        counters.requests_begun += 1
        counters.requests_in_flight += 1
        limit = server.max_in_flight
        if limit is not None and counters.requests_in_flight > limit:
            counters.requests_refused += 1
            self.respond(Response("Too many requests are running.\n", 503, _RETRY))
            return
        self._context = context = copy_context()
        try:
            result = server.starter.start(server.call, self.request, context)
        except BaseException as error:  # noqa: BLE001 - see there
            self._fail_at_once(error)
            return
        if isinstance(result, Response):
            self.respond(result)
        else:
            self._wait_for(result)

    def _wait_for(self, result: object) -> None:
        """The application is not through, or is wrong."""
        if isinstance(result, Awaitable) and not isinstance(result, asyncio.Task):
            # Not a coroutine, or it would be a task already.
            result = self._server.loop.create_task(_await(result), context=self._context)
        if isinstance(result, asyncio.Task):
            if self.concluded:
                self._let_go(result)
                return
            self._task = result
            result.add_done_callback(self._answered)
        else:
            self.fail(_not_a_response(result))

    def _answered(self, task: asyncio.Task[Any]) -> None:
        """The application is through, after it had to wait."""
        self._task = None
        try:
            response = task.result()
        except BaseException as error:  # noqa: BLE001 - cancellation included: a client waits
            self.fail(error)
            return
        finally:
            del task  # it has the error, whose traceback leads here: they would hold each other
        if isinstance(response, Response):
            self.respond(response)
        else:
            self.fail(_not_a_response(response))

    def respond(self, response: Response) -> None:
        """Write an answer: at once, or as a stream."""
        if self.gone or self.head_sent:
            self._respond_late(response)
            return
        self.response = response
        body = response.body
        if (
            type(body) is not bytes
            or response.trailers is not None
            or isinstance(response, Upgrade)
        ):
            self._stream(response)
            return
        try:
            self.connection.engine.send_response(self.stream_id, response)
        except LocalProtocolError as error:
            self.fail(error)
            return
        self.body_sent = len(body)
        self.finish()

    def _respond_late(self, response: Response) -> None:
        """The answer comes too late, or the handler has written it by itself."""
        if self.gone or self.concluded:
            self.finish()
        elif response is self.response:
            self.fail(RuntimeError("the handler has returned before the end of its answer"))
        else:
            self.fail(RuntimeError("the handler has returned an answer after the head of another"))

    def _stream(self, response: Response) -> None:
        """Write an answer that is not one piece of bytes, as a task if it has to wait."""
        if isinstance(response, WebSocketUpgrade):
            self._open_websocket(response)
            return
        try:
            if send_at_once(self, response):
                self.finish()
                return
            result = self._server.starter.start(partial(send_stream, self), response, self._context)
        except BaseException as error:  # noqa: BLE001 - see there
            self._fail_at_once(error)
            return
        if result is None:
            self.finish()
        else:
            self._task = result
            result.add_done_callback(self._streamed)

    def _open_websocket(self, response: WebSocketUpgrade) -> None:
        """Accept; the task of the handler is that of the exchange from here on."""
        from httpkit.server.websocket import WebSocketSession  # noqa: PLC0415 - few need wsproto

        server, connection = self._server, self.connection
        try:
            connection.engine.accept_upgrade(self.stream_id, response, response.protocol)
        except LocalProtocolError as error:
            self.fail(error)
            return
        self.head_sent = True
        self._attached = None
        task = response.task
        assert isinstance(task, asyncio.Task)
        self._task = task
        task.add_done_callback(self._streamed)
        limits = WebSocketLimits.of(server.limits, response.overrides)
        self._session = session = WebSocketSession(self, limits, response.deflate)
        connection.watch(session)
        response.open(session)
        if server.stopping:
            session.begin_shutdown()
        if isinstance(self.body, BodyReader):  # on HTTP/2 bytes may come before the answer
            early, end = self.body.take_early()
            if early or end:
                session.feed(early, end=end)
        connection.pump()

    def _streamed(self, task: asyncio.Task[None]) -> None:
        self._task = None
        try:
            task.result()
        except BaseException as error:  # noqa: BLE001 - cancellation included: a client waits
            self.fail(error)
        else:
            self.finish()
        finally:
            del task  # as above

    # --- called by handlers that have written their answer themselves ----------------------------

    def send_end(self, data: bytes = b"", trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The last piece of the body and the trailer fields: the exchange ends here.

        Raises:
            ClientDisconnected: the peer is gone.
            LocalProtocolError: less or more than was announced, or a field that is no trailer.
        """
        if self.gone:
            raise ClientDisconnected
        engine = self.connection.engine
        if data:
            engine.send_data(self.stream_id, data)
            self.body_sent += len(data)
        engine.send_end(self.stream_id, trailers)
        self.concluded = True
        self._leave_handler()

    def conclude(self, response: Response) -> None:
        """Write a whole answer whose body is bytes, as `send_head` and `send_end` would.

        Raises:
            ClientDisconnected: the peer is gone.
            LocalProtocolError: something that must not reach the wire.
        """
        if self.gone:
            raise ClientDisconnected
        assert isinstance(response.body, bytes)
        self.connection.engine.send_response(self.stream_id, response)
        self.response = response
        self.body_sent = len(response.body)
        self.head_sent = True
        self.concluded = True
        self._leave_handler()

    def _leave_handler(self) -> None:
        """The answer is complete: end, whether its handler is through or not."""
        task = self._task
        if task is not None:  # else it is in its first step, and `begin` goes on when that ends
            task.remove_done_callback(self._answered)
            self._let_go(task)

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        """The answer is out; the handler goes on without its exchange."""
        self._task = None
        task.add_done_callback(partial(_outlived, self.request_id))
        self._server.background.keep(task)
        self.finish()

    def fail(self, error: BaseException) -> None:
        """Map an exception to the wire: an error answer, or the stream cut short.

        What a handler raises the `App` has answered already; here arrive mistakes in answers
        (a forbidden header, a wrong Content-Length), streams that break, and applications that
        are no `App`.
        """
        if self.concluded:
            if not ClientDisconnected.explains(error):
                self.log(error)
            self.finish()
            return
        if self.gone:
            # Its end was expected, unless the handler failed while it was being cancelled.
            expected = isinstance(error, asyncio.CancelledError | HTTPError)
            if not expected and not ClientDisconnected.explains(error):
                self.log(error)
            self.finish()
            return
        late = self._timed_out and isinstance(error, asyncio.CancelledError)
        if late:
            error = HTTPError(503, "The request took too long.")
        headers: HeaderFields | None = None
        if isinstance(error, HTTPError):
            status, text, headers = error.status, error.detail, error.headers
        else:
            status = error.status if isinstance(error, ProtocolError) else 500
            text = str(error) if status < 500 else f"request id {self.request_id}"
        deliberate = status < 500 or isinstance(error, HTTPError)
        # A write may learn that the peer is gone before the loop does.
        left = self.head_sent and ClientDisconnected.explains(error)
        if not left and (not deliberate or (self.head_sent and not late)):
            self.log(error)
        if self.head_sent:
            self.connection.engine.send_reset(self.stream_id)
        else:
            self._send_error(status, text, headers)
        self.finish()

    def _fail_at_once(self, error: BaseException) -> None:
        """Fail for what the first step raised: cancellation and `sys.exit()`, too, a client waits.

        Raises:
            KeyboardInterrupt: that is nobody's answer, and ends the process.
        """
        self.fail(error)
        if isinstance(error, KeyboardInterrupt):
            raise error

    def _send_error(self, status: int, text: str, headers: HeaderFields | None = None) -> None:
        engine = self.connection.engine
        try:
            response = Response(f"{status} {text}\n", status, headers)
            engine.send_response(self.stream_id, response)
        except LocalProtocolError as error:  # the headers of an HTTPError are an application's
            self.log(error)
            response = Response(f"500 request id {self.request_id}\n", 500)
            engine.send_response(self.stream_id, response)
        self.response = response
        self.body_sent = len(response.body)  # type: ignore[arg-type]

    def log(self, error: BaseException) -> None:
        """Log an error of the application, with the id that the client sees, too."""
        logger.error(
            "request %s: %s %s %s failed",
            self.request_id,
            "answering" if self.response is None else "sending the answer to",
            self.request.method,
            self.request.target.decode("latin-1"),
            exc_info=error,
        )

    def finish(self) -> None:
        """The exchange is over; the connection may go on with the next."""
        server, connection = self._server, self.connection
        connection.streams.pop(self.stream_id, None)
        server.counters.requests_in_flight -= 1
        if server.access_log is not None:
            server.access_log.record(self)
        response = self.response
        if response is not None and response.background is not None:
            server.background.run(response.background, self._context)
        body, session = self.body, self._session
        if body is not None:
            body.abandon()
        if body is not None or session is not None or self.gone:
            connection.engine.release(self.stream_id)
        if self._attached is not None:
            self._attached.cancel("the request was answered otherwise")
            self._attached = None
        if session is not None:
            session.forget()
        # A request and a session know their exchange, and either may be held by its answer or by
        # its context: without these they would live until the garbage collector finds the circle.
        self.response = None
        self._session = None
        self._context = _NO_CONTEXT
        if self._end is not None:
            self._tell_ended()
        del self.request
        if server.stopping:
            server.exchange_finished()
        if not connection.busy:
            connection.pump()

    # --- called by the connection ------------------------------------------------------------

    def receive_data(self, data: bytes, *, end_stream: bool) -> None:
        """A piece of the body, or of the raw stream after an upgrade."""
        if self._session is not None:
            self._session.feed(data, end=end_stream)
            return
        assert isinstance(self.body, BodyReader)
        self.body.feed(data, end=end_stream)

    def receive_trailers(self, headers: RawHeaders) -> None:
        """The trailer section."""
        self._trailers = headers

    def reset(self, error: ProtocolError | None) -> None:
        """The stream is lost: cancel what runs."""
        self.gone = True
        if error is not None and not self.head_sent:
            self.response = Response(b"", error.status)  # the engine's answer, for the access log
        self._wake_writers()  # nobody has to wait for anything any more
        self._tell_ended()
        if self.body is not None:
            self.body.fail()
        if self._attached is not None:
            self._attached.cancel("the client has gone")
        if self._session is not None:
            self._session.lose()
            if not self._server.stopping:
                return  # its handler learns that from the session
        if self._server.cancel_on_disconnect:
            self.cancel_handler()
        elif self._task is not None:
            self._server.background.keep(self._task)

    def cancel_handler(self) -> None:
        """The client is gone, and whatever works for it is to end."""
        if self._task is not None:
            self._task.cancel("the client has gone")

    def check_deadline(self, now: float, timeout: float) -> None:
        """Cancel a request that has taken longer than `timeout` seconds; upgraded ones may."""
        if self._timed_out or self._task is None or isinstance(self.response, Upgrade):
            return
        if now - self.started > timeout:
            self._timed_out = True
            logger.warning("request %s took longer than %g s, cancelled", self.request_id, timeout)
            self._task.cancel("request_timeout")

    def min_body_rate(self, default: int | None) -> int | None:
        """What the route says, else the server."""
        rate = self.request.min_body_rate
        return default if isinstance(rate, EllipsisType) else rate


async def _await(awaitable: Awaitable[Any]) -> Any:
    """A coroutine around another kind of awaitable."""
    return await awaitable


def _outlived(request_id: str, task: asyncio.Task[Any]) -> None:
    """A handler has ended after its exchange: nobody else hears of what it raised.

    That there is nobody to answer is no failure: a body that is too large has got its 413.
    """
    error = None if task.cancelled() else task.exception()
    if error is not None and not ClientDisconnected.explains(error):
        logger.error("request %s: the handler failed after its answer", request_id, exc_info=error)


def _not_a_response(result: object) -> TypeError:
    return TypeError(f"{type(result).__name__} is not a Response, nor an awaitable of one")
