"""`module:app`: every mistake gets a sentence that says what to change."""

import pytest

from .conftest import APP, Invoke, Write


def test_finds_the_application(invoke: Invoke, write_module: Write) -> None:
    write_module("user_plain", APP)
    result = invoke("routes", "user_plain:app")
    assert result.exit_code == 0
    assert "user_plain.index" in result.stdout


def test_module_and_attribute_may_have_dots(invoke: Invoke, write_module: Write) -> None:
    write_module("user_package.web", f"{APP}\nclass Site:\n    app = app\n")
    assert invoke("routes", "user_package.web:Site.app").exit_code == 0


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("user_wrong", "'user_wrong' names no application: write user_wrong:app"),
        (":app", "':app' names no module: write it as in main:app"),
        (".user_wrong:app", "'.user_wrong:app' names no module: write it as in main:app"),
        ("user_wrong:", "'user_wrong:' names no application: write user_wrong:app"),
        ("user_wrong.py:app", "give a module, not a file: httpkit run user_wrong:app"),
        ("./src/web.py", "give a module, not a file: httpkit run src.web:app"),
        ("user_wrong:ap", "user_wrong has no 'ap'; it has the application app"),
        ("user_wrong:app.nothing", "user_wrong has no 'app.nothing'; it has the application app"),
        (
            "user_wrong:index",
            "user_wrong:index is no httpkit App, and no ASGI or WSGI application, but of type",
        ),
        ("user_wrong:App", "user_wrong:App is a class: make an instance of it and name that"),
        (
            "user_wrong:number",
            "user_wrong:number is no httpkit App, and no ASGI or WSGI application",
        ),
        ("user_nowhere:app", "there is no module 'user_nowhere' in "),
        ("user_nowhere.web:app", "there is no module 'user_nowhere' in "),
    ],
)
def test_mistakes_in_the_target(
    invoke: Invoke, write_module: Write, target: str, message: str
) -> None:
    write_module("user_wrong", f"{APP}\nnumber = 3\n")
    result = invoke("run", target)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"httpkit: error: {message}")
    assert result.stderr.count("\n") == 1


def test_a_module_without_any_application(invoke: Invoke, write_module: Write) -> None:
    write_module("user_empty", "")
    result = invoke("run", "user_empty:app")
    assert result.stderr == "httpkit: error: user_empty has no 'app' and no other application\n"


@pytest.mark.parametrize(
    ("source", "last"),
    [
        ("import user_missing_dependency\n", "ModuleNotFoundError: No module named 'user_missing"),
        ("def divide():\n    return 1 / 0\ndivide()\n", "ZeroDivisionError: division by zero"),
        ("app = = 1\n", "SyntaxError: invalid syntax"),
        ("from httpkit import App\nApp().get('x')\n", "ConfigurationError: pattern 'x' must start"),
    ],
)
def test_what_fails_in_the_module_is_shown_with_its_frames_only(
    invoke: Invoke, write_module: Write, source: str, last: str
) -> None:
    write_module("user_broken", source)
    result = invoke("run", "user_broken:app")
    assert result.exit_code == 1
    assert result.stderr.endswith("httpkit: error: user_broken cannot be imported, see above\n")
    assert last in result.stderr
    assert "user_broken.py" in result.stderr
    assert "importlib" not in result.stderr
    assert "httpkit/cli" not in result.stderr


def test_an_unguarded_app_run_is_noticed(invoke: Invoke, write_module: Write) -> None:
    write_module("user_unguarded", f"{APP}\napp.run()\n")
    result = invoke("run", "user_unguarded:app")
    assert result.exit_code == 1
    assert "app.run() is called while user_unguarded is being imported" in result.stderr
    assert 'if __name__ == "__main__":' in result.stderr


def test_a_missing_directory(invoke: Invoke) -> None:
    result = invoke("run", "x:app", "--app-dir", "/nowhere")
    assert result.exit_code == 1
    assert "--app-dir: there is no directory '/nowhere'" in result.stderr
