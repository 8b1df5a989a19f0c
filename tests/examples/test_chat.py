"""The chat without a browser: its page, its four ways to listen, and what it refuses."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from examples.chat import app as chat
from examples.chat import presence, rooms
from examples.chat.budget import Budgets
from examples.chat.feed import Merged
from examples.chat.presence import Visits
from examples.chat.rooms import Visitor
from httpkit import App, HTTPError, WebSocketClosed
from httpkit.channels import ChannelMessage, MemoryChannels
from httpkit.testing import AsyncClient, Client

STATIC = chat.HERE / "static"
numbers = count(1)


@pytest.fixture
def room() -> str:
    """A room where nobody has been."""
    return f"room-{next(numbers)}"


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(chat.app) as client:
        yield client


def message(text: str, key: int = 1) -> dict[str, str]:
    return {"kind": "message", "key": f"{key:024x}", "text": text}


class Guest:
    """Somebody with a WebSocket in a room."""

    def __init__(self, ws: Any) -> None:
        self.ws = ws

    def say(self, text: str, key: int = 1) -> None:
        self.ws.send_json(message(text, key))

    def hear(self, kind: str) -> dict[str, Any]:
        """The next event of this kind."""
        while (event := self.ws.receive_json())["kind"] != kind:
            pass
        return event

    def hear_names(self, *names: str) -> None:
        """Wait until these are in the room."""
        while self.hear("members")["names"] != list(names):
            pass


@contextmanager
def guest(client: Client, room: str, name: str = "", session: str = "", **query: str) -> Any:
    cookies = {"chat": session or name}
    params = "&".join(f"{key}={value}" for key, value in {"name": name, **query}.items())
    path = f"/rooms/{room}/socket?{params}"
    with client.websocket_connect(path, cookies=cookies) as ws:
        yield Guest(ws)


# --- the page ------------------------------------------------------------------------------


def test_the_page_loads_only_what_is_served_here(client):
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "style=" not in answer.text
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=", answer.text)
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', answer.text)
    assert len(loaded) == 3
    for path in loaded:
        assert client.get(f"/{path}").status_code == 200


def test_modules_import_what_is_there(client):
    for script in STATIC.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', script.read_text()):
            assert client.get(f"/static/{name}").headers["content-type"].startswith("text/javas")


def test_scripts_never_write_markup():
    """The policy would stop it in browsers that know trusted types; this stops it in all."""
    sinks = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|srcdoc")
    for script in STATIC.glob("*.js"):
        assert not sinks.search(script.read_text().replace("markup", "")), script


def test_the_page_leads_back_to_where_it_is_mounted():
    showcase = App()
    showcase.mount("/chat", chat.app)
    for app, path, is_mounted in ((chat.app, "/", False), (showcase, "/chat/", True)):
        with Client(app) as client:
            page = client.get(path).text
        assert ('<a href="../">Back to the showcase</a>' in page) is is_mounted


def test_a_session_begins_with_the_page(client):
    cookie = client.get("/").headers["set-cookie"]
    assert re.match(r"chat=[\w-]{22}; Path=/; HttpOnly; SameSite=Lax$", cookie), cookie
    assert "set-cookie" not in client.get("/").headers


def test_a_session_of_tls_is_for_tls_alone():
    """RFC 6265bis §4.1.3.2: only a page over TLS can set a cookie with this prefix."""
    with Client(chat.app, base_url="https://testserver") as client:
        cookie = client.get("/").headers["set-cookie"]
    assert cookie.startswith("__Host-chat=")
    assert "; Secure" in cookie


def test_the_head_of_a_request_is_measured(client):
    answer = client.get("/request-head")
    found = answer.json()["bytes"]
    fields = sum(len(name) + len(value) + 4 for name, value in answer.request.headers)
    assert fields > 0
    assert found == len("GET /request-head HTTP/1.1\r\n\r\n") + fields
    assert client.get("/request-head?a=b").json()["bytes"] == found + 4


# --- talking -------------------------------------------------------------------------------


def test_two_talk(client, room):
    with guest(client, room, "Ann") as ann, guest(client, room, "Bob") as bob:
        assert ann.hear("welcome")["protocol"] == "1.1"
        ann.hear_names("Ann", "Bob")
        bob.say("Hello Ann")
        heard = ann.hear("message")
        assert heard == bob.hear("message")
        assert heard["name"] == "Bob"
        assert heard["text"] == "Hello Ann"
        assert heard["key"] == f"{1:024x}"
        assert heard["id"]


def test_of_a_crowd_some_are_named():
    text, version = rooms.members_text([f"Guest {number:03}" for number in range(150)])
    members = json.loads(text)
    assert members["names"] == [f"Guest {number:03}" for number in range(100)]
    assert members["count"] == 150
    assert members["version"] == version
    one_less = rooms.members_text([f"Guest {number:03}" for number in range(149)])
    assert one_less[1] != version


def test_rooms_are_apart(client, room):
    with guest(client, room, "Ann") as ann, guest(client, f"{room}-b", "Bob") as bob:
        bob.say("elsewhere")
        bob.hear("message")
        ann.say("here")
        assert ann.hear("message")["text"] == "here"


def test_who_types(client, room):
    with guest(client, room, "Ann") as ann, guest(client, room, "Bob") as bob:
        bob.hear("welcome")
        ann.hear_names("Ann", "Bob")
        bob.hear_names("Ann", "Bob")
        ann.ws.send_json({"kind": "typing"})
        assert bob.hear("typing")["name"] == "Ann"
    kinds = [event["kind"] for event in client.get(f"/rooms/{room}/events").json()["events"]]
    assert kinds == ["welcome", "members"]  # nothing that is stale


def test_who_leaves(client, room):
    with guest(client, room, "Ann") as ann:
        with guest(client, room, "Bob"):
            ann.hear_names("Ann", "Bob")
        ann.hear_names("Ann")


def test_onlookers_are_nobody(client, room):
    with guest(client, room, "Ann") as ann, guest(client, room) as onlooker:
        assert onlooker.hear("members")["names"] == ["Ann"]
        onlooker.say("boo")
        assert onlooker.hear("refused")["detail"] == "Say who you are, with ?name=."
        ann.say("hello")
        assert onlooker.hear("message")["text"] == "hello"


def test_history_and_resume(client, room):
    with guest(client, room, "Ann") as ann:
        for number in range(5):
            ann.say(f"message {number}", number)
        heard = [ann.hear("message") for _ in range(5)]
    with guest(client, room, "Bob") as bob:
        assert [bob.hear("message") for _ in range(5)] == heard
    with guest(client, room, "Ann", after=heard[2]["id"]) as ann:
        assert [ann.hear("message") for _ in range(2)] == heard[3:]


def test_a_gap_is_told(client, room):
    """An id of another start of the server: nobody knows what came since."""
    say(client, room, "Bob", "one")
    with guest(client, room, "Ann", after="1-1") as ann:
        assert ann.hear("gap")
        assert ann.hear("message")["text"] == "one"
    events = client.get(f"/rooms/{room}/events?after=1-1").json()["events"]
    assert [event["kind"] for event in events] == ["welcome", "gap", "message", "members"]


def test_only_the_last_messages_are_shown_to_who_is_new(client, room):
    with guest(client, room, "Ann") as ann:
        for number in range(rooms.SHOWN + 5):
            ann.say(f"{number}", number)
            ann.hear("message")
    with guest(client, room, "Bob") as bob:
        assert bob.hear("message")["text"] == "5"
    assert len(client.get(f"/rooms/{room}/events").json()["events"]) == rooms.SHOWN + 2


# --- the other transports ------------------------------------------------------------------


def say(client: Client, room: str, name: str, text: str, key: int = 1) -> int:
    path = f"/rooms/{room}/events?name={name}"
    return client.post(path, json=message(text, key), cookies={"chat": name}).status_code


def test_polling(client, room):
    path = f"/rooms/{room}/events"
    first = client.get(f"{path}?name=Ann", cookies={"chat": "Ann"}).json()
    assert [event["kind"] for event in first["events"]] == ["welcome", "members"]
    assert first["last"] is None
    assert say(client, room, "Bob", "one") == 204
    known = first["events"][1]["version"]
    second = client.get(f"{path}?known={known}").json()
    [event, members] = second["events"]
    assert (event["name"], event["text"], event["id"]) == ("Bob", "one", second["last"])
    assert members["names"] == ["Ann"]  # since the first poll, and not Bob, who has only spoken
    third = client.get(f"{path}?known={members['version']}&after={second['last']}").json()
    assert third == {"events": [], "last": second["last"]}


def test_a_long_poll_answers_at_once_what_is_new(client, room):
    say(client, room, "Bob", "one")
    say(client, room, "Bob", "two", 2)
    first = client.get(f"/rooms/{room}/wait").json()
    assert [event["kind"] for event in first["events"]].count("message") == 2
    assert first["last"] == [event["id"] for event in first["events"] if "id" in event][-1]


def test_a_long_poll_waits(room):
    async def scenario() -> None:
        async with AsyncClient(chat.app) as client:
            path = f"/rooms/{room}/events"
            await client.post(f"{path}?name=Bob", json=message("one"))
            first = (await client.get(path)).json()
            query = f"after={first['last']}&known={first['events'][-1]['version']}"
            waiting = asyncio.create_task(client.get(f"/rooms/{room}/wait?{query}"))
            await client.get("/request-head")
            assert not waiting.done()
            await client.post(f"{path}?name=Bob", json=message("two", 2))
            answer = (await waiting).json()
            assert [event["text"] for event in answer["events"]] == ["two"]

    asyncio.run(scenario())


def test_a_long_poll_without_news_is_empty(client, room, monkeypatch):
    monkeypatch.setattr(chat, "LONG_POLL", 0.01)
    first = client.get(f"/rooms/{room}/events").json()
    known = first["events"][-1]["version"]
    answer = client.get(f"/rooms/{room}/wait?known={known}").json()
    assert answer == {"events": [], "last": None}


def read_stream(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a stream, with their ids."""
    last = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "id":
            last = value
        elif field == "data":
            yield last, json.loads(value)
            last = ""


