"""`httpkit serve` as a process and as an application: what its options do, and how it stops."""

import gzip
import http.client
import json
import os
import pty
import re
import socket
import ssl
import sys
import urllib.request
from pathlib import Path
from signal import SIGHUP, SIGTERM
from typing import Any

import pytest
from click.testing import CliRunner, Result

from httpkit import __version__
from httpkit.cli import main, serve
from httpkit.cli.schema import SERVE_SETTINGS, Site
from httpkit.cli.site import describe_site, make_site
from httpkit.errors import ConfigurationError
from httpkit.testing import Client, Response

SITE = "https://app.example.com"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "dist"
    (directory / "docs").mkdir(parents=True)
    (directory / "index.html").write_text("<h1>Home</h1>")
    (directory / "about.html").write_text("about")
    (directory / "404.html").write_text("<h1>Gone</h1>")
    (directory / "app.3f2a9c1b.js").write_text("let a = 1;\n" * 500)
    (directory / "docs" / "a.txt").write_text("a")
    (directory / ".env").write_text("SECRET=1")
    return directory


def ask(files: Path, target: str, *fields: tuple[str, str], **options: Any) -> Response:
    """One answer of a site, as its client sees it."""
    with Client(make_site(Site(directory=str(files), **options)).app) as client:
        return client.get(target, headers=fields, follow_redirects=False)


# --- the site ------------------------------------------------------------------------------------


def test_the_defaults(files: Path) -> None:
    assert ask(files, "/").text == "<h1>Home</h1>"
    assert "cache-control" not in ask(files, "/").headers
    assert ask(files, "/.env").status_code == 404
    assert ask(files, "/docs/").status_code == 404
    assert ask(files, "/about").status_code == 404
    missing = ask(files, "/nothing")
    assert (missing.status_code, missing.text) == (404, "<h1>Gone</h1>")
    assert "Gone" not in ask(files, "/nothing", not_found=None).text


def test_single_page_applications(files: Path) -> None:
    assert ask(files, "/users/7", spa=True).text == "<h1>Home</h1>"
    assert ask(files, "/users.js", spa=True).status_code == 404


def test_other_names(files: Path) -> None:
    assert ask(files, "/about", clean_urls=True).text == "about"
    assert ask(files, "/", index="about.html").text == "about"
    assert ask(files, "/.env", dotfiles=True).text == "SECRET=1"


def test_caching(files: Path) -> None:
    options = {"cache": "no-cache", "immutable": True}
    assert ask(files, "/", **options).headers["cache-control"] == "no-cache"
    hashed = ask(files, "/app.3f2a9c1b.js", **options)
    assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_listings(files: Path) -> None:
    (files / "docs" / "b").mkdir()
    os.symlink("/etc/passwd", files / "docs" / "out")
    os.symlink("a.txt", files / "docs" / "in")
    os.symlink("nowhere", files / "docs" / "broken")
    os.mkfifo(files / "docs" / "pipe")
    (files / "docs" / ".hidden").write_text("")
    (files / "docs" / "a.txt.gz").write_text("")
    page = ask(files, "/docs/", ("Accept", "text/html"), listing=True)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'href="./a.txt"' in page.text
    listed = ask(files, "/docs/", ("Accept", "application/json"), listing=True).json()
    assert listed["path"] == "/docs/"
    assert [each["name"] for each in listed["entries"]] == ["b", "a.txt", "a.txt.gz", "in"]
    shown = ask(
        files,
        "/docs/",
        ("Accept", "application/json"),
        listing=True,
        dotfiles=True,
        symlinks=True,
        precompressed=True,
    )
    names = [each["name"] for each in shown.json()["entries"]]
    assert names == ["b", ".hidden", "a.txt", "in", "out"]
    assert ask(files, "/docs", listing=True).headers["location"] == "./docs/"
    assert ask(files, "/", listing=True).text == "<h1>Home</h1>"
    assert ask(files, "/nothing/", listing=True).status_code == 404
    assert ask(files, "/.git/", listing=True).status_code == 404
    assert ask(files, "/docs/a.txt/", listing=True).status_code == 404
    nothing = ask(files, "/docs/", ("Accept", "image/png"), listing=True)
    assert nothing.headers["content-type"] == "text/html; charset=utf-8"


