"""`app.static`: which file stands for a path: clean URLs, fallbacks, pages for what is missing."""

import asyncio

import pytest

from .static_site import Site


def ask_twice(site, target, *headers, method="GET"):
    """From the disk, and from memory."""

    async def both():
        first = await site.ask(target, *headers, method=method)
        again = await site.ask(target, *headers, method=method)
        assert (first.status, first.body) == (again.status, again.body)
        return again

    return asyncio.run(both())


# --- clean URLs ----------------------------------------------------------------------------------


@pytest.fixture
def clean(tmp_path):
    site = Site(tmp_path, clean_urls=True)
    site.write("index.html", b"home")
    site.write("about.html", b"about")
    site.write("docs/index.html", b"docs")
    site.write("docs/a b.html", b"a b")
    site.write("both.html", b"page")
    site.write("both/index.html", b"directory")
    site.write("plain", b"no ending")
    site.write("plain.html", b"hidden")
    site.write(".html", b"nameless")
    return site


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/", b"home"),
        ("/about", b"about"),
        ("/docs/", b"docs"),
        ("/docs/a%20b", b"a b"),
        ("/both", b"page"),
        ("/both/", b"directory"),
        ("/plain", b"no ending"),
    ],
)
def test_pages_without_their_ending(clean, target, body):
    answer = ask_twice(clean, target)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/about.html", "./about"),
        ("/about.html?a=%2F", "./about?a=%2F"),
        ("/index.html", "./"),
        ("/docs/index.html", "./"),
        ("/docs/a%20b.html", "./a%20b"),
    ],
)
def test_pages_with_their_ending_are_redirected(clean, target, location):
    answer = ask_twice(clean, target)
    assert (answer.status, answer.headers["location"]) == (308, location)


@pytest.mark.parametrize("target", ["/nothing", "/nothing.html", "/docs/nothing", "/about/x", "/."])
def test_pages_that_are_not_there(clean, target):
    assert ask_twice(clean, target).status == (404 if target != "/." else 200)


def test_a_file_that_appears_in_the_place_of_a_page(clean):
    async def main():
        assert (await clean.ask("/about")).body == b"about"
        clean.write("about", b"file")
        clean.now += 1
        assert (await clean.ask("/about")).body == b"file"

    asyncio.run(main())


def test_without_clean_urls_pages_have_their_ending(tmp_path):
    site = Site(tmp_path)
    site.write("about.html", b"about")
    assert ask_twice(site, "/about").status == 404
    assert ask_twice(site, "/about.html").body == b"about"


# --- the page of an application ------------------------------------------------------------------


@pytest.fixture
def spa(tmp_path):
    site = Site(tmp_path, spa=True)
    site.write("index.html", b"app")
    site.write("app.js", b"script")
    return site


@pytest.mark.parametrize("target", ["/", "/users/3", "/a/b/c", "/deep/", "/x?y=z"])
def test_every_route_of_an_application_is_its_page(spa, target):
    answer = ask_twice(spa, target)
    assert (answer.status, answer.body) == (200, b"app")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("prefix", ["", "/app"])
def test_a_slash_may_be_data_in_a_route_of_an_application(tmp_path, prefix, method):
    """`encodeURIComponent` makes such paths, and a page has to stand a reload."""
    site = Site(tmp_path, spa=True, not_found="404.html", prefix=prefix or "/")
    site.write("index.html", b"app")
    site.write("404.html", b"nothing")
    site.write("a/b", b"file")

    async def main():
        for target in ("/artists/AC%2FDC", "/@scope%2fname/", "/a%2Fb", "/users//7", "//users"):
            answer = await site.ask(f"{prefix}{target}", method=method)
            assert (answer.status, answer.body) == (200, b"app"), target
            fields = ("if-none-match", answer.headers["etag"])
            assert await site.status(f"{prefix}{target}", fields) == 304
        for target in ("/a%2Fb.js", "/.well-known/a%2Fb"):
            answer = await site.ask(f"{prefix}{target}", method=method)
            assert (answer.status, answer.body) == (404, b"nothing"), target
        assert (await site.ask(f"{prefix}/a%2Fb", method="POST")).status == 404

    asyncio.run(main())


@pytest.mark.parametrize("target", ["/nothing.js", "/a/nothing.png", "/.env", "/a%00b.c"])
def test_files_that_are_missing_are_not(spa, target):
    assert ask_twice(spa, target).status == 404


def test_paths_of_an_application_take_no_memory(spa):
    async def main():
        for n in range(50):
            await spa.ask(f"/users/{n}")
        assert list(spa.memory._resources) == ["\0index.html"]

    asyncio.run(main())


def test_an_application_without_its_page(tmp_path):
    site = Site(tmp_path, spa=True)
    assert ask_twice(site, "/").status == 404
    assert ask_twice(site, "/users").status == 404


# --- the page for what is missing ----------------------------------------------------------------


def test_a_page_of_ones_own_for_what_is_missing(tmp_path):
    site = Site(tmp_path, not_found="404.html", cache_control="max-age=60")
    site.write("404.html", b"<p>not here</p>")
    for target in ("/nothing", "/docs/nothing", "/.env"):
        answer = ask_twice(site, target, ("if-none-match", "*"), ("range", "bytes=0-0"))
        assert (answer.status, answer.body) == (404, b"<p>not here</p>")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert {"etag", "last-modified", "cache-control", "accept-ranges"}.isdisjoint(
            answer.headers
        )
    assert ask_twice(site, "/404.html").status == 200


def test_a_page_for_what_is_missing_among_clean_urls(tmp_path):
    site = Site(tmp_path, not_found="404.html", clean_urls=True)
    site.write("404.html", b"<p>not here</p>")
    assert ask_twice(site, "/nothing").body == b"<p>not here</p>"
    assert ask_twice(site, "/404.html").status == 308


def test_a_page_for_what_is_missing_that_is_missing(tmp_path):
    site = Site(tmp_path, not_found="404.html")
    assert ask_twice(site, "/nothing").status == 404
    (tmp_path / "404.html").mkdir()
    assert ask_twice(site, "/nothing").status == 404


# --- links ---------------------------------------------------------------------------------------


def test_links_out_of_the_directory_on_request(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").write_bytes(b"outside")
    (tmp_path / "root" / "out").symlink_to("../outside")
    (tmp_path / "root" / "null").symlink_to("/dev/null")
    (tmp_path / "root" / "loop").symlink_to("loop")
    site = Site(tmp_path / "root", symlinks=True)
    assert ask_twice(site, "/out").body == b"outside"
    for target in ("/null", "/loop", "/../outside", "/..%2foutside"):
        assert ask_twice(site, target).status == 404
    assert ask_twice(Site(tmp_path / "root"), "/out").status == 404
