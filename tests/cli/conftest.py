"""Modules of an imaginary user, and the command line in this process."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from httpkit.cli import main

Write = Callable[[str, str], str]
Invoke = Callable[..., Result]

#: A small application; `write_module` puts it in front of what a test adds.
APP = """\
from httpkit import App, Request

app = App()

@app.get("/", name="index")
async def index(request: Request) -> str:
    return "Hello"
"""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that whoever runs the tests has set for servers of their own."""
    for variable in [name for name in os.environ if name.startswith("HTTPKIT_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def write_module(tmp_path: Path) -> Iterator[Write]:
    """Write `name.py` into the directory of this test and give its name."""
    names: list[str] = []
    path = list(sys.path)

    def write(name: str, source: str) -> str:
        file = tmp_path / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
        names.append(name)
        return name

    yield write
    sys.path[:] = path
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def invoke(tmp_path: Path) -> Iterator[Invoke]:
    """Call a command that takes --app-dir, here: with the directory of this test."""
    logger = logging.getLogger("httpkit")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate

    def call(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(
            main, [command, "--app-dir", str(tmp_path), *arguments], prog_name="httpkit"
        )

    yield call
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate
