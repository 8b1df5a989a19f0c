"""What only some cases ask of an application: many routes, a stream, and a download.

A table of many routes is there only where it is measured, so that it slows nobody down elsewhere:
the harness says in the environment how many there are.
"""

import os
from collections.abc import AsyncIterator
from functools import cache

ROUTES_VARIABLE = "BENCHMARK_ROUTES"
#: The first segment of a route, by its number; an integer follows.
RESOURCE = "resource-{}"

CHUNK = b"x" * 1023 + b"\n"
CHUNKS = 64
#: A block that is not all alike: whoever loses or swaps a part of a download is found out.
BLOCK = bytes(range(256)) * 256
BLOCKS = 160
#: What a cache keeps.
CACHED = b"x" * 10_240


def resources() -> list[str]:
    """Return the first segments of the routes that this process has beside the usual ones."""
    count = int(os.environ.get(ROUTES_VARIABLE, "0"))
    return [RESOURCE.format(number) for number in range(count)]


async def chunks() -> AsyncIterator[bytes]:
    """Yield the body of the stream."""
    for _ in range(CHUNKS):
        yield CHUNK


@cache
def download() -> bytes:
    """Return the body of the download: 10 MiB, which nobody holds before it is asked for."""
    return BLOCK * BLOCKS
