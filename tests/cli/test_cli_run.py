"""`httpkit run` and `App.run` as processes: from the banner to the exit code."""

import json
import os
import re
import resource
import socket
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any

import pytest

from httpkit import __version__

from .conftest import APP, Invoke, Write

STREAMING = f"""{APP}
import asyncio
released = asyncio.Event()

@app.get("/wait")
async def wait(request):
    print("waiting", flush=True)
    while not request.shutting_down:
        await asyncio.sleep(0.01)
    return "finished"
"""
BLOCKING = f"""{APP}
import time

@app.get("/sleep")
async def sleep(request):
    print("blocked", flush=True)
    time.sleep(1000)

@app.get("/spin")
async def spin(request):
    print("blocked", flush=True)
    while True: pass
"""
STANDARD_STREAMS = f"""{APP}
import os

@app.get("/null")
async def null(request):
    return [os.path.samestat(os.fstat(number), os.stat(os.devnull)) for number in range(3)]
"""
LIFESPAN = """\
import asyncio
from contextlib import asynccontextmanager
from httpkit import App

async def fail():
    await asyncio.sleep(0)
    raise OSError("the database is gone")

@asynccontextmanager
async def lifespan(app):
    {body}

app = App(lifespan=lifespan)
"""


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


@pytest.fixture
def run(start_httpkit: Any, tmp_path: Path, write_module: Write) -> Any:
    """Serve a source as a module, on a free port unless told otherwise."""

    def start(source: str, *arguments: str, **options: Any) -> Any:
        write_module("site_under_test", source)
        where = () if {"--port", "--unix", "--fd"} & set(arguments) else ("--port", "0")
        target = ("run", "site_under_test:app", "--app-dir", str(tmp_path))
        return start_httpkit(*target, *where, *arguments, **options)

    return start


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_serves_until_a_signal(run: Any, loop: str, number: Any) -> None:
    process = run(APP, "--loop", loop)
    url = process.wait_for_url()
    assert read(url) == "Hello"
    assert process.stop(number) == 0
    banner, address, stopping = process.errors.splitlines()
    engines = "HTTP/1.1 (native) · HTTP/2 (native)"
    assert banner == f"httpkit {__version__} · {engines} · {loop} · pid {process.pid}"
    assert address == f"  {url}"
    assert f"{number.name}: stopping" in stopping
    assert re.fullmatch(r'127\.0\.0\.1 - - \[.*\] "GET / HTTP/1\.1" 200 5 .*\n', process.output)


def test_a_unix_socket_and_other_options(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "httpkit.sock"
    process = run(APP, "--unix", str(path), "--unix-mode", "600", "--access-log-format", "json")
    assert process.wait_for_url() == f"unix:{path}"
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := client.recv(65536):
            answer += data
    assert answer.endswith(b"\r\n\r\nHello")
    assert process.stop() == 0
    assert json.loads(process.output)["status"] == 200
    assert not path.exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_closed_standard_streams(
    start_process: Any, write_module: Write, tmp_path: Path, workers: str
) -> None:
    """What a socket would have as its number is open, and the log goes nowhere."""
    write_module("site_under_test", STANDARD_STREAMS)
    path = tmp_path / "httpkit.sock"
    command = f'{sys.executable} -m httpkit run site_under_test:app --app-dir "$0" --unix "$1"'
    close = f"exec {command} --workers {workers} <&- >&- 2>&-"
    process = start_process("sh", "-c", close, str(tmp_path), str(path))

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.connect(str(path))
            client.sendall(b"GET /null HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return client.recv(65536)
        return b""

    assert process.wait_for(ask, "an answer").endswith(b"\r\n\r\n[true,true,true]")
    assert process.stop() == 0


def test_a_project_needs_no_arguments(
    start_httpkit: Any, tmp_path: Path, write_module: Write
) -> None:
    write_module("src.site_of_the_project", APP)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.httpkit]\napp = "site_of_the_project:app"\napp-dir = "src"\nport = 1\n'
    )
    process = start_httpkit("run", cwd=tmp_path, env={**os.environ, "HTTPKIT_PORT": "0"})
    assert read(process.wait_for_url()) == "Hello"
    assert process.stop() == 0


