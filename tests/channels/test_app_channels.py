"""Channels of an App: through handlers, across mounts, and at the end of a server."""

import asyncio
from contextlib import asynccontextmanager

from httpkit import App, WebSocket
from httpkit.channels import MemoryChannels
from httpkit.testing import Client
from tests.frames import TEXT
from tests.server.live import LiveServer
from tests.server.test_websocket import Socket

from .conftest import data_of, run


def make_app(**options):
    app = App(**options)

    @app.websocket("/listen/{topic}")
    async def listen(ws: WebSocket, topic: str) -> None:
        await ws.accept()
        async with app.channels.subscribe(topic, after=ws.query.get("after"), history=5) as events:
            await ws.send("here")
            async for message in events:
                await ws.send(message.data)

    @app.post("/publish/{topic}")
    async def publish(request, topic):
        return (await request.app.channels.publish(topic, await request.text())).id

    return app


def test_every_app_has_channels():
    app = App()
    assert isinstance(app.channels, MemoryChannels)
    assert app.channels is app.channels
    channels = MemoryChannels()
    assert App(channels=channels).channels is channels


def test_from_a_post_to_a_websocket():
    with Client(make_app()) as client, client.websocket_connect("/listen/a") as ws:
        assert ws.receive() == "here"
        first = client.post("/publish/a", content="hello").text
        assert ws.receive() == "hello"
        client.post("/publish/a", content="again")
        with client.websocket_connect(f"/listen/a?after={first}") as other:
            assert [other.receive(), other.receive()] == ["here", "again"]


def test_mounted_apps_share_the_channels_of_the_outermost():
    outer, inner, other = App(), make_app(), App(channels=MemoryChannels())
    outer.mount("/inner", inner)
    outer.mount("/other", other)
    outer.on_freeze()
    assert inner.channels is outer.channels
    assert other.channels is not outer.channels
    assert outer._all_channels == [outer.channels, other.channels]


def test_channels_begin_before_the_lifespan_and_end_after_it():
    seen = []

    @asynccontextmanager
    async def lifespan(app):
        async with app.channels.subscribe("a") as events:
            await app.channels.publish("a", "begin")
            seen.extend(await data_of(events, 1))
            yield
            assert [message async for message in events] == []  # the stop has ended it
        await app.channels.publish("a", "end")
        seen.extend(message.data for message in await app.channels.history("a", 1))

    app = make_app(lifespan=lifespan)
    for _ in range(2):  # an app may be served again
        with Client(app) as client, client.websocket_connect("/listen/b") as ws:
            assert ws.receive() == "here"
            client.post("/publish/b", content="x")
            assert ws.receive() == "x"
    assert seen == ["begin", "end"] * 2


def test_a_graceful_stop_ends_subscriptions():
    """Although their handlers wait for nothing that their client does."""
    app = make_app()
    with LiveServer(app) as server:
        socket = Socket(server.connect(), target="/listen/a")
        assert socket.receive() == (TEXT, b"here")
        stopped = server.begin_stop()
        socket.expect_close(1001)
        # The handler is through without the Close of the client, and before any deadline.
        server.until(lambda: not app.channels._subscriptions, "the end of the subscription")
        socket.client.close()
        stopped.result(10)


def test_an_application_may_lack_what_only_channels_need():
    with LiveServer() as server:
        server.begin_stop().result(10)
    assert server.application.events == ["freeze", "enter", "leave"]


def test_a_publisher_needs_no_lifespan():
    async def main():
        app = App()
        async with app.channels.subscribe("a") as events:
            await app.channels.publish("a", "x")
            assert await data_of(events, 1) == ["x"]
            assert not asyncio.all_tasks() - {asyncio.current_task()}

    run(main())
