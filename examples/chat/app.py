"""A chat: rooms, names, history, and four ways to hear of it all.

    httpkit run examples.chat.app:app --workers 4

With `CHAT_REDIS=redis://localhost` the rooms are those of every process that uses the same Redis,
on whatever port and machine.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from examples.chat import rooms
from examples.chat.budget import Budgets
from examples.chat.feed import (
    Event,
    Merged,
    begin,
    open_feed,
    read_members,
    room_topic,
    share,
    to_event,
)
from examples.chat.presence import Visits, is_free, present
from examples.chat.rooms import FromPage, Say, Visitor, encode, read_visitor
from httpkit import App, HTTPError, Next, Request, Response, WebSocket, WebSocketClosed
from httpkit.channels import Channels, EventStream, MemoryChannels
from httpkit.middleware import Conditional, cache

HERE = Path(__file__).parent
PAGE = (HERE / "page.html").read_text(encoding="utf-8")
#: Where the chat is mounted in another application, as in the showcase, its page leads back there.
MOUNTED_PAGE = PAGE.replace(
    "<!-- back -->", '<p class="note"><a href="../">Back to the showcase</a></p>'
)
#: Seconds for which a long poll waits.
LONG_POLL = 25.0
#: Seconds between signs of life on an event stream that has nothing to say.
HEARTBEAT = 15.0
#: Of a WebSocket's close: somebody else in the room has this name (RFC 6455 §7.4.2: private use).
NAME_TAKEN = 4409
#: The same of somebody who does not keep up: "try again later" of IANA's registry.
TOO_SLOW = 1013
#: What is sent becomes text nodes only; the last line holds the script to that.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def make_channels() -> Channels:
    """Those of Redis, or of the workers of this server."""
    url = os.environ.get("CHAT_REDIS")
    if not url:
        return MemoryChannels(history=rooms.HISTORY)
    from httpkit.channels import RedisChannels  # noqa: PLC0415 - the extra `redis`

    return RedisChannels(url, history=rooms.HISTORY)


channels = make_channels()
visits = Visits(channels)
budgets = Budgets()


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    async with visits.open():
        yield


app = App(channels=channels, lifespan=lifespan)
app.converter("room", rooms.RoomConverter)
# Scripts belong together: browsers ask before they use one that they have.
app.static("/static", HERE / "static", middleware=[cache(no_cache=True)])


@app.middleware
async def strict(request: Request, next: Next) -> Response:
    """Pages load what this server serves, and are part of no other page."""
    response = await next(request)
    response.headers["content-security-policy"] = POLICY
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["referrer-policy"] = "no-referrer"
    return response


@app.get("/", middleware=[cache(no_cache=True), Conditional()])
async def page(request: Request) -> Response:
    assert request.route is not None
    response = Response.html(PAGE if request.route.pattern == "/" else MOUNTED_PAGE)
    name, secure = rooms.session_cookie(request)
    if name not in request.cookies:
        response.set_cookie(name, secrets.token_urlsafe(16), secure=secure)
    return response


# --- listening -----------------------------------------------------------------------------


@app.websocket("/rooms/{room:room}/socket", compression=False, max_message=rooms.MAX_EVENT)
async def socket(ws: WebSocket, room: str) -> None:
    """Events both ways. Uncompressed, so that the page can tell what a frame costs."""
    visitor = read_visitor(ws.request)
    await ws.accept()
    if not await is_free(channels, room, visitor):
        # After the handshake: scripts cannot see the status of one that fails.
        await ws.close(NAME_TAKEN, "This name is taken.")
        return
    async with (
        present(channels, room, visitor),
        open_feed(channels, room, ws.query.get("after"), ws.query.get("known")) as feed,
        asyncio.TaskGroup() as group,
    ):
        await ws.send(rooms.welcome_text(ws.request))
        sending = group.create_task(send_all(ws, feed))
        async for text in ws:
            await answer(ws, room, visitor, text)
        sending.cancel()


async def send_all(ws: WebSocket, feed: Merged[Event]) -> None:
    with suppress(WebSocketClosed):
        async for event in feed:
            await ws.send(share(event))
        await ws.close(TOO_SLOW, "Come back, and resume.")


async def answer(ws: WebSocket, room: str, visitor: Visitor, text: str | bytes) -> None:
    """Take in what a page has sent; it hears what is wrong with it."""
    key = None
    try:
        event = rooms.read_event(text)
        key = getattr(event, "key", None)
        await take(ws.request, room, visitor, event)
    except HTTPError as error:
        with suppress(WebSocketClosed):
            await ws.send(rooms.refused_text(key, error))


@app.get("/rooms/{room:room}/stream")
async def stream(request: Request, room: str) -> Response:
    """The same events as Server-Sent Events."""
    visitor = await enter(request, room)
    # What a browser says when it reconnects by itself is newer than what the page has asked for.
    after = request.headers.get("last-event-id") or request.query.get("after")
    return EventStream(listen(request, room, visitor, after), retry=0.5, heartbeat=HEARTBEAT)


async def listen(
    request: Request, room: str, visitor: Visitor, after: str | None
) -> AsyncIterator[Event]:
    """Be in the room and hear it, as long as somebody reads this."""
    async with (
        present(channels, room, visitor),
        open_feed(channels, room, after, request.query.get("known")) as feed,
    ):
        yield Event(rooms.welcome_text(request))
        async for event in feed:
            yield event


@app.get("/rooms/{room:room}/wait")
async def wait(request: Request, room: str) -> Response:
    """A long poll: the answer comes with the next event, or empty after `LONG_POLL` seconds."""
    visitor = await enter(request, room)
    after, known = request.query.get("after"), request.query.get("known")
    with visits.wait(room, visitor, LONG_POLL):
        async with open_feed(channels, room, after, known) as feed:
            events = await take_some(feed)
    return answer_poll(request, events)


async def take_some(feed: Merged[Event]) -> list[Event]:
    """The next events, or none if there are none in time."""
    try:
        async with asyncio.timeout(LONG_POLL):
            first = await anext(feed)
    except (TimeoutError, StopAsyncIteration):
        return []
    return [first, *feed.take()]


@app.get("/rooms/{room:room}/events")
async def poll(request: Request, room: str) -> Response:
    """What has happened since the last poll. Typing signs are not kept, so a poll misses them."""
    visitor = await enter(request, room)
    visits.see(room, visitor)
    after = request.query.get("after")
    async with channels.subscribe(room_topic(room), after=after, history=rooms.SHOWN) as said:
        events = begin(said, after)
        events += [to_event(message) for message in said.take()]
    members, version = await read_members(channels, room)
    if version != request.query.get("known"):
        events.append(Event(members))
    return answer_poll(request, events)


def answer_poll(request: Request, events: list[Event]) -> Response:
    if "known" not in request.query:  # the first of a page
        events.insert(0, Event(rooms.welcome_text(request)))
    ids = [event.id for event in events if event.id is not None]
    last = encode(ids[-1] if ids else request.query.get("after"))
    body = ",".join(event.with_id() for event in events)
    return Response(
        f'{{"events":[{body}],"last":{last}}}',
        headers={"cache-control": "no-store"},
        media_type="application/json",
    )


# --- speaking ------------------------------------------------------------------------------


@app.post("/rooms/{room:room}/events", max_body=rooms.MAX_EVENT)
async def send(request: Request, room: str) -> Response:
    """What pages send that have no WebSocket."""
    await take(request, room, read_visitor(request), rooms.read_event(await request.body()))
    return Response(None, 204)


async def take(request: Request, room: str, visitor: Visitor, event: FromPage) -> None:
    """Let the room know.

    Raises:
        HTTPError: 403, nobody says so; 409, somebody else has the name; 429, too much of it; 503,
            a message that is lost, since Redis is away.
    """
    if not visitor.name:
        raise HTTPError(403, "Say who you are, with ?name=.")
    if not budgets.spend((room, request.client and request.client.host)):
        raise HTTPError(429, "That is too much at once. Wait a moment.")
    await check_name(room, visitor)
    if isinstance(event, Say):
        text = rooms.message_text(visitor.name, event, time.time())
        message = await channels.publish(room_topic(room), text)
        if not message.id:
            raise HTTPError(503, "It is lost. Send it again.")
    else:
        # Stale in a moment: not for those who come later.
        await channels.publish(room_topic(room), rooms.typing_text(visitor.name), keep=False)


@app.get("/rooms/{room:room}/name")
async def name(request: Request, room: str) -> dict[str, bool]:
    """Whether the name of the query is free in the room, or ours already."""
    return {"free": await is_free(channels, room, read_visitor(request))}


@app.post("/rooms/{room:room}/leave")
async def leave(request: Request, room: str) -> Response:
    """A page that polls says that it goes."""
    visits.end(room, read_visitor(request))
    return Response(None, 204)


async def enter(request: Request, room: str) -> Visitor:
    """Who asks; 409 if the name is taken."""
    visitor = read_visitor(request)
    await check_name(room, visitor)
    return visitor


async def check_name(room: str, visitor: Visitor) -> None:
    if not await is_free(channels, room, visitor):
        raise HTTPError(409, f"{visitor.name} is taken in this room.")


# --- what things cost ----------------------------------------------------------------------


@app.get("/request-head")
async def request_head(request: Request) -> dict[str, int]:
    """Bytes of the head of this very request, as text of HTTP/1.1: no script can see it."""
    line = len(request.method) + len(request.target) + len("  HTTP/1.1\r\n\r\n")
    return {"bytes": line + sum(len(name) + len(value) + 4 for name, value in request.raw_headers)}
