"""`httpkit config`, and `run` and `routes` in a project with a configuration file."""

import json
import logging
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from httpkit.cli import config as config_module
from httpkit.cli import main
from httpkit.cli.schema import RUN_SETTINGS, SETTINGS
from httpkit.server import process

from .conftest import APP, Write

FILE = """\
app = "project_site:app"
unix-mode = "600"
access-log = false
tcp-keep-alive = [1, 2, 3]
server-header = ""

[limits]
max-body = "off"
header-timeout = 0.5
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_module: Write) -> Path:
    """A current directory with a module and a configuration file."""
    monkeypatch.chdir(tmp_path)
    write_module("project_site", APP)
    file = tmp_path / "httpkit.toml"
    file.write_text(FILE)
    return file


def invoke(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="httpkit", env=environ)


def table(output: str) -> dict[str, list[str]]:
    """The lines of the listing by option: value and origin, and the star in front if any."""
    rows = [line for line in output.splitlines() if line[:2] in ("* ", "  ")]
    return {row[2:].split()[0]: [row[0].strip(), *shlex.split(row[2:])[1:]] for row in rows}


def test_every_value_and_where_it_comes_from(project: Path) -> None:
    result = invoke("config", "--port", "80", HTTPKIT_LOG_LEVEL="ERROR")
    assert result.exit_code == 0
    assert result.stdout.startswith("Configuration file: httpkit.toml\n\nApplication\n* app ")
    rows = table(result.stdout)
    assert list(rows) == list(RUN_SETTINGS)
    assert rows["app"] == ["*", "project_site:app", "httpkit.toml:1"]
    assert rows["port"] == ["*", "80", "--port"]
    assert rows["log_level"] == ["*", "error", "HTTPKIT_LOG_LEVEL"]
    assert rows["unix_mode"] == ["*", "600", "httpkit.toml:2"]
    assert rows["max_body"] == ["*", "off", "httpkit.toml:8"]
    assert rows["max_target"] == ["", "8192", "default"]
    assert "\nLimits: request bodies\n" in result.stdout
    lines = result.stdout.splitlines()
    assert len({line.index("default") for line in lines if line.endswith("  default")}) == 1


def test_only_what_is_changed(project: Path) -> None:
    result = invoke("config", "--changed", "--backlog", "2048")
    rows = table(result.stdout)
    assert list(rows) == [
        "app", "unix_mode", "tcp_keep_alive", "access_log", "server_header",
        "header_timeout", "max_body",
    ]  # fmt: skip
    project.unlink()
    assert invoke("config", "--changed").stdout == "Configuration file: none\n"


def test_the_listing_can_be_entered_again(project: Path) -> None:
    listed = table(invoke("config", "--host", "*").stdout)
    variables = {SETTINGS[name].variable: row[1] for name, row in listed.items() if name != "unix"}
    again = table(invoke("config", "--config", "off", **variables).stdout)
    assert {name: row[:2] for name, row in again.items()} == {
        name: row[:2] for name, row in listed.items()
    }


def test_json(project: Path) -> None:
    shown = json.loads(invoke("config", "--json", "proj:app").stdout)
    assert shown["file"] == "httpkit.toml"
    assert [*shown["options"], *shown["limits"]] == list(RUN_SETTINGS)
    assert shown["options"]["app"] == {
        "value": "proj:app", "text": "proj:app", "origin": "command line", "changed": True,
    }  # fmt: skip
    assert shown["options"]["unix_mode"]["value"] == 0o600
    assert shown["options"]["unix_mode"]["text"] == "600"
    assert shown["options"]["tcp_keep_alive"]["value"] == [1, 2, 3]
    assert shown["limits"]["max_body"]["value"] is None
    assert shown["limits"]["max_target"] == {
        "value": 8192, "text": "8192", "origin": "default", "changed": False,
    }  # fmt: skip
    only = json.loads(invoke("config", "--json", "--changed", "--config", "off").stdout)
    assert only == {"file": None, "options": {}, "limits": {}}


@pytest.mark.parametrize("wanted", [True, False])
def test_color(project: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    monkeypatch.setattr(config_module, "is_colored", lambda stream: wanted)
    result = invoke("config")
    assert ("\x1b[33m* app " in result.stdout) == wanted
    assert click.unstyle(result.stdout).startswith(
        "Configuration file: httpkit.toml\n\nApplication"
    )


@pytest.mark.parametrize("command", ["run", "config", "routes"])
def test_wrong_values_end_it_with_a_sentence(project: Path, command: str) -> None:
    result = invoke(command, HTTPKIT_PORT="http")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "httpkit: error: HTTPKIT_PORT: 'http' is not a whole number from 0 to 65535\n"
    )
    project.write_text("prt = 80\n")
    result = invoke(command)
    assert result.exit_code == 1
    assert result.stderr == (
        "httpkit: error: httpkit.toml:1: there is no option 'prt': did you mean port?\n"
    )


def test_the_file_may_be_named_by_a_variable(project: Path) -> None:
    project.rename(project.parent / "other.toml")
    assert "Configuration file: none" in invoke("config").stdout
    assert "other.toml:2" in invoke("config", HTTPKIT_CONFIG="other.toml").stdout
    assert "Configuration file: none" in invoke("config", HTTPKIT_CONFIG="off").stdout


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `run` would serve, instead of serving it."""
    calls: list[Any] = []
    monkeypatch.setattr(process, "run", lambda *arguments: calls.append(arguments))
    logger = logging.getLogger("httpkit")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield calls
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


def test_run_in_a_project(project: Path, served: list[Any]) -> None:
    result = invoke("run", "--unix", "x.sock", HTTPKIT_DEBUG="1", HTTPKIT_MAX_HEADERS="7")
    assert result.exit_code == 0, result.output
    [(application, config, _)] = served
    assert application.debug
    assert (config.unix, config.unix_mode, config.access_log) == ("x.sock", 0o600, False)
    assert (config.limits.max_body, config.limits.header_timeout) == (None, 0.5)
    assert (config.limits.max_headers, config.server_header) == (7, None)


def test_routes_in_a_project(project: Path) -> None:
    result = invoke("routes")
    assert result.exit_code == 0
    assert "project_site.index" in result.stdout


def test_no_application(project: Path) -> None:
    for command in ("run", "routes"):
        result = invoke(command, "--config", "off")
        assert result.exit_code == 1
        assert result.stderr == (
            "httpkit: error: no application is named: give one, as in "
            f'"httpkit {command} main:app", or write app = "main:app" into httpkit.toml\n'
        )
    project.rename(project.parent / "site.toml").write_text("port = 1\n")
    result = invoke("run", "--config", "site.toml")
    assert result.stderr.endswith('app = "main:app" into site.toml\n')


def test_a_program_takes_what_it_is_given(
    project: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`App.run` reads neither the environment nor a file."""
    monkeypatch.setenv("HTTPKIT_BACKLOG", "many")
    namespace: dict[str, Any] = {}
    exec(APP, namespace)
    namespace["app"].run(port=1)
    [(_, config, _)] = served
    assert (config.backlog, config.unix_mode, config.access_log) == (2048, 0o660, True)