def test_a_wrong_value_fails_before_anything_else(
    start_httpkit: Any, tmp_path: Path, write_module: Write
) -> None:
    write_module("site_of_the_project", "print('imported', flush=True)\n")
    (tmp_path / "httpkit.toml").write_text('app = "site_of_the_project:app"\nbacklog = 0\n')
    process = start_httpkit("run", cwd=tmp_path)
    assert process.wait() == 1
    assert process.output == ""
    assert process.errors == (
        "httpkit: error: httpkit.toml:2: backlog = 0 is not a whole number, at least 1; "
        "write it as in backlog = 2048\n"
    )


def test_quiet(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        number, port = parent.fileno(), parent.getsockname()[1]
        quiet = ("--log-level", "warning", "--no-access-log")
        process = run(APP, "--fd", str(number), *quiet, pass_fds=[number])
        assert read(f"http://127.0.0.1:{port}/") == "Hello"  # waits in the queue until then
        assert process.stop() == 0
    assert process.errors == process.output == ""


def test_running_requests_are_finished(run: Any) -> None:
    process = run(STREAMING)
    host, port = process.wait_for_url().removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        process.wait_for(lambda: "waiting" in process.output, "the request")
        process.signal(SIGTERM)
        answer = b""
        while data := client.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"finished")
    assert process.wait() == 0


def test_it_stops_after_so_many_requests(run: Any) -> None:
    """As uvicorn's --limit-max-requests, one of whose names it is; what runs is finished."""
    process = run(STREAMING, "--limit-max-requests", "3", "--no-access-log")
    url = process.wait_for_url()
    answers = [read(url), read(url)]
    answers.append(read(f"{url}/wait"))
    assert answers == ["Hello", "Hello", "finished"]
    assert process.wait() == 0
    assert process.errors.splitlines()[-1].endswith(
        "3 requests were served (max_requests): stopping"
    )


@pytest.mark.parametrize("path", ["/sleep", "/spin"])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_the_second_signal_ends_a_blocked_server(run: Any, loop: str, path: str) -> None:
    process = run(BLOCKING, "--loop", loop)
    url = process.wait_for_url()
    assert read(url) == "Hello"
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        process.wait_for(lambda: "blocked" in process.output, "the blocking request")

        def press() -> bool:
            """Ctrl-C until it helps: two signals that come as one count as one."""
            if not process.ended:
                process.signal(SIGINT)
            time.sleep(0.1)
            return bool(process.ended)

        process.wait_for(press, "the end")
    assert process.wait() == 128 + SIGINT
    assert "SIGINT again: ended at once" in process.errors
    assert '"GET / HTTP/1.1" 200' in process.output


@pytest.mark.parametrize(
    ("body", "code", "logged", "banner"),
    [
        ("raise OSError('no database'); yield", 3, "the application failed to start", False),
        ("yield; raise OSError('gone')", 1, "the application failed while it was stopping", True),
        (
            "async with asyncio.TaskGroup() as group: group.create_task(fail()); yield",
            1,
            "the application failed while it was stopping",
            True,
        ),
    ],
    ids=["start", "stop", "between"],
)
def test_a_lifespan_that_fails(run: Any, body: str, code: int, logged: str, banner: bool) -> None:
    process = run(LIFESPAN.format(body=body))
    if "TaskGroup" not in body and banner:
        process.wait_for_url()
        process.signal(SIGTERM)
    assert process.wait() == code
    assert process.errors.count(logged) == 1
    assert process.errors.count("\nOSError") + process.errors.count("| OSError") == 1
    assert ("  http://" in process.errors) == banner


def test_a_signal_during_the_start(run: Any) -> None:
    body = (
        "print('starting', flush=True)\n"
        "    try: await asyncio.Event().wait()\n"
        "    finally: print('cleaned up', flush=True)\n"
        "    yield"
    )
    process = run(LIFESPAN.format(body=body))
    process.wait_for(lambda: "starting" in process.output, "the lifespan")
    assert process.stop() == 0
    assert "cleaned up" in process.output
    assert "Traceback" not in process.errors
    assert "http://" not in process.errors


