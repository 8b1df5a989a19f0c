"""A server is started on its core, found ready, and never left behind."""

import os
import socket
import time
from pathlib import Path

import pytest

from benchmarks import procfs
from benchmarks.cases import CASES
from benchmarks.credentials import Credentials
from benchmarks.process import StartError, running
from benchmarks.servers.server import Materials, Server

MATERIALS = Materials(Credentials(Path("/unused"), Path("/unused")), Path("/unused"))
PARENT = """\
import http.server, subprocess, sys, signal
signal.signal(signal.SIGTERM, {handler})
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
http.server.test(port=int(sys.argv[1]), bind="127.0.0.1")
"""


@pytest.fixture
def core():
    return min(os.sched_getaffinity(0))


def make_server(tmp_path, monkeypatch, source):
    """Make a server of some source, run as a module like all servers."""
    name = "benchmark_test_server"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Server(name, "other", "a test", (name, "{port}"), (), only=())


def is_alive(pid):
    try:
        state = (procfs.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize("handler", ["signal.SIG_DFL", "signal.SIG_IGN"])
def test_the_whole_process_group_is_ended(tmp_path, monkeypatch, core, handler):
    monkeypatch.setattr("benchmarks.process.STOP_TIMEOUT", 0.2)
    before = os.sched_getaffinity(0)
    server = make_server(tmp_path, monkeypatch, PARENT.format(handler=handler))
    pids = []

    def interrupt():
        with running(server, CASES["plaintext"], core, tmp_path / "output", MATERIALS) as process:
            socket.create_connection(("127.0.0.1", process.endpoint.port)).close()
            pids.extend(stat.pid for stat in procfs.read_tree(process.pid))
            assert {frozenset(os.sched_getaffinity(pid)) for pid in pids} == {frozenset({core})}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert len(pids) == 2
    assert os.sched_getaffinity(0) == before
    deadline = time.monotonic() + 5
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_alive, pids))


def test_a_server_that_ends_at_once_is_an_error_with_its_last_line(tmp_path, monkeypatch, core):
    server = make_server(tmp_path, monkeypatch, "print('hello')\nraise SystemExit('no way')")
    with (
        pytest.raises(StartError, match="ended with 1: no way"),
        running(server, CASES["plaintext"], core, tmp_path / "output", MATERIALS),
    ):
        pass


def test_a_server_that_never_listens_is_an_error(tmp_path, monkeypatch, core):
    monkeypatch.setattr("benchmarks.process.START_TIMEOUT", 0.3)
    server = make_server(tmp_path, monkeypatch, "import time\ntime.sleep(600)")
    with (
        pytest.raises(StartError, match=r"did not listen within .* it wrote nothing"),
        running(server, CASES["plaintext"], core, tmp_path / "output", MATERIALS),
    ):
        pass
