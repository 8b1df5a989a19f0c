"""What one call may register: prefixes, methods, handlers, limits, kinds of exceptions.

What is wrong is a `ConfigurationError` that says what to change. Called by `Router`; what needs the
whole application is checked in `compile.py`, middleware in `handlers.py`.
"""

import inspect
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from httpkit.errors import ConfigurationError
from httpkit.routing.definitions import BodyLimits, Lifespan
from httpkit.routing.handlers import describe, is_asynchronous, is_generator, is_stream
from httpkit.routing.pattern import parse_pattern
from httpkit.status import METHODS

__all__ = [
    "check_exception_kind",
    "check_handler",
    "check_lifespan",
    "check_limits",
    "check_methods",
    "check_prefix",
    "open_lifespan",
]


def check_prefix(prefix: str) -> str:
    """A prefix that patterns can follow, or an empty one."""
    if prefix == "":
        return prefix
    parse_pattern(prefix)
    if prefix.endswith("/"):
        raise ConfigurationError(f"prefix {prefix!r} must not end with a slash")
    if prefix.endswith(":path}"):
        raise ConfigurationError(f"prefix {prefix!r} cannot end with a path parameter")
    return prefix


def check_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """Names of methods that can be routed, each once."""
    names = (methods,) if isinstance(methods, str) else tuple(dict.fromkeys(methods))
    if not names:
        raise ConfigurationError('a route needs a method: methods=["GET"]')
    for name in names:
        if name == "CONNECT":
            raise ConfigurationError("CONNECT cannot be routed: the server always refuses it")
        if not isinstance(name, str) or name not in METHODS.values():
            known = isinstance(name, str) and name.upper() in METHODS.values()
            advice = f"write {name.upper()!r}" if known else "see httpkit.status.METHODS"
            raise ConfigurationError(f"{name!r} is not a method this server implements: {advice}")
    return names


def check_lifespan(lifespan: Lifespan | None) -> None:
    """Something that gives a context manager, as far as that shows before it is called."""
    kinds = (inspect.isasyncgenfunction, inspect.isgeneratorfunction, inspect.iscoroutinefunction)
    if lifespan is not None and any(is_one(lifespan) for is_one in kinds):
        raise _no_context_manager(lifespan)


def open_lifespan(lifespan: Lifespan, app: Any) -> AbstractAsyncContextManager[Any]:
    """The context manager that a lifespan gives; `contextlib.contextmanager` makes none of ours."""
    manager = lifespan(app)
    if not hasattr(type(manager), "__aenter__"):
        raise _no_context_manager(lifespan)
    return manager


def _no_context_manager(lifespan: Lifespan) -> ConfigurationError:
    return ConfigurationError(
        f"lifespan {describe(lifespan)} gives no asynchronous context manager: write it as "
        "async def, let it yield once and decorate it with @contextlib.asynccontextmanager"
    )


def check_handler(pattern: str, handler: object, *, thread: bool) -> None:
    """Something to call, on the loop or in a thread, that gives an answer."""
    if not callable(handler):
        raise ConfigurationError(f"the handler of {pattern!r} is {handler!r}, not a callable")
    if is_generator(handler):
        raise ConfigurationError(
            f"{describe(handler)} is a def with yield, which makes no answer: "
            "write async def for a stream"
        )
    if thread and (is_asynchronous(handler) or is_stream(handler)):
        raise ConfigurationError(
            f"{describe(handler)} is async and runs on the event loop: remove thread=True or async"
        )


def check_limits(pattern: str, limits: BodyLimits) -> None:
    """Whole numbers: at least 0 bytes, at least 1 byte a second."""
    for (name, value), (unit, least) in zip(
        limits._asdict().items(), (("bytes", 0), ("bytes a second", 1)), strict=True
    ):
        if value is None or value is ...:
            continue
        if not isinstance(value, int) or value < least:
            raise ConfigurationError(
                f"{name} of {pattern!r} is {value!r}: "
                f"give {unit} as an int of at least {least}, or None"
            )


def check_exception_kind(kind: object) -> None:
    """A class of exceptions, or the status of an error."""
    if isinstance(kind, int):
        valid = 400 <= kind <= 599
    else:
        valid = isinstance(kind, type) and issubclass(kind, Exception)
    if not valid:
        raise ConfigurationError(
            f"exception_handler({kind!r}): give a subclass of Exception or a status from 400 to 599"
        )
