"""The chat in Chromium: what people see, over each transport and version of HTTP."""

import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from benchmarks.process import free_port
from tests.redis_server import RedisServer
from tests.server.certificates import Authority

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

expect.set_options(timeout=20_000)
APP = "examples.chat.app:app"
LABELS = {
    "websocket": "WebSocket",
    "sse": "Server-Sent Events",
    "longpoll": "Long polling",
    "poll": "Polling",
}


class Chat:
    """A page of the chat, with a session of its own."""

    def __init__(self, context: BrowserContext, url: str, name: str) -> None:
        self.page: Page = context.new_page()
        #: What went wrong in the page, and what its policy has stopped.
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))
        context.add_init_script(f"sessionStorage.setItem('name', {json.dumps(name)})")
        self.page.goto(url)
        self.expect_state("open")

    def _note(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "TrustedHTML" in message.text:
            self.errors.append(message.text)

    def say(self, text: str) -> None:
        box = self.page.get_by_placeholder("Message")
        box.fill(text)
        box.press("Enter")

    def choose(self, transport: str) -> None:
        """Listen by another transport, and wait until it is open."""
        self.page.get_by_label(LABELS[transport], exact=True).check()
        self.expect_transport(transport)

    def expect_state(self, state: str) -> None:
        expect(self.page.locator("#state")).to_have_attribute("data-state", state)

    def expect_transport(self, transport: str) -> None:
        expect(self.page.locator("#state")).to_contain_text(f"connected · {LABELS[transport]}")

    def expect_messages(self, *texts: str) -> None:
        """All of these have arrived, in this order and none of them twice."""
        expect(self.page.locator(".message:not(.pending) .text")).to_have_text(list(texts))

    def expect_people(self, *names: str) -> None:
        expect(self.page.locator("#people bdi")).to_have_text(list(names))

    @property
    def worker(self) -> int:
        """The process that serves it."""
        return int(self.page.locator("#state").get_attribute("data-worker") or 0)

    @property
    def protocol(self) -> str | None:
        """The version of HTTP that its events come by."""
        return self.page.locator("#state").get_attribute("data-protocol")


Open = Callable[..., Chat]


@pytest.fixture
def open_chat(chromium: Browser) -> Iterator[Open]:
    """Open pages, each as somebody else; at the end none of them has had an error."""
    contexts: list[BrowserContext] = []
    chats: list[Chat] = []

    def start(url: str, name: str, *, prepare: str = "", **options: Any) -> Chat:
        context = chromium.new_context(ignore_https_errors=True, **options)
        contexts.append(context)
        if prepare:
            context.add_init_script(prepare)
        chats.append(Chat(context, url, name))
        return chats[-1]

    yield start
    errors = [error for chat in chats for error in chat.errors]
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def serve(start_httpkit: Any) -> Callable[..., Any]:
    """Serve the chat on a free port; the process."""

    def start(*arguments: str, **options: Any) -> Any:
        return start_httpkit("run", APP, "--port", "0", *arguments, **options)

    return start


@pytest.fixture
def url(serve: Any) -> str:
    return str(serve().wait_for_url())


def post(url: str, name: str, text: str) -> None:
    """A message of somebody without a browser."""
    key = os.urandom(12).hex()
    body = json.dumps({"kind": "message", "key": key, "text": text}).encode()
    urllib.request.urlopen(f"{url}/rooms/lobby/events?name={name}", body, timeout=30).close()


# --- two people ----------------------------------------------------------------------------


def talk(ann: Chat, bob: Chat) -> None:
    """Two people see each other come, type and speak."""
    for chat in (ann, bob):
        chat.expect_people("Ann", "Bob")
    ann.page.get_by_placeholder("Message").press_sequentially("Good")
    expect(bob.page.locator("#typing")).to_have_text("Ann is typing …")
    ann.say("Good morning, Bob")
    bob.expect_messages("Good morning, Bob")
    expect(bob.page.locator("#typing")).to_have_text("")
    bob.say("Good morning, Ann")
    for chat in (ann, bob):
        chat.expect_messages("Good morning, Bob", "Good morning, Ann")


def test_two_pages_talk(open_chat, url):
    ann, bob = open_chat(url, "Ann"), open_chat(url, "Bob")
    assert ann.protocol == bob.protocol == "1.1"
    talk(ann, bob)
    bob.page.close()
    ann.expect_people("Ann")
    expect(ann.page.get_by_text("Bob has left")).to_be_visible()


def test_two_pages_talk_over_tls_and_http_2(open_chat, serve, tmp_path):
    """RFC 8441: the WebSocket is a stream of the connection that the page came by."""
    authority = Authority(tmp_path)
    chain, key = authority.save(authority.server("localhost", "127.0.0.1"), "server")
    url = serve("--tls-cert", chain, "--tls-key", key).wait_for_url()
    assert url.startswith("https://")
    ann, bob = open_chat(url, "Ann"), open_chat(url, "Bob")
    assert ann.protocol == bob.protocol == "2"
    talk(ann, bob)
    heard = ["Good morning, Bob", "Good morning, Ann"]
    for transport in ("sse", "longpoll", "poll"):
        bob.choose(transport)
        ann.say(transport)
        heard.append(transport)
        bob.expect_messages(*heard)
        assert bob.protocol == "2"


@pytest.mark.parametrize("transport", ["sse", "longpoll", "poll"])
def test_every_transport_brings_the_same(open_chat, url, transport):
    ann, bob = open_chat(url, "Ann"), open_chat(url, "Bob")
    ann.say("before")
    bob.expect_messages("before")
    bob.choose(transport)
    ann.say("one")
    bob.expect_messages("before", "one")
    bob.say("two")
    for chat in (ann, bob):
        chat.expect_messages("before", "one", "two")
        chat.expect_people("Ann", "Bob")
    bob.choose("websocket")
    ann.say("three")
    bob.expect_messages("before", "one", "two", "three")
    expect(ann.page.get_by_text("Bob has left")).to_have_count(0)


def test_rooms_and_their_history(open_chat, url):
    ann, bob = open_chat(url, "Ann"), open_chat(url, "Bob")
    ann.page.get_by_placeholder("another room").fill("Tea & Cake")
    ann.page.get_by_role("button", name="Go").click()
    expect(ann.page).to_have_title("#tea-cake · httpkit chat")
    bob.expect_people("Bob")
    ann.say("Is anybody here?")
    ann.expect_messages("Is anybody here?")
    bob.expect_messages()
    carl = open_chat(f"{url}#tea-cake", "Carl")
    carl.expect_messages("Is anybody here?")
    ann.page.get_by_role("link", name="lobby").click()
    ann.expect_people("Ann", "Bob")
    ann.expect_messages()


# --- names ---------------------------------------------------------------------------------


def test_a_name_that_is_taken(open_chat, url):
    first, second = open_chat(url, "Ann"), open_chat(url, "Ann")
    for chat in (first, second):
        chat.expect_people("Ann", "Ann 2")
    expect(second.page.get_by_text("Ann is taken here.")).to_be_visible()
    second.page.locator("#name-form input").fill("Zoe")
    second.page.get_by_role("button", name="Rename").click()
    first.expect_people("Ann", "Zoe")
    second.page.locator("#name-form input").fill("ann")
    second.page.get_by_role("button", name="Rename").click()
    expect(second.page.get_by_text("ann is taken here.")).to_be_visible()
    first.expect_people("Ann", "Zoe")


def test_a_name_that_is_taken_without_websockets(open_chat, url):
    """EventSource tells no status, so the page has to ask why it was refused."""
    first = open_chat(url, "Ann")
    prepare = "sessionStorage.setItem('transport', 'sse')"
    second = open_chat(url, "Ann", prepare=prepare)
    for chat in (first, second):
        chat.expect_people("Ann", "Ann 2")


# --- safe ----------------------------------------------------------------------------------

INJECTIONS = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<svg onload='window.hacked = 1'>",
    "\"><iframe srcdoc='<script>parent.hacked = 1</script>'></iframe>",
    "javascript:window.hacked=1",
    "</p></li><style>body { display: none }</style>",
    "{{constructor.constructor('window.hacked = 1')()}}",
]


