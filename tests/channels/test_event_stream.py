"""Server-Sent Events: their bytes by WHATWG HTML 9.2, and streams of them."""

import asyncio
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit import App, Response
from httpkit.channels import ChannelMessage, EventStream, MemoryChannels, ServerSentEvent
from httpkit.channels.events import serialize_event
from httpkit.channels.messages import Position
from httpkit.middleware import Compress
from httpkit.testing import Client
from tests.app.conftest import fuzz
from tests.server.live import LiveServer

from .conftest import run


class EventSource:
    """What a browser makes of a stream (9.2.6), written from the algorithm alone.

    Attributes:
        events: type, data and last event id of each that was dispatched.
        last_id: what it would say on reconnection.
        retry: milliseconds.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.last_id = ""
        self.retry: int | None = None
        self._clear()

    def _clear(self) -> None:
        self._data, self._type = "", ""

    def receive(self, data: bytes) -> None:
        """Whole lines."""
        text = data.decode().replace("\r\n", "\n").replace("\r", "\n")
        assert text.endswith("\n")
        for line in text[:-1].split("\n"):
            self._process(line)

    def _process(self, line: str) -> None:
        if not line:
            if self._data:
                self.events.append((self._type or "message", self._data[:-1], self.last_id))
            self._clear()
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data += value + "\n"
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self.last_id = value
        elif name == "retry" and value.isdigit():
            self.retry = int(value)


TEXTS = st.text(st.characters(codec="utf-8"))
LINES = TEXTS.filter(lambda text: not set(text) & set("\r\n\0"))


@fuzz
@given(
    st.lists(
        st.builds(
            ServerSentEvent,
            TEXTS,
            st.none() | LINES.filter(bool),
            st.none() | LINES,
            st.none() | st.floats(0, 1e6),
        )
    )
)
def test_a_browser_reads_what_was_sent(events):
    source = EventSource()
    source.receive(b"".join([serialize_event(each) for each in events]) or b"\n")
    last_id, expected = "", []
    for event in events:
        last_id = last_id if event.id is None else event.id
        lines = event.data.replace("\r\n", "\n").replace("\r", "\n")
        expected.append((event.event or "message", lines, last_id))
    assert source.events == expected


def test_what_events_are_made_of():
    assert (
        serialize_event("a\r\nb\rc\n\u2028") == b"data: a\ndata: b\ndata: c\ndata: \xe2\x80\xa8\n\n"
    )
    assert serialize_event(ServerSentEvent(retry=1.5, id="7")) == b"id: 7\nretry: 1500\n\n"
    assert serialize_event(ServerSentEvent(b"\xff")) == b"event: binary\ndata: /w==\n\n"
    assert serialize_event(ServerSentEvent(b"\xff", "png")) == b"event: png\ndata: /w==\n\n"
    assert serialize_event(ServerSentEvent()) == b""


@pytest.mark.parametrize("name", ["event", "id"])
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "\n"])
def test_what_is_one_line_cannot_smuggle_another(name, value):
    with pytest.raises(ValueError, match=f"the {name} of an event is one line"):
        serialize_event(ServerSentEvent("x", **{name: value}))


def test_a_message_is_made_once_for_all_streams():
    message = ChannelMessage("a", Position(1, 2), "x")
    assert serialize_event(message) == b"id: 1-2\ndata: x\n\n"
    assert serialize_event(message) is serialize_event(message)


# --- streams of a subscription -------------------------------------------------------------------


def make_app(**options):
    app = App(channels=MemoryChannels(clock=lambda: 1))

    @app.get("/events")
    async def events(request):
        after = request.headers.get("last-event-id")
        return EventStream(app.channels.subscribe("a", after=after, history=5), **options)

    @app.post("/publish")
    async def publish(request):
        await app.channels.publish("a", await request.text())

    return app


def publish(client, *texts):
    for text in texts:
        assert client.post("/publish", content=text).status_code == 204


def lines_of(stream, count):
    lines = stream.iter_lines()
    return [next(lines) for _ in range(count)]


def test_a_stream_and_its_resumption():
    with Client(make_app()) as client:
        with client.stream("GET", "/events") as stream:
            assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert stream.headers["cache-control"] == "no-store"
            assert stream.headers["x-accel-buffering"] == "no"
            lines = stream.iter_lines()
            assert [next(lines) for _ in range(3)] == ["id: 1000-0", "retry: 2000", ""]
            publish(client, "one", "two\nlines")
            assert [next(lines) for _ in range(3)] == ["id: 1000-1", "data: one", ""]
            assert [next(lines) for _ in range(4)][1:] == ["data: two", "data: lines", ""]
        publish(client, "three")
        with client.stream("GET", "/events", headers={"last-event-id": "1000-1"}) as stream:
            lines = lines_of(stream, 9)
        assert lines[:3] == ["id: 1000-1", "retry: 2000", ""]
        assert lines[4:9:4] == ["data: two", "data: three"]


def test_who_has_heard_nothing_resumes_where_it_began():
    with Client(make_app()) as client:
        with client.stream("GET", "/events") as stream:
            source = EventSource()
            source.receive(("\n".join(lines_of(stream, 3)) + "\n").encode())
        assert source.events == []
        publish(client, "missed")
        with client.stream("GET", "/events", headers={"last-event-id": source.last_id}) as stream:
            assert lines_of(stream, 5)[-1] == "data: missed"


def test_heartbeats_are_comments():
    app = make_app(heartbeat=0.01, retry=None)
    with Client(app) as client, client.stream("GET", "/events") as stream:
        lines = lines_of(stream, 6)
    assert lines == ["id: 1000-0", "", ":", "", ":", ""]


def test_fields_of_ones_own():
    app = make_app(headers={"cache-control": "no-cache", "x-a": "b"})
    with Client(app) as client, client.stream("GET", "/events") as stream:
        assert stream.headers["cache-control"] == "no-cache"
        assert stream.headers["x-a"] == "b"


def test_head_subscribes_to_nothing():
    app = make_app()
    with Client(app) as client:
        assert client.request("HEAD", "/events").status_code == 200
        assert not app.channels._subscriptions


def test_compressed_events_arrive_at_once():
    app = make_app()
    app.middleware(Compress())
    inflater = zlib.decompressobj(31)
    fields = {"accept-encoding": "gzip"}
    with Client(app) as client, client.stream("GET", "/events", headers=fields) as stream:
        assert stream.headers["content-encoding"] == "gzip"
        pieces = map(inflater.decompress, stream.iter_bytes())
        assert next(pieces) == b"id: 1000-0\nretry: 2000\n\n"
        publish(client, "one")
        assert next(pieces) == b"id: 1000-1\ndata: one\n\n"


def test_a_client_that_leaves_ends_its_subscription_and_a_stop_ends_streams():
    app = make_app()
    with LiveServer(app) as server:
        left, stays = server.connect(), server.connect()
        for client in (left, stays):
            client.request("/events")
            client.receive_until(b"retry: 2000\n\n")
        left.reset()
        server.until(lambda: len(app.channels._subscriptions["a"]) == 1, "the end of one")
        stopped = server.begin_stop()
        assert stays.receive_rest().endswith(b"0\r\n\r\n"), "an orderly end, at once"
        stays.close()
        stopped.result(10)


# --- streams of anything else --------------------------------------------------------------------


async def collect(response: Response) -> list[bytes]:
    return [piece async for piece in response.body]


def test_an_iterable_of_anything_like_an_event():
    class Tick:
        data, id = "tick", "4"

    async def events():
        yield "text"
        yield ServerSentEvent("x", "kind")
        yield Tick()
        yield ServerSentEvent()

    assert run(collect(EventStream(events(), retry=None))) == [
        b":\n\n",
        b"data: text\n\nevent: kind\ndata: x\n\nid: 4\ndata: tick\n\n",
    ]


@pytest.mark.parametrize("item", [b"bytes", {"data": "x"}, 5, None])
def test_an_item_that_is_no_event_is_not_lost_in_silence(item):
    async def events():
        yield item

    with pytest.raises(TypeError, match=f"instead of {type(item).__name__}"):
        run(collect(EventStream(events())))


async def never_called():
    yield "text"


@pytest.mark.parametrize("source", [never_called, ["text"], iter("ab"), None])
def test_what_cannot_be_iterated_is_refused_in_the_handler(source):
    """Rather than a stream that stays open and has nothing but heartbeats."""
    with pytest.raises(TypeError, match=f"not {type(source).__name__}"):
        EventStream(source)


def test_an_iterable_whose_iteration_cannot_begin_cuts_the_stream():
    class Broken:
        def __aiter__(self):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        run(asyncio.wait_for(collect(EventStream(Broken(), heartbeat=None)), 10))


def test_an_iterable_that_waits_is_iterated_by_one_task():
    """So that it may hold what belongs to a task: a timeout, a task group."""
    tasks = set()
    go = asyncio.Event()

    async def events():
        async with asyncio.timeout(60), asyncio.TaskGroup():
            tasks.add(asyncio.current_task())
            yield "one"
            await go.wait()
            tasks.add(asyncio.current_task())
            yield "two"

    async def main():
        pieces = EventStream(events(), heartbeat=0.001).body
        assert await anext(pieces) == b"retry: 2000\n\n"
        assert await anext(pieces) == b"data: one\n\n"
        assert await anext(pieces) == b":\n\n"
        go.set()
        rest = [piece async for piece in pieces]
        assert rest[-1] == b"data: two\n\n"

    run(main())
    assert len(tasks) == 1


def test_a_slow_client_slows_an_iterable_down():
    made = []

    async def events():
        for number in range(1000):
            made.append(number)
            yield str(number)

    async def main():
        pieces = EventStream(events()).body
        await anext(pieces)
        first = await anext(pieces)
        assert len(made) < 40
        assert first.startswith(b"data: 0\n\ndata: 1\n\n")
        assert b"".join([first, *[piece async for piece in pieces]]).count(b"data") == 1000

    run(main())


def test_an_iterable_is_left_when_its_client_leaves():
    seen = []

    async def events():
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            seen.append("left")

    class Endless:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return "x"

    async def main():
        for source in (events(), Endless()):
            pieces = EventStream(source).body
            await anext(pieces)
            await anext(pieces)
            await pieces.aclose()
        assert seen == ["left"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_an_iterable_that_fails_cuts_the_stream():
    async def events():
        yield "one"
        raise OSError("gone")

    async def main():
        pieces = EventStream(events()).body
        await anext(pieces)
        assert await anext(pieces) == b"data: one\n\n"
        with pytest.raises(OSError, match="gone"):
            await anext(pieces)

    run(main())


def test_a_system_exit_of_an_iterable_cuts_the_stream_and_ends_nothing_else():
    async def events():
        yield "one"
        raise SystemExit(3)

    async def main():
        pieces = EventStream(events()).body
        await anext(pieces)
        assert await anext(pieces) == b"data: one\n\n"
        with pytest.raises(SystemExit):
            await anext(pieces)
        return "alive"

    assert run(main()) == "alive"
