"""`httpkit run` with several processes, as processes: what a kill, a signal or a change does."""

import http.client
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM
from typing import Any

import pytest

from httpkit.cli import supervise
from httpkit.cli.worker import run_worker
from tests.processes import lives

from .conftest import APP, Invoke, Write

SITE = f"""{APP}
import asyncio, os

@app.get("/pid")
async def pid(request):
    return str(os.getpid())

@app.get("/worker")
async def worker(request):
    directory = os.environ["HTTPKIT_WORKER_DIR"]
    mode = oct(os.stat(directory).st_mode & 0o777)
    return [os.environ["HTTPKIT_WORKER_ID"], directory, mode, os.getsid(0) == os.getpid()]

@app.get("/wait")
async def wait(request):
    print("waiting", flush=True)
    while not request.shutting_down:
        await asyncio.sleep(0.01)
    return "finished"

@app.get("/forever")
async def forever(request):
    print("waiting", flush=True)
    await asyncio.sleep(1000)
"""
STOPPING = """\
from contextlib import asynccontextmanager
from httpkit import App

@asynccontextmanager
async def lifespan(app):
    raise OSError("no database")
    yield

app = App(lifespan=lifespan)
"""


@pytest.fixture
def run(start_httpkit: Any, tmp_path: Path, write_module: Write) -> Any:
    """Serve a source as a module, by two workers on a free port unless told otherwise."""

    def start(source: str, *arguments: str, **options: Any) -> Any:
        write_module("site_of_workers", source)
        given = set(arguments)
        where = () if {"--port", "--unix", "--fd"} & given else ("--port", "0")
        workers = () if {"--workers", "--reload"} & given else ("--workers", "2")
        target = ("run", "site_of_workers:app", "--app-dir", str(tmp_path))
        return start_httpkit(*target, *where, *workers, *arguments, **options)

    return start


def address_of(process: Any) -> tuple[str, int]:
    host, _, port = process.wait_for_url().removeprefix("http://").rpartition(":")
    return host, int(port)


def get(address: tuple[str, int], path: str = "/pid") -> str:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def pids_of(process: Any) -> list[int]:
    """Of the workers, from the banner."""
    process.wait_for_url()
    found = re.search(r"workers? \(([\d ]+)\)", process.errors)
    assert found is not None
    return [int(pid) for pid in found[1].split()]


def eventually(found: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.01)
    raise AssertionError(f"{what} has not happened")


class Load:
    """Requests from a few threads, each on a connection of its own, until the block ends.

    Attributes:
        pids: who answered.
        lost: connections that ended without an answer.
    """

    def __init__(self) -> None:
        self.pids: list[str] = []
        self.lost: list[Exception] = []
        self.ended = False

    def run(self, address: tuple[str, int]) -> None:
        while not self.ended:
            try:
                self.pids.append(get(address))
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(error)