def test_scripts_stay_text(open_chat, url):
    """As a message, and as a name, which is shown in more places."""
    ann = open_chat(url, "Ann")
    eve = open_chat(url, "<img onerror=hacked=1>")
    for text in INJECTIONS:
        eve.say(text)
    for chat in (ann, eve):
        chat.expect_messages(*INJECTIONS)
        chat.expect_people("<img onerror=hacked=1>", "Ann")
        assert chat.page.evaluate("window.hacked") is None
        assert chat.page.locator("img, iframe, svg, style, main script").count() == 0
        expect(chat.page.locator("#composer")).to_be_visible()


def test_the_policy_stops_markup_that_a_script_would_write(open_chat, url):
    """So that what stays text here would stay inert after a mistake, too."""
    ann = open_chat(url, "Ann")
    refused = (
        "() => { try { document.body.innerHTML = '<b>'; return '' } catch (e) { return e.name } }"
    )
    assert ann.page.evaluate(refused) == "TypeError"
    assert len(ann.errors) == 1
    ann.errors.clear()


# --- fallback and reconnecting -------------------------------------------------------------

BROKEN_SOCKET = "window.WebSocket = class { constructor() { throw new Error('no') } };"
BROKEN_STREAM = "window.EventSource = class { constructor() { throw new Error('no') } };"


