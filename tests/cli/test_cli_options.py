"""Options are the fields of Config and Limits: every one, with its default, range and help."""

from typing import Any

import click
import msgspec
import pytest

from httpkit.cli import options, schema
from httpkit.cli.run import run_command
from httpkit.limits import Limits
from httpkit.server.config import Config

FIELDS = [
    *(field for field in msgspec.structs.fields(Config) if field.name != "limits"),
    *msgspec.structs.fields(Limits),
]


def parse(*arguments: str) -> dict[str, object]:
    """What the command would pass on."""
    context = run_command.make_context("run", ["main:app", "--config", "off", *arguments])
    return options.effective_settings(context).options


def test_the_help_shows_the_names_of_uvicorn() -> None:
    context = run_command.make_context("run", [], resilient_parsing=True)
    assert "--unix, --uds PATH|off" in run_command.get_help(context)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_field_is_an_option_with_help(field: msgspec.structs.FieldInfo) -> None:
    found = [param for param in run_command.params if param.name == field.name]
    assert len(found) == 1
    option = found[0]
    assert isinstance(option, click.Option)
    text, _, default = (option.help or "").partition("  [default:\xa0")
    assert len(text) > 10
    assert "`" not in text
    assert default != ""


def test_only_what_is_not_the_default_is_passed_on() -> None:
    assert parse() == {}
    assert parse("--port", "8000", "--access-log") == {}
    assert parse("--port", "9000", "--no-access-log") == {"port": 9000, "access_log": False}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--host", ""], {"host": ""}),
        (
            ["--unix", "/run/x.sock", "--unix-mode", "600"],
            {"unix": "/run/x.sock", "unix_mode": 0o600},
        ),
        (["--unix-owner", "www:www"], {"unix_owner": "www:www"}),
        (["--uds", "/run/x.sock"], {"unix": "/run/x.sock"}),
        (["--timeout-keep-alive", "5"], {"keep_alive_timeout": 5.0}),
        (["--timeout-graceful-shutdown", "9"], {"shutdown_timeout": 9.0}),
        (["--limit-concurrency", "10"], {"max_requests_in_flight": 10}),
        (
            [
                *"--ssl-certfile a --ssl-keyfile b --ssl-ca-certs c".split(),
                "--tls-client-auth=required",
            ],
            {
                "tls_cert": ("a",),
                "tls_key": ("b",),
                "tls_client_ca": "c",
                "tls_client_auth": "required",
            },
        ),
        (["--ws-max-size", "9"], {"websocket_max_message": 9}),
        (
            ["--ws-ping-interval", "9", "--ws-ping-timeout", "8"],
            {"ping_interval": 9.0, "ping_timeout": 8.0},
        ),
        (["--reload-dir", "a,b", "--reload-dir", "c"], {"reload_dir": ("a", "b", "c")}),
        (
            ["--proxy-headers", "--forwarded-allow-ips", "10.0.0.0/8,::1"],
            {"proxy_headers": True, "forwarded_allow_ips": ("10.0.0.0/8", "::1")},
        ),
        (["--tcp-keep-alive", "30,5,3"], {"tcp_keep_alive": (30, 5, 3)}),
        (["--tcp-keep-alive", "off"], {"tcp_keep_alive": None}),
        (["--http1", "reference", "--loop", "asyncio"], {"http1": "reference", "loop": "asyncio"}),
        (
            ["--access-log", "--access-log-format", "json"],
            {"access_log_format": "json"},
        ),
        (["--max-body", "off"], {"max_body": None}),
        (["--max-body", "1048576"], {"max_body": 1048576}),
        (["--header-timeout", "2.5"], {"header_timeout": 2.5}),
        (["--request-timeout", "30"], {"request_timeout": 30.0}),
        (["--server-header", ""], {"server_header": None}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_values(arguments: list[str], expected: dict[str, Any]) -> None:
    given = parse(*arguments)
    assert given == expected
    Config.of(**given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "'70000' is not a whole number from 0 to 65535"),
        (["--port", "http"], "'http' is not a whole number"),
        (["--max-body", "-1"], "'-1' is not a whole number, at least 0, or 'off'"),
        (["--max-body", "much"], "'much' is not a whole number, at least 0, or 'off'"),
        (
            ["--header-timeout", "0"],
            "'0' is not a number of seconds, above 0 and at most 31_536_000",
        ),
        (["--header-timeout", "soon"], "'soon' is not a number of seconds"),
        (["--unix-mode", "999"], "'999' is not an octal number from 0 to 777"),
        (["--unix-mode", "7777"], "'7777' is not an octal number from 0 to 777"),
        (
            ["--tcp-keep-alive", "1,2"],
            (
                "'1,2' is not 3 values with commas between (a whole number from 1 to 32767; a "
                "whole number from 1 to 32767; a whole number from 1 to 127), or 'off'"
            ),
        ),
        (["--http1", "fast"], "'fast' is not 'auto', 'native' or 'reference'"),
        (["--prot", "1"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_values(arguments: list[str], message: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        parse(*arguments)
    assert message in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "incomplete", "items"),
    [
        ("log_level", "de", [("debug", "plain")]),
        ("unix", "ru", [("ru", "file")]),
        ("port", "8", []),
    ],
)
def test_completion(name: str, incomplete: str, items: list[tuple[str, str]]) -> None:
    option = next(param for param in run_command.params if param.name == name)
    found = option.type.shell_complete(click.Context(run_command), option, incomplete)
    assert [(item.value, item.type) for item in found] == items


def test_every_section_begins_at_a_field() -> None:
    assert schema.SECTIONS.keys() <= schema.SETTINGS.keys()


def test_the_help_has_aligned_columns_and_whole_defaults() -> None:
    lines = help_lines()
    columns = {line.index("  [default: ") for line in lines if line.lstrip().startswith("[def")}
    assert len(columns) <= 2  # with and without text in front
    assert not [line for line in lines if line.endswith("[default:")]
    assert max(map(len, lines)) <= 100
    sections = [line.rstrip(":") for line in lines if line.endswith(":") and line[0] != " "]
    assert sections == [each for each in [*schema.SECTIONS.values(), "Options"] if each != "Site"]


def test_no_default_is_broken_within_a_word_on_a_narrow_terminal() -> None:
    text = " ".join(" ".join(help_lines(80)).split())
    assert "[default: .*, __pycache__, node_modules, venv]" in text
    for setting in schema.RUN_SETTINGS:
        shown = schema.SETTINGS[setting].show(schema.SETTINGS[setting].default)
        assert shown in text or shown.replace(",", ", ") in text, setting
    assert parse("--reload", "--reload-exclude", "a, b") == {
        "reload": True,
        "reload_exclude": ("a", "b"),
    }


def help_lines(width: int = 100) -> list[str]:
    context = click.Context(run_command, info_name="run", terminal_width=width)
    return run_command.get_help(context).splitlines()


def test_a_struct_without_source_has_no_texts() -> None:
    made = msgspec.defstruct("Made", [("name", str)])
    assert schema.describe_fields(made) == {}


def test_texts_are_the_strings_below_the_fields() -> None:
    texts = schema.describe_fields(Config)
    assert texts["port"] == "TCP port; 0 for a free one."
    assert texts.keys() == set(Config.__struct_fields__)
    assert schema.describe_fields(Limits).keys() == set(Limits.__struct_fields__)


def test_summaries_are_one_sentence_without_precedents() -> None:
    text = "Header fields, of `one` request: 431 (Apache, hyper: 100). More would be slow."
    assert schema.summarize(text) == "Header fields, of one request: 431"
