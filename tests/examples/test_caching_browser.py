"""Caching in Chromium: what it asks for, as the page shows it and as the server has counted it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

expect.set_options(timeout=20_000)
APP = "examples.showcase.app:app"
#: Files whose copies stay fresh for as long as a test takes; those of seconds are not judged.
FRESH = ("hills.svg", "sun.svg")


class Visit:
    """The page, as one visitor sees it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        #: What went wrong in the page, and what its policy has stopped.
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._note(message.type, message.text))
        page.goto(url)
        self.expect_visit(1)

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.errors.append(text)

    def again(self, visit: int) -> None:
        """Follow the link, and wait for the page of this number."""
        self.page.get_by_role("link", name="Visit again").click()
        self.expect_visit(visit)

    def expect_visit(self, number: int) -> None:
        words = "Your first visit" if number == 1 else f"Visit {number}:"
        expect(self.page.locator("#summary")).to_contain_text(words)
        expect(self.page.locator("body")).to_have_attribute("data-state", "ready")

    def row(self, name: str) -> Locator:
        return self.page.locator(f'tr[data-name="{name}"]')

    def did(self, name: str) -> str | None:
        """What the browser did, as the page has read it from the browser."""
        return self.row(name).locator(".did").get_attribute("data-did")

    def etag(self, name: str) -> str:
        return self.row(name).locator(".etag").inner_text()

    def press(self, action: str, name: str, news: str) -> None:
        self.page.get_by_role("button", name=f"{action} {name}").click()
        expect(self.row(name).locator(".news")).to_contain_text(news)

    @property
    def state(self) -> Any:
        """What the server knows."""
        return self.page.request.get(f"{self.url}state").json()

    def answers(self, name: str) -> dict[str, int]:
        """What the server has answered since the page was last asked for, by status."""
        row = next(row for row in self.state["rows"] if row["name"] == name)
        return {status: count for status, count in row["visit"].items() if count}