def test_falling_back(open_chat, url):
    """A proxy that lets no WebSocket through, and one that holds event streams back."""
    ann = open_chat(url, "Ann", prepare=BROKEN_SOCKET)
    ann.expect_transport("sse")
    expect(ann.page.locator("#transport-note")).to_have_text(
        "WebSocket does not come through; using Server-Sent Events."
    )
    bob = open_chat(url, "Bob", prepare=BROKEN_SOCKET + BROKEN_STREAM)
    bob.expect_transport("longpoll")
    talk(ann, bob)


@pytest.mark.parametrize("transport", ["websocket", "sse", "longpoll", "poll"])
def test_a_worker_is_killed(open_chat, serve, transport):
    """The page comes back by itself, to whoever is there, and has missed nothing."""
    url = serve("--workers", "2").wait_for_url()
    ann = open_chat(url, "Ann")
    ann.choose(transport)
    post(url, "Bob", "0")
    ann.expect_messages("0")
    worker = ann.worker
    os.kill(worker, SIGKILL)
    for number in range(1, 6):
        post(url, "Bob", str(number))
    ann.expect_messages(*"012345")
    if transport in ("websocket", "sse"):
        expect(ann.page.locator("#messages")).to_contain_text("back after")
        ann.expect_transport(transport)
        assert ann.worker != worker
    ann.say("6")
    ann.expect_messages(*"0123456")
    ann.expect_people("Ann")


def test_what_was_not_sent_is_sent_when_there_is_a_server_again(open_chat, start_httpkit):
    """By its key a page knows what it has said, whatever became of the connection."""
    port = str(free_port())  # which nobody else gets in between
    first = start_httpkit("run", APP, "--port", port)
    url = first.wait_for_url()
    ann = open_chat(url, "Ann")
    ann.say("one")
    ann.expect_messages("one")
    assert first.stop() == 0
    ann.expect_state("waiting")
    ann.say("two")
    expect(ann.page.locator(".pending .text")).to_have_text("two")
    start_httpkit("run", APP, "--port", port).wait_for_url()
    ann.expect_messages("one", "two")
    expect(ann.page.locator(".pending")).to_have_count(0)


