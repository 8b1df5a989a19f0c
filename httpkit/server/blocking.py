"""Functions that wait for a disk, kept off the event loop.

Owns what happens when their caller is cancelled: a function cannot be interrupted, and what it
works on (a file, a buffer) must not be closed under it, so the cancellation waits for it. Called
for `RequestChannel.run_blocking` and for the files of answers.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["run_blocking"]

T = TypeVar("T")


async def run_blocking(function: Callable[..., T], /, *args: Any) -> T:
    """Call `function(*args)` in a thread of the loop's default executor.

    Raises:
        CancelledError: the caller was cancelled; the function is through.
    """
    future = asyncio.get_running_loop().run_in_executor(None, function, *args)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # nobody else will ask for it
        try:
            raise cancelled
        finally:
            # It knows this frame, which knows what the function gave: a file would stay open until
            # the garbage collector comes by.
            del cancelled
    try:
        return future.result()
    finally:
        del future  # what it raises leads here: they would hold each other