@contextmanager
def load(address: tuple[str, int]) -> Iterator[Load]:
    found = Load()
    threads = [threading.Thread(target=found.run, args=(address,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.ended = True
        for thread in threads:
            thread.join(30)


def test_workers_in_debug_mode(run: Any) -> None:
    """The supervisor says it, once for all of them."""
    process = run(SITE, "--debug")
    address_of(process)
    assert process.stop() == 0
    assert process.errors.count("debug mode: clients see tracebacks") == 1


@pytest.mark.parametrize("loop", ["uvloop", pytest.param("asyncio", marks=pytest.mark.slow)])
def test_workers_serve_and_stop(run: Any, loop: str) -> None:
    process = run(SITE, "--loop", loop, "--no-access-log")
    address = address_of(process)
    pids = pids_of(process)
    assert len(pids) == 2
    assert f" · {loop} · pid {process.pid} · 2 workers (" in process.errors
    seen = {get(address, "/worker") for _ in range(60)}
    numbers, directories = set(), set()
    for answer in seen:
        number, directory, mode, leads = eval(answer.replace("true", "True"))
        assert mode == "0o700"
        assert leads, "a worker is in the session of the supervisor"
        numbers.add(number)
        directories.add(directory)
    assert numbers == {"1", "2"}
    assert len(directories) == 2
    assert all(os.path.isdir(directory) for directory in directories)
    assert process.stop() == 0
    assert not any(lives(pid) for pid in pids)
    assert not any(os.path.exists(os.path.dirname(directory)) for directory in directories)
    assert process.errors.count("SIGTERM: stopping") == 1
    assert process.errors.count("http://") == 1


def test_ctrl_c_reaches_workers_once(run: Any) -> None:
    """A terminal sends SIGINT to the whole process group; requests are finished nevertheless."""
    process = run(SITE, start_new_session=True)
    address = address_of(process)
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(get(address, "/wait")))
    thread.start()
    process.wait_for(lambda: "waiting" in process.output, "the request")
    os.killpg(process.pid, SIGINT)
    thread.join(30)
    assert answers == ["finished"]
    assert process.wait() == 0


def test_the_second_signal(run: Any) -> None:
    process = run(SITE)
    address = address_of(process)
    with socket.create_connection(address) as client:
        client.sendall(b"GET /forever HTTP/1.1\r\nHost: a\r\n\r\n")
        process.wait_for(lambda: "waiting" in process.output, "the request")
        process.signal(SIGTERM)
        process.wait_for(lambda: "SIGTERM: stopping" in process.errors, "the stop")
        process.signal(SIGTERM)
        assert process.wait() == 128 + SIGTERM
    assert "SIGTERM again: the workers are killed" in process.errors
    assert not any(lives(pid) for pid in pids_of(process))


def test_a_killed_worker_hurts_its_own_connections_only(run: Any) -> None:
    process = run(SITE, "--no-access-log")
    address = address_of(process)
    victim, other = pids_of(process)
    kept: dict[str, http.client.HTTPConnection] = {}
    while len(kept) < 2:
        connection = http.client.HTTPConnection(*address, timeout=30)
        connection.request("GET", "/pid")
        kept.setdefault(connection.getresponse().read().decode(), connection)
        if connection not in kept.values():
            connection.close()
    with load(address) as during:
        eventually(lambda: len(during.pids) > 50, "load")
        os.kill(victim, SIGKILL)
        process.wait_for(lambda: "is ready" in process.errors, "the replacement")
        count = len(during.pids)
        eventually(lambda: len(during.pids) > count + 50, "load")
    assert f"worker 1 (pid {victim}) was killed by SIGKILL; the next" in process.errors
    assert len(during.lost) <= 4, during.lost  # one for each thread, at most
    assert str(other) in during.pids
    assert len(set(during.pids)) == 3
    kept[str(other)].request("GET", "/pid")
    assert kept[str(other)].getresponse().read().decode() == str(other)
    for connection in kept.values():
        connection.close()
    assert process.stop() == 0


def test_workers_that_have_served_enough_are_replaced_and_nothing_is_lost(run: Any) -> None:
    process = run(SITE, "--no-access-log", "--max-requests", "20", "--max-requests-jitter", "5")
    address = address_of(process)
    with load(address) as during:
        eventually(lambda: len(set(during.pids)) >= 6, "the third generation")
    assert during.lost == []
    assert process.errors.count("has served its requests") >= 4
    assert "ERROR" not in process.errors
    assert process.stop() == 0


def test_workers_end_with_their_supervisor(run: Any) -> None:
    """Even if it is killed; a request that runs is finished, and nothing is left in /tmp."""
    process = run(SITE)
    address = address_of(process)
    directory = eval(get(address, "/worker").replace("true", "True"))[1]
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(get(address, "/wait")))
    thread.start()
    process.wait_for(lambda: "waiting" in process.output, "the request")
    process.signal(SIGKILL)
    process.wait()
    thread.join(30)
    assert answers == ["finished"]
    eventually(lambda: not any(map(lives, pids_of(process))), "the end of the workers")
    eventually(lambda: not os.path.exists(os.path.dirname(directory)), "cleaning up")
    assert process.errors.count("the supervisor is gone") == 2
    assert "[1] the supervisor is gone" in process.errors


def test_a_rolling_restart_loses_nothing(run: Any) -> None:
    process = run(SITE, "--no-access-log")
    address = address_of(process)
    old = set(map(str, pids_of(process)))
    with load(address) as during:
        eventually(lambda: len(during.pids) > 50, "load")
        process.signal(SIGHUP)
        process.wait_for(lambda: process.errors.count("is ready") == 2, "the new workers")
        eventually(lambda: not any(lives(int(pid)) for pid in old), "the end of the old ones")
        count = len(during.pids)
        eventually(lambda: len(during.pids) > count + 50, "load")
    assert during.lost == []
    assert old < set(during.pids)
    assert process.stop() == 0


def test_an_application_that_does_not_start(run: Any) -> None:
    process = run(STOPPING)
    assert process.wait() == 3
    assert process.errors.count("Traceback") == 1
    assert re.search(
        r"worker 1 \(pid \d+\) ended with code 3: the application failed to start: OSError: "
        r"no database\n$",
        process.errors,
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys\nsys.exit(7)\n", "ended with code 7: the application has exited"),
        ("app = = 1\n", "ended with code 1: site_of_workers cannot be imported, see above"),
        (f"{APP}\nasync def twice(request): pass\napp.get('/')(twice)\n", "ended with code 1: "),
    ],
    ids=["exits", "syntax", "routes"],
)
def test_modules_that_cannot_be_used(run: Any, source: str, reason: str) -> None:
    process = run(source)
    assert process.wait() == 1
    assert reason in process.errors


