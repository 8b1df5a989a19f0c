"""Where values come from besides the command line: the environment and configuration files.

Everything is checked here, so that an error names the variable, or the file and its line, and what
to change. What is not known is refused: a typo would leave a limit as it was without a word.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from httpkit.cli.schema import SETTINGS, VARIABLE_PREFIX, Setting, find_closest
from httpkit.errors import ConfigurationError
from httpkit.server.worker_process import WORKER_VARIABLES

__all__ = [
    "CONFIG_VARIABLE",
    "Found",
    "Source",
    "TomlFile",
    "find_file",
    "open_file",
    "read_environment",
    "read_values",
]

#: Names a configuration file, as --config does.
CONFIG_VARIABLE = f"{VARIABLE_PREFIX}CONFIG"
#: Variables with the prefix that set no option: the last two tell a worker, and what it starts,
#: who it is (`server.worker_process`).
_NO_SETTINGS = (CONFIG_VARIABLE, *WORKER_VARIABLES)
_OWN_FILE, _PROJECT_FILE = "httpkit.toml", "pyproject.toml"
_PROJECT_TABLE = "tool.httpkit"
_TABLES = ("limits", "serve")
_HEADER = re.compile(r"\s*\[+([^\[\]]+)\]+\s*(?:#.*)?")
_KEY = re.compile(r"""\s*["']?([\w-]+)["']?\s*=""")


class Found(NamedTuple):
    """A value and where it comes from, in words that help to find it."""

    value: object
    origin: str


class TomlFile(NamedTuple):
    """A configuration file."""

    path: str
    text: str
    #: What is ours in it.
    table: dict[str, Any]
    #: The name of that table; empty for the whole file.
    name: str


#: What one source says, by the name of the setting.
Source = dict[str, Found]


def read_environment(environ: Mapping[str, str]) -> Source:
    """The values of the `HTTPKIT_…` variables. One that is empty counts as not set.

    Raises:
        ConfigurationError: a wrong value, or a variable that no option has.
    """
    if f"{VARIABLE_PREFIX}SERVICE_HOST" in environ:
        raise ConfigurationError(
            f"{VARIABLE_PREFIX}SERVICE_HOST is set, as Kubernetes does for a service that is "
            "called httpkit, together with a HTTPKIT_PORT that is no port: rename the service, or "
            "set enableServiceLinks: false for the pod"
        )
    by_variable = {setting.variable: setting for setting in SETTINGS.values()}
    source: Source = {}
    for variable, text in environ.items():
        if not variable.startswith(VARIABLE_PREFIX) or variable in _NO_SETTINGS:
            continue
        setting = by_variable.get(variable)
        if setting is None:
            names = [known.removeprefix(VARIABLE_PREFIX) for known in by_variable]
            meant = find_closest(variable.removeprefix(VARIABLE_PREFIX), names)
            hint = f"did you mean {VARIABLE_PREFIX}{meant}?" if meant else "unset it"
            raise ConfigurationError(f"{variable} is no variable of httpkit: {hint}")
        if text:
            try:
                source[setting.name] = Found(setting.parse(text), variable)
            except ConfigurationError as error:
                raise ConfigurationError(f"{variable}: {error}") from None
    return source


def find_file(directories: Iterable[str]) -> TomlFile | None:
    """The configuration file of the first of these directories that has one.

    `httpkit.toml` is preferred to `pyproject.toml`, which counts if it has a table `tool.httpkit`.
    Parent directories are not searched: who may write there could choose what is run.

    Raises:
        ConfigurationError: a file that cannot be read.
    """
    for directory in directories:
        for name in (_OWN_FILE, _PROJECT_FILE):
            path = os.path.join(directory, name)
            file = _open(path) if os.path.isfile(path) else None
            if file is not None:
                return file
    return None


def open_file(path: str) -> TomlFile:
    """The configuration file that is called for by name.

    Raises:
        ConfigurationError: it cannot be read, or is a `pyproject.toml` without our table.
    """
    file = _open(path)
    if file is None:
        raise ConfigurationError(f"{path} has no table [{_PROJECT_TABLE}]: add it")
    return file


def read_values(file: TomlFile) -> Source:
    """The values of a configuration file. Paths are relative to it.

    Raises:
        ConfigurationError: a wrong value, or a key that no option has.
    """
    source: Source = {}
    for setting, key, value, origin in _entries(file):
        if setting.name in source:
            earlier = source[setting.name].origin
            raise ConfigurationError(f"{origin}: {key} is given twice, see {earlier}: keep one")
        try:
            converted = setting.convert(value)
        except ConfigurationError as error:
            hint = f"write it as in {key} = {_example(setting, value)}"
            raise ConfigurationError(f"{origin}: {key} = {error}; {hint}") from None
        if setting.is_path:
            converted = _relative_to(file.path, converted)
        source[setting.name] = Found(converted, origin)
    return source


def _open(path: str) -> TomlFile | None:
    """A file with our table in it; None if it is a project's that has none."""
    try:
        with open(path, encoding="utf-8") as opened:
            text = opened.read()
        table = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    if os.path.basename(path) != _PROJECT_FILE:
        return TomlFile(path, text, table, "")
    tool = table.get("tool")
    own = tool.get("httpkit") if isinstance(tool, dict) else None
    if own is None:
        return None
    if not isinstance(own, dict):
        raise ConfigurationError(f"{path}: {_PROJECT_TABLE} must be a table")
    return TomlFile(path, text, own, _PROJECT_TABLE)


def _entries(file: TomlFile) -> Iterator[tuple[Setting, str, object, str]]:
    """Every key of a file: its setting, how it is written, the value, and where it stands."""
    for key, value in file.table.items():
        if key not in _TABLES:
            origin = _locate(file, file.name, key)
            yield _find_setting(key, "", origin), key, value, origin
            continue
        if not isinstance(value, dict):
            origin = _locate(file, file.name, key)
            raise ConfigurationError(
                f"{origin}: {key} is a table: write [{key}], and its options on lines below it"
            )
        table = f"{file.name}.{key}".lstrip(".")
        for inner, option in value.items():
            origin = _locate(file, table, inner)
            yield _find_setting(inner, key, origin), inner, option, origin


def _find_setting(key: str, table: str, origin: str) -> Setting:
    name = key.replace("-", "_")
    among = [each.name for each in SETTINGS.values() if _may_stand(each, table)]
    if name in among:
        return SETTINGS[name]
    if name in SETTINGS:
        place = SETTINGS[name].table
        where = f"below a line [{place}]" if place else f"above the table [{table}]"
        raise ConfigurationError(f"{origin}: {key} does not belong here: move it {where}")
    meant = find_closest(name, [*among, *_TABLES])
    hint = f"did you mean {meant}?" if meant else "remove it"
    raise ConfigurationError(f"{origin}: there is no option {key!r}: {hint}")


def _may_stand(setting: Setting, table: str) -> bool:
    """Whether an option may stand in a table of a file; limits may stand outside of theirs, too."""
    return setting.table == table or (setting.table == "limits" and not table)


def _example(setting: Setting, value: object) -> str:
    """The value as it was probably meant, if quotes are what is wrong; else the default."""
    try:
        meant = setting.parse(value) if isinstance(value, str) else setting.default
    except ConfigurationError:
        meant = setting.default
    return setting.kind.show_toml(meant)


def _relative_to(file: str, paths: object) -> object:
    """A path, several or none, as they are from here."""
    if isinstance(paths, tuple):
        return tuple(_relative_to(file, path) for path in paths)
    return os.path.join(os.path.dirname(file), paths) if isinstance(paths, str) else paths


def _locate(file: TomlFile, table: str, key: str) -> str:
    """The file, and the line of a key if it is certain: tomllib does not say."""
    current, lines = "", []
    for number, line in enumerate(file.text.split("\n"), 1):
        if header := _HEADER.fullmatch(line):
            current = re.sub(r"[\s\"']", "", header[1])
        elif current == table and (found := _KEY.match(line)) and found[1] == key:
            lines.append(number)
    return f"{file.path}:{lines[0]}" if len(lines) == 1 else file.path
