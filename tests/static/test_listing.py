"""Listings: order, links, escaping, and what a browser lets the page do."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpkit import App
from httpkit.response import Response
from httpkit.static.listing import LISTING_TYPES, Entry, format_size, render_listing
from httpkit.testing import Client

WHEN = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


def file(name: str, size: int = 0, modified: float = WHEN) -> Entry:
    return Entry(name, False, size, modified)


def directory(name: str) -> Entry:
    return Entry(name, True, 4096, WHEN)


class Page(HTMLParser):
    """The links of a page with their texts, and all of its tags."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        assert isinstance(response.body, bytes)
        self.links: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.text = ""
        self._open = False
        self.feed(response.body.decode())

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        if tag == "a":
            self.links.append((dict(attrs)["href"], ""))
            self._open = True

    def handle_endtag(self, tag) -> None:
        self._open = self._open and tag != "a"

    def handle_data(self, data) -> None:
        self.text += data
        if self._open:
            href, text = self.links[-1]
            self.links[-1] = (href, text + data)


def page(path: str, *entries: Entry, **options: str) -> Page:
    return Page(render_listing(path, entries, "text/html", **options))


def listed(*entries: Entry) -> list[str]:
    body = render_listing("/", entries, "application/json").body
    assert isinstance(body, bytes)
    return [entry["name"] for entry in json.loads(body)["entries"]]


# --- order ---------------------------------------------------------------------------------------


def test_directories_come_first_and_numbers_count():
    names = ["b10", "b2", "B3", "a", "b", "10", "9", "b2c1", "B2", "Ä"]
    entries = [*map(file, names), directory("z"), directory("Y")]
    assert listed(*entries) == [
        *("Y", "z"),
        *("9", "10", "a", "b", "B2", "b2", "b2c1", "B3", "b10", "Ä"),
    ]


@given(st.lists(st.text(min_size=1, max_size=20).filter(lambda name: "/" not in name)))
@settings(deadline=None)
def test_any_names_have_one_order(names):
    entries = [file(name) for name in dict.fromkeys(names)]
    assert listed(*entries) == listed(*reversed(entries))


# --- the page ------------------------------------------------------------------------------------


def test_a_page():
    found = page("/docs/a b/", directory("x"), file("r.txt", 1234))
    assert found.links == [
        ("../../", "/"),
        ("../", "docs/"),
        ("./", "a b/"),
        ("../", "../"),
        ("./x/", "x/"),
        ("./r.txt", "r.txt"),
    ]
    assert "1.2 kB" in found.text
    assert "2023-11-14 22:13" in found.text
    assert "1 directory, 1 file, 1.2 kB" in found.text


def test_the_root_has_nothing_above():
    assert page("/", file("a")).links == [("./", "/"), ("./a", "a")]
    mounted = page("/files/in/", file("a"), root="/files/")
    assert mounted.links[:3] == [("../", "/files/"), ("./", "in/"), ("../", "../")]
    assert page("/files/", root="/files/").links == [("./", "/files/")]


def test_an_empty_directory():
    assert "0 directories, 0 files, 0 B" in page("/").text


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "javascript:alert(1)",
        "a&amp;b",
        "a%2e%2e%2fb",
        "a?b#c",
        "über uns.html",
        "日本語",
        "back\\slash",
        "new\nline",
        "{title}",
    ],
)
def test_names_are_texts_and_links_lead_to_them(name):
    found = page("/in/", file(name))
    href, text = found.links[-1]
    assert text == name
    parts = urlsplit(urljoin("https://example.com/in/", href))
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == (
        *("https", "example.com"),
        *("", ""),
    )
    assert unquote_to_bytes(parts.path) == f"/in/{name}".encode()
    assert not {"script", "img"} & set(found.tags)


def test_the_path_is_a_text_too():
    found = page("/<b>/{style}/")
    assert "b" not in found.tags
    assert found.links[1:3] == [("../", "<b>/"), ("./", "{style}/")]


def test_names_that_are_not_utf_8():
    """As Python has them from the file system: the link has the very bytes."""
    href, text = page("/", file("a\udcff")).links[-1]
    assert (href, text) == ("./a%FF", "a\ufffd")
    assert listed(file("a\udcff")) == ["a\ufffd"]


@pytest.mark.parametrize("modified", [1e300, -1e300, 1e18])
def test_times_outside_the_calendar(modified):
    assert page("/", file("a", 0, modified)).text.count("2023") == 0
    body = render_listing("/", [file("a", 0, modified)], "application/json").body
    assert json.loads(body)["entries"][0]["modified"] is None


def test_nothing_but_its_style_may_run_or_load():
    response = render_listing("/", [file("a")], "text/html")
    policy = response.headers["content-security-policy"]
    style = re.search(r"<style>(.*?)</style>", response.body.decode(), re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "style=" not in response.body.decode()
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("media_type", LISTING_TYPES)
def test_caches(media_type):
    headers = render_listing("/", [], media_type).headers
    assert (headers["vary"], headers["cache-control"]) == ("Accept", "no-cache")
    assert headers["content-type"].partition(";")[0] == media_type


def test_below_a_prefix(tmp_path):
    """The directory that is served is the topmost that is linked to."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a")
    app = App()
    app.static("/files/of me", tmp_path, listing=True)
    with Client(app) as client:
        top = client.get("/files/of%20me/")
        assert 'href="../"' not in top.text
        inner = client.get("/files/of%20me/in/")
        assert '<h1><a href="../">/files/of me/</a><a href="./">in/</a></h1>' in inner.text
        assert client.get("/files/of%20me/in/a.txt").text == "a"
        assert client.head("/files/of%20me/in/").content == b""
        assert client.get("/files/of%20me/in").headers["location"] == "./in/"


def test_nothing_is_listed_unless_it_is_said(tmp_path):
    app = App()
    app.static("/", tmp_path)
    with Client(app) as client:
        assert client.get("/").status_code == 404


# --- JSON ----------------------------------------------------------------------------------------


def test_json():
    response = render_listing("/in/", [file("a", 5), directory("d")], "application/json")
    assert json.loads(response.body) == {
        "path": "/in/",
        "entries": [
            {
                "name": "d",
                "type": "directory",
                "size": None,
                "modified": "2023-11-14T22:13:20Z",
            },
            {"name": "a", "type": "file", "size": 5, "modified": "2023-11-14T22:13:20Z"},
        ],
    }


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_950, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (12_345_678, "12 MB"),
        (10**18, "1000 PB"),
    ],
)
def test_sizes(size, shown):
    assert format_size(size) == shown
