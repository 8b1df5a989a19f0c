"""The page that shows caching at work, without a browser: what is promised, counted and changed."""

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from examples.showcase import app as showcase
from examples.showcase.caching import app as caching
from examples.showcase.caching import sites as sites_module
from examples.showcase.caching.files import FILES, published_name, stable_name
from httpkit.testing import Client
from tests.examples.test_httplint import BROWSER, lint

BASE = "/caching/"


@pytest.fixture(params=[True, False], ids=["wire", "direct"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(showcase.app, base_url="http://localhost", wire=request.param) as client:
        yield client


@pytest.fixture
def site(client: Client) -> "Visitor":
    return Visitor(client)


class Visitor:
    """Somebody who has opened the page once."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.page = client.get(BASE)
        assert self.page.status_code == 200

    @property
    def state(self) -> Any:
        return self.client.get(f"{BASE}state").json()

    def row(self, name: str) -> Any:
        return next(row for row in self.state["rows"] if row["name"] == name)

    def get(self, name: str, **headers: str) -> Any:
        """A file; `if_none_match` and the like are header fields."""
        fields = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.client.get(BASE + self.row(name)["address"], headers=fields)

    def press(self, action: str) -> Any:
        return self.client.post(BASE + action)

    @property
    def directory(self) -> Path:
        return Path(caching.sites.directory, self.row("hills.svg")["address"].split("/")[1])


# --- the page ------------------------------------------------------------------------------


def test_the_page_loads_only_what_is_served_here(site):
    assert site.page.headers["content-type"] == "text/html; charset=utf-8"
    assert "require-trusted-types-for 'script'" in site.page.headers["content-security-policy"]
    assert "default-src 'none'" in site.page.headers["content-security-policy"]
    assert "$" not in site.page.text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', site.page.text)
    loaded = [each for each in addresses if not each.startswith("http") and each not in {"./", "/"}]
    assert len(loaded) == 10
    for address in loaded:
        assert site.client.get(absolute(address)).status_code == 200, address
    for name in FILES:
        assert site.row(name)["address"] in loaded


def absolute(address: str) -> str:
    return address if address.startswith("/") else BASE + address


@pytest.mark.parametrize("name", ["browser.js", "caching.css", "caching.js", "view.js"])
def test_scripts_and_style_are_asked_for_each_time(client, name):
    answer = client.get(f"{BASE}static/{name}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"
    tag = answer.headers["etag"]
    assert client.get(f"{BASE}static/{name}", headers={"if-none-match": tag}).status_code == 304


def test_the_scripts_write_text_only():
    for script in (caching.HERE / "static").glob("*.js"):
        assert not re.search(r"innerHTML|insertAdjacent|outerHTML|\beval\b", script.read_text())


def test_the_page_is_private_and_has_a_tag(site):
    assert site.page.headers["cache-control"] == "private, no-cache"
    tag = site.client.get(BASE).headers["etag"]
    again = site.client.get(BASE, headers={"if-none-match": tag})
    assert again.status_code == 304
    assert "set-cookie" not in again.headers
    counted = site.row("page")
    assert counted["total"] == {"200": 2, "206": 0, "304": 1}
    assert counted["visit"] == {"200": 0, "206": 0, "304": 1}
    assert site.state["visits"] == 3


def test_head_is_no_visit(site):
    assert site.client.head(BASE).status_code == 200
    assert site.state["visits"] == 1


def test_the_cookie_is_for_tls_alone_where_there_is_tls():
    with Client(showcase.app, base_url="https://localhost") as client:
        cookie = client.get(BASE).headers["set-cookie"]
        assert cookie.startswith("__Host-caching=")
        assert "Secure" in cookie
        assert client.get(f"{BASE}state").json()["visits"] == 1


# --- what is promised of the files ---------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_what_is_promised(site, name):
    answer = site.get(name)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == FILES[name].cache_control
    assert answer.content == FILES[name].content(1)
    assert site.get(name, if_none_match=answer.headers["etag"]).status_code == 304
    assert site.get(name, range="bytes=0-9").status_code == 206
    assert site.row(name)["visit"] == {"200": 1, "206": 1, "304": 1}
    site.client.get(BASE)
    assert site.row(name)["visit"] == {"200": 0, "206": 0, "304": 0}
    assert site.row(name)["total"] == {"200": 1, "206": 1, "304": 1}


@pytest.mark.parametrize("name", sorted(set(FILES) - {"photo.png"}))
@pytest.mark.parametrize(("coding", "suffix"), [("br", "br"), ("zstd", "zst"), ("gzip", "gz")])
def test_siblings_are_made_at_the_start(site, name, coding, suffix):
    """What is sent is what `precompress` has made, not what `Compress` would make each time."""
    answer = site.get(name, accept_encoding=coding)
    assert answer.headers["content-encoding"] == coding
    sibling = site.directory / f"{Path(site.row(name)['address']).name}.{suffix}"
    assert int(answer.headers["content-length"]) == sibling.stat().st_size


def test_a_raster_has_no_sibling(site):
    assert "content-encoding" not in site.get("photo.png", accept_encoding="br").headers
    data = site.get("photo.png").content
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    length = int.from_bytes(data[33:37], "big")  # of IDAT
    assert data[37:41] == b"IDAT"
    assert len(zlib.decompress(data[41 : 41 + length])) == 75 * (1 + 3 * 120)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("svg")])
def test_pictures_are_well_formed_and_differ(name):
    texts = [FILES[name].content(version).decode() for version in (1, 2)]
    assert texts[0] != texts[1]
    for version, text in enumerate(texts, 1):
        assert f"version {version}" in "".join(ET.fromstring(text).itertext())


def test_names_with_a_hash():
    name = published_name("sun.svg", b"x")
    assert re.fullmatch(r"sun\.[0-9a-f]{12}\.svg", name)
    assert stable_name(name) == "sun.svg"
    assert stable_name("hills.svg") == published_name("hills.svg", b"x") == "hills.svg"
    assert stable_name("hills.0123.svg") is None
    assert stable_name("moon.0123.svg") is None
    assert stable_name("hills.svg.br") is None


# --- buttons -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_change(site, name):
    before = site.get(name, accept_encoding="br")
    assert site.press(f"change/{name}").status_code == 200
    row = site.row(name)
    assert row["version"] == 2
    after = site.get(name, accept_encoding="br", if_none_match=before.headers["etag"])
    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]
    assert site.get(name).content == FILES[name].content(2)
    assert before.headers.get("content-encoding") == after.headers.get("content-encoding")


def test_a_change_of_a_name_with_a_hash_is_another_name_in_the_page(site):
    page, before = site.client.get(BASE), site.row("sun.svg")["address"]
    site.press("change/sun.svg")
    after = site.row("sun.svg")["address"]
    assert after != before
    again = site.client.get(BASE, headers={"if-none-match": page.headers["etag"]})
    assert again.status_code == 200
    assert after in again.text
    assert before not in again.text
    assert site.client.get(BASE + before).status_code == 404


def test_changes_leave_nothing_behind(site):
    before = len(list(site.directory.iterdir()))
    for _ in range(3):
        for name in FILES:
            assert site.press(f"change/{name}").status_code == 200
    assert len(list(site.directory.iterdir())) == before


def test_expire_takes_the_promise_of_one_answer(site):
    tag = site.get("hills.svg").headers["etag"]
    assert site.press("expire/hills.svg").status_code == 200
    assert site.get("hills.svg").headers["cache-control"] == "max-age=0"
    renewed = site.get("hills.svg", if_none_match=tag)
    assert renewed.status_code == 304
    assert renewed.headers["cache-control"] == "max-age=60"
    assert site.get("hills.svg").headers["cache-control"] == "max-age=60"


def test_an_expired_file_waits_for_a_whole_answer(site):
    tag = site.get("hills.svg").headers["etag"]
    site.press("expire/hills.svg")
    assert site.get("hills.svg", if_none_match=tag).headers["cache-control"] == "max-age=60"
    assert site.get("hills.svg").headers["cache-control"] == "max-age=0"


@pytest.mark.parametrize("name", ["theme.css", "dial.svg", "sun.svg"])
def test_what_has_no_time_cannot_expire(site, name):
    answer = site.press(f"expire/{name}")
    assert answer.status_code == 409
    assert name in answer.text


def test_the_report_and_its_purge(site):
    def ask() -> tuple[str, int]:
        answer = site.client.get(BASE + site.state["report"]["address"])
        assert answer.headers["cache-control"] == "max-age=0, s-maxage=20"
        assert "cache-tag" not in answer.headers
        return answer.headers["cache-status"], answer.json()["run"]

    assert ask() == ("httpkit; fwd=uri-miss; stored", 1)
    status, run = ask()
    assert status.startswith("httpkit; hit; ttl=")
    assert run == 1
    assert site.press("purge").json()["report"]["runs"] == 1
    assert ask() == ("httpkit; fwd=uri-miss; stored", 2)
    assert site.state["report"]["runs"] == 2


def test_a_purge_is_for_one_visitor(site):
    ours = site.state["report"]["address"]
    site.client.cookies.clear()
    other = Visitor(site.client)
    theirs = other.state["report"]["address"]
    assert ours != theirs
    for address in (ours, theirs):
        site.client.get(BASE + address)
    other.press("purge")
    assert "; hit; " in site.client.get(BASE + ours).headers["cache-status"]
    assert "; stored" in site.client.get(BASE + theirs).headers["cache-status"]


def test_a_new_visitor(site):
    directory, address = site.directory, site.row("hills.svg")["address"]
    answer = site.press("forget")
    assert answer.status_code == 204
    assert not directory.exists()
    assert site.client.get(BASE + address).status_code == 404
    assert site.client.get(f"{BASE}state").status_code == 404
    assert site.client.get(BASE).status_code == 200
    assert site.state["visits"] == 1
    assert site.row("hills.svg")["address"] != address


# --- bad input, and bounds -----------------------------------------------------------------


@pytest.mark.parametrize(
    "action", ["change/page", "change/app.py", "expire/nothing", "change/..%2Fa"]
)
def test_files_that_are_none(site, action):
    assert site.press(action).status_code == 404


@pytest.mark.parametrize("action", ["change/hills.svg", "expire/hills.svg", "purge", "forget"])
def test_buttons_without_a_visit(client, action):
    answer = client.post(BASE + action)
    assert answer.status_code == 404
    assert "Your site is gone" in answer.text
    client.cookies["caching"] = "../.."
    assert client.post(BASE + action).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["", ".template/hills.svg", "{token}", "{token}/", "{token}/nothing", "{token}/..%2F.template"],
)
def test_nothing_else_is_served(site, path):
    token = site.directory.name
    answer = site.client.get(f"{BASE}files/" + path.format(token=token))
    assert answer.status_code in {404, 307}
    if answer.status_code == 307:  # to the same path with a slash, which is 404
        assert path == "{token}"


def test_a_report_of_nobody(client):
    assert client.get(f"{BASE}report/nobody").status_code == 404


def test_the_oldest_site_makes_room(client, monkeypatch):
    monkeypatch.setattr(sites_module, "MAX_SITES", 2)
    first = Visitor(client)
    kept = client.cookies.get("caching")
    for _ in range(3):
        client.cookies.clear()
        Visitor(client)
    assert len(caching.sites) == 2
    found = {name for name in os.listdir(caching.sites.directory) if not name.startswith(".")}
    assert len(found) == 2
    client.cookies.clear()
    client.cookies["caching"] = kept
    assert client.get(f"{BASE}state").status_code == 404
    assert first.client.get(BASE).status_code == 200


def test_who_was_there_last_stays(client, monkeypatch):
    monkeypatch.setattr(sites_module, "MAX_SITES", 2)
    tokens = []
    for _ in range(2):
        client.cookies.clear()
        Visitor(client)
        tokens.append(client.cookies.get("caching"))
    assert caching.sites.find(tokens[0]) is not None
    client.cookies.clear()
    Visitor(client)
    assert caching.sites.find(tokens[0]) is not None
    assert caching.sites.find(tokens[1]) is None


def test_at_the_end_all_files_are_gone():
    with Client(showcase.app, base_url="http://localhost") as client:
        Visitor(client)
        assert list(Path(caching.sites.directory).iterdir())
    assert list(Path(caching.sites.directory).iterdir()) == []
    assert len(caching.sites) == 0


def test_a_process_leaves_no_directory(start_httpkit, tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = start_httpkit("run", "examples.showcase.app:app", "--port", "0", env=environment)
    process.wait_for_url()
    assert list(tmp_path.glob("httpkit-caching-*"))
    assert process.stop() == 0
    assert not list(tmp_path.glob("httpkit-caching-*"))


# --- what others say of it -----------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, BROWSER], ids=["plain", "browser"])
def test_httplint_finds_nothing(headers):
    with Client(showcase.app, base_url="http://localhost") as client:
        lint_everything(client, headers)


def lint_everything(client: Client, headers: dict[str, str]) -> None:
    site = Visitor(client)
    targets = [BASE, f"{BASE}state", BASE + site.state["report"]["address"]]
    targets += [BASE + site.row(name)["address"] for name in FILES]
    for target in targets:
        for method in ("GET", "HEAD"):
            assert lint(client, method, target, headers) == [], target
        tag = client.get(target, headers=headers).headers.get("etag")
        if tag and target != f"{BASE}state":
            assert lint(client, "GET", target, headers | {"if-none-match": tag}) == [], target