def test_a_graceful_stop_waits_for_nobody_who_listens(open_chat, serve):
    """WebSockets, event streams and long polls end at once, long before their deadline."""
    process = serve("--shutdown-timeout", "1000")
    ann = open_chat(process.wait_for_url(), "Ann")
    ann.page.get_by_label("Run all four at once").check()
    expect(ann.page.locator("#costs tr[data-transport]:not(.idle)")).to_have_count(4)
    ann.say("hello")
    ann.expect_messages("hello")
    assert process.stop() == 0
    ann.expect_state("waiting")


def test_two_servers_share_their_rooms_by_redis(open_chat, serve, tmp_path):
    """Two processes on two ports. What is said while Redis is away is said again."""
    redis = RedisServer(tmp_path)
    redis.start()
    try:
        env = os.environ | {"CHAT_REDIS": redis.url}
        first, second = (serve(env=env).wait_for_url() for _ in range(2))
        assert first != second
        ann, bob = open_chat(first, "Ann"), open_chat(second, "Bob")
        talk(ann, bob)
        heard = ["Good morning, Bob", "Good morning, Ann"]
        redis.stop()
        ann.say("Are you there?")
        expect(ann.page.locator(".pending .text")).to_have_text("Are you there?")
        redis.start()
        for chat in (ann, bob):
            chat.expect_messages(*heard, "Are you there?")
            chat.expect_people("Ann", "Bob")
        bob.choose("longpoll")
        bob.say("Here I am")
        ann.expect_messages(*heard, "Are you there?", "Here I am")
    finally:
        redis.stop()


# --- what it costs -------------------------------------------------------------------------


def costs(chat: Chat) -> dict[str, tuple[int, float]]:
    """Requests, and bytes in both directions, by transport."""
    found = {}
    for row in chat.page.locator("#costs tr[data-transport]").all():
        _, requests, sent, received, _ = row.locator("th, td").all_inner_texts()
        name = row.get_attribute("data-transport") or ""
        found[name] = (int(requests), read_size(sent) + read_size(received))
    return found


def read_size(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"B": 1, "kB": 1000, "MB": 1_000_000}[unit]


def test_all_four_side_by_side(open_chat, url):
    ann, bob = open_chat(url, "Ann"), open_chat(url, "Bob")
    bob.page.get_by_label("Run all four at once").check()
    rows = bob.page.locator("#costs tr[data-transport]:not(.idle)")
    expect(rows).to_have_count(4)
    for number in range(5):
        ann.say(f"{number}")
        bob.expect_messages(*map(str, range(number + 1)))
    expect(rows.locator("td:last-child").filter(has_text=re.compile(r"\d m?s"))).to_have_count(4)
    found = costs(bob)
    assert found["websocket"][0] == found["sse"][0] == 1
    assert found["longpoll"][0] > 1
    assert found["websocket"][1] < found["longpoll"][1]
    bob.page.get_by_label("Run all four at once").uncheck()
    expect(rows).to_have_count(1)
    ann.expect_people("Ann", "Bob")  # onlookers are nobody


# --- how it looks --------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 900, 360])
def test_the_page_fits(open_chat, url, tmp_path, width, scheme):
    """On a desk, on a tablet and on a phone nothing is cut off, with long words and names."""
    name = "W" * 24
    ann = open_chat(url, name, viewport={"width": width, "height": 740}, color_scheme=scheme)
    ann.say("x" * 300)
    ann.expect_messages("x" * 300)
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert ann.page.evaluate(size) == [width, 740]
    composer = ann.page.locator("#composer").bounding_box()
    assert composer is not None
    assert composer["y"] + composer["height"] <= 740
    for element in ("header", "nav", "main", "aside"):
        box = ann.page.locator(element).bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width, element
    ann.page.screenshot(path=str(Path(tmp_path) / "page.png"))
