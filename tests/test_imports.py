"""Every module of the package imports by itself, in development mode, without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: The same program that .ci/package runs against the built wheel.
IMPORT_ALL = ROOT / ".ci" / "import_all.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_module_imports_without_a_warning() -> None:
    result = run(str(IMPORT_ALL))
    assert (result.returncode, result.stderr) == (0, "")
    modules = result.stdout.split()
    files = [path for path in (ROOT / "httpkit").rglob("*.py") if path.name != "__main__.py"]
    assert len(modules) == len(files)
    assert {"httpkit", "httpkit.testing", "httpkit.cli", "httpkit.protocol.engine"} <= set(modules)


@pytest.mark.parametrize("module", ["httpkit", "httpkit.testing", "httpkit.cli"])
def test_the_doors_import_first(module: str) -> None:
    """Alone, so that no other import hides a circle."""
    result = run("-c", f"import {module}")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_program_starts_without_a_warning() -> None:
    result = run("-m", "httpkit", "--version")
    assert result.returncode == 0
    assert result.stdout.startswith("httpkit ")
    assert result.stderr == ""
