"""The bounded thread pool behind `thread=True`.

Owns when threads start (with the first handler that needs one) and end (with the app's lifespan).
A handler that runs in a thread sees the context variables of its request; what it sets there
stays there. It cannot be interrupted: when its client goes away the request is over, the function
runs on to its end and its result is dropped.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from httpkit.errors import ConfigurationError

__all__ = ["ThreadPool"]


class ThreadPool:
    """Runs blocking functions for one app.

    Args:
        size: threads at most; further calls wait for one.

    Raises:
        ConfigurationError: a size below 1.
    """

    __slots__ = ("_executor", "size")

    def __init__(self, size: int) -> None:
        if not isinstance(size, int) or size < 1:
            raise ConfigurationError(f"threads={size!r}: a pool needs at least one thread")
        self.size = size
        self._executor: ThreadPoolExecutor | None = None

    def run(
        self, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> asyncio.Future[Any]:
        """Call a function in a thread, in a copy of the current context."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.size, "httpkit-handler")
        context = contextvars.copy_context()
        return asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: context.run(_call, function, args, kwargs)
        )

    async def close(self) -> None:
        """Wait for the calls that run, without blocking the loop; later ones start new threads."""
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        # A future cannot carry it: whoever awaits that would wait forever.
        raise RuntimeError("the handler raised StopIteration") from error
