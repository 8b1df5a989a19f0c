"""The effective settings: sources merged by their precedence, each value with its origin.

    command line  >  HTTPKIT_… variables  >  configuration file  >  defaults

One file is read: the one that --config names, else `httpkit.toml`, else the table `tool.httpkit`
of `pyproject.toml`. They are not mixed, so that one place says what a file says.

Only the command line comes here. `App.run` and `httpkit.serve` take what they are given: a program
that passes options means them, and a variable must not change its tests.
"""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from httpkit.cli.schema import SETTINGS, Site, Target
from httpkit.cli.sources import (
    Found,
    Source,
    find_file,
    open_file,
    read_environment,
    read_values,
)
from httpkit.cli.values import OFF_WORDS
from httpkit.errors import ConfigurationError
from httpkit.server.config import Config

__all__ = ["Settings", "find_place", "is_changed", "load_settings"]

#: The origin of a value that no source has named.
DEFAULT = "default"
#: Places to listen on: a source names one of them, and thereby replaces what lower sources name.
_PLACES = (("host", "port"), ("unix",), ("fd",))


@dataclass(frozen=True)
class Settings:
    """The value of every setting."""

    #: By name, in the order of `SETTINGS`.
    found: dict[str, Found]
    #: The configuration file that was read.
    file: str | None
    #: Names of those that the command heeds.
    heeded: Collection[str]

    @property
    def target(self) -> Target:
        """What is served."""
        values = {name: self.found[name].value for name in Target.__struct_fields__}
        return msgspec.convert(values, Target)

    @property
    def site(self) -> Site:
        """The directory that is served, if it is one."""
        values = {name: self.found[name].value for name in Site.__struct_fields__}
        return msgspec.convert(values, Site)

    @property
    def options(self) -> dict[str, object]:
        """What `Config.of` takes of what is heeded, without defaults."""
        others = (*Target.__struct_fields__, *Site.__struct_fields__)
        return {
            name: found.value
            for name, found in self.found.items()
            if name in self.heeded and name not in others and is_changed(name, found)
        }


def is_changed(name: str, found: Found) -> bool:
    """Whether a value is another than the default."""
    return found.value != SETTINGS[name].default


def load_settings(
    command_line: Source,
    environ: Mapping[str, str],
    config: str | None = None,
    heeded: Collection[str] = SETTINGS.keys(),
) -> Settings:
    """Merge all sources, and check the whole.

    Args:
        command_line: what was given there.
        environ: the environment.
        config: the file to read; `off` for none. By default one is looked for in the directory of
            the application, if the command line or the environment names it, then in the current
            directory.
        heeded: names of the settings that the command heeds. Of the others only the types are
            checked: an environment or a file may be made for another command.

    Raises:
        ConfigurationError: a wrong value, with its source and what to change.
    """
    environment = read_environment(environ)
    sources = [command_line, environment]
    file = None
    if config is None:
        named = command_line.get("app_dir") or environment.get("app_dir")
        file = find_file([str(named.value), ""] if named else [""])
    elif config.lower() not in OFF_WORDS:
        file = open_file(config)
    if file is not None:
        sources.append(read_values(file))
    settings = Settings(_merge(sources), file and file.path, heeded)
    _check(settings)
    return settings


def find_place(source: Source) -> str | None:
    """The name of an option by which a source says where to listen.

    Raises:
        ConfigurationError: it names two places.
    """
    named = [name for place in _PLACES if (name := _first_named(source, place)) is not None]
    if len(named) > 1:
        words = " and ".join(f"{name} ({source[name].origin})" for name in named)
        raise ConfigurationError(f"{words} are two places to listen on: keep one of them")
    return named[0] if named else None


def _first_named(source: Source, names: tuple[str, ...]) -> str | None:
    # `unix = "off"` names no place.
    named = (name for name in names if name in source and source[name].value is not None)
    return next(named, None)


def _merge(sources: list[Source]) -> dict[str, Found]:
    """The values of all settings; the highest source comes first."""
    merged: Source = {}
    replaced: dict[str, str] = {}
    for source in reversed(sources):
        chosen = find_place(source)
        if chosen is not None:
            others = [name for place in _PLACES if chosen not in place for name in place]
            # What nobody has named is worth a word only if it would be used otherwise.
            replaced = {
                name: f"replaced by {chosen} ({source[chosen].origin})"
                for name in others
                if merged.pop(name, None) or name in replaced or SETTINGS[name].default is not None
            }
        merged.update(source)
    return {
        name: merged.get(name) or Found(setting.default, replaced.get(name, DEFAULT))
        for name, setting in SETTINGS.items()
    }


def _check(settings: Settings) -> None:
    directory = settings.found["app_dir"]
    if "app_dir" in settings.heeded and not os.path.isdir(str(directory.value)):
        raise ConfigurationError(
            f"{directory.origin}: there is no directory {directory.value!r} to import from"
        )
    try:
        Config.of(**settings.options)
    except ConfigurationError as error:
        # What is checked beside the types begins with the name of the option.
        found = settings.found.get(re.split(r"\W", str(error), maxsplit=1)[0])
        origin = f"{found.origin}: " if found and found.origin != DEFAULT else ""
        raise ConfigurationError(f"{origin}{error}") from None
