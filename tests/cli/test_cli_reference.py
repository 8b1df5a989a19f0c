"""The generated part of docs/configuration.md; tests/docs compares the page with it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from httpkit.cli import reference

BEGIN, END = reference._BEGIN, reference._END


def test_what_stands_around_it_is_kept(tmp_path: Path, start_process: Any) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before ä\n{BEGIN}old\n{END}after\n")
    process = start_process(sys.executable, "-m", "httpkit.cli.reference", str(page))
    assert process.wait() == 0
    text = page.read_text()
    assert text.startswith(f"before ä\n{BEGIN}\n### Application\n\n#### `app`\n")
    assert text.endswith(f"\n\n{END}after\n")
    assert "\nold\n" not in text
    assert reference.insert_reference(text) == text


def test_an_option_in_all_its_forms() -> None:
    text = reference.insert_reference(BEGIN + END)
    assert (
        "#### `unix_mode`\n\n"
        '`--unix-mode OCTAL` · `HTTPKIT_UNIX_MODE=660` · `unix_mode = "660"`\n\n'
        "Permission bits of the Unix socket: owner and group may connect, as with php-fpm.\n\n"
        "Default: `660`. Value: an octal number from 0 to 777.\n\n"
    ) in text
    assert (
        "`--max-body N|off` · `HTTPKIT_MAX_BODY=16_777_216` · `[limits] max_body = 16_777_216`\n\n"
    ) in text
    assert "Default: empty. Value: values with commas between (a path)." in text
    assert "`--debug` · `--no-debug` · `HTTPKIT_DEBUG=false` · `debug = false`\n\n" in text


@pytest.mark.parametrize("page", ["", BEGIN, END, END + BEGIN])
def test_a_page_without_markers_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match="the page has no lines"):
        reference.insert_reference(page)