def test_an_event_stream(client, room):
    for number in range(3):
        say(client, room, "Bob", f"{number}", number)
    path = f"/rooms/{room}/stream?name=Ann"
    with client.stream("GET", path, cookies={"chat": "Ann"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = read_stream(response.iter_lines())
        assert next(events)[1]["kind"] == "welcome"
        messages = [(known, event["text"]) for known, event in events_of(events, "message", 3)]
        assert [text for _, text in messages] == ["0", "1", "2"]
    # A browser that reconnects repeats the address with its old `after`, and the newer id.
    headers = {"last-event-id": messages[1][0]}
    with client.stream("GET", f"{path}&after={messages[0][0]}", headers=headers) as response:
        [(last, event)] = events_of(read_stream(response.iter_lines()), "message", 1)
        assert (last, event["text"]) == messages[2]


def events_of(events: Iterator[Any], kind: str, number: int) -> list[Any]:
    found = []
    while len(found) < number:
        last, event = next(events)
        if event["kind"] == kind:
            found.append((last, event))
    return found


# --- names ---------------------------------------------------------------------------------


def test_a_name_is_taken_once(client, room):
    with guest(client, room, "Ann", "one") as ann:
        ann.hear_names("Ann")
        for name in ("Ann", "ann"):  # RFC 8266 §2.4
            with guest(client, room, name, "two") as other:
                with pytest.raises(WebSocketClosed) as closed:
                    other.hear("welcome")
                assert closed.value.code == chat.NAME_TAKEN
        for path in ("stream", "wait", "events"):
            answer = client.get(f"/rooms/{room}/{path}?name=Ann", cookies={"chat": "two"})
            assert answer.status_code == 409
            assert "Ann is taken in this room." in answer.text
        assert say(client, room, "Ann", "It was not me.") == 409
        assert is_free(client, room, "Ann", "two") is False
        assert is_free(client, room, "Ann", "") is False
        assert is_free(client, room, "Ann", "one") is True
        assert is_free(client, room, "Bob", "two") is True
        with guest(client, room, "Ann", "one") as again:
            assert again.hear("welcome")
    assert is_free(client, room, "Ann", "two") is True


def is_free(client: Client, room: str, name: str, session: str) -> bool:
    answer = client.get(f"/rooms/{room}/name?name={name}", cookies={"chat": session})
    return bool(answer.json()["free"])


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("Ann", "Ann"),
        ("  Ann \t Lee\u00a0\u3000X ", "Ann Lee X"),  # RFC 8266 §2.1: spaces
        ("\uff21nn", "Ann"),  # compatibility forms
        ("A\u202enn\u200b\x00", "Ann"),  # what turns text around, or cannot be seen
        ("\u202e", ""),
        ("x" * 24, "x" * 24),
    ],
)
def test_names(name, cleaned):
    assert rooms.clean_name(name) == cleaned