IMPORT_AS_INIT = """
import os, sys
os.getpid = lambda: 1
from httpkit.cli import main
sys.argv = ["httpkit", "run", "slow:app"]
main()
"""


def test_the_first_process_of_a_container_ends_while_it_imports(
    start_process: Any, tmp_path: Path
) -> None:
    """The kernel does not deliver SIGTERM there unless there is a handler."""
    tmp_path.joinpath("slow.py").write_text(
        "import signal\n"
        "print(callable(signal.getsignal(signal.SIGTERM)), flush=True)\n"
        "signal.pause()\n"
    )
    process = start_process(sys.executable, "-c", IMPORT_AS_INIT, cwd=tmp_path)
    process.wait_for(lambda: process.output, "the import")
    assert process.output == "True\n"
    assert process.stop(SIGTERM) == 128 + SIGTERM


def test_a_lifespan_that_cancels_itself_is_a_failure(run: Any) -> None:
    process = run(LIFESPAN.format(body="raise asyncio.CancelledError; yield"))
    assert process.wait() == 3
    assert "the application failed to start" in process.errors


def test_an_address_in_use(run: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = run(APP, "--port", str(port))
        assert process.wait() == 1
    assert process.errors == (
        f"httpkit: error: 127.0.0.1:{port} is already in use: stop the process that has it, or "
        "choose another port with --port\n"
    )


def test_debug(run: Any) -> None:
    source = f"{APP}\n@app.get('/fail')\nasync def fail(request): return 1 / 0\n"
    process = run(source, "--debug")
    with pytest.raises(urllib.error.HTTPError) as caught:
        read(f"{process.wait_for_url()}/fail")
    assert "ZeroDivisionError" in caught.value.read().decode()
    caught.value.close()
    assert process.stop() == 0
    assert process.errors.count("debug mode: clients see tracebacks") == 1


def test_debug_of_another_framework(run: Any) -> None:
    source = (
        "class App:\n    debug = True\n    async def __call__(self, scope, receive, send): ...\n"
    )
    process = run(f"{source}app = App()\n", "--lifespan", "off")
    process.wait_for_url()
    assert process.stop() == 0
    assert "debug mode: clients see tracebacks" in process.errors


def test_descriptors_are_raised_to_the_hard_limit(run: Any) -> None:
    source = f"""{APP}
import resource

@app.get("/limit")
async def limit(request):
    return list(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    limits = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))  # noqa: E731
    process = run(source, preexec_fn=limits)
    assert read(f"{process.wait_for_url()}/limit") == "[512,512]"
    assert process.stop() == 0


def test_app_run(start_process: Any, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"{APP}\nif __name__ == '__main__':\n"
        "    app.run(port=0, access_log=False)\n    print('after')\n"
    )
    process = start_process(sys.executable, str(script))
    assert read(process.wait_for_url()) == "Hello"
    assert process.stop(SIGINT) == 0
    assert process.output == "after\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("port='http'", "port: expected `int`, got `str`"),
        ("prot=1", "there is no option 'prot': a server has the fields of Config and Limits"),
        ("debug=True", "there is no option 'debug': a server has the fields of Config and Limits"),
        ("host='192.0.2.1'", "192.0.2.1:8000: this machine has no such address"),
    ],
)
def test_app_run_with_a_mistake(
    capfd: pytest.CaptureFixture[str], write_module: Write, options: str, message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        exec(f"{APP}\napp.run({options})", {})
    assert caught.value.code == 1
    assert message in capfd.readouterr().err


def test_two_places_to_listen_on(invoke: Invoke) -> None:
    result = invoke("run", "x:app", "--unix", "/x.sock", "--port", "80")
    assert result.exit_code == 2
    assert "port (--port) and unix (--unix) are two places to listen on" in result.stderr


def test_version_and_help(start_httpkit: Any) -> None:
    version = start_httpkit("--version")
    assert version.wait() == 0
    assert version.output == f"httpkit {__version__}\n"
    usage = start_httpkit("run", "--help")
    assert usage.wait() == 0
    assert "Limits: shutdown:" in usage.output
