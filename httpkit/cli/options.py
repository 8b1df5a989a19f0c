"""Options of the command line, made from `schema.SETTINGS`.

`run` and `config` take all of them, `routes` those that say where the application is.
"""

import os
from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from itertools import chain
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from httpkit.cli.schema import RUN_SETTINGS, SETTINGS, Setting
from httpkit.cli.settings import Settings, find_place, load_settings
from httpkit.cli.sources import CONFIG_VARIABLE, Found
from httpkit.cli.terminal import exit_with_error
from httpkit.cli.values import OFF_WORDS
from httpkit.errors import ConfigurationError

__all__ = ["SectionedCommand", "effective_settings", "setting_options"]

#: A space at which no line is broken; `get_help` makes it an ordinary one.
_JOINER = "\xa0"
#: Longer words are broken anywhere, on a terminal of 80 columns.
_WORD_WIDTH = 27
#: Longer terms stand on a line of their own.
_TERM_WIDTH = 37

_CONFIG_SEARCHED = (
    "Configuration file  [default: httpkit.toml, or pyproject.toml with a table tool.httpkit, in "
    "the directory of --app-dir or else in the current one]"
)
_CONFIG_NAMED = "Configuration file  [default: off]"

F = TypeVar("F", bound=Callable[..., Any])


class SettingType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """The values of a setting, for click."""

    def __init__(self, setting: Setting) -> None:
        self.name = setting.name
        self._setting = setting

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """The value of a text, or a usage error."""
        try:
            return self._setting.parse(value)
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that it may be; for a path, what the shell finds."""
        del ctx, param
        if self._setting.is_path:
            return [CompletionItem(incomplete, type="file")]
        return [
            CompletionItem(word) for word in self._setting.kind.words if word.startswith(incomplete)
        ]


class SettingOption(click.Option):
    """An option of a setting, whose help is made when somebody asks for it."""

    def __init__(self, *args: Any, setting: Setting, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._setting = setting
        del self.help  # which click has set

    @cached_property
    def help(self) -> str:  # type: ignore[override]
        """The summary of the setting, and its default."""
        setting = self._setting
        default = setting.show(setting.default) or "''"
        if setting.repeats and len(default) > _WORD_WIDTH:
            default = default.replace(",", ", ")  # which means the same
        return f"{setting.summary}  [default:{_JOINER}{default}]"


class SectionedCommand(click.Command):
    """A command whose help groups the settings by their sections; its own options come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section under its own heading, all with the same columns."""
        sections: dict[str, list[tuple[str, str]]] = {}
        own: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            setting = SETTINGS.get(parameter.name or "")
            if setting is not None and isinstance(parameter, click.Argument):
                record: tuple[str, str] | None = (setting.flag, setting.summary)
            else:
                record = parameter.get_help_record(ctx)
            assert record is not None, "no option is hidden"
            (own if setting is None else sections.setdefault(setting.section, [])).append(record)
        sections["Options"] = own
        terms = [term for records in sections.values() for term, _ in records]
        width = max(len(term) for term in terms if len(term) <= _TERM_WIDTH)
        for title, records in sections.items():
            with formatter.section(title):
                rows = [(term.ljust(width), text) for term, text in records]
                formatter.write_dl(rows, col_max=width)

    def get_help(self, ctx: click.Context) -> str:
        """The help, in which no default is torn from its word."""
        return super().get_help(ctx).replace(_JOINER, " ")


def setting_options(
    names: Iterable[str] = RUN_SETTINGS, *, searched: bool = True
) -> Callable[[F], F]:
    """Add an argument or option for each of these settings, and `--config`.

    `searched` tells whether a configuration file that is not named is looked for.

    Defaults belong to the structs: take the values from `effective_settings`.
    """

    def decorate(command: F) -> F:
        command = click.option(
            "--config",
            metavar="FILE|off",
            type=click.Path(),
            envvar=CONFIG_VARIABLE,
            help=_CONFIG_SEARCHED if searched else _CONFIG_NAMED,
        )(command)
        for name in reversed(list(names)):
            command = _option(SETTINGS[name])(command)
        return command

    return decorate


def effective_settings(
    ctx: click.Context, heeded: Collection[str] = SETTINGS.keys(), *, searched: bool = True
) -> Settings:
    """The settings from all sources, or exit with code 1.

    `heeded` is that of `load_settings`, `searched` that of `setting_options`.
    """
    given = {
        name: Found(
            tuple(chain.from_iterable(value)) if SETTINGS[name].repeats else value,
            "command line" if SETTINGS[name].is_argument else SETTINGS[name].flag,
        )
        for name, value in ctx.params.items()
        if name in SETTINGS and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    try:
        find_place(given)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    try:
        config = ctx.params["config"]
        file = config if searched or config else OFF_WORDS[0]
        return load_settings(given, os.environ, file, heeded)
    except ConfigurationError as error:
        exit_with_error(str(error))


def _option(setting: Setting) -> Callable[[Any], Any]:
    kind = SettingType(setting)
    if setting.is_argument:
        return click.argument(setting.name, metavar=f"[{setting.flag}]", type=kind, required=False)
    if setting.type is bool:
        name = f"{setting.flag}/--no-{setting.flag[2:]}"
        return click.option(name, cls=SettingOption, setting=setting, default=None)
    return click.option(
        setting.flag,
        *setting.aliases,
        setting.name,
        cls=SettingOption,
        setting=setting,
        metavar=setting.kind.metavar,
        type=kind,
        default=None,
        multiple=setting.repeats,
    )