@pytest.fixture
def url(start_httpkit: Any) -> str:
    return f"{start_httpkit('run', APP, '--port', '0').wait_for_url()}/caching/"


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Open the page as somebody else each time; at the end none of them has had an error."""
    visits: list[Visit] = []

    def start(url: str, **options: Any) -> Visit:
        context = chromium.new_context(ignore_https_errors=True, **options)
        visits.append(Visit(context.new_page(), url))
        return visits[-1]

    yield start
    errors = [error for visit in visits for error in visit.errors]
    for visit in visits:
        visit.page.context.close()
    assert errors == []


@pytest.fixture
def visit(open_page: Callable[..., Visit], url: str) -> Visit:
    return open_page(url)


def test_the_first_visit_transfers_everything(visit):
    for row in visit.state["rows"]:
        assert visit.did(row["name"]) == "network", row["name"]
        assert visit.answers(row["name"]) == {"200": 1}
    expect(visit.row("hills.svg").locator(".coding")).to_have_text("br")
    expect(visit.row("photo.png").locator(".coding")).to_have_text("no coding")
    expect(visit.row("hills.svg").locator(".freshness")).to_contain_text("fresh for")
    expect(visit.row("sun.svg").locator(".freshness")).to_have_text("fresh for 365 days")
    expect(visit.row("theme.css").locator(".freshness")).to_contain_text("always asked for")
    expect(visit.row("dial.svg").locator(".freshness")).to_have_text("none is kept")


def test_the_second_visit_asks_for_nothing_that_is_fresh(visit):
    visit.again(2)
    for name in FRESH:  # RFC 9111 §4.2
        assert visit.did(name) == "cache"
        assert visit.answers(name) == {}
        expect(visit.row(name).locator(".visit")).to_have_text("not asked")
    for name in ("page", "theme.css"):  # §5.2.2.4: stored, and validated each time
        assert visit.did(name) == "304"
        assert visit.answers(name) == {"304": 1}
    assert visit.did("dial.svg") == "network"  # §5.2.2.5
    assert visit.answers("dial.svg") == {"200": 1}


def test_a_reload_asks_for_nothing_that_is_fresh_either(visit):
    visit.page.reload()
    visit.expect_visit(2)
    for name in FRESH:
        assert visit.did(name) == "cache"
        assert visit.answers(name) == {}


def test_what_has_expired_is_a_304_at_the_next_visit_and_fresh_after_it(visit):
    tag = visit.etag("hills.svg")
    visit.press("Expire", "hills.svg", "Fetched anew")
    expect(visit.row("hills.svg").locator(".freshness")).to_contain_text("stale")
    visit.again(2)
    assert visit.did("hills.svg") == "304"
    assert visit.answers("hills.svg") == {"304": 1}
    assert visit.etag("hills.svg") == tag
    expect(visit.row("hills.svg").locator(".freshness")).to_contain_text("fresh for")
    visit.again(3)
    assert visit.did("hills.svg") == "cache"
    assert visit.answers("hills.svg") == {}


def test_a_change_is_a_200_with_another_tag(visit):
    tag = visit.etag("theme.css")
    visit.press("Change", "theme.css", "version 2")
    visit.again(2)
    assert visit.did("theme.css") == "network"
    assert visit.answers("theme.css") == {"200": 1}
    assert visit.etag("theme.css") != tag
    shown = "getComputedStyle(document.querySelector('.themed'), '::after').content"
    assert visit.page.evaluate(shown) == '"version 2"'


def test_a_fresh_copy_hides_a_change_until_it_expires(visit):
    tag = visit.etag("hills.svg")
    visit.press("Change", "hills.svg", "version 2")
    visit.again(2)
    assert visit.did("hills.svg") == "cache"
    assert visit.etag("hills.svg") == tag
    visit.press("Expire", "hills.svg", "Fetched anew")
    assert visit.etag("hills.svg") != tag


def test_a_name_with_a_hash_is_asked_for_once(visit):
    visit.press("Change", "sun.svg", "version 2")
    visit.again(2)
    assert visit.did("page") == visit.did("sun.svg") == "network"
    assert visit.answers("sun.svg") == {"200": 1}
    visit.again(3)
    assert visit.did("sun.svg") == "cache"
    assert visit.answers("sun.svg") == {}


def test_a_purge_has_the_handler_run_again(visit):
    said, runs = visit.page.locator("#reports li"), visit.page.locator("#runs")
    ask = visit.page.get_by_role("button", name="Ask for the report")
    ask.click()
    expect(said.first).to_contain_text("httpkit; fwd=uri-miss; stored")
    ask.click()
    expect(said.first).to_contain_text("httpkit; hit; ttl=")
    expect(runs).to_have_text("1")
    visit.page.get_by_role("button", name="Purge it").click()
    expect(said.first).to_contain_text("Purged")
    ask.click()
    expect(said.first).to_contain_text("httpkit; fwd=uri-miss; stored run 2")
    expect(runs).to_have_text("2")
    assert visit.state["report"]["runs"] == 2
    for _ in range(5):
        ask.click()
    expect(said).to_have_count(6)


def test_a_new_visitor_begins_anew(visit):
    visit.again(2)
    visit.page.get_by_role("button", name="Be a new visitor").click()
    visit.expect_visit(1)
    for name in FRESH:
        assert visit.did(name) == "network"


def test_a_site_that_is_gone_says_so(visit):
    visit.page.context.clear_cookies()
    visit.page.get_by_role("button", name="Change hills.svg").click()
    expect(visit.row("hills.svg").locator(".news")).to_contain_text("Your site is gone")
    visit.errors.clear()  # Chromium notes the 404


def test_two_visitors_have_files_of_their_own(open_page, url):
    ann, bob = open_page(url), open_page(url)
    ann.press("Change", "theme.css", "version 2")
    bob.again(2)
    assert bob.did("theme.css") == "304"


@pytest.mark.parametrize("width", [360, 800, 1024, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(open_page, url, width, scheme):
    visit = open_page(url, viewport={"width": width, "height": 800}, color_scheme=scheme)
    visit.press("Expire", "hills.svg", "Fetched anew")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_landing_page_leads_there(visit):
    visit.page.goto(visit.url.removesuffix("caching/"))
    visit.page.get_by_role("link", name="See caching at work").click()
    visit.expect_visit(2)
    visit.page.get_by_role("link", name="httpkit showcase").click()
    expect(visit.page).to_have_title("httpkit showcase")
