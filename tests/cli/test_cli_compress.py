"""`httpkit compress`: the table, the exit codes, and what is said when something is wrong."""

import os
import pty
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from httpkit.cli import compress, main
from httpkit.middleware.codings import CODINGS

TEXT = "The quick brown fox jumps over the lazy dog.\n" * 500


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "app.js").write_text(TEXT)
    (tmp_path / "site" / "page.html").write_text(TEXT)
    return tmp_path / "site"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compress", *map(str, arguments)], prog_name="httpkit")


def test_a_run(site: Path) -> None:
    result = call(site)
    assert result.exit_code == 0
    heading, *lines = result.output.splitlines()
    assert heading.split() == ["CODING", "FILES", "BEFORE", "AFTER", "SAVED"]
    assert [line.split()[:4] for line in lines] == [
        [coding, "2", "45", "kB"] for coding in ("br", "zstd", "gzip")
    ]
    assert all(re.search(r"4\d kB \(\d\d+%\)$", line) for line in lines)
    assert len(list(site.iterdir())) == 8
    assert call(site).output == "6 up to date\n"


def test_the_current_directory(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site)
    table = call("--coding", "gzip", "--coding", "GZIP").output
    assert [line.split()[0] for line in table.splitlines()] == ["CODING", "gzip"]
    assert {path.suffix for path in site.iterdir()} == {".js", ".html", ".gz"}


def test_check(site: Path) -> None:
    missing = call(site, "--check")
    assert missing.exit_code == 1
    assert "6 are missing or out of date" in missing.output
    assert f"{site / 'app.js'}.br for one" in missing.output
    assert len(list(site.iterdir())) == 2
    call(site)
    current = call(site, "--check")
    assert (current.exit_code, current.output) == (0, "6 up to date\n")


def test_remove(site: Path) -> None:
    call(site, "--min-size", "0")
    assert call(site, "--remove", "--coding", "br").output == "2 removed\n"
    assert call(site, "--remove").output == "4 removed\n"
    assert len(list(site.iterdir())) == 2


def test_force(site: Path) -> None:
    call(site)
    assert "CODING" in call(site, "--force", "--jobs", "1").output


def test_what_is_not_worth_it(site: Path) -> None:
    (site / "app.js").write_bytes(os.urandom(2000))
    (site / "page.html").unlink()
    assert call(site).output == "3 not worth it\n"
    assert call(site, "--min-size", "5000").output == "Nothing to compress.\n"


def test_failures(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "app.js.gz").mkdir()
    failed = call(site)
    assert failed.exit_code == 1
    assert f"{site / 'app.js.gz'}: Is a directory\n" in failed.output
    assert "1 of 6 could not be made, see above" in failed.output

    def refuse(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr("httpkit.static.precompress.os.unlink", refuse)
    refused = call(site, "--remove")
    assert refused.exit_code == 1
    assert f"{site / 'app.js'}.br cannot be removed: Operation not permitted" in refused.output


def test_wrong_command_lines(site: Path) -> None:
    both = call(site, "--check", "--remove")
    assert both.exit_code == 2
    assert "give one" in both.output
    absent = call(site / "absent")
    assert absent.exit_code == 1
    assert "there is no directory" in absent.output


def test_without_the_libraries(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODINGS, "br", lambda: False)
    monkeypatch.setitem(CODINGS, "zstd", lambda: False)
    some = call(site)
    assert some.exit_code == 0
    assert "without br and zstd: pip install 'httpkit[compress]' adds that" in some.output
    assert {path.suffix for path in site.iterdir()} == {".js", ".html", ".gz"}
    named = call(site, "--coding", "br")
    assert named.exit_code == 1
    assert "br needs a library: pip install 'httpkit[compress]'" in named.output


def test_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compress._usable_cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert compress._usable_cores() == (os.cpu_count() or 1)


@pytest.mark.parametrize("argument", ["--check", "--force"])
def test_a_bar_on_a_terminal(site: Path, start_process: Any, argument: str) -> None:
    """On standard error, where it is a terminal; standard output has the table alone."""
    main_end, terminal = pty.openpty()
    try:
        process = start_process(
            sys.executable, "-c", WITH_TERMINAL, os.ttyname(terminal), str(site), argument
        )
        assert process.wait() == (1 if argument == "--check" else 0)
        shown = os.read(main_end, 65536).decode()
    finally:
        os.close(main_end)
        os.close(terminal)
    assert "100%" in shown
    assert ("checking" if argument == "--check" else "compressing") in shown
    assert "%  " not in process.output


WITH_TERMINAL = """
import os, sys
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_NOCTTY), 2)
from httpkit.cli import main
main(["compress", *sys.argv[2:]])
"""