def test_long_names(client, room):
    answer = client.get(f"/rooms/{room}/name?name={'x' * 25}")
    assert answer.status_code == 400
    assert "A name has up to 24 characters." in answer.text


# --- what is refused -----------------------------------------------------------------------

MALFORMED = [
    "",
    "no JSON",
    "[]",
    "{}",
    '{"kind":"message"}',
    '{"kind":"members","names":[]}',
    json.dumps(message("")),
    json.dumps(message("x" * 2001)),
    json.dumps(message("x") | {"key": "<script>"}),
    json.dumps(message("x") | {"name": "Bob"}),
    "[" * 5000,
    '{"kind":"message","key":"000000000000000000000001","text":"\\ud800"}',
]


@pytest.mark.parametrize("sent", MALFORMED)
def test_malformed_events(client, room, sent):
    answer = client.post(f"/rooms/{room}/events?name=Ann", content=sent)
    assert answer.status_code == 400
    assert "Not an event" in answer.text
    with guest(client, room, "Ann") as ann:
        ann.ws.send(sent)
        refused = ann.hear("refused")
        assert refused["key"] is None
        assert refused["detail"].startswith("Not an event: ")
        ann.say("still here")
        assert ann.hear("message")["text"] == "still here"


def test_bytes_that_are_no_text(client, room):
    with guest(client, room, "Ann") as ann:
        ann.ws.send(b'{"kind":"\xff"}')
        assert ann.hear("refused")["detail"].startswith("Not an event: ")


