"""From `module:app` to an application, with a sentence for everything that can go wrong.

What fails inside the user's module is theirs to see: their traceback is shown without the frames
of the import system and of this package.
"""

import importlib
import os
import sys
import traceback
from types import TracebackType
from typing import Any, NoReturn

import click

from httpkit.cli.schema import Target
from httpkit.cli.settings import Settings
from httpkit.cli.terminal import exit_with_error
from httpkit.hosting import adapt, find_interface
from httpkit.types import Application

__all__ = ["importing", "load_application", "load_target", "named_target"]

#: Names of modules that are being imported; `App.run` refuses to run inside one.
importing: list[str] = []


def named_target(settings: Settings, command: str) -> Target:
    """What the settings say of the application, or exit with code 1 if they name none.

    `command` is the one that was given, as in `run`.
    """
    target = settings.target
    if target.app is None:
        file = settings.file or "httpkit.toml"
        exit_with_error(
            f'no application is named: give one, as in "httpkit {command} main:app", or write '
            f'app = "main:app" into {file}'
        )
    return target


def load_target(settings: Settings, command: str) -> Application:
    """Load the application that the settings name, or exit with code 1; see `named_target`."""
    return load_application(named_target(settings, command))


def load_application(target: Target) -> Application:
    """Load the application of a target that names one, or exit with code 1."""
    assert target.app is not None
    forced = target.interface != "auto"
    found = _load(target.app, target.app_dir, factory=target.factory, forced=forced)
    if target.debug and hasattr(found, "debug"):
        found.debug = True
    interface = find_interface(found) if target.interface == "auto" else target.interface
    assert interface is not None, "checked by _load"
    if interface == "httpkit" and not isinstance(found, Application):
        exit_with_error(f"--interface httpkit: {_problem(target.app, found)}")
    return adapt(
        found,
        interface,
        lifespan=target.lifespan,
        root_path=target.root_path,
        threads=target.threads,
    )


def _load(target: str, directory: str, *, factory: bool, forced: bool) -> Any:
    """Import a module and take an application from it, or exit with code 1.

    Args:
        target: `module:attribute`; both may have dots.
        directory: put in front of the import path.
        factory: what is found makes the application.
        forced: somebody has said what it speaks.
    """
    name, colon, attribute = target.partition(":")
    if name.endswith(".py") or os.sep in name:
        module = name.removesuffix(".py").strip("./").replace(os.sep, ".")
        exit_with_error(f"give a module, not a file: httpkit run {module}:{attribute or 'app'}")
    if not colon or not attribute:
        exit_with_error(f"{target!r} names no application: write {name}:app")
    if "" in name.split("."):
        exit_with_error(f"{target!r} names no module: write it as in main:app")
    sys.path.insert(0, os.path.abspath(directory))
    found: object = _import(name, directory)
    for part in attribute.split("."):
        if not hasattr(found, part):
            exit_with_error(f"{name} has no {attribute!r}{_suggest(name)}")
        found = getattr(found, part)
    if factory:
        found = _make(target, found)
    if not (forced and callable(found)) and (problem := _problem(target, found)):
        exit_with_error(problem)
    return found


def _make(target: str, factory: object) -> object:
    if not callable(factory):
        exit_with_error(f"--factory: {target} is of type {type(factory).__name__}, not a function")
    try:
        return factory()
    except Exception as error:  # noqa: BLE001 - whatever the user's function does
        _fail_with_traceback(f"the application of {target}", error, "made")


def _import(name: str, directory: str) -> object:
    importing.append(name)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            _fail_with_traceback(name, error)  # a module that the user's module imports
        exit_with_error(
            f"there is no module {error.name!r} in {os.path.abspath(directory)} or among the "
            "installed packages; check the name, or point --app-dir at its directory"
        )
    except Exception as error:  # noqa: BLE001 - whatever the user's module does
        _fail_with_traceback(name, error)
    finally:
        importing.pop()


def _fail_with_traceback(name: str, error: Exception, what: str = "imported") -> NoReturn:
    lines = traceback.format_exception(type(error), error, _skip_own(error.__traceback__))
    click.echo("".join(lines), err=True, nl=False)
    exit_with_error(f"{name} cannot be {what}, see above")


def _skip_own(entry: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is not ours or importlib's."""
    while entry is not None:
        file = entry.tb_frame.f_code.co_filename
        if file not in (__file__, importlib.__file__) and not file.startswith("<frozen importlib"):
            break
        entry = entry.tb_next
    return entry


def _suggest(name: str) -> str:
    module = vars(sys.modules[name])
    names = [key for key, value in module.items() if find_interface(value) is not None]
    return f"; it has the application {', '.join(names)}" if names else " and no other application"


def _problem(target: str, found: object) -> str | None:
    """Why this cannot be served."""
    if find_interface(found) is not None:
        return None
    if isinstance(found, type):
        return f"{target} is a class: make an instance of it and name that"
    problem = (
        f"{target} is no httpkit App, and no ASGI or WSGI application, but of type "
        f"{type(found).__name__}"
    )
    if callable(found):
        problem += (
            "; functions become handlers of an App, those that make an application need --factory, "
            "and --interface says what an application speaks that does not look like it"
        )
    return problem
