"""Server-Sent Events (WHATWG HTML 9.2): `EventStream` is the answer, `ServerSentEvent` one.

Owns the bytes of the stream and its heartbeat. What is slow to read is slow to be asked for more: a
subscription then does what its policy says.
"""

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any, NamedTuple, Self

from httpkit.channels.feed import Feed
from httpkit.channels.messages import ChannelMessage
from httpkit.channels.subscription import Subscription
from httpkit.headers import HeaderFields
from httpkit.response import Response

__all__ = ["EventStream", "ServerSentEvent"]

#: A comment, which clients leave out. It keeps proxies in between from closing the connection, and
#: lets this side notice that the client has gone.
_HEARTBEAT = b":\n\n"
#: What ends a line there, and nothing else does.
_LINE_END = re.compile(r"\r\n|\r|\n")
#: What a field cannot contain that is one line; a client ignores an id with NUL.
_NOT_IN_LINE = re.compile(r"[\r\n\0]")
#: Where a message of a channel keeps its event.
_WIRE = ("event-stream",)
#: By what an event is known that is no `ServerSentEvent`.
_ATTRIBUTES = ("data", "event", "id", "retry")
#: Items of an iterable that wait for a slow client, before its iteration does.
_WAITING = 16

_FIELDS = (("cache-control", "no-store"), ("x-accel-buffering", "no"))


class ServerSentEvent(NamedTuple):
    """One event of an `EventStream`.

    Attributes:
        data: text, of any number of lines; `None` for an event that only sets `id` or `retry`.
        event: its type, which scripts listen for; `None` for `message`.
        id: what the client says as `Last-Event-ID` when it comes back; `None` leaves that as it is.
        retry: seconds after which it comes back.
    """

    data: str | bytes | None = None
    event: str | None = None
    id: str | None = None
    retry: float | None = None


class EventStream(Response):
    """An answer to a GET that stays open and carries events as they come.

        @app.get("/events")
        async def events(request: Request) -> Response:
            after = request.headers.get("last-event-id")
            return EventStream(app.channels.subscribe("news", after=after, history=50))

    The events of a subscription have the ids of its messages, so a browser that comes back has
    missed nothing that is kept; it knows where to resume even before the first event. Bytes travel
    as base64, in events of the type `binary`.

    Args:
        events: a subscription that has not been entered, or an asynchronous iterable of texts,
            `ServerSentEvent` or whatever has some of its attributes. The stream ends with it.
        retry: seconds after which a client whose connection is lost comes back; `None` leaves it
            to the client.
        heartbeat: seconds without an event after which a comment is sent; `None` for never.
        headers: further fields.

    Raises:
        TypeError: what cannot be iterated, as a function that has not been called.
    """

    __slots__ = ()

    def __init__(
        self,
        events: Subscription | AsyncIterable[Any],
        *,
        retry: float | None = 2.0,
        heartbeat: float | None = 15.0,
        headers: HeaderFields | None = None,
    ) -> None:
        if not isinstance(events, AsyncIterable):
            raise TypeError(
                "EventStream sends a subscription or an asynchronous iterable, such as what a call "
                f"of an async def with yield gives, not {type(events).__name__}"
            )
        super().__init__(
            _stream(events, retry, heartbeat), headers=headers, media_type="text/event-stream"
        )
        for name, value in _FIELDS:
            self.headers.setdefault(name, value)


async def _stream(
    events: Subscription | AsyncIterable[Any], retry: float | None, heartbeat: float | None
) -> AsyncIterator[bytes]:
    async with events if isinstance(events, Subscription) else _Reader(events) as feed:
        # An event without data is not shown to scripts; its id counts.
        begin = ServerSentEvent(retry=retry, id=feed.last_id or None)
        yield serialize_event(begin) or _HEARTBEAT
        while await feed.wait(heartbeat) or not feed.ended:
            yield b"".join([serialize_event(each) for each in feed.take()]) or _HEARTBEAT


class _Reader(Feed[Any]):
    """An iterable as a feed.

    It is iterated in one task from beginning to end: what it has entered, it has to leave.

    Args:
        source: that is iterated.
    """

    last_id = ""

    def __init__(self, source: AsyncIterable[Any]) -> None:
        super().__init__()
        self._iterator = aiter(source)
        self._room = asyncio.Semaphore(_WAITING)
        self._exit: SystemExit | None = None
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is None:  # the iteration is at its end
            await self._task
            if self._exit is not None:
                raise self._exit
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _read(self) -> None:
        iterator = self._iterator
        try:
            try:
                async for item in iterator:
                    await self._room.acquire()
                    self._items.append(item)
                    self._wake()
            finally:
                if isinstance(iterator, AsyncGenerator):
                    await iterator.aclose()
        except SystemExit as error:
            self._exit = error  # out of this task it would end the process, not one answer
        finally:
            self.end()

    def _take_first(self) -> Any:
        self._room.release()
        return self._items.popleft()


def serialize_event(event: Any) -> bytes:
    """The bytes of an event; those of a message are made once.

    Raises:
        TypeError: neither a text nor anything like an event.
        ValueError: an id or a type of several lines, or with NUL.
    """
    if not isinstance(event, ChannelMessage):
        return _serialize(ServerSentEvent(event) if isinstance(event, str) else event)
    data: bytes | None = event.wire.get(_WIRE)
    if data is None:
        data = event.wire[_WIRE] = _serialize(event)
    return data


def _serialize(event: Any) -> bytes:
    """An event, by the attributes that it has."""
    if not any(hasattr(event, name) for name in _ATTRIBUTES):
        raise TypeError(
            f"an event is a str, a ServerSentEvent or has some of its attributes: yield "
            f"ServerSentEvent(data=...) instead of {type(event).__name__}"
        )
    lines = []
    data: str | bytes | None = getattr(event, "data", None)
    kind: str | None = getattr(event, "event", None)
    retry: float | None = getattr(event, "retry", None)
    if isinstance(data, bytes):
        data, kind = base64.b64encode(data).decode(), kind or "binary"
    for name, value in (("event", kind), ("id", getattr(event, "id", None))):
        if value is not None:
            if _NOT_IN_LINE.search(value):
                raise ValueError(f"the {name} of an event is one line: {value!r}")
            lines.append(f"{name}: {value}\n")
    if retry is not None:
        lines.append(f"retry: {round(retry * 1000)}\n")
    if data is not None:
        lines += [f"data: {line}\n" for line in _LINE_END.split(data)]
    return ("".join(lines) + "\n").encode() if lines else b""
