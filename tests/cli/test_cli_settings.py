"""Sources of settings: their precedence, what each of them refuses, and what is never mixed."""

import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpkit.cli.config import config_command
from httpkit.cli.options import effective_settings
from httpkit.cli.schema import SETTINGS, Setting
from httpkit.cli.settings import Settings, load_settings
from httpkit.cli.sources import Found, open_file, read_environment, read_values
from httpkit.cli.values import OFF_WORDS
from httpkit.errors import ConfigurationError
from httpkit.server.config import Config

File = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> File:
    """Write a file into the current directory of this test."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    return write


def load(
    environ: dict[str, str] | None = None, config: str | None = None, **command_line: object
) -> Settings:
    given = {name: Found(value, SETTINGS[name].flag) for name, value in command_line.items()}
    return load_settings(given, environ or {}, config)


def message_of(call: Callable[..., object], *arguments: Any, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments, **options)
    return str(caught.value)


# --- precedence ------------------------------------------------------------------------------


def test_precedence(write: File) -> None:
    write("httpkit.toml", "port = 1\nbacklog = 1\nmax_body = 1\n")
    loaded = load({"HTTPKIT_PORT": "2", "HTTPKIT_BACKLOG": "2"}, port=3)
    assert loaded.found["port"] == (3, "--port")
    assert loaded.found["backlog"] == (2, "HTTPKIT_BACKLOG")
    assert loaded.found["max_body"] == (1, "httpkit.toml:3")
    assert loaded.found["max_headers"] == (100, "default")
    assert loaded.options == {"port": 3, "backlog": 2, "max_body": 1}


def test_a_higher_source_can_give_the_default_back(write: File) -> None:
    write("httpkit.toml", "port = 1\nmax_requests_in_flight = 5\naccess_log_file = 'log'\n")
    environ = {"HTTPKIT_MAX_REQUESTS_IN_FLIGHT": "off", "HTTPKIT_ACCESS_LOG_FILE": "off"}
    loaded = load(environ, port=8000)
    assert loaded.found["port"] == (8000, "--port")
    assert loaded.found["access_log_file"] == (None, "HTTPKIT_ACCESS_LOG_FILE")
    assert loaded.options == {}


def test_the_own_file_wins_whole(write: File) -> None:
    write("pyproject.toml", "[tool.httpkit]\nport = 1\nbacklog = 1\n")
    assert load().file == "pyproject.toml"
    assert load().options == {"port": 1, "backlog": 1}
    write("httpkit.toml", "port = 2\n")
    assert load().file == "httpkit.toml"
    assert load().options == {"port": 2}


def test_the_directory_of_the_application_comes_first(write: File) -> None:
    write("httpkit.toml", "port = 1\n")
    write("src/pyproject.toml", "[tool.other]\n")
    for loaded in (load(), load(app_dir="src"), load({"HTTPKIT_APP_DIR": "src"})):
        assert loaded.options == {"port": 1}
    write("src/pyproject.toml", "[tool.httpkit]\nport = 2\n")
    for loaded in (load(app_dir="src"), load({"HTTPKIT_APP_DIR": "src"})):
        assert loaded.options == {"port": 2}
        assert loaded.found["port"].origin == "src/pyproject.toml:2"
    assert load().options == {"port": 1}


def test_parent_directories_are_not_searched(write: File, monkeypatch: Any) -> None:
    """CVE-2022-24765 (git): whoever may write into a parent could choose what is run."""
    write("httpkit.toml", "port = 1\n")
    write("inner/main.py", "")
    monkeypatch.chdir("inner")
    assert load().file is None


def test_a_file_by_name(write: File) -> None:
    write("httpkit.toml", "port = 1\n")
    write("deploy/production.toml", "port = 2\n")
    assert load(config="deploy/production.toml").options == {"port": 2}
    assert load(config="off").options == load(config="NONE").options == {}
    assert load(config="off").file is None


def test_paths_are_relative_to_the_file(write: File) -> None:
    write("deploy/site.toml", "unix = 'run/x.sock'\napp_dir = '.'\naccess_log_file = '/log'\n")
    loaded = load(config="deploy/site.toml")
    assert loaded.options == {"unix": "deploy/run/x.sock", "access_log_file": "/log"}
    assert Path(loaded.target.app_dir) == Path("deploy")
    assert load({"HTTPKIT_UNIX": "x.sock"}).options == {"unix": "x.sock"}


def test_several_paths_are_relative_to_the_file(write: File, monkeypatch: Any) -> None:
    paths = tuple[Annotated[str, msgspec.Meta(extra={"path": True})], ...]
    new = Setting("watched", paths, (), "Server", Config)
    monkeypatch.setitem(SETTINGS, "watched", new)
    write("deploy/site.toml", "watched = ['src', '/lib']\n")
    found = read_values(open_file("deploy/site.toml"))
    assert found == {"watched": (("deploy/src", "/lib"), "deploy/site.toml:1")}


def test_the_target(write: File) -> None:
    write("httpkit.toml", "app = 'main:app'\n")
    loaded = load({"HTTPKIT_DEBUG": "yes"})
    assert (loaded.target.app, loaded.target.app_dir, loaded.target.debug) == (
        "main:app",
        ".",
        True,
    )
    assert loaded.options == {}


# --- places to listen on ---------------------------------------------------------------------


def test_a_higher_place_replaces_a_lower_one(write: File) -> None:
    write("httpkit.toml", "host = '::1'\nport = 1\nunix-mode = '600'\n")
    loaded = load({"HTTPKIT_UNIX": "/x"})
    assert loaded.options == {"unix": "/x", "unix_mode": 0o600}
    assert loaded.found["port"] == (8000, "replaced by unix (HTTPKIT_UNIX)")
    loaded = load({"HTTPKIT_UNIX": "/x"}, port=2)
    assert loaded.options == {"port": 2, "unix_mode": 0o600}
    assert loaded.found["unix"] == (None, "replaced by port (--port)")
    assert loaded.found["host"] == ("127.0.0.1", "default")


def test_a_place_replaces_defaults_too() -> None:
    loaded = load(unix="/x")
    assert loaded.found["host"] == ("127.0.0.1", "replaced by unix (--unix)")
    assert load(port=1).found["unix"] == (None, "default")


def test_host_and_port_of_different_sources_belong_together(write: File) -> None:
    write("httpkit.toml", "unix = '/x'\n")
    loaded = load({"HTTPKIT_HOST": "::1"}, port=2)
    assert loaded.options == {"host": "::1", "port": 2}
    assert loaded.found["unix"] == (None, "replaced by port (--port)")


def test_no_unix_socket_is_no_place(write: File) -> None:
    write("httpkit.toml", "port = 1\n")
    assert load({"HTTPKIT_UNIX": "off"}).options == {"port": 1}
    assert load(unix=None, port=2).options == {"port": 2}
    write("httpkit.toml", "unix = '/x'\n")
    assert load({"HTTPKIT_UNIX": "off"}).options == {}


def test_two_places_in_one_source(write: File) -> None:
    environ = {"HTTPKIT_UNIX": "/x", "HTTPKIT_HOST": "::1"}
    assert message_of(load, environ) == (
        "host (HTTPKIT_HOST) and unix (HTTPKIT_UNIX) are two places to listen on: keep one of them"
    )
    write("httpkit.toml", "unix = '/x'\nport = 5\n")
    assert "port (httpkit.toml:2) and unix (httpkit.toml:1)" in message_of(load)


# --- the environment -------------------------------------------------------------------------


def test_empty_variables_are_not_set() -> None:
    environ = {setting.variable: "" for setting in SETTINGS.values()}
    assert read_environment(environ) == {}
    assert load({**environ, "HTTPKIT_CONFIG": ""}).options == {}


def test_other_variables_are_not_ours() -> None:
    assert read_environment({"PORT": "x", "httpkit_port": "x", "HTTPKITX": "x"}) == {}


def test_unknown_variables_are_refused() -> None:
    assert message_of(load, {"HTTPKIT_MAX_BDY": "5"}) == (
        "HTTPKIT_MAX_BDY is no variable of httpkit: did you mean HTTPKIT_MAX_BODY?"
    )
    assert message_of(load, {"HTTPKIT_SERVE_SPAA": "on"}) == (
        "HTTPKIT_SERVE_SPAA is no variable of httpkit: did you mean HTTPKIT_SERVE_SPA?"
    )
    assert message_of(load, {"HTTPKIT_XYZZY": ""}) == (
        "HTTPKIT_XYZZY is no variable of httpkit: unset it"
    )


def test_a_kubernetes_service_of_that_name() -> None:
    environ = {"HTTPKIT_PORT": "tcp://10.0.0.1:80", "HTTPKIT_SERVICE_HOST": "10.0.0.1"}
    message = message_of(load, environ)
    assert "rename the service, or set enableServiceLinks: false" in message


# --- files -----------------------------------------------------------------------------------


def test_keys_in_either_case_and_limits_in_either_place(write: File) -> None:
    write("httpkit.toml", "max-headers = 5\n[limits]\nmax-body = 1\nheader_timeout = 2\n")
    loaded = load()
    assert loaded.options == {"max_headers": 5, "max_body": 1, "header_timeout": 2.0}
    write("pyproject.toml", "[tool.httpkit]\n'log-level' = 'error'\nlimits.max-body = 1\n")
    loaded = load(config="pyproject.toml")
    assert loaded.options == {"log_level": "error", "max_body": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "port = 70000",
            (
                "f.toml:1: port = 70000 is not a whole number from 0 to 65535; write it "
                "as in port = 8000"
            ),
        ),
        (
            "port = '80'",
            (
                'f.toml:1: port = "80" is not a whole number from 0 to 65535; write it '
                "as in port = 80"
            ),
        ),
        (
            "port = 'http'",
            (
                'f.toml:1: port = "http" is not a whole number from 0 to 65535; write '
                "it as in port = 8000"
            ),
        ),
        (
            "unix-mode = 0o660",
            (
                "f.toml:1: unix-mode = 432 is not an octal number from 0 to 777; "
                'write it as in unix-mode = "660"'
            ),
        ),
        (
            "\n[limits]\nmax-body = -1",
            (
                "f.toml:3: max-body = -1 is not a whole number, at least 0, "
                "or 'off'; write it as in max-body = 16_777_216"
            ),
        ),
        (
            "host = 1979-05-27",
            ('f.toml:1: host = "1979-05-27" is not a text; write it as in host = "127.0.0.1"'),
        ),
        ("prt = 1", "f.toml:1: there is no option 'prt': did you mean port?"),
        ("xyzzy = 1", "f.toml:1: there is no option 'xyzzy': remove it"),
        ("[limit]\nmax_body = 1", "f.toml: there is no option 'limit': did you mean limits?"),
        ("[limits]\nmax_bdy = 1", "f.toml:2: there is no option 'max_bdy': did you mean max_body?"),
        (
            "[limits]\nport = 1",
            "f.toml:2: port does not belong here: move it above the table [limits]",
        ),
        (
            "limits = 5",
            ("f.toml:1: limits is a table: write [limits], and its options on lines below it"),
        ),
        ("spa = true", "f.toml:1: spa does not belong here: move it below a line [serve]"),
        (
            "[serve]\nmax-body = 1",
            "f.toml:2: max-body does not belong here: move it below a line [limits]",
        ),
        ("[serve]\nspaa = true", "f.toml:2: there is no option 'spaa': did you mean spa?"),
        ("serv = 1", "f.toml:1: there is no option 'serv': did you mean serve?"),
        (
            "max_body = 1\n[limits]\nmax-body = 1",
            ("f.toml:3: max-body is given twice, see f.toml:1: keep one"),
        ),
        (
            "unix-mode = '600'\nunix_mode = '600'",
            ("f.toml:2: unix_mode is given twice, see f.toml:1: keep one"),
        ),
        ("port = x", "f.toml is not valid TOML: Invalid value (at line 1, column 8)"),
        ("server-header = 'ä'", "f.toml:1: server_header must be visible ASCII text"),
        ("app-dir = 'gone'", "f.toml:1: there is no directory 'gone' to import from"),
    ],
)
def test_wrong_files(write: File, text: str, message: str) -> None:
    write("f.toml", text)
    assert message_of(load, config="f.toml") == message


def test_a_file_that_is_not_text(write: File) -> None:
    write("f.toml", "").write_bytes(b"port = '\xff'")
    assert message_of(load, config="f.toml").startswith("f.toml is not valid TOML: ")


def test_files_that_are_not_there(write: File) -> None:
    write("pyproject.toml", "[project]\n")
    assert message_of(load, config="gone.toml") == (
        "gone.toml cannot be read: No such file or directory"
    )
    assert message_of(load, config=".") == ". cannot be read: Is a directory"
    assert message_of(load, config="pyproject.toml") == (
        "pyproject.toml has no table [tool.httpkit]: add it"
    )
    assert load().file is None


@pytest.mark.parametrize("text", ["tool = 5", "[tool.httpkit_other]"])
def test_projects_of_others(write: File, text: str) -> None:
    write("pyproject.toml", text)
    assert load().file is None


def test_a_project_whose_table_is_none(write: File) -> None:
    write("pyproject.toml", "[tool]\nhttpkit = 5")
    assert message_of(load) == "pyproject.toml: tool.httpkit must be a table"


def test_a_broken_project_is_an_error(write: File) -> None:
    """It may have had our table."""
    write("pyproject.toml", "[tool")
    assert message_of(load).startswith("pyproject.toml is not valid TOML: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[tool.other]\nport = 1\n[ tool . 'httpkit' ] # ours\nport = 2\n", ":4"),
        ("[tool.httpkit]\n'port' = 2\n[[tool.other]]\nport = 1\n", ":2"),
        ("tool.httpkit.port = 2\n", ""),
        ("[tool]\nhttpkit = { port = 2 }\n", ""),
        ("[tool.httpkit]\nhost = '''\nport = 1\n'''\nport = 2\n", ""),
    ],
)
def test_the_line_of_a_value_if_it_is_certain(write: File, text: str, line: str) -> None:
    write("pyproject.toml", text)
    assert load().found["port"] == (2, f"pyproject.toml{line}")


def test_a_check_of_values_that_nobody_has_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise ConfigurationError("port: 8000 is taken on Mondays")

    monkeypatch.setattr(Config, "of", refuse)
    assert message_of(load) == "port: 8000 is taken on Mondays"
    assert message_of(load, port=8000) == "--port: port: 8000 is taken on Mondays"


# --- every kind of field, in every source ----------------------------------------------------


NO_META = msgspec.Meta()


class Case(NamedTuple):
    name: str
    text: str
    toml: str
    value: object


GOOD = [
    Case("port", "0", "0", 0),
    Case("max_body", "1_000", "1_000", 1000),
    Case("max_body", "off", "'off'", None),
    Case("header_timeout", "0.5", "0.5", 0.5),
    Case("request_timeout", "2", "2", 2.0),
    Case("access_log", "false", "false", False),
    Case("loop", "asyncio", "'asyncio'", "asyncio"),
    Case("unix_mode", "600", "'600'", 0o600),
    Case("tcp_keep_alive", "1,2,3", "[1, 2, 3]", (1, 2, 3)),
    Case("tcp_keep_alive", "off", "'off'", None),
    Case("server_header", "x", "'x'", "x"),
    Case("server_header", "off", "''", None),
    Case("host", "*", "'*'", "*"),
]
WRONG = [
    Case("port", "65536", "65536", "a whole number from 0 to 65535"),
    Case("max_body", "-1", "-1", "a whole number, at least 0, or 'off'"),
    Case("header_timeout", "0", "0", "a number of seconds, above 0"),
    Case("access_log", "maybe", "'true'", "true or false"),
    Case("loop", "trio", "'trio'", "'auto', 'uvloop' or 'asyncio'"),
    Case("unix_mode", "888", "'888'", "an octal number from 0 to 777"),
    Case("tcp_keep_alive", "1,2", "[1, 2]", "3 values with commas between"),
]


def on_command_line(case: Case) -> Settings:
    option = SETTINGS[case.name]
    arguments = [option.flag, case.text]
    if option.type is bool:
        arguments = [f"--no-{option.flag[2:]}"]
    return effective_settings(config_command.make_context("config", arguments))


def in_environment(case: Case) -> Settings:
    return load({SETTINGS[case.name].variable: case.text})


def in_file(case: Case) -> Settings:
    Path("httpkit.toml").write_text(f"{case.name} = {case.toml}\n")
    return load()


@pytest.mark.parametrize("source", [on_command_line, in_environment, in_file])
@pytest.mark.parametrize("case", GOOD, ids=lambda case: f"{case.name}-{case.text}")
def test_values(write: File, source: Callable[[Case], Settings], case: Case) -> None:
    found = source(case).found[case.name]
    assert found.value == case.value
    assert type(found.value) is type(case.value)
    assert found.origin in (
        SETTINGS[case.name].flag, SETTINGS[case.name].variable, "httpkit.toml:1"
    )  # fmt: skip


@pytest.mark.parametrize("source", [in_environment, in_file])
@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_wrong_values(write: File, source: Callable[[Case], Settings], case: Case) -> None:
    message = message_of(source, case)
    assert message.startswith((f"{SETTINGS[case.name].variable}: ", "httpkit.toml:1: "))
    assert f" is not {case.value}" in message


# --- what is shown can be entered again ------------------------------------------------------


def values_of(annotation: Any, meta: msgspec.Meta = NO_META) -> st.SearchStrategy[Any]:
    """What a field may hold, except texts that mean None, and control characters."""
    arguments = get_args(annotation)
    origin = get_origin(annotation) or annotation
    if origin is Annotated:
        return values_of(*arguments[:2])
    if origin in (Union, UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1] is ...:
        # Where values have commas between, none can contain one, nor begin or end with a space.
        items = values_of(arguments[0]).filter(
            lambda text: "," not in text and text.strip() == text
        )
        return st.lists(items, max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)
    return {
        int: st.integers(meta.ge, meta.le),
        float: st.floats(0, meta.le, exclude_min=True),
        bool: st.booleans(),
        NoneType: st.none(),
        str: texts.filter(lambda text: text.lower() not in OFF_WORDS),
    }[origin]


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_value_is_read_as_it_is_shown(name: str, data: st.DataObject) -> None:
    option = SETTINGS[name]
    value = data.draw(values_of(option.type))
    [shown] = shlex.split(shlex.quote(option.show(value)))
    for again in (
        option.parse(shown),
        option.convert(tomllib.loads(f"x = {option.kind.show_toml(value)}")["x"]),
    ):
        assert again == value
        assert type(again) is type(value)
