"""The Dockerfile as far as it can be checked without Docker; `.ci/package` runs its steps."""

import fnmatch
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import httpkit
from httpkit.cli.run import run_command

ROOT = Path(__file__).resolve().parents[2]


def load_reader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dockerfile", ROOT / ".ci" / "dockerfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reader = load_reader()
BUILD, FINAL = reader.read_stages()
CONTEXT = [
    source for stage in (BUILD, FINAL) for names, _ in reader.copies(stage) for source in names
]


def kept(name: str) -> bool:
    """Whether .dockerignore lets a top-level name into the build context."""
    result = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if fnmatch.fnmatchcase(name, pattern):
                result = line.startswith("!")
    return result


def test_two_stages_of_the_same_python() -> None:
    images = [stage[0].words[0] for stage in (BUILD, FINAL)]
    assert images == ["python:${PYTHON}-slim"] * 2
    assert BUILD[0].value.endswith(" AS build")
    assert [step.value for step in FINAL if "--from" in step.value] == ["--from=build /venv /venv"]


@pytest.mark.parametrize("source", CONTEXT)
def test_what_is_copied_exists_and_is_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    assert kept(source)


def test_nothing_else_is_in_the_context() -> None:
    inside = {path.name for path in ROOT.iterdir() if kept(path.name)}
    assert inside == set(CONTEXT)


def test_everything_the_wheel_is_built_from_is_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    readme = re.search(r'^readme = "(.*)"$', project, re.MULTILINE)
    licenses = re.search(r'^license-files = \["(.*)"\]$', project, re.MULTILINE)
    assert readme is not None
    assert licenses is not None
    (files, _), *_ = reader.copies(BUILD)
    assert set(files) == {"pyproject.toml", readme[1], licenses[1]}


def test_it_does_not_run_as_root() -> None:
    user = reader.last(FINAL, "USER").value
    assert int(user) > 0
    created = next(step.value for step in FINAL if step.name == "RUN" and "useradd" in step.value)
    assert f"--uid {user} " in created


def test_the_command_is_one_that_httpkit_understands() -> None:
    program, command, *_ = reader.last(FINAL, "ENTRYPOINT").words
    assert (program, command) == ("httpkit", "run")
    words = reader.last(FINAL, "CMD").words
    context = run_command.make_context("run", list(words))
    assert words[0] in context.params.values()
    module, _, name = words[0].partition(":")
    assert isinstance(getattr(importlib.import_module(module), name), httpkit.App)
    assert context.params["host"] == "0.0.0.0"
    port = context.params["port"] or httpkit.Config().port
    assert str(port) == reader.last(FINAL, "EXPOSE").value


def test_the_health_check_asks_the_port_that_is_served() -> None:
    health = reader.last(FINAL, "HEALTHCHECK").value
    assert f"http://127.0.0.1:{reader.last(FINAL, 'EXPOSE').value}/" in health
