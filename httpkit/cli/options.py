"""Command line options made from the fields of `Config` and `Limits`.

The structs are the one source of truth: names, types, ranges and defaults come from their fields,
the help from the text below each field. Nothing about an option is written down twice.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
import msgspec
from click.core import ParameterSource
from msgspec.structs import FieldInfo

from httpkit.limits import Limits
from httpkit.server.config import Config

__all__ = ["SectionedCommand", "describe_fields", "given_options", "server_options"]

F = TypeVar("F", bound=Callable[..., Any])
Struct = type[msgspec.Struct]

_TEXT, _OCTAL = "TEXT", "OCTAL"
#: What is written where `None` is meant.
_OFF = "off"
_METAVARS: dict[type, str] = {
    msgspec.inspect.IntType: "N",
    msgspec.inspect.FloatType: "SECONDS",
    msgspec.inspect.StrType: _TEXT,
    msgspec.inspect.TupleType: "N,N,N",
    msgspec.inspect.NoneType: _OFF,
}
_WORDS = {
    "N": "a whole number",
    "SECONDS": "a number of seconds",
    "N,N,N": "three whole numbers with commas between",
    _OCTAL: "an octal number up to 777",
}


def describe_fields(struct: Struct) -> dict[str, str]:
    """The text below each field of a struct, joined to one line; empty without the source."""
    try:
        source = textwrap.dedent(inspect.getsource(struct))
    except OSError:
        return {}
    texts: dict[str, str] = {}
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.ClassDef)
    previous: ast.stmt | None = None
    for statement in definition.body:
        if (
            isinstance(previous, ast.AnnAssign)
            and isinstance(previous.target, ast.Name)
            and isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
        ):
            texts[previous.target.id] = " ".join(str(statement.value.value).split())
        previous = statement
    return texts


def summarize(text: str) -> str:
    """The first sentence, without what is in parentheses: precedents belong to the docs."""
    plain = re.sub(r" ?\([^()]*\)", "", text).replace("`", "")
    return plain.partition(". ")[0].rstrip(".")


class SectionedCommand(click.Command):
    """A command whose help groups the options: those of the server, then the limits."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section under its own heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                is_limit = parameter.name in Limits.__struct_fields__
                title = "Limits and deadlines" if is_limit else "Options"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=36)


def server_options(command: F) -> F:
    """Add an option for every field of `Config` and `Limits`.

    Defaults belong to the structs: pass on only what `given_options` says.
    """
    for option in reversed(list(_options())):
        command = option(command)
    return command


def given_options(ctx: click.Context) -> dict[str, object]:
    """The values of the options of `server_options` that stand on the command line."""
    return {
        name: value
        for name, value in ctx.params.items()
        if name in (*Config.__struct_fields__, *Limits.__struct_fields__)
        and ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
    }


def _options() -> Iterator[Callable[[Any], Any]]:
    for struct in (Config, Limits):
        texts = describe_fields(struct)
        for field in msgspec.structs.fields(struct):
            if field.name != "limits":
                yield _option(field, summarize(texts.get(field.name, "")))


def _option(field: FieldInfo, text: str) -> Callable[[Any], Any]:
    flag = "--" + field.name.replace("_", "-")
    if field.type is bool:
        shown = "on" if field.default else "off"
        help_text = f"{text}  [default: {shown}]"
        return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=help_text)
    if get_origin(field.type) is Literal:
        choice = click.Choice(get_args(field.type))
        help_text = f"{text}  [default: {field.default}]"
        return click.option(flag, type=choice, default=None, help=help_text)
    metavar = _metavar(field)
    help_text = f"{text}  [default: {_show_default(field.default, metavar)}]"
    convert = partial(_convert, field.type, metavar)
    return click.option(flag, metavar=metavar, callback=convert, default=None, help=help_text)


def _show_default(value: object, metavar: str) -> str:
    if value is None:
        return "none" if metavar == _TEXT else _OFF
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if metavar == _OCTAL:
        return f"{value:o}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _metavar(field: FieldInfo) -> str:
    """How the value is written; for the help and for `_convert`."""
    if field.name == "unix_mode":
        return _OCTAL
    kind = msgspec.inspect.type_info(field.type)
    kinds = list(kind.types) if isinstance(kind, msgspec.inspect.UnionType) else [kind]
    names = [_METAVARS[type(each)] for each in kinds]
    # An empty text is what switches a text off.
    return _TEXT if _TEXT in names else "|".join(names)


def _convert(
    kind: Any, metavar: str, ctx: click.Context, param: click.Parameter, text: str | None
) -> object:
    """A callback of click: the value of an option, checked by the type of its field."""
    del ctx, param
    if text is None or (metavar.endswith(_OFF) and text.lower() == _OFF):
        return None
    value: object = text.split(",") if "," in metavar else text
    try:
        if metavar == _OCTAL:
            value = int(text, 8)
        return msgspec.convert(value, kind, strict=False)
    except ValueError as error:  # ValidationError is one
        outside = re.search("[<>]=? .*", str(error))
        if outside is not None and metavar != _OCTAL:
            raise click.BadParameter(f"{text} must be {outside[0]}") from None
        raise click.BadParameter(f"{text!r} is not {_describe(metavar)}") from None


def _describe(metavar: str) -> str:
    kind, _, off = metavar.partition("|")
    return f"{_WORDS[kind]}, nor {off!r}" if off else _WORDS[kind]
