"""Static files: what is in them, how nginx is configured, and servers that serve them."""

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from benchmarks import files
from benchmarks.cases import CASES
from benchmarks.cases.files import FIRST, LAST
from benchmarks.clients import VerificationError
from benchmarks.credentials import Credentials
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.files import large_slice, make_files, many_content, many_target
from benchmarks.process import free_port, running
from benchmarks.runner import Cell, make_materials
from benchmarks.servers.nginx import configure
from benchmarks.servers.registry import SERVERS
from benchmarks.servers.server import Materials
from benchmarks.verify import prepare, verify
from httpkit import App, Response
from httpkit.testing import LiveServer

CONDITIONAL = CASES["static-304"]
#: All cases of files are served by the same process: the application does not depend on the case.
NAMES = [name for name, case in CASES.items() if case.needs == "files"]


@pytest.fixture(scope="module")
def materials():
    """The files of a run; they are too large to be kept."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "www"
        make_files(root)
        yield Materials(Credentials(Path("/unused"), Path("/unused")), root)


def test_files_have_the_sizes_of_their_names_and_one_old_date(materials):
    sizes = {path.name: path.stat().st_size for path in materials.files.iterdir() if path.is_file()}
    assert sizes == {"10k.png": 10 * 1024, "100m.bin": 100 * 2**20}
    many = list((materials.files / "many").iterdir())
    assert len(many) == 1000
    assert {path.stat().st_size for path in many} == {4096}
    assert len({path.read_bytes() for path in many}) == 1000
    everything = [path for path in materials.files.rglob("*") if path.is_file()]
    assert {path.stat().st_mtime for path in everything} == {files.MODIFIED}


def test_files_hold_what_is_asked_for(materials):
    for name in NAMES:
        for request in CASES[name].requests():
            path = materials.root / request.target.strip("/")
            assert path.is_file()
    target = many_target(42)
    assert (materials.root / target.strip("/")).read_bytes() == many_content(target)
    assert many_content(target) == b"0042" * 1024


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (FIRST, LAST), (65_535, 65_536), (65_536, 200_000)]
)
def test_slices_are_those_of_the_large_file(materials, first, last):
    with (materials.files / files.LARGE).open("rb") as large:
        large.seek(first)
        assert large_slice(first, last) == large.read(last - first + 1)


def test_the_range_is_64_kib_and_not_at_a_border():
    case = CASES["static-range"]
    assert len(case.answer.body) == 64 * 1024
    assert FIRST % 4096
    (request,) = case.requests()
    assert request.headers == (("Range", f"bytes={FIRST}-{LAST}"),)
    assert case.answer.fields == (("content-range", f"bytes {FIRST}-{LAST}/{100 * 2**20}"),)


@pytest.mark.parametrize(("case", "made"), [("plaintext", False), ("static-10k", True)])
def test_files_are_made_for_runs_that_need_them(tmp_path, monkeypatch, case, made):
    monkeypatch.setattr(files, "LARGE_BLOCKS", 1)
    cells = [Cell(1, CASES["plaintext"], SERVERS["limit"]), Cell(1, CASES[case], SERVERS["nginx"])]
    materials = make_materials(cells, tmp_path)
    assert materials.credentials.key.is_file()
    assert materials.files.is_dir() is made


def test_nginx_is_configured_for_one_worker_without_log():
    configuration = configure(8123, Path("/run/www"), user="", open_file_cache=False)
    for line in (
        "worker_processes 1;",
        "access_log off;",
        "sendfile on;",
        "listen 127.0.0.1:8123 backlog=2048;",
        'root "/run/www";',
    ):
        assert f"{line}\n" in configuration
    assert "user " not in configuration
    assert "open_file_cache" not in configuration
    other = configure(8123, Path("/run/www"), user="root root", open_file_cache=True)
    assert "\nuser root root;\n" in other
    assert "open_file_cache max=4096;" in other


def served():
    """Yield each server with its cases, or with one at a time where that is all it knows."""
    for server in SERVERS.values():
        cases = [CASES[name] for name in NAMES if name in server.only]
        if not cases or server.family == "aiohttp":  # which is not installed here
            continue
        nginx = server.program is not None
        missing = nginx and shutil.which("nginx") is None
        marks = [pytest.mark.skipif(missing, reason="needs nginx"), pytest.mark.system]
        for each in [[case] for case in cases] if server.canned else [cases]:
            name = f"{server.name}-{each[0].name}" if server.canned else server.name
            yield pytest.param(server, each, marks=marks if nginx else (), id=name)


@pytest.mark.parametrize(("server", "cases"), list(served()))
def test_the_files_are_served_as_they_must(materials, tmp_path, server, cases):
    core = min(os.sched_getaffinity(0))
    with running(server, cases[0], core, tmp_path / "output", materials) as process:
        for case in cases:
            verify(prepare(case, process.endpoint), process.endpoint, canned=server.canned)
    assert (tmp_path / "output").read_text() == ""


def files_app(**fields):
    """Serve the file of the case with other validators, and conditionally if it has any."""
    app = App()

    @app.get("/static/{path:path}")
    async def file(request, path):
        names = {"if-none-match", "if-modified-since"}
        received = {name: value for name, value in request.headers.items() if name in names}
        seen.append(received)
        if received:
            return Response(status=304)
        return Response(files.MEDIUM_CONTENT, headers=fields)

    seen: list[dict[str, str]] = []
    app.state.seen = seen
    return app


@pytest.mark.parametrize(
    ("fields", "conditions"),
    [
        ({"ETag": '"a"'}, {"if-none-match": '"a"'}),
        (
            {"Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT"},
            {"if-modified-since": "Tue, 14 Nov 2023 22:13:20 GMT"},
        ),
        (
            {"ETag": 'W/"b"', "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT"},
            {
                "if-none-match": 'W/"b"',
                "if-modified-since": "Tue, 14 Nov 2023 22:13:20 GMT",
            },
        ),
    ],
)
def test_conditions_are_those_that_the_server_gave(fields, conditions):
    app = files_app(**fields)
    with LiveServer(app, host=HOST) as server:
        endpoint = Endpoint(server.port)
        case = dataclasses.replace(prepare(CONDITIONAL, endpoint), probes=())
        (request,) = case.requests()
        assert {name.lower(): value for name, value in request.headers} == conditions
        verify(case, endpoint, canned=True)
    assert app.state.seen == [{}, conditions]


def test_a_server_without_validators_has_nothing_to_measure():
    with (
        LiveServer(files_app(), host=HOST) as server,
        pytest.raises(VerificationError, match="without ETag and Last-Modified"),
    ):
        prepare(CONDITIONAL, Endpoint(server.port))


def test_a_server_that_is_away_is_no_proper_answer():
    with pytest.raises(VerificationError, match="no proper answer"):
        prepare(CONDITIONAL, Endpoint(free_port()))


def test_a_case_that_needs_no_preparation_is_sent_as_it_is():
    case = CASES["plaintext"]
    assert prepare(case, Endpoint(free_port())) is case
