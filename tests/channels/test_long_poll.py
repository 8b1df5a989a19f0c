"""Long polls: answers as soon as there is something, and none that miss anything."""

import pytest

from httpkit import App
from httpkit.channels import EventStream, MemoryChannels, long_poll
from httpkit.testing import Client
from tests.server.live import LiveServer


def make_app(**options):
    app = App(channels=MemoryChannels(clock=lambda: 1))

    @app.get("/poll")
    async def poll(request):
        return await long_poll(request, app.channels, "a", "b", **options)

    @app.post("/publish/{topic}")
    async def publish(request, topic):
        body = await request.body()
        await app.channels.publish(topic, body if body[0] > 127 else body.decode())

    return app


def test_the_first_is_answered_at_once_and_the_next_go_on():
    with Client(make_app(timeout=0.001)) as client:
        first = client.get("/poll")
        assert first.headers["cache-control"] == "no-store"
        assert first.json() == {"messages": [], "last": "1000-0", "complete": True}
        client.post("/publish/a", content="one")
        client.post("/publish/b", content=b"\xff")
        second = client.get("/poll?after=1000-0").json()
        assert second == {
            "messages": [
                {"topic": "a", "id": "1000-1", "data": "one"},
                {"topic": "b", "id": "1000-2", "data": "/w==", "binary": True},
            ],
            "last": "1000-2",
            "complete": True,
        }
        third = client.get("/poll?after=1000-2").json()
        assert third == {"messages": [], "last": "1000-2", "complete": True}
        assert client.get("/poll").json()["messages"] == second["messages"]


@pytest.mark.parametrize("after", ["", "nonsense", "1-1", "1000-99"])
def test_an_id_of_elsewhere_gets_what_there_is(after):
    with Client(make_app()) as client:
        client.post("/publish/a", content="one")
        answer = client.get(f"/poll?after={after}").json()
        assert [each["data"] for each in answer["messages"]] == ["one"]
        assert answer["complete"] is False


def test_who_waits_is_answered_when_something_comes():
    app = make_app(timeout=60)
    with LiveServer(app) as server:
        waiting = server.connect()
        waiting.request("/poll?after=1000-0")
        server.until(lambda: app.channels._subscriptions.get("a"), "the poll")
        poster = server.connect()
        poster.request("/publish/b", method="POST", body=b"news")
        assert poster.receive().status == 204
        assert b'"data":"news"' in waiting.receive().body
        assert not server.call(lambda: app.channels._subscriptions)


def test_a_stop_answers_who_waits_and_a_client_may_leave():
    app = make_app(timeout=60)
    with LiveServer(app) as server:
        left, waiting = server.connect(), server.connect()
        for client in (left, waiting):
            client.request("/poll?after=1000-0")
        server.until(lambda: len(app.channels._subscriptions.get("a", ())) == 2, "both polls")
        left.reset()
        server.until(lambda: len(app.channels._subscriptions["a"]) == 1, "the end of one")
        stopped = server.begin_stop()
        assert waiting.receive().body == b'{"messages":[],"last":"1000-0","complete":true}'
        waiting.close()
        stopped.result(10)


def test_one_topic_by_three_transports():
    """A page falls back from one to the next with the same ids."""
    app = make_app(timeout=60)

    @app.websocket("/socket")
    async def socket(ws):
        await ws.accept()
        async with app.channels.subscribe("a", after=ws.query["after"]) as events:
            async for message in events:
                await ws.send(message)

    @app.get("/events")
    async def events(request):
        return EventStream(app.channels.subscribe("a", after=request.query["after"]))

    with Client(app) as client:
        last = client.get("/poll").json()["last"]
        client.post("/publish/a", content="one")
        with client.websocket_connect(f"/socket?after={last}") as ws:
            assert ws.receive() == "one"
        last = client.get(f"/poll?after={last}").json()["last"]
        client.post("/publish/a", content="two")
        with client.stream("GET", f"/events?after={last}") as stream:
            lines = stream.iter_lines()
            assert [next(lines) for _ in range(5)][-1] == "data: two"