def test_directories_behind_links_are_listed_only_if_they_may_be(files: Path) -> None:
    other = files.parent / "other"
    other.mkdir()
    (other / "x").write_text("x")
    (files / "docs" / "linked").symlink_to(other)
    json_please = ("Accept", "application/json")
    assert ask(files, "/docs/linked/", json_please, listing=True).status_code == 404
    found = ask(files, "/docs/linked/", json_please, listing=True, symlinks=True)
    assert [each["name"] for each in found.json()["entries"]] == ["x"]


def test_a_directory_that_may_not_be_read(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("httpkit.static.lookup.os.scandir", refuse)
    assert ask(files, "/docs/", listing=True).status_code == 404


def test_compressed_files(files: Path) -> None:
    plain = files / "app.3f2a9c1b.js"
    coded = gzip.compress(plain.read_bytes())
    (files / "app.3f2a9c1b.js.gz").write_bytes(coded)
    accept = ("Accept-Encoding", "gzip")
    sibling = ask(files, "/app.3f2a9c1b.js", accept, precompressed=True)
    assert sibling.headers["content-encoding"] == "gzip"
    assert sibling.headers["content-length"] == str(len(coded))
    assert sibling.headers["vary"] == "Accept-Encoding"
    anew = ask(files, "/app.3f2a9c1b.js", accept, compress=True)
    assert anew.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in ask(files, "/app.3f2a9c1b.js", accept).headers


def test_header_rules(files: Path) -> None:
    rules = files.parent / "_headers"
    rules.write_text("/*\n  X-Frame-Options: DENY\n/docs/*\n  Cache-Control: no-store\n")
    options = {"headers": str(rules), "cache": "no-cache", "listing": True}
    page = ask(files, "/", **options)
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-cache"
    assert ask(files, "/docs/a.txt", **options).headers["cache-control"] == "no-store"
    assert ask(files, "/docs/", **options).headers["cache-control"] == "no-store"


def test_other_origins(files: Path) -> None:
    origin = ("Origin", SITE)
    assert "access-control-allow-origin" not in ask(files, "/", origin).headers
    assert ask(files, "/", origin, cors=True).headers["access-control-allow-origin"] == "*"
    one = ask(files, "/", origin, cors_origin=(SITE,))
    assert one.headers["access-control-allow-origin"] == SITE
    other = ask(files, "/", ("Origin", "https://b.example"), cors_origin=(SITE,))
    assert "access-control-allow-origin" not in other.headers


def test_misses_are_counted(files: Path) -> None:
    os.utime(files / "index.html", (5, 5))
    served = make_site(Site(directory=str(files)))
    with Client(served.app) as client:
        for _ in range(5):
            client.get("/")
        assert served.misses() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directory": "nowhere"}, "there is no directory 'nowhere' to serve"),
        ({"directory": __file__}, f"is in, as in httpkit serve {Path(__file__).parent}"),
        ({"headers": "nowhere"}, "nowhere cannot be read"),
        ({"cors_origin": ("app.example.com",)}, "CORS: 'app.example.com' is no origin"),
        ({"index": "../x"}, "index '../x': give the name of a file"),
        ({"cache": "a\nb"}, "cache_control: value 'a\\nb'"),
    ],
)
def test_mistakes(files: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        make_site(Site(**{"directory": str(files), **options}))


def test_the_title_says_what_is_special(files: Path) -> None:
    assert describe_site(Site(directory=str(files))) == str(files)
    site = Site(
        directory=str(files),
        spa=True,
        clean_urls=True,
        cache="no-cache",
        headers="_headers",
        cors=True,
    )
    words = f"{files} · spa · clean urls · no-cache · fields of _headers · cors for everybody"
    assert describe_site(site) == words
    assert describe_site(Site(directory=".", cors_origin=(SITE,))).endswith(f"cors for {SITE}")


# --- the command ---------------------------------------------------------------------------------


def call(*arguments: object, **options: Any) -> Result:
    return CliRunner().invoke(main, ["serve", *map(str, arguments)], prog_name="httpkit", **options)


def read(url: str | urllib.request.Request, **options: Any) -> str:
    with urllib.request.urlopen(url, timeout=30, **options) as answer:
        return str(answer.read().decode())


def test_serves_until_a_signal(start_httpkit: Any, files: Path) -> None:
    process = start_httpkit("serve", str(files), "--port", "0", "--spa")
    url = process.wait_for_url()
    assert read(f"{url}/any/page") == "<h1>Home</h1>"
    assert process.stop(SIGTERM) == 0
    title, address, stopping = process.errors.splitlines()
    assert title == f"httpkit {__version__} · {files} · spa"
    assert address == f"  {url}"
    assert "SIGTERM: stopping" in stopping
    assert re.fullmatch(r'127\.0\.0\.1 .* "GET /any/page HTTP/1\.1" 200 13 .*\n', process.output)


def test_quiet(start_httpkit: Any, files: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    process = start_httpkit(
        *("serve", str(files), "--unix", str(path)),
        *("--no-access-log", "--log-level", "warning"),
    )
    process.wait_for(path.exists, "the socket")
    client = http.client.HTTPConnection("localhost")
    client.sock = socket.socket(socket.AF_UNIX)
    process.wait_for(lambda: client.sock.connect_ex(str(path)) == 0, "listening")
    client.request("GET", "/about.html")
    assert client.getresponse().read() == b"about"
    client.close()
    assert process.stop() == 0
    assert process.errors == process.output == ""


def test_the_current_directory_and_the_environment(start_httpkit: Any, files: Path) -> None:
    environ = {**os.environ, "HTTPKIT_SERVE_LISTING": "on", "HTTPKIT_PORT": "0"}
    (files / "httpkit.toml").write_text('host = "0.0.0.0"\nworkers = 2\n')
    process = start_httpkit("serve", cwd=files / "docs", env=environ)
    url = process.wait_for_url()
    assert url.startswith("http://127.0.0.1:")
    assert "a.txt" in read(f"{url}/")
    assert process.stop() == 0


def test_a_file_that_is_named(start_httpkit: Any, files: Path, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        'port = 0\n[serve]\ndirectory = "dist"\ncache = "no-cache"\n'
    )
    process = start_httpkit("serve", "--config", str(tmp_path / "site.toml"), "--tls")
    url = process.wait_for_url()
    assert url.startswith("https://")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(url, timeout=30, context=context) as answer:
        assert answer.headers["cache-control"] == "no-cache"
    assert process.stop() == 0
    assert "dist · no-cache" in process.errors


def test_workers(start_httpkit: Any, files: Path) -> None:
    process = start_httpkit("serve", str(files), "--port", "0", "--workers", "2", "--listing")
    url = process.wait_for_url()
    assert json.loads(
        read(urllib.request.Request(f"{url}/docs/", headers={"Accept": "application/json"}))
    )["entries"]
    process.signal(SIGHUP)
    process.wait_for(lambda: process.errors.count("is ready") == 2, "the new workers")
    assert read(f"{url}/") == "<h1>Home</h1>"
    assert process.stop() == 0
    assert process.errors.splitlines()[0] == (
        f"httpkit {__version__} · {files} · listing · 2 workers"
    )


def test_workers_with_sockets_that_are_there_or_shared(
    start_httpkit: Any, files: Path, tmp_path: Path
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port, number = listener.getsockname()[1], listener.fileno()
        process = start_httpkit(
            *("serve", str(files), "--workers", "2", "--fd", str(number)), pass_fds=[number]
        )
        assert process.wait_for_url() == f"http://127.0.0.1:{port}"
        assert read(f"http://127.0.0.1:{port}/") == "<h1>Home</h1>"
        assert process.stop() == 0
    process = start_httpkit("serve", str(files), "--workers", "2", "--unix", f"{tmp_path}/s")
    assert process.wait_for_url() == f"unix:{tmp_path}/s"
    assert process.stop() == 0


def test_workers_take_the_next_port_too(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    opened = serve.open_listeners

    def refuse_the_first(config: Any) -> Any:
        if config.port == 8000:
            raise ConfigurationError("port 8000 is in use")
        return opened(config)

    def run(_: Any, config: Any, announce: Any) -> int:
        seen.append(config.port)
        return 0

    monkeypatch.setattr(serve, "open_listeners", refuse_the_first)
    monkeypatch.setattr(serve, "run_workers", run)
    assert call(files, "--workers", "2").exit_code == 0
    assert 8000 < seen[0] < 8020


def test_a_worker_whose_directory_is_gone(start_httpkit: Any, files: Path) -> None:
    process = start_httpkit("serve", str(files), "--port", "0", "--workers", "2")
    process.wait_for_url()
    files.rename(files.parent / "moved")
    process.signal(SIGHUP)
    process.wait_for(lambda: "the old workers stay" in process.errors, "the failure")
    assert "there is no directory" in process.errors
    assert process.stop() == 0


def test_the_next_port(start_httpkit: Any, files: Path) -> None:
    """Where nobody has asked for one."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8000))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        process = start_httpkit("serve", str(files))
        url = process.wait_for_url()
        port = int(url.rsplit(":", 1)[1])
        assert 8000 < port < 8020
        assert f"port 8000 is in use: {port} is taken instead" in process.errors
        assert read(url) == "<h1>Home</h1>"
        assert process.stop() == 0


def test_a_directory_without_an_index(start_httpkit: Any, files: Path) -> None:
    process = start_httpkit("serve", str(files / "docs"), "--port", "0")
    process.wait_for_url()
    assert process.stop() == 0
    assert "there is no index.html, so / is 404: --listing shows" in process.errors


def test_no_port_at_all(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_PORTS", 2)
    asked: list[int] = []

    def refuse(config: Any) -> None:
        asked.append(config.port)
        raise ConfigurationError(f"port {config.port} is in use")

    monkeypatch.setattr(serve, "open_listeners", refuse)
    result = call(files)
    assert (result.exit_code, asked) == (1, [8000, 8001])
    assert "port 8000 is in use" in result.output


def test_a_port_that_is_named_has_to_be_free(files: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = call(files, "--port", port)
    assert result.exit_code == 1
    assert f"127.0.0.1:{port} is already in use" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "there is no directory"),
        ([".", "--reload"], 2, "No such option"),
        ([".", "--factory"], 2, "No such option"),
        ([".", "--port", "x"], 2, "is not a whole number"),
        ([".", "--hsts", "5"], 1, "have no effect without tls"),
        ([".", "--cors-origin", "x"], 1, "'x' is no origin"),
    ],
)
def test_wrong_command_lines(arguments: list[str], code: int, message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == code
    assert message in result.output


def test_options_of_applications_do_not_count(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run(app: Any, config: Any, *_: Any, listening: Any, **__: Any) -> int:
        listening.close()
        seen.append(config)
        return 3

    monkeypatch.setattr("httpkit.server.process.run", run)
    result = call(files, "--port", "0", env={"HTTPKIT_RELOAD": "on", "HTTPKIT_BACKLOG": "9"})
    assert result.exit_code == 3
    assert (seen[0].reload, seen[0].backlog) == (False, 9)


def test_what_makes_no_sense_together_for_applications_does_not_count(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` would refuse reload with workers, and a directory of applications that is missing."""
    seen: list[Any] = []

    def serve(site: Any, config: Any) -> int:
        seen.append((config.workers, config.reload))
        return 3

    monkeypatch.setattr("httpkit.cli.serve._serve_with_workers", serve)
    environ = {"HTTPKIT_RELOAD": "on", "HTTPKIT_APP_DIR": "nowhere"}
    assert call(files, "--workers", "2", env=environ).exit_code == 3
    named = tmp_path / "httpkit.toml"
    named.write_text("reload = true\nworkers = 2\n")
    assert call(files, "--config", named).exit_code == 3
    assert seen == [(2, False)] * 2


def test_a_server_that_cannot_start(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(app: Any, config: Any, *_: Any, listening: Any, **__: Any) -> int:
        listening.close()
        raise ConfigurationError("access_log_file x: no")

    monkeypatch.setattr("httpkit.server.process.run", run)
    result = call(files, "--port", "0")
    assert result.exit_code == 1
    assert "access_log_file x: no" in result.output


def test_the_help() -> None:
    text = call("--help").output
    assert text.index("Site:") < text.index("Listening:") < text.index("Options:")
    assert "httpkit compress makes them" in " ".join(text.split())
    assert "--reload" not in text
    assert "--websocket" not in text
    assert {"spa", "tls", "workers", "header_timeout"} <= SERVE_SETTINGS.keys()


# --- the browser and the terminal ----------------------------------------------------------------

OPENING = """
import sys, webbrowser
webbrowser.open = lambda url: print("opened", url, flush=True) or {found}
from httpkit.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_browser_is_opened(start_process: Any, files: Path, workers: str) -> None:
    program = OPENING.format(found=True)
    process = start_process(
        *(sys.executable, "-c", program, "serve", str(files), "--open", "--port", "0"),
        *("--host", "0.0.0.0", "--workers", workers),
    )
    url = process.wait_for_url()
    assert url.startswith("http://127.0.0.1:")
    process.wait_for(lambda: f"opened {url}\n" in process.output, "the browser")
    assert process.stop() == 0
    assert "no browser" not in process.errors


def test_without_a_browser(start_process: Any, files: Path) -> None:
    program = OPENING.format(found=False)
    process = start_process(
        *(sys.executable, "-c", program, "serve", str(files), "--open", "--port", "0")
    )
    process.wait_for(lambda: "there is no browser here" in process.errors, "the warning")
    assert process.stop() == 0


def test_no_browser_for_a_unix_socket(start_httpkit: Any, files: Path, tmp_path: Path) -> None:
    process = start_httpkit("serve", str(files), "--open", "--unix", str(tmp_path / "s.sock"))
    process.wait_for(lambda: "cannot open a Unix socket" in process.errors, "the warning")
    assert process.stop() == 0


TERMINAL = """
import os, sys
terminal = os.open(sys.argv[1], os.O_WRONLY | os.O_NOCTTY)
os.dup2(terminal, 1)
os.dup2(terminal, 2)
from httpkit.cli import live_line, main
live_line._INTERVAL = 0.01
main(["serve", *sys.argv[2:]])
"""


class Screen:
    """The other end of a terminal."""

    def __init__(self) -> None:
        self.end, self.terminal = pty.openpty()
        os.set_blocking(self.end, False)
        self.text = ""

    def read(self) -> str:
        while True:
            try:
                self.text += os.read(self.end, 65_536).decode()
            except BlockingIOError:
                return self.text

    def wait_for_url(self, process: Any) -> str:
        """The address in the banner, once the line is whole."""
        address = re.compile(r"(http://[0-9.:]+)[\s\x1b]")
        return str(process.wait_for(lambda: address.search(self.read()), "the banner")[1])

    def lines(self) -> list[str]:
        """What is to be seen when everything has been written."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.read())
        return [line.rsplit("\r\x1b[2K", 1)[-1] for line in plain.split("\r\n")]


def test_a_live_line_on_a_terminal(start_process: Any, files: Path) -> None:
    screen = Screen()
    environ = {**os.environ, "TERM": "xterm"}
    process = start_process(
        *(sys.executable, "-c", TERMINAL, os.ttyname(screen.terminal)),
        *(str(files), "--port", "0"),
        env=environ,
    )
    url = screen.wait_for_url(process)
    for _ in range(3):
        assert read(url) == "<h1>Home</h1>"
    process.wait_for(lambda: re.search(r"\d requests?/s .* 3 in all", screen.read()), "the line")
    assert process.stop() == 0
    lines = screen.lines()
    assert lines[0] == f"httpkit {__version__} · {files}"
    assert [line for line in lines if '"GET / HTTP/1.1" 200' in line][2:]
    assert not [line for line in lines if "requests/s" in line], "erased at the end"
    assert any("SIGTERM: stopping" in line for line in lines)
    assert lines[-1] == ""


@pytest.mark.parametrize("how", ["--no-live-line", "dumb"])
def test_no_live_line(start_process: Any, files: Path, how: str) -> None:
    screen = Screen()
    environ = {**os.environ, "TERM": "dumb" if how == "dumb" else "xterm"}
    arguments = [] if how == "dumb" else [how]
    process = start_process(
        *(sys.executable, "-c", TERMINAL, os.ttyname(screen.terminal)),
        *(str(files), "--port", "0", *arguments),
        env=environ,
    )
    url = screen.wait_for_url(process)
    read(url)
    process.wait_for(lambda: "GET / " in screen.read(), "the access log")
    assert process.stop() == 0
    assert "/s ·" not in screen.read()


def test_live_reload(start_httpkit: Any, files: Path) -> None:
    process = start_httpkit("serve", str(files), "--port", "0", "--live-reload")
    url = process.wait_for_url()
    page = urllib.request.Request(url, headers={"Accept": "text/html"})
    assert "/.httpkit/live-reload.js" in read(page)
    with urllib.request.urlopen(f"{url}/.httpkit/live-reload", timeout=30) as events:
        assert events.readline() == b": connected\n"
        # Until the watcher has begun nothing is noticed: write until it is.
        numbers = iter(range(1_000_000))

        def write() -> None:
            (files / "docs" / "a.txt").write_text(str(next(numbers)))

        process.wait_for(lambda: write() or _readable(events), "an event")
        assert events.readline() == b"\n"
        assert events.readline() == b"event: reload\n"
        assert process.stop() == 0, "an open stream does not hold up the end"


def _readable(events: Any) -> bool:
    import select

    return bool(select.select([events.fileno()], [], [], 0.05)[0])
