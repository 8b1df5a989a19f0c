"""The event loop."""

import asyncio
from typing import Literal

from httpkit.errors import ConfigurationError

try:
    import uvloop
except ImportError:  # pragma: no cover - Windows has no uvloop
    HAS_UVLOOP = False
else:
    HAS_UVLOOP = True

__all__ = ["LoopChoice", "new_event_loop"]

LoopChoice = Literal["auto", "uvloop", "asyncio"]


def new_event_loop(choice: LoopChoice = "auto") -> asyncio.AbstractEventLoop:
    """A new loop: uvloop where it is installed, asyncio's otherwise.

    Raises:
        ConfigurationError: uvloop is wanted but not installed.
    """
    if choice == "asyncio" or (choice == "auto" and not HAS_UVLOOP):
        return asyncio.new_event_loop()
    if not HAS_UVLOOP:
        raise ConfigurationError("uvloop is not installed: pip install uvloop, or --loop asyncio")
    return uvloop.new_event_loop()
