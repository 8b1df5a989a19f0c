"""The command line: what it refuses, and how it ends."""

import importlib.util
import shutil

import pytest
from benchmark_samples import make_results, make_sample
from click.testing import CliRunner

from benchmarks import cli
from benchmarks.runner import Settings


@pytest.fixture
def invoke(monkeypatch):
    """Run the command line with measurements that are made up."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    runs = []

    def run(*arguments, results=None):
        def collect(cases, servers, settings):
            runs.append((cases, servers, settings))
            if results is None:
                raise KeyboardInterrupt
            return results

        monkeypatch.setattr(cli, "collect", collect)
        return CliRunner().invoke(cli.main, arguments)

    run.runs = runs
    return run


@pytest.mark.parametrize(
    ("cases", "packages"),
    [
        ("plaintext", ["wrk"]),
        ("h2c-16x32,download-h2-tls", ["nghttp2-client"]),
        ("handshake,plaintext,h2c-16x32", ["wrk", "nghttp2-client"]),
    ],
)
def test_without_a_load_generator_it_names_the_package(monkeypatch, cases, packages):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = CliRunner().invoke(cli.main, ["--quick", "--cases", cases])
    assert result.exit_code == 2
    for line, package in zip(result.output.splitlines(), packages, strict=True):
        assert f"(apt install {package})" in line


def test_load_generators_are_only_needed_for_their_cases(invoke, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "h2load" else None)
    assert invoke("--cases", "handshake,h2c-16x32").exit_code == 130
    assert invoke.runs[0][0] == ["handshake", "h2c-16x32"]


@pytest.mark.parametrize(("option", "known"), [("--cases", "browser"), ("--servers", "limit")])
def test_unknown_names_are_refused_with_the_known_ones(invoke, option, known):
    result = invoke(option, "nonsense")
    assert result.exit_code == 2
    assert "unknown: nonsense" in result.output
    assert known in result.output


def test_names_keep_the_order_of_the_registry(invoke):
    invoke("--cases", "json, plaintext", "--servers", "uvicorn-h11,limit")
    assert invoke.runs == [(["plaintext", "json"], ["limit", "uvicorn-h11"], Settings(5, 3, 1))]


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], Settings(5, 3, 1)),
        (["--quick"], Settings(1, 1, 1)),
        (["--quick", "--rounds", "2", "--warmup", "0"], Settings(1, 2, 0)),
        (["--duration", "10"], Settings(10, 3, 1)),
        (["--duration", "0.3", "--warmup", "0.2"], Settings(0.3, 3, 0.2)),
    ],
)
def test_settings(invoke, arguments, settings):
    invoke(*arguments)
    assert invoke.runs[0][2] == settings


def test_interruption_writes_nothing(invoke, tmp_path):
    result = invoke("--output", str(tmp_path / "report"))
    assert result.exit_code == 130
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("cpu", "failures", "code"),
    [
        ({"httpkit": [10], "limit": [9]}, [], 0),
        ({"httpkit": [10], "limit": [1]}, [], 1),
        ({"httpkit": [10], "uvicorn-starlette": [1]}, [("uvicorn-starlette", "dead")], 1),
        ({"httpkit": [10]}, [], 0),
    ],
)
def test_exit_code_tells_whether_all_went_well(invoke, tmp_path, cpu, failures, code):
    result = invoke("--output", str(tmp_path), results=make_results(cpu, failures))
    assert result.exit_code == code
    assert f"wrote {tmp_path / 'results.md'}" in result.output
    assert all(
        f"FAILED  plaintext {name} round 2: {why}" in result.output for name, why in failures
    )


def test_a_disturbed_run_says_so(invoke, tmp_path):
    results = make_results({"limit": [9, 9, 9]})
    assert "others used" not in invoke("--output", str(tmp_path), results=results).output
    results.samples.append(make_sample("limit", foreign_busy=0.2))
    output = invoke("--output", str(tmp_path), results=results).output
    assert "others used the server's core during 1 of 4 measurements" in output


def test_servers_that_are_not_installed_are_left_out(invoke, monkeypatch):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "granian" else name
    )
    result = invoke("--servers", "limit,granian-rsgi")
    assert "left out: granian-rsgi needs granian" in result.output
    assert invoke.runs[0][1] == ["limit"]
    assert invoke("--servers", "granian-rsgi").exit_code == 2


def test_programs_that_are_not_installed_are_named_with_their_package(invoke, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "nginx" else name)
    result = invoke("--cases", "static-10k", "--servers", "nginx,httpkit-static")
    assert "left out: nginx needs the Debian package nginx-light" in result.output
    assert invoke.runs[0][1] == ["httpkit-static"]


@pytest.mark.parametrize("duration", ["0", "-1"])
def test_a_duration_is_more_than_nothing(invoke, duration):
    assert invoke("--duration", duration).exit_code == 2
