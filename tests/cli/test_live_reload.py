"""Live reload: the script in pages, events for changes, and what caches may keep: nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from httpkit import App, Response
from httpkit.cli import live_reload as module
from httpkit.cli.live_reload import LiveReload
from httpkit.cli.schema import Site
from httpkit.cli.site import make_site
from httpkit.testing import AsyncClient, Client

TAG = '<script src="/.httpkit/live-reload.js"></script>'


async def no_changes() -> AsyncIterator[set[str]]:
    await asyncio.Event().wait()
    yield set()


def site(live: LiveReload) -> App:
    app = App(middleware=[live], lifespan=live.lifespan)
    live.install(app)
    return app


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<body><p>Hello</p></BODY >\n</html>")
    (tmp_path / "app.css").write_text("a { color: red }")
    return tmp_path


@pytest.fixture
def served(files: Path) -> Any:
    site = make_site(Site(directory=str(files), live_reload=True, listing=True))
    with Client(site.app, headers={"Accept": "text/html"}) as found:
        yield found


def test_the_script_goes_into_pages(served: Any) -> None:
    page = served.get("/")
    assert page.text == f"<body><p>Hello</p>{TAG}\n</BODY >\n</html>"
    assert page.headers["cache-control"] == "no-store"
    assert "etag" not in page.headers
    assert "last-modified" not in page.headers
    assert page.headers["content-length"] == str(len(page.content))
    head = served.head("/")
    assert head.headers["content-length"] == page.headers["content-length"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>Hello", ""),
        ("<p>Hello</p>", "</body>"),
        ("<p>Hello</p>", "</body>\n</html>\n"),
        ("<script>frame.srcdoc = '<body></body>'</script>", ""),
        ("<body></body></html><!-- made of <body></body> -->", ""),
        ("", ""),
    ],
)
def test_the_script_stands_where_it_is_one(
    served: Any, files: Path, before: str, after: str
) -> None:
    """Not within a script or a comment; behind the end of a page it counts, too."""
    (files / "odd.html").write_text(before + after)
    assert served.get("/odd.html").text == f"{before}{TAG}\n{after}"


def test_whatever_the_browser_has_kept_or_takes(served: Any, files: Path) -> None:
    wishes = {
        "Accept": "text/html,*/*;q=0.8",
        "Accept-Encoding": "br",
        "If-None-Match": "*",
        "Range": "bytes=0-3",
    }
    page = served.get("/", headers=wishes)
    assert (page.status_code, TAG in page.text) == (200, True)


def test_other_files_stay_as_they_are(served: Any) -> None:
    style = served.get("/app.css", headers={"Accept": "text/css,*/*;q=0.1"})
    assert style.text == "a { color: red }"
    assert style.headers["cache-control"] == "no-store"
    part = served.get("/app.css", headers={"Accept": "*/*", "Range": "bytes=0-0"})
    assert (part.status_code, part.text) == (206, "a")


@pytest.mark.parametrize(
    ("fields", "inserted"),
    [
        ({"Accept": "text/html,*/*;q=0.8"}, True),
        ({"Accept": "*/*"}, False),
        ({"Sec-Fetch-Dest": "document", "Accept": "*/*"}, True),
        ({"Sec-Fetch-Dest": "iframe"}, True),
        ({"Sec-Fetch-Dest": "empty", "Accept": "text/html"}, False),
    ],
)
def test_pieces_that_scripts_put_into_pages(
    served: Any, fields: dict[str, str], inserted: bool
) -> None:
    assert (TAG in served.get("/", headers=fields).text) is inserted


def test_what_is_saved_is_shown_at_once(served: Any, files: Path) -> None:
    for text in ("one", "two", "three"):
        (files / "index.html").write_text(text)
        assert served.get("/").text == f"{text}{TAG}\n"


def test_listings_may_run_the_script(served: Any, files: Path) -> None:
    (files / "index.html").unlink()
    page = served.get("/", headers={"Accept": "text/html"})
    assert TAG in page.text
    assert page.headers["content-security-policy"].endswith(
        "; script-src 'self'; connect-src 'self'"
    )


def test_a_policy_that_knows_scripts_is_kept() -> None:
    live = LiveReload(".", no_changes)
    app = site(live)
    policy = "default-src 'none'; script-src 'nonce-x'"
    app.get("/")(lambda request: Response.html("", headers={"content-security-policy": policy}))
    with Client(app, headers={"Accept": "text/html"}) as client:
        page = client.get("/")
        assert TAG in page.text
        assert page.headers["content-security-policy"] == policy


def test_what_no_script_can_go_into() -> None:
    app = site(LiveReload(".", no_changes))

    async def pieces() -> AsyncIterator[str]:
        yield "<body>"

    app.get("/stream")(lambda request: Response(pieces(), media_type="text/html"))
    app.get("/coded")(
        lambda request: Response(b"x", headers={"content-encoding": "br"}, media_type="text/html")
    )
    app.get("/broken")(lambda request: Response(b"x", headers={"content-type": 'text/html; a="'}))
    app.post("/")(lambda request: Response.html("posted"))
    with Client(app, headers={"Accept": "text/html"}) as client:
        assert client.get("/stream").text == "<body>"
        assert client.get("/coded").content == b"x"
        assert client.get("/broken").content == b"x"
        posted = client.post("/")
        assert (posted.text, "cache-control" in posted.headers) == ("posted", False)


def test_large_pages_are_left_alone(
    served: Any, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpkit.static.files._MAX_IN_MEMORY", 10)
    assert TAG in served.get("/").text, "from the disk"
    monkeypatch.setattr(module, "_MAX_PAGE", 10)
    assert TAG not in served.get("/").text


def test_the_script(served: Any) -> None:
    script = served.get("/.httpkit/live-reload.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert 'new EventSource("/.httpkit/live-reload")' in script.text


# --- events --------------------------------------------------------------------------------------


def ask(*changes: set[str]) -> str:
    """What a page is told of changes that come while it listens."""

    async def run() -> str:
        live = LiveReload(".", no_changes)
        async with (
            AsyncClient(site(live)) as client,
            client.stream("GET", "/.httpkit/live-reload") as stream,
        ):
            assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert stream.headers["cache-control"] == "no-store"
            chunks = stream.aiter_bytes()
            assert await anext(chunks) == b": connected\n\n"
            for paths in changes:
                live.announce(paths)
            return (await anext(chunks)).decode()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "event"),
    [
        ([{"a.html"}], "reload"),
        ([{"a.css"}], "style"),
        ([{"a.css", "b.js"}], "reload"),
        ([{"b.js"}, {"a.css"}], "reload"),
        ([{"a.css"}, {"c.css"}], "style"),
    ],
)
def test_one_event_for_all_changes(changes: list[set[str]], event: str) -> None:
    assert ask(*changes) == f"event: {event}\ndata: {len(changes)}\n\n"


def test_changes_of_files_arrive(files: Path) -> None:
    async def changes() -> AsyncIterator[set[str]]:
        yield {"index.html"}
        await asyncio.Event().wait()

    async def run() -> None:
        live = LiveReload(str(files), changes)
        changed = live._changed
        async with live.lifespan(App()):
            await asyncio.wait_for(changed.wait(), 20)
        assert live._page_version == 1

    asyncio.run(run())


def test_files_that_cannot_be_watched_are_served(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> AsyncIterator[set[str]]:
        raise OSError(28, "no space left for watches")
        yield set()

    async def main() -> None:
        async with LiveReload(".", fail).lifespan(App()):
            await asyncio.sleep(0)  # it fails in its first step

    asyncio.run(main())
    assert "files are not watched any more" in caplog.text
    assert "no space left for watches" in caplog.text


def test_a_failure_elsewhere_ends_the_watch() -> None:
    async def fail() -> None:
        async with LiveReload(".", no_changes).lifespan(App()):
            await asyncio.sleep(0)
            raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await fail()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_a_stop_ends_the_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK", 0.001)

    class Stopping:
        shutting_down = False

    async def run() -> list[str]:
        live, request = LiveReload("."), Stopping()
        events = live._events(request)  # type: ignore[arg-type]
        found = [await anext(events)]
        request.shutting_down = True
        return found + [event async for event in events]

    assert asyncio.run(run()) == [": connected\n\n"]


def test_it_watches_its_directory(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def watch(*arguments: Any) -> AsyncIterator[set[str]]:
        asked.append(arguments)
        return no_changes()

    monkeypatch.setattr(module, "watch", watch)
    LiveReload(str(files))._changes()
    [(directories, include, exclude)] = asked
    assert (directories, include) == ([str(files)], ("*",))
    assert {"*.br", "*.gz", "*.zst", ".*"} <= set(exclude)