def test_an_event_has_a_limit(client, room):
    large = json.dumps(message("x")) + " " * rooms.MAX_EVENT
    assert client.post(f"/rooms/{room}/events?name=Ann", content=large).status_code == 413
    with guest(client, room, "Ann") as ann:
        ann.ws.send(large)
        with pytest.raises(WebSocketClosed) as closed:
            ann.hear("refused")
        assert closed.value.code == 1009


def test_who_says_too_much_is_told(client, room, monkeypatch):
    monkeypatch.setattr(chat, "budgets", Budgets(burst=2, rate=0.0))
    with guest(client, room, "Ann") as ann:
        for number in range(3):
            ann.say(f"{number}", number)
        refused = ann.hear("refused")
        assert refused["key"] == f"{2:024x}"
        assert refused["detail"] == "That is too much at once. Wait a moment."
        assert say(client, room, "Ann", "3") == 429
        assert say(client, f"{room}-b", "Ann", "4") == 204


def test_a_message_that_is_lost_is_told(client, room, monkeypatch):
    """What Redis has not taken has no id; the page sends it again."""

    async def publish(topic: str, data: str, *, keep: bool = True) -> ChannelMessage:
        return ChannelMessage(topic, None, data)

    monkeypatch.setattr(chat.channels, "publish", publish)
    assert say(client, room, "Ann", "one") == 503
    with guest(client, room, "Ann") as ann:
        ann.say("two")
        assert ann.hear("refused")["status"] == 503


def test_budgets():
    now = 0.0
    budgets = Budgets(2, 0.5, most=2, clock=lambda: now)
    assert [budgets.spend("a") for _ in range(3)] == [True, True, False]
    assert budgets.spend("b")
    now = 2.0
    assert [budgets.spend("a") for _ in range(2)] == [True, False]
    now = 100.0
    assert [budgets.spend("a") for _ in range(3)] == [True, True, False]  # no more than full
    budgets.spend("c")
    budgets.spend("d")
    assert budgets.spend("a")  # forgotten, and full again


def test_a_text_of_the_greatest_length_fits(client, room):
    with guest(client, room, "Ann") as ann:
        ann.say("\U0001f600" * 2000)
        assert ann.hear("message")["text"] == "\U0001f600" * 2000


@pytest.mark.parametrize("room", ["Lobby", "a_b", "x" * 33, "%2e%2e", "a%20b", "caf%C3%A9"])
def test_what_is_no_room(client, room):
    for path in ("events", "stream", "wait", "socket", "name"):
        assert client.get(f"/rooms/{room}/{path}").status_code == 404


