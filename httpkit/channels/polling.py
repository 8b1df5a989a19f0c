"""`long_poll`: the messages of channels for clients that have nothing but plain requests."""

import base64
from typing import Any

import msgspec

from httpkit.channels.base import Channels
from httpkit.channels.messages import ChannelMessage
from httpkit.request import Request
from httpkit.response import Response

__all__ = ["long_poll"]

#: Where a message keeps its JSON.
_WIRE = ("long-poll",)


async def long_poll(
    request: Request,
    channels: Channels,
    *topics: str,
    timeout: float = 25.0,
    history: int = 50,
    queue: int = 256,
) -> Response:
    """Answer with the messages that a client has not got, as soon as there are any.

    The answer is JSON: `messages`, a list of objects with `topic`, `id` and `data`; `last`, which
    the client sends as `?after=` with its next request; and `complete`, false if messages in
    between have been forgotten. The data of bytes is base64, and `binary` is true there. The
    first request has no `after`, and is answered at once.

        @app.get("/poll")
        async def poll(request: Request) -> Response:
            return await long_poll(request, app.channels, "news")

    Args:
        request: a GET, whose query may have `after`.
        channels: of the app.
        *topics: one or more.
        timeout: seconds after which the list is empty. It also is when the server stops.
        history: the last messages that a client without `after` gets.
        queue: messages that may come in one turn of the event loop, see `Channels.subscribe`.

    Raises:
        ValueError: as `Channels.subscribe`.
    """
    after = request.query.get("after")
    async with channels.subscribe(*topics, after=after, history=history, queue=queue) as events:
        if after is not None:
            await events.wait(timeout)
        body: dict[str, Any] = {
            "messages": [_encode(message) for message in events.take()],
            "last": events.last_id,
            "complete": events.complete and not events.lost,
        }
    response = Response.json(body)
    response.headers["cache-control"] = "no-store"
    return response


def _encode(message: ChannelMessage) -> msgspec.Raw:
    """The JSON of a message, made once for all clients."""
    raw: msgspec.Raw | None = message.wire.get(_WIRE)
    if raw is None:
        value: dict[str, Any] = {"topic": message.topic, "id": message.id, "data": message.data}
        if isinstance(message.data, bytes):
            value |= {"data": base64.b64encode(message.data).decode(), "binary": True}
        raw = message.wire[_WIRE] = msgspec.Raw(msgspec.json.encode(value))
    return raw
