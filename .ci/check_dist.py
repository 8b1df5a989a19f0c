"""Look into a built wheel and sdist: what has to be there is, and nothing else.

python .ci/check_dist.py dist
"""

import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What packagers of distributions need: the tests and what these read.
IN_SDIST = """
    ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md LICENSE Makefile PKG-INFO README.md SECURITY.md
    pyproject.toml httpkit/__init__.py httpkit/py.typed tests/conftest.py examples/hello.py
    benchmarks/README.md docs/index.md .ci/import_all.py
""".split()
NEVER = ("__pycache__", ".venv", "site/", "build/", ".coverage", ".hypothesis")


def require(condition: object, message: str) -> None:
    """Fail with a message; `assert` would vanish with -O."""
    if not condition:
        raise SystemExit(f"check_dist: {message}")


def sources() -> set[str]:
    """The files of the package as they are in the checkout."""
    files = (path for path in (ROOT / "httpkit").rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


def check_wheel(path: Path) -> None:
    """The package, `py.typed`, the license, metadata that is complete, and nothing else."""
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
        metadata = message_from_bytes(wheel.read(f"{info}/METADATA"))
        entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    packaged = {name for name in names if not name.startswith(f"{info}/")}
    require(packaged == sources(), f"the wheel differs by {sorted(packaged ^ sources())}")
    require(f"{info}/licenses/LICENSE" in names, "the wheel has no license")
    require("httpkit = httpkit.cli:main" in entry_points, "the wheel has no program")
    for field in ("Version", "Summary", "License-Expression", "Requires-Python", "Keywords"):
        require(metadata[field], f"no {field} in the metadata")
    require(metadata["Description-Content-Type"] == "text/markdown", "no README in the metadata")
    require({"all", "fast"} <= set(metadata.get_all("Provides-Extra", ())), "extras are missing")


def check_sdist(path: Path) -> None:
    """Everything that a test or a rebuild needs, and no leftovers of a working copy."""
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    missing = [name for name in IN_SDIST if name not in names] + sorted(sources() - names)
    require(not missing, f"the sdist lacks {missing}")
    leftovers = [name for name in names if name.startswith(NEVER) or "__pycache__" in name]
    require(not leftovers, f"the sdist contains {leftovers}")


def main(directory: Path) -> None:
    """Check the one wheel and the one sdist of a directory."""
    (wheel,) = directory.glob("*.whl")
    (sdist,) = directory.glob("*.tar.gz")
    check_wheel(wheel)
    check_sdist(sdist)
    require(wheel.stat().st_size < 1_000_000, f"the wheel has {wheel.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