def test_other_pages_open_no_socket(client, room):
    """Cross-site WebSocket hijacking: the session's cookie would be sent along."""
    headers = {
        "origin": "https://evil.example",
        "upgrade": "websocket",
        "connection": "upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert client.get(f"/rooms/{room}/socket", headers=headers).status_code == 403


def test_markup_stays_text(client, room):
    markup = "<script>alert(1)</script>\"'&"
    with guest(client, room, "Ann") as ann:
        ann.say(markup)
        assert ann.hear("message")["text"] == markup


# --- presence of those who poll ------------------------------------------------------------


class Stage:
    """Visits with a clock that stands still, in a loop of their own."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.channels = MemoryChannels()
        self.visits = Visits(self.channels, clock=lambda: self.now, **options)
        self.ann = Visitor("Ann", "a")

    async def until(self, *names: str) -> None:
        """Wait until these are in the room."""
        topic = presence.room_topic("lobby")
        async with asyncio.timeout(10), self.channels.watch(topic) as changes:
            while await self.names() != list(names):
                await anext(changes)

    async def names(self) -> list[str]:
        return [each.name for each in await self.channels.members(presence.room_topic("lobby"))]


def test_who_polls_is_there_until_not_seen_for_a_while():
    async def scenario() -> None:
        stage = Stage(linger=0.001)
        async with stage.visits.open():
            stage.visits.see("lobby", stage.ann)
            await stage.until("Ann")
            stage.visits.see("lobby", Visitor("Bob", "b"))
            await stage.until("Ann", "Bob")
            with stage.visits.wait("lobby", stage.ann, 25):
                stage.now = 25.0
                await stage.until("Ann")
            await asyncio.sleep(0)
            stage.now = 25.001
            await stage.until()

    asyncio.run(scenario())


def test_who_has_left_does_not_come_back_with_the_end_of_a_long_poll():
    """A page says that it leaves, and ends its request after that."""

    async def scenario() -> None:
        stage = Stage()
        async with stage.visits.open():
            with stage.visits.wait("lobby", stage.ann, 25):
                await stage.until("Ann")
                stage.visits.end("lobby", stage.ann)
                await stage.until()
            await asyncio.sleep(0)
            assert await stage.names() == []

    asyncio.run(scenario())


def test_onlookers_wait_without_being_there():
    async def scenario() -> None:
        stage = Stage()
        async with stage.visits.open():
            with stage.visits.wait("lobby", Visitor("", "b"), 25):
                await asyncio.sleep(0)
                assert await stage.names() == []

    asyncio.run(scenario())


def test_who_polls_may_say_that_they_leave():
    async def scenario() -> None:
        stage = Stage()
        async with stage.visits.open():
            stage.visits.see("lobby", stage.ann)
            await stage.until("Ann")
            stage.visits.end("lobby", stage.ann)
            stage.visits.end("lobby", stage.ann)
            await stage.until()
            stage.visits.see("lobby", stage.ann)
            await stage.until("Ann")
        await stage.until()

    asyncio.run(scenario())


def test_visits_are_limited(monkeypatch):
    monkeypatch.setattr(presence, "MAX_VISITS", 1)

    async def scenario() -> None:
        stage = Stage()
        async with stage.visits.open():
            stage.visits.see("lobby", stage.ann)
            stage.visits.see("lobby", stage.ann)
            stage.visits.see("lobby", Visitor("", "b"))  # an onlooker is no visit
            with pytest.raises(HTTPError) as refused:
                stage.visits.see("lobby", Visitor("Bob", "b"))
            assert refused.value.status == 503

    asyncio.run(scenario())


def test_leaving_by_request(client, room):
    with guest(client, room, "Ann") as ann:
        client.get(f"/rooms/{room}/events?name=Bob", cookies={"chat": "Bob"})
        ann.hear_names("Ann", "Bob")
        path = f"/rooms/{room}/leave?name=Bob"
        assert client.post(path, cookies={"chat": "Carl"}).status_code == 204  # not his to say
        assert client.post(path, cookies={"chat": "Bob"}).status_code == 204
        ann.hear_names("Ann")


# --- merging -------------------------------------------------------------------------------


async def numbers_from(first: int, *, then: BaseException | None = None) -> AsyncIterator[int]:
    yield first
    yield first + 1
    if then is not None:
        raise then


async def forever() -> AsyncIterator[int]:
    yield 100
    await asyncio.Event().wait()


def test_merged_ends_with_the_first_source():
    async def scenario() -> None:
        async with Merged(numbers_from(1), forever()) as merged:
            assert [each async for each in merged] == [1, 2]

    asyncio.run(scenario())


def test_merged_raises_what_a_source_raises():
    async def scenario() -> None:
        async with Merged(numbers_from(1, then=ValueError("broken"))) as merged:
            assert [await anext(merged), await anext(merged)] == [1, 2]
            with pytest.raises(ValueError, match="broken"):
                await anext(merged)

    asyncio.run(scenario())


def test_merged_gives_what_is_there():
    async def scenario() -> None:
        async with Merged(numbers_from(1), numbers_from(3)) as merged:
            assert await anext(merged) == 1
            assert merged.take() == [2]  # and no further than to the end of the first
            with pytest.raises(StopAsyncIteration):
                await anext(merged)

    asyncio.run(scenario())


def test_merged_holds_back_its_sources():
    async def scenario() -> None:
        taken = []

        async def count_up() -> AsyncIterator[int]:
            for number in count():
                taken.append(number)
                yield number

        async with Merged(count_up(), size=2) as merged:
            assert [await anext(merged) for _ in range(3)] == [0, 1, 2]
        assert len(taken) <= 6

    asyncio.run(scenario())
