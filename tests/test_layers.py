"""The layers of ARCHITECTURE.md, as far as import-linter cannot see them.

import-linter checks the contracts of pyproject.toml. Here stands that the contracts cover every
module, that their list of exceptions does not grow, and, without any tool, that the pure layers
stay pure.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "httpkit"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]

#: The doors from an application to the borders.
EXCEPTIONS = {
    "httpkit.app -> httpkit.asgi",
    "httpkit.app -> httpkit.cli.run",
    "httpkit.routing.router -> httpkit.hosting",
}
IMPURE = {"asyncio", "logging", "select", "selectors", "socket", "ssl", "threading", "time"}
#: Both stacks stand on it; it needs a loop, and nothing else.
WAITING = {"waiting"}
BORDERS = {"__main__", "asgi", "cli", "hosting", "testing", "wsgi"}


def contract(name: str) -> dict[str, list[str]]:
    """A contract by the beginning of its name."""
    return next(each for each in CONTRACTS if each["name"].startswith(name))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Every module that a file imports, anywhere in it, with the function that does it."""

    def visit(node: ast.AST, function: str | None) -> Iterator[tuple[str, str | None]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, function) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path} has a relative import"
                assert child.module is not None
                yield child.module, function
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            inner = child.name if named else function
            yield from visit(child, inner)

    yield from visit(ast.parse(path.read_text()), None)


FILES = sorted(PACKAGE.rglob("*.py"))


def top_level(name: str) -> str:
    """The first part below the package: `httpkit.routing.tree` is `routing`."""
    return name.split(".")[1] if "." in name else ""


def layer(name: str) -> set[str]:
    """The modules of a layer, by a contract that lists it."""
    modules = contract(name)["source_modules"]
    return {module.removeprefix("httpkit.") for module in modules}


PURE = layer("Vocabulary and protocols")
APPLICATION = layer("Applications know no server")
SERVER = layer("Servers know no application")


def test_the_exceptions_are_the_ones_that_are_written_down() -> None:
    found = {each for contract in CONTRACTS for each in contract.get("ignore_imports", ())}
    assert found == EXCEPTIONS


def test_the_exceptions_are_three_functions() -> None:
    doors = [
        (module_name(path), function)
        for path in FILES
        for name, function in imports(path)
        if top_level(name) in BORDERS and top_level(module_name(path)) not in BORDERS
    ]
    assert doors == [
        ("httpkit.app", "__call__"),
        ("httpkit.app", "run"),
        ("httpkit.routing.router", "mount"),
    ]


def test_every_module_is_in_a_layer() -> None:
    known = PURE | WAITING | APPLICATION | SERVER | BORDERS
    found = {top_level(module_name(path)) for path in FILES} - {""}
    assert found == known


def test_the_stacks_of_layers_name_the_same_modules() -> None:
    stacks = [
        {module.strip() for layer in contract(name)["layers"] for module in layer.split(":")}
        for name in ("The server stack", "The application stack")
    ]
    vocabulary = PURE - {"protocol"} | WAITING
    assert stacks[0] == {f"httpkit.{name}" for name in vocabulary | SERVER | BORDERS}
    assert stacks[1] == {f"httpkit.{name}" for name in vocabulary | APPLICATION | BORDERS}


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if top_level(module_name(path)) in PURE],
    ids=lambda path: module_name(path).removeprefix("httpkit."),
)
def test_pure_modules_import_nothing_impure(path: Path) -> None:
    for name, _ in imports(path):
        assert name.partition(".")[0] not in IMPURE, f"{path} imports {name}"


def test_nobody_inside_imports_the_facade() -> None:
    for path in FILES:
        if top_level(module_name(path)) not in BORDERS:
            assert "httpkit" not in {name for name, _ in imports(path)}, path


def test_the_facade_opens_no_border() -> None:
    facade = {top_level(name) for name, _ in imports(PACKAGE / "__init__.py")}
    assert not facade & BORDERS


def test_every_module_stands_in_the_table_of_the_architecture() -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("| layer | where |")[2]
    cells = [row.split("|")[2] for row in table.partition("\n\n")[0].splitlines()[2:]]
    named = [name for cell in cells for part in cell.split("`")[1::2] for name in part.split()]
    there = {
        f"{path.name}/" if path.is_dir() else path.stem
        for path in PACKAGE.iterdir()
        if path.name != "__pycache__" and (path.is_dir() or path.suffix == ".py")
    }
    assert sorted(named) == sorted(there)
