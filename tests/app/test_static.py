"""`app.static`: the files of a directory, and nothing else by any spelling."""

import asyncio
import gc
import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from httpkit.app import App
from httpkit.errors import ConfigurationError, HTTPError
from httpkit.routing import Router
from httpkit.static import StaticFiles, lookup
from httpkit.testing import Client

from .conftest import ask, make_request, text

SECRET = b"SECRET: outside of the root"
PAGE = b"<p>page</p>"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A root with everything that may stand in one, and a secret beside it."""
    outer = tmp_path_factory.mktemp("outer")
    root = outer / "root"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a:b").mkdir()
    (outer / "root-two").mkdir()  # begins as the root does
    for path in (outer / "secret", outer / "root-two" / "secret", outer / "index.html"):
        path.write_bytes(SECRET)
    (root / "style.css").write_bytes(b"css")
    (root / "no ending").write_bytes(b"octets")
    (root / "é%41.txt").write_bytes(b"text")
    (root / "index.html").write_bytes(PAGE)
    (root / "docs" / "index.html").write_bytes(b"docs")
    (root / "a:b" / "index.html").write_bytes(b"colon")
    (root / "docs" / "deep" / "x.js").write_bytes(b"js")
    (root / ".env").write_bytes(b"dot")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(b"dot")
    (root / "back\\slash").write_bytes(b"backslash")
    _make_links(root, outer)
    return root


def _make_links(root: Path, outer: Path) -> None:
    (root / "link.css").symlink_to("style.css")
    (root / "link").symlink_to("docs")
    (root / "self").symlink_to(".")
    (root / "dotted").symlink_to(".git")  # a link is the owner's own choice
    (root / "out").symlink_to("../secret")
    (root / "out-absolute").symlink_to(outer / "secret")
    (root / "out-directory").symlink_to("..")
    (root / "out-two").symlink_to("../root-two")
    (root / "out-twice").symlink_to("out")
    (root / "docs" / "out").symlink_to("../../secret")
    (root / "empty" / "index.html").symlink_to("../../secret")
    (root / "loop").symlink_to("loop")
    (root / "loop-a").symlink_to("loop-b")
    (root / "loop-b").symlink_to("loop-a")
    (root / "dangling").symlink_to("nowhere")
    (root / "null").symlink_to("/dev/null")
    (root / "passwd").symlink_to("/etc/passwd")
    (root / "proc").symlink_to("/proc/self")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)  # the path of a socket is short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)


def app_of(root, **options):
    app = App()
    app.static("/static", root, **options)
    return app


@pytest.fixture(scope="module")
def app(tree):
    return app_of(tree, name="static")


@pytest.fixture(params=[True, False], ids=["wire", "direct"])
def client(request, app):
    with Client(app, wire=request.param) as client:
        yield client


# --- what is served ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content", "media_type"),
    [
        ("style.css", b"css", "text/css; charset=utf-8"),
        ("no%20ending", b"octets", "application/octet-stream"),
        ("%C3%A9%2541.txt", b"text", "text/plain; charset=utf-8"),
        ("", PAGE, "text/html; charset=utf-8"),
        ("index.html", PAGE, "text/html; charset=utf-8"),
        ("docs/", b"docs", "text/html; charset=utf-8"),
        ("docs/deep/x.js", b"js", "text/javascript; charset=utf-8"),
        ("docs/../style.css", b"css", "text/css; charset=utf-8"),
        ("./docs/./%2e/deep/%2E%2e/index.html", b"docs", "text/html; charset=utf-8"),
        ("link.css", b"css", "text/css; charset=utf-8"),
        ("link/deep/x.js", b"js", "text/javascript; charset=utf-8"),
        ("self/self/style.css", b"css", "text/css; charset=utf-8"),
        ("self/", PAGE, "text/html; charset=utf-8"),
        ("dotted/config", b"dot", "application/octet-stream"),
        ("style.css?v=..%2F..%2Fsecret", b"css", "text/css; charset=utf-8"),
    ],
)
def test_files(client, path, content, media_type):
    answer = client.get(f"/static/{path}")
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = client.head(f"/static/{path}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(content))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_405(client, method):
    answer = client.request(method, "/static/style.css")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/static", "/static/"),
        ("/static/docs", "./docs/"),
        ("/static/link", "./link/"),
        ("/static/self/docs?a=b&c=%2F", "./docs/?a=b&c=%2F"),
        ("/static/a:b", "./a%3Ab/"),  # RFC 3986 §4.2: else `a` would be a scheme
        ("/static/docs/../docs", "./docs/"),
    ],
)
def test_a_directory_is_redirected_to_its_slash(client, target, location):
    answer = client.get(target)
    assert (answer.status_code, answer.headers["location"]) == (307, location)
    followed = client.get(target, follow_redirects=True)
    assert followed.status_code == 200


def test_no_redirect_leads_to_another_host(app):
    for target in (
        "/static//evil.example/%2e%2e",
        "//evil.example/static/docs",
        "/static/%2F/docs",
    ):
        answer = ask(app, target=target)
        assert answer.status in (404, 307)
        assert "evil" not in answer.headers.get("location", "")


def test_a_directory_without_an_index_is_404_with_and_without_a_slash(client):
    for path in ("docs/deep", "docs/deep/", "empty", "empty/"):
        assert client.get(f"/static/{path}").status_code == 404


def test_without_an_index(tree):
    app = app_of(tree, index=None)
    for path in ("", "docs", "docs/"):
        assert ask(app, target=f"/static/{path}").status == 404
    assert ask(app, target="/static/index.html").status == 200


def test_another_index(tree):
    app = app_of(tree, index="style.css")
    answer = ask(app, target="/static/")
    assert answer.headers["content-type"] == "text/css; charset=utf-8"


def test_an_index_that_is_a_directory_is_none(tree):
    assert ask(app_of(tree, index="docs"), target="/static/").status == 404


# --- what is not ---------------------------------------------------------------------------------

OUTSIDE = [
    # dot segments in every spelling
    "../secret",
    "..%2fsecret",
    "..%2Fsecret",
    "%2e%2e/secret",
    "%2e%2e%2fsecret",
    ".%2e/secret",
    "%2e./secret",
    "docs/../../secret",
    "docs/%2e%2e/%2e%2e/secret",
    "docs/..%2f..%2fsecret",
    "./../secret",
    "....//secret",
    "..././secret",
    "..;/secret",
    "../root-two/secret",
    # encoded twice
    "%252e%252e/secret",
    "%252e%252e%252fsecret",
    "..%252fsecret",
    # backslashes
    "..\\secret",
    "..%5csecret",
    "%2e%2e%5csecret",
    "docs\\..\\..\\secret",
    "back%5cslash",
    "C:%5cWindows%5cwin.ini",
    # overlong and broken UTF-8 (RFC 3629 §3)
    "%c0%ae%c0%ae/secret",
    "%c0%ae%c0%ae%c0%afsecret",
    "..%c0%afsecret",
    "%e0%80%ae%e0%80%ae/secret",
    "%f0%80%80%ae/secret",
    "..%ef%bc%8fsecret",  # a slash of full width
    "%ff%fe",
    "%u002e%u002e/secret",
    # absolute
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "%2Fetc/passwd",
    "file:///etc/passwd",
    # NUL and other controls
    "style.css%00",
    "%00",
    "..%00/secret",
    "secret%00.css",
    "style.css%0a",
    "style.css%0d%0a",
    # names that other systems read otherwise
    "style.css.",
    "style.css%20",
    "style.css::$DATA",
    "STYLE~1.CSS",
    "style.css/",
    "style.css/.",
    "style.css/x",
    "style.css//",
    "docs//index.html",
    "docs/deep//x.js",
    "docs//",
    # dotfiles
    ".env",
    "%2eenv",
    ".git/config",
    "docs/../.env",
    "self/.env",
    # links and special files
    "out",
    "out-absolute",
    "out-directory/secret",
    "out-directory/root/style.css/../../secret",
    "out-directory/",
    "out-two/secret",
    "out-twice",
    "docs/out",
    "loop",
    "loop/",
    "loop-a",
    "dangling",
    "null",
    "passwd",
    "proc/environ",
    "fifo",
    "socket",
    # names that cannot be
    "x" * 300,
    "x" * 7000,
    "a/" * 3000,
    "nothing",
    "%",
    "%zz",
    "*",
    "~root",
    "$HOME",
    "{path}",
]


@pytest.mark.parametrize("path", OUTSIDE, ids=[f"{n}-{p[:30]}" for n, p in enumerate(OUTSIDE)])
def test_nothing_else_is_served(app, path):
    answer = ask(app, target=f"/static/{path}")
    assert answer.status == 404
    assert b"SECRET" not in answer.body


def test_nothing_else_is_served_through_the_wire(app):
    with Client(app) as client:
        for path in OUTSIDE:
            if path.isascii() and "\\" not in path:
                assert client.get(f"/static/{path}").status_code == 404, path


def test_dotfiles_on_request(tree):
    app = app_of(tree, dotfiles=True)
    assert ask(app, target="/static/.env").status == 200
    assert ask(app, target="/static/.git/config").status == 200
    for path in ("..", "../secret", ".", "%2e%2e/secret", "..%2fsecret"):
        assert ask(app, target=f"/static/docs/{path}/x").status == 404
    assert app_of(tree, dotfiles=True, index=".env")


@pytest.fixture
def well_known(tmp_path):
    """A site with a `.well-known`, and others where they mean nothing."""
    for name in (
        ".well-known/acme-challenge",
        "docs/.well-known",
        ".well-known/.git",
        ".wellknown",
    ):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x").write_bytes(b"text")
    (tmp_path / ".well-known" / ".env").write_bytes(SECRET)
    (tmp_path / ".well-known" / "out").symlink_to("/etc/passwd")
    (tmp_path / "index.html").write_bytes(PAGE)
    return tmp_path


def test_what_is_well_known_is_served(well_known):
    """RFC 8615 §3: those who ask there find it without a link."""
    app = app_of(well_known)
    assert ask(app, target="/static/.well-known/acme-challenge/x").body == b"text"
    assert ask(app, target="/static/%2ewell-known/acme-challenge/x").body == b"text"
    for path in (
        ".well-known",
        ".well-known/",
        ".well-known/nothing",
        ".well-known/.env",
        ".well-known/.git/x",
        ".well-known/out",
        ".well-known/../.wellknown/x",
        ".wellknown/x",
        ".WELL-KNOWN/acme-challenge/x",
        "docs/.well-known/x",
    ):
        assert ask(app, target=f"/static/{path}").status in (404, 307), path
        assert ask(app, target=f"/static/{path}/").status == 404, path


def test_what_is_well_known_is_not_listed(well_known):
    names = text(ask(app_of(well_known, listing=True, index=None), target="/static/"))
    assert "docs" in names
    assert "well" not in names


def test_every_name_of_a_listing_can_be_asked_for(tmp_path):
    for name in ("<b>", "a#b?c", "50%41", "a\nb", "javascript:x", "über", "a\\b", "bad\udcff"):
        with suppress(OSError):  # not every file system takes every name
            (tmp_path / name).write_text(name, errors="surrogateescape")
    app = app_of(tmp_path, listing=True)
    page = text(ask(app, target="/static/"))
    links = re.findall(r'href="\./([^"]+)"', page)
    assert len(links) >= 5
    for link in links:
        assert ask(app, target=f"/static/{link}").status == 200, link


def test_a_rule_cannot_take_away_that_a_listing_may_be_json(tmp_path):
    app = app_of(tmp_path, listing=True, headers=lambda path: [("Vary", "Origin")])
    assert ask(app, target="/static/").headers["vary"] == "Origin, Accept"


def test_an_application_has_no_pages_below_well_known(well_known):
    """Browsers ask there for what cannot be, to learn whether a 200 means anything."""
    app = app_of(well_known, spa=True)
    assert ask(app, target="/static/account").body == PAGE
    assert ask(app, target="/static/.well-known/change-password").status == 404


def test_the_handler_trusts_no_router(tree):
    """Whatever calls it with whatever path."""
    serve = StaticFiles(tree, dotfiles=True)
    request = make_request()
    for path in (
        "../secret",
        "/etc/passwd",
        "docs/../../secret",
        "a\0b",
        "..",
        ".",
        "docs/..",
        "/",
    ):
        with pytest.raises(HTTPError) as caught:
            asyncio.run(serve(request, path))
        assert caught.value.status == 404


PIECES = st.one_of(
    st.sampled_from(
        [
            *("..", ".", "%2e", "%2E%2e", "/", "%2f", "\\", "%5c", "%00", "%c0%ae", "%25", "//"),
            *("docs", "deep", "style.css", "index.html", "link", "self", "out", "out-directory"),
            *("out-two", "secret", "root", "root-two", "proc", "fifo", ".env", "loop", "empty"),
        ]
    ),
    st.text(max_size=3).map(lambda text: quote(text, errors="replace")),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=8), st.booleans())
def test_whatever_is_served_lies_in_the_root(tree, runner, pieces, slashes):
    app = App()
    app.static("/static", tree, memory=0)
    path = ("/" if slashes else "").join(pieces)

    async def serve():
        answer = app.handle(make_request("GET", f"/static/{path}".encode()))
        return answer if not asyncio.iscoroutine(answer) else await answer

    answer = runner.run(serve())
    assert answer.status in (200, 307, 404)
    if answer.status == 200:
        assert answer.headers["content-type"]
        assert SECRET not in answer.body
    root = f"{os.path.realpath(tree)}/"
    assert all(where.startswith(root) for where in runner.opened), runner.opened


@pytest.fixture(scope="module")
def runner():
    """A loop that is kept for all examples, and where the files are that were opened."""
    find = lookup.FileBody.from_descriptor

    def note(descriptor):
        runner.opened.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        return find(descriptor)

    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        runner.opened = []
        patch.setattr(lookup.FileBody, "from_descriptor", note)
        yield runner
    assert runner.opened


# --- races, and the disk -------------------------------------------------------------------------


@pytest.mark.parametrize("swap", ["file", "directory", "root"])
def test_a_link_that_appears_after_the_check_leads_nowhere(tmp_path, monkeypatch, swap):
    """Between `realpath` and `open`, somebody puts a link to the outside in the place."""
    outside = tmp_path / "outside"
    inside = tmp_path / "root" / "inside"
    for directory in (outside, inside):
        directory.mkdir(parents=True)
        (directory / "x").write_bytes(SECRET if directory is outside else b"fine")
    app = app_of(tmp_path / "root", memory=0)
    assert ask(app, target="/static/inside/x").status == 200
    real = lookup._open_below

    def late(root, names):
        if swap == "file":
            (inside / "x").unlink()
            (inside / "x").symlink_to(outside / "x")
        elif swap == "directory":
            inside.rename(tmp_path / "moved")
            inside.symlink_to(outside)
        else:
            (tmp_path / "root").rename(tmp_path / "moved")
            (tmp_path / "root").symlink_to(outside)
        return real(root, names)

    monkeypatch.setattr(lookup, "_open_below", late)
    assert ask(app, target="/static/inside/x").status == 404


def test_a_fifo_that_appears_after_the_check_is_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"fine")
    app = app_of(tmp_path)
    find = os.stat

    def late(path, **options):
        found = find(path, **options)
        if path == "x":
            (tmp_path / "x").unlink()
            os.mkfifo(tmp_path / "x")
        return found

    monkeypatch.setattr(lookup.os, "stat", late)
    assert ask(app, target="/static/x").status == 404


def test_a_root_that_is_a_link_can_be_switched(tmp_path):
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "x").write_bytes(release.encode())
    (tmp_path / "current").symlink_to("one")
    app = app_of(tmp_path / "current")
    assert ask(app, target="/static/x").body == b"one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "current")
    assert ask(app, target="/static/x").body == b"two"


def test_no_descriptor_is_left_open(tree, app):
    gc.collect()  # what other tests have left is not counted
    before = len(os.listdir("/dev/fd"))
    for path in ("style.css", "docs/deep/x.js", "docs", "docs/", "fifo", "out", "nothing", "loop"):
        ask(app, target=f"/static/{path}")
    assert len(os.listdir("/dev/fd")) <= before


def test_a_file_that_may_not_be_read_is_404_and_a_broken_disk_is_not(tree, monkeypatch, log):
    app = app_of(tree, memory=0)

    def refuse(number):
        def fail(*args):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(lookup, "_open_below", fail)

    refuse(13)
    assert ask(app, target="/static/style.css").status == 404
    refuse(5)
    assert ask(app, target="/static/style.css").status == 500
    assert "Input/output error" in log.text


# --- as a mount ----------------------------------------------------------------------------------


def test_urls_by_name(app):
    assert app.url_for("static", path="docs/a b.css") == "/static/docs/a%20b.css"
    for path in ("../secret", "/etc/passwd", "a/../b"):
        with pytest.raises(ValueError):
            app.url_for("static", path=path)


def test_it_is_a_mount_with_what_stands_around_it(tree):
    app = App()
    app.get("/{rest:path}")(lambda request, rest: "catch-all")
    router = Router("/r")
    router.static("/files", tree, name="files")
    app.include(router, name="r")

    @app.middleware
    async def mark(request, next):
        response = await next(request)
        response.headers["x-seen"] = request.route.pattern
        return response

    app.exception_handler(404)(lambda request, error: "our page")
    answer = ask(app, target="/r/files/style.css")
    assert (answer.status, answer.headers["x-seen"]) == (200, "/r/files/{path:path}")
    assert text(ask(app, target="/r/files/nothing")) == "our page"
    assert text(ask(app, target="/r/other")) == "catch-all"
    assert app.url_for("r:files", path="x") == "/r/files/x"


def test_at_the_root_and_behind_a_parameter(tree):
    app = App()
    app.get("/api")(lambda request: "api")
    app.static("/t/{tenant}/s", tree)
    app.static("/", tree)
    assert text(ask(app, target="/api")) == "api"
    assert ask(app, target="/").body == PAGE
    assert ask(app, target="/style.css").status == 200
    assert ask(app, target="/t/acme/s/style.css").status == 200
    assert ask(app, target="//etc/passwd").status == 404


def test_the_list_of_routes_names_the_directory(tree, app):
    [info] = app.routes()
    assert info.methods == ("GET",)
    assert (info.pattern, info.name) == ("/static/{path:path}", "static")
    assert (info.handler, info.source) == ("httpkit.static.StaticFiles", str(tree))


# --- mistakes ------------------------------------------------------------------------------------


def test_a_missing_directory_is_found_at_once(tmp_path):
    (tmp_path / "file").touch()
    for name in ("nope", "file", "file/x"):
        with pytest.raises(ConfigurationError, match=f"there is no directory '{tmp_path}/{name}'"):
            App().static("/static", tmp_path / name)


@pytest.mark.parametrize("index", ["", ".", "..", "a/b", "/etc/passwd", "a\\b", "a\0", ".hidden"])
def test_an_index_is_a_name(tmp_path, index):
    with pytest.raises(ConfigurationError, match="name of a file"):
        App().static("/static", tmp_path, index=index)


@pytest.mark.parametrize("prefix", ["", "static", "/static/"])
def test_a_prefix_is_that_of_a_mount(tmp_path, prefix):
    with pytest.raises(ConfigurationError):
        App().static(prefix, tmp_path)


def test_a_frozen_app_takes_no_directory(tmp_path):
    app = App()
    app.on_freeze()
    with pytest.raises(ConfigurationError, match="frozen"):
        app.static("/static", tmp_path)