@pytest.mark.slow  # seven seconds of waiting between starts
def test_a_crash_loop(run: Any, tmp_path: Path) -> None:
    """The first worker of each place is well, all others fail to start."""
    source = STOPPING.replace(
        "    raise",
        f"    import os, pathlib\n    mark = pathlib.Path({str(tmp_path)!r}, "
        "os.environ['HTTPKIT_WORKER_ID'])\n"
        "    if not mark.exists():\n        mark.touch()\n        yield\n        return\n    raise",
    )
    process = run(source)
    os.kill(pids_of(process)[1], SIGKILL)
    assert process.wait() == 3
    assert process.errors.count("Traceback") == 4
    assert "no database; it ends again and again, so everything does" in process.errors


@pytest.mark.slow
def test_a_unix_socket_for_all(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    process = run(SITE, "--unix", str(path))
    assert process.wait_for_url() == f"unix:{path}"
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    process.signal(SIGHUP)
    process.wait_for(lambda: process.errors.count("is ready") == 2, "the new workers")
    assert path.exists()
    assert process.stop() == 0
    assert not path.exists()


# --- inherited sockets ---------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_an_inherited_socket(run: Any, workers: str) -> None:
    """Several servers one after the other on it: its queue survives them."""
    with socket.create_server(("127.0.0.1", 0)) as parent:
        number = parent.fileno()
        for _ in range(2):
            process = run(SITE, "--fd", str(number), "--workers", workers, pass_fds=[number])
            assert address_of(process) == parent.getsockname()
            assert get(parent.getsockname(), "/") == "Hello"
            assert process.stop() == 0
        with socket.create_connection(parent.getsockname()):
            pass


ACTIVATE = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.executable, [sys.executable, "-m", "httpkit", *sys.argv[2:]])
"""


def test_socket_activation(start_process: Any, write_module: Write, tmp_path: Path) -> None:
    """As systemd does it: sd_listen_fds(3)."""
    write_module("activated", SITE)
    with socket.create_server(("127.0.0.1", 0)) as parent:
        number = parent.fileno()
        process = start_process(
            *(sys.executable, "-c", ACTIVATE, str(number), "run", "activated:app"),
            *("--app-dir", str(tmp_path), "--fd", "systemd:web", "--workers", "2"),
            pass_fds=[number],
        )
        assert address_of(process) == parent.getsockname()
        assert get(parent.getsockname(), "/") == "Hello"
        assert process.stop() == 0


# --- reload --------------------------------------------------------------------------------------


def test_reload(run: Any, write_module: Write) -> None:
    """The port stays; what cannot be imported is shown, and requests wait for what can be."""
    process = run(
        f"{APP}\n@app.get('/v')\nasync def v(request): return 'one'\n", "--reload", "--debug"
    )
    address = address_of(process)
    assert get(address, "/v") == "one"
    write_module("site_of_workers", f"{APP}\napp = = 1\n")
    process.wait_for(lambda: "waiting for a change" in process.errors, "the mistake")
    assert re.search(
        r'site_of_workers\.py", line \d+\n +app = = 1\n +\^\nSyntaxError', process.errors
    )
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(get(address, "/v")))
    thread.start()
    # Longer: Python takes its bytecode for that of a file of the same size and second.
    write_module("site_of_workers", f"{APP}\n@app.get('/v')\nasync def v(request): return 'next'\n")
    thread.join(30)
    assert answers == ["next"]
    assert process.stop(SIGINT) == 0


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose sockets have paths that are short enough."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_a_directory_that_was_tidied_away(run: Any, short_path: Path) -> None:
    """As programs do that remove what is old in /tmp."""
    process = run(APP, "--workers", "2", env={**os.environ, "TMPDIR": str(short_path)})
    url = process.wait_for_url()
    [common] = short_path.iterdir()
    shutil.rmtree(common)
    process.signal(SIGHUP)
    process.wait_for(lambda: len(re.findall("is ready", process.errors)) == 2, "the change")
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"Hello"
    assert process.stop() == 0
    assert list(short_path.iterdir()) == []


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--fd", "3", "--port", "80"],
            2,
            "port (--port) and fd (--fd) are two places to listen on",
        ),
        (["--fd", "x"], 1, "fd: expected numbers as in 3 or 3,4, systemd, or systemd:NAME"),
        (["--fd", "3", "--unix", "/x"], 2, "unix (--unix) and fd (--fd) are two places"),
        (["--fd", "1048575", "--workers", "2"], 1, "--fd: descriptor 1048575 is not open"),
        (["--fd", "systemd"], 1, "--fd systemd: LISTEN_FDS is not set"),
        (["--reload", "--workers", "2"], 1, "reload works with one worker"),
        (
            ["--reload", "--reload-dir", "/nowhere"],
            1,
            "--reload-dir: there is no directory '/nowhere' to watch: correct its name\n",
        ),
        (["--workers", "0"], 2, "'0' is not a whole number from 1 to 1024"),
    ],
)
def test_mistakes(
    invoke: Invoke, write_module: Write, arguments: list[str], code: int, message: str
) -> None:
    write_module("user_of_workers", APP)
    result = invoke("run", "user_of_workers:app", *arguments)
    assert result.exit_code == code
    assert message in result.stderr


def test_no_directory_for_temporary_files(
    invoke: Invoke, write_module: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    write_module("user_of_workers", APP)
    result = invoke("run", "user_of_workers:app", "--workers", "2", "--port", "0")
    assert result.exit_code == 1
    assert "error: workers need a directory for temporary files, which TMPDIR" in result.stderr


@pytest.mark.parametrize("option", ["workers=2", "reload=True"])
def test_app_run_has_one_process(capfd: pytest.CaptureFixture[str], option: str) -> None:
    with pytest.raises(SystemExit):
        exec(f"{APP}\napp.run({option})", {})
    assert "import the application: httpkit run module:app" in capfd.readouterr().err


def test_a_platform_without_descriptors(
    invoke: Invoke, write_module: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module("user_of_windows", APP)
    monkeypatch.setattr(supervise.sys, "platform", "win32")  # type: ignore[attr-defined]
    result = invoke("run", "user_of_windows:app", "--workers", "2")
    assert result.exit_code == 1
    assert "one process is what there is" in result.stderr


def test_a_worker_whose_supervisor_is_gone_before_it_begins() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    try:
        assert run_worker(reading) == 0
    finally:
        os.close(reading)
