"""What one call may register: prefixes, methods, handlers, limits, kinds of exceptions.

What is wrong is a `ConfigurationError` that says what to change. Called by `Router`; what needs the
whole application is checked in `compile.py`, middleware in `handlers.py`.
"""

from collections.abc import Iterable

from httpkit.errors import ConfigurationError
from httpkit.routing.definitions import BodyLimits
from httpkit.routing.handlers import describe, is_asynchronous, is_stream
from httpkit.routing.pattern import parse_pattern
from httpkit.status import METHODS

__all__ = [
    "check_exception_kind",
    "check_handler",
    "check_limits",
    "check_methods",
    "check_prefix",
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


def check_handler(pattern: str, handler: object, *, thread: bool) -> None:
    """Something to call, on the loop or in a thread."""
    if not callable(handler):
        raise ConfigurationError(f"the handler of {pattern!r} is {handler!r}, not a callable")
    if thread and (is_asynchronous(handler) or is_stream(handler)):
        raise ConfigurationError(
            f"{describe(handler)} is async and runs on the event loop: remove thread=True or async"
        )


def check_limits(pattern: str, limits: BodyLimits) -> None:
    """At least 0 bytes, at least 1 byte a second."""
    for (name, value), (unit, least) in zip(
        limits._asdict().items(), (("bytes", 0), ("bytes a second", 1)), strict=True
    ):
        if value is not None and value is not ... and value < least:
            raise ConfigurationError(f"{name} of {pattern!r} is {value}: give {unit} or None")


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
