"""The files that the servers of static files serve, and what is in each of them.

They are written for the run that needs them, below the one prefix that all servers serve them at.
Their types are written alike everywhere; a type of text would have a charset here and none there.
"""

import os
from pathlib import Path

from benchmarks.apps.extras import BLOCK

#: Where the servers serve the directory; the directory has the same name.
PREFIX = "/static/"
FILES_VARIABLE = "BENCHMARK_FILES"

MEDIUM = "10k.png"
MEDIUM_CONTENT = BLOCK[: 10 * 1024]
LARGE = "100m.bin"
LARGE_BLOCKS = 1600
LARGE_SIZE = len(BLOCK) * LARGE_BLOCKS
MANY = "many/{:04d}.png"
MANY_COUNT = 1000
MANY_SIZE = 4096
#: Unix time of the last change: long ago, so that every validator is a strong one.
MODIFIED = 1_700_000_000


def many_target(number: int) -> str:
    """Return the target of one of the many files."""
    return PREFIX + MANY.format(number)


def many_content(target: str) -> bytes:
    """Return what is in one of the many files: its own number, over and over."""
    number = Path(target).stem.encode("ascii")
    return number * (MANY_SIZE // len(number))


def large_slice(first: int, last: int) -> bytes:
    """Return the bytes of the large file from the first to the last, both included."""
    start = first % len(BLOCK)
    length = last - first + 1
    times = (start + length) // len(BLOCK) + 1
    return (BLOCK * times)[start : start + length]


def make_files(root: Path) -> Path:
    """Write all files below ``root`` and return their directory."""
    directory = root / PREFIX.strip("/")
    (directory / MANY).parent.mkdir(parents=True)
    (directory / MEDIUM).write_bytes(MEDIUM_CONTENT)
    for number in range(MANY_COUNT):
        name = MANY.format(number)
        (directory / name).write_bytes(many_content(name))
    with (directory / LARGE).open("wb") as large:
        for _ in range(LARGE_BLOCKS):
            large.write(BLOCK)
    for path in directory.rglob("*.*"):
        os.utime(path, (MODIFIED, MODIFIED))
    return directory
