"""What can be known of a handler before the first request: its place, its kind, its parameters.

Owns the introspection, so that a mistake is found at start-up with the handler's file and line
instead of as a 500 at night. Refuses with `ConfigurationError`. Called by `compile.py` and
`router.py`.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from httpkit.errors import ConfigurationError
from httpkit.types import Middleware

__all__ = [
    "Source",
    "check_exception_handler",
    "check_middleware",
    "check_parameters",
    "describe",
    "is_asynchronous",
    "is_generator",
    "is_stream",
    "take_middleware",
]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Source(NamedTuple):
    """Where a callable comes from; an unknown place (a builtin) has line 0."""

    name: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        return f"{self.name} ({self.place})"


def describe(function: Callable[..., Any]) -> Source:
    """The qualified name and the place of a function, method, partial or callable object."""
    function = _unwrap(function)
    if not hasattr(function, "__qualname__"):
        function = type(function)
    name = f"{function.__module__}.{function.__qualname__}"
    if inspect.isclass(function):
        function = function.__dict__.get("__call__", function)
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return Source(name, "<unknown>", 0)
    return Source(name, code.co_filename, code.co_firstlineno)


def is_asynchronous(handler: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine, as far as can be seen without calling it."""
    function = _unwrap(handler)
    if inspect.isclass(function):
        return False
    if inspect.isroutine(function):
        return inspect.iscoroutinefunction(function)
    return inspect.iscoroutinefunction(type(function).__call__)


def is_stream(handler: Callable[..., Any]) -> bool:
    """Whether it is an `async def` with `yield`: calling it gives an async iterator."""
    return inspect.isasyncgenfunction(_unwrap(handler))


def is_generator(handler: Callable[..., Any]) -> bool:
    """Whether it is a `def` with `yield`, and none that `types.coroutine` makes awaitable."""
    function = _unwrap(handler)
    return (
        inspect.isgeneratorfunction(function)
        and not function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE
    )


def check_parameters(handler: Callable[..., Any], pattern: str, names: Sequence[str]) -> None:
    """Check that `handler(request, **parameters)` is a valid call.

    Args:
        handler: the handler.
        pattern: the whole pattern, for the message.
        names: parameters of the path and the host.

    Raises:
        ConfigurationError: says which parameter to add, rename or give a default.
    """
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return  # a builtin without a signature: the first call will tell
    parameters = list(signature.parameters.values())
    kinds = [parameter.kind for parameter in parameters]
    first = parameters[0] if parameters else None
    if first is None or first.kind not in (*_POSITIONAL, inspect.Parameter.VAR_POSITIONAL):
        raise ConfigurationError("the handler takes no request: make it the first parameter")
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds
    for name in names:
        if name not in signature.parameters and not takes_any:
            raise ConfigurationError(
                f"pattern {pattern!r} has the parameter {name!r}, which the handler does not take: "
                f"add a parameter {name!r} to it, or **parameters"
            )
    try:
        signature.bind(None, **dict.fromkeys(names))
    except TypeError as error:
        raise ConfigurationError(
            f"the handler cannot be called as handler(request{', ' if names else ''}"
            f"{', '.join(f'{name}=...' for name in names)}): {error}; add the parameter to the "
            f"pattern {pattern!r}, give it a default, or rename it"
        ) from None


def check_middleware(middleware: object) -> None:
    """Check that `await middleware(request, next)` can be written.

    Raises:
        ConfigurationError: it is a class, not callable, or takes other arguments.
    """
    if inspect.isclass(middleware):
        raise ConfigurationError(
            f"middleware {middleware.__qualname__} is a class: add an instance, "
            f"{middleware.__name__}(...)"
        )
    if not callable(middleware):
        raise ConfigurationError(
            f"middleware {middleware!r} is not callable: write async def middleware(request, next)"
        )
    _check_two(middleware, "middleware", "(request, next)")


def take_middleware(given: Iterable[Middleware]) -> tuple[Middleware, ...]:
    """Check several, and take them.

    Raises:
        ConfigurationError: one of them is wrong, or it is one alone.
    """
    if not isinstance(given, Iterable):
        raise ConfigurationError(f"middleware={given!r}: give a list, middleware=[...]")
    taken = tuple(given)
    for each in taken:
        check_middleware(each)
    return taken


def check_exception_handler(handler: object) -> None:
    """Check that `handler(request, error)` can be called.

    Raises:
        ConfigurationError: it is not callable, or takes other arguments.
    """
    if not callable(handler):
        raise ConfigurationError(
            f"exception handler {handler!r} is not callable: write def handler(request, error)"
        )
    _check_two(handler, "exception handler", "(request, error)")


def _check_two(function: Callable[..., Any], kind: str, arguments: str) -> None:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise ConfigurationError(
            f"{kind} {describe(function)} must take {arguments}: {error}"
        ) from None
    except ValueError:
        return  # a builtin without a signature


def _unwrap(function: Callable[..., Any]) -> Any:
    """Look through partials; a method stays a method, it has its function's attributes."""
    while isinstance(function, functools.partial):
        function = function.func
    return function
