"""The documentation is true: its examples run, its tables are complete, its links lead somewhere.

The Python blocks of a page are run in order, in one namespace; functions called `test_…` are
called at its end.
"""

import asyncio
import inspect
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import pytest
from click.testing import CliRunner
from cryptography import x509

from httpkit import Config, FormLimits, Limits
from httpkit.certificates.development import DevelopmentCA
from httpkit.certificates.report import Handshake, make_report
from httpkit.certificates.roots import Roots
from httpkit.cli import main
from httpkit.cli.chain_picture import draw
from httpkit.cli.compress import compress_command
from httpkit.cli.config import config_command
from httpkit.cli.reference import insert_reference
from httpkit.cli.run import run_command
from httpkit.cli.schema import SETTINGS, describe_fields
from httpkit.cli.serve import serve_command
from httpkit.cli.settings import load_settings
from httpkit.server.counters import Counters

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
CONFIGURATION = ROOT / "docs" / "configuration.md"
SERVE = ROOT / "docs" / "serve.md"
HOW_TO_CERTIFICATES = ROOT / "docs" / "how-to" / "certificates.md"
CHAINS = ROOT / "docs" / "explanation" / "certificate-chains.md"
#: Text that is not Markdown prose: fenced blocks.
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")


class Block(NamedTuple):
    """A fenced block, and the line of its first line."""

    info: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(found["info"], found["text"], line)


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


WITH_CODE = [page for page in PAGES if any(block.info == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_CODE, ids=page_id)
def test_examples(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.info == "python":
            # Blank lines in front: a traceback then names the line of the page.
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, page, "exec", dont_inherit=True), namespace)
    for name, value in list(namespace.items()):
        if name.startswith("test_"):
            result = value()
            if inspect.iscoroutine(result):
                asyncio.run(result)


def test_the_hello_of_the_readme_is_the_example() -> None:
    hello = next(block for block in blocks(ROOT / "README.md") if block.info == "python")
    assert (ROOT / "examples" / "hello.py").read_text().endswith(hello.text)


def test_every_block_says_what_it_is() -> None:
    known = {"python", "sh", "console", "nginx", "toml", ""}
    for page in PAGES:
        for block in blocks(page):
            assert block.info in known, f"{page}:{block.line}"


def test_all_pages_are_in_the_index() -> None:
    docs = ROOT / "docs"
    reference = (docs / "reference" / "index.md").read_text()
    index = (docs / "index.md").read_text()
    for page in docs.rglob("*.md"):
        # Benchmarks leave their report there, on the machine that has run them.
        if page.name == "index.md" or page.parent.name == "benchmarks":
            continue
        if page.parent.name == "reference":
            assert f"({page.name})" in reference
        else:
            assert f"({page.relative_to(docs)})" in index


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page} links to {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


COMMANDS = (run_command, config_command, serve_command, compress_command)


def test_options_of_the_command_line_exist() -> None:
    params = [param for command in COMMANDS for param in command.params]
    known = {opt for param in params for opt in (*param.opts, *param.secondary_opts)}
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for line in page.read_text().splitlines():
            if any(f"httpkit {command.name}" in line for command in COMMANDS) or line.startswith(
                ("`--", "| `--")
            ):
                unknown = set(_OPTION.findall(line)) - known - {"--help"}
                assert not unknown, f"{page}: {line}"


def test_the_commands_of_the_page_on_serving_are_possible() -> None:
    shown = [
        shlex.split(line, comments=True)[1:]
        for block in blocks(SERVE)
        if block.info in ("sh", "console")
        for line in block.text.replace("$ ", "").splitlines()
        if line.startswith("httpkit ") and not line.startswith("httpkit 0")
    ]
    assert len(shown) >= 7
    for name, *arguments in shown:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert "directory" in command.make_context(name, arguments).params


def test_the_table_of_options_of_a_site() -> None:
    """Every option of a site stands in the table, but for the live line, which has its section."""
    table = SERVE.read_text().partition("| option |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`--([a-z-]+)`", table))
    site = {
        setting.flag[2:]
        for setting in SETTINGS.values()
        if setting.table == "serve" and not setting.is_argument
    }
    assert named == site - {"live-line"}


def test_commands_for_certificates_exist() -> None:
    group: Any = main.get_command(click.Context(main), "cert")
    for page in (HOW_TO_CERTIFICATES, CHAINS):
        found = re.findall(r"httpkit cert (\w+)([^`\n|]*)", page.read_text())
        assert found
        for name, rest in found:
            known = {opt for param in group.commands[name].params for opt in param.opts}
            assert set(_OPTION.findall(rest)) <= known, f"{page}: {name}{rest}"


def test_the_chain_that_is_shown_looks_like_that(tmp_path: Path) -> None:
    """The block of the page is drawn anew, with keys that are others, and so are their names."""
    now = datetime(2026, 11, 2, 9, tzinfo=UTC)
    authority = DevelopmentCA(tmp_path, lambda: now)
    made = authority.ensure(["localhost", "127.0.0.1", "::1", "laptop", "laptop.local"])
    root = x509.load_pem_x509_certificates(made.root.read_bytes())
    sent = x509.load_pem_x509_certificates(made.chain.read_bytes())
    agreed = "127.0.0.1", "localhost", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "h2", None
    report = make_report(
        "localhost:8443",
        sent,
        roots=Roots([], root),
        now=now,
        host="localhost",
        handshake=Handshake(*agreed),
    )
    drawn = "".join(f"{click.unstyle(line)}\n" for line in draw(report, 76))
    [block] = [block.text for block in blocks(CHAINS) if "┌─" in block.text]
    shown = block.partition("\n")[2]
    assert without_identifiers(shown) == without_identifiers(drawn)


def without_identifiers(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{8}\b", "xxxxxxxx", text)


def test_every_finding_is_explained() -> None:
    source = (ROOT / "httpkit" / "certificates" / "findings.py").read_text()
    codes = set(re.findall(r'Finding\(\s*"([a-z-]+)"', source))
    table = CHAINS.read_text().partition("## What goes wrong")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", table))
    assert len(codes) > 20
    assert codes <= explained


def test_the_table_of_form_limits() -> None:
    page = (ROOT / "docs" / "server.md").read_text()
    texts = describe_fields(FormLimits)
    rows = [
        f"| `{field.name}` | {f'{field.default:_}' if field.default else 'off'} "
        f"| {texts[field.name]} |"
        for field in msgspec.structs.fields(FormLimits)
    ]
    table = "\n".join(["| name | default | what it limits |", "|---|---|---|", *rows])
    assert table in page, f"docs/server.md should contain\n{table}"


def test_the_table_of_counters() -> None:
    page = (ROOT / "docs" / "seeing-the-wire.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .+ \|$", page.partition("## Counters")[2], re.MULTILINE)
    assert sorted(rows) == sorted(Counters.__slots__)


def test_the_reference_of_options_is_current() -> None:
    page = CONFIGURATION.read_text()
    assert insert_reference(page) == page, "run make reference: an option has changed"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The configuration file of the documentation, in the current directory."""
    [block] = [block for block in blocks(CONFIGURATION) if block.info == "toml"]
    (tmp_path / "httpkit.toml").write_text(block.text)
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path)
    return block.text


def test_the_example_of_a_file_is_possible(example: str) -> None:
    loaded = load_settings({}, {})
    assert loaded.found["app"].value == "main:app"
    assert len(loaded.options) == 8
    # What is commented out is possible too, in place of what it replaces.
    other = re.sub(r"^# ", "", example, flags=re.MULTILINE)
    Path("httpkit.toml").write_text(re.sub(r"^(host|port) .*$", "", other, flags=re.MULTILINE))
    assert load_settings({}, {}).options["unix"] == "run/site.sock"


def test_the_examples_of_output_are_true(example: str) -> None:
    """Of commands in docs/configuration.md: the output begins as it is shown."""
    examples = [
        found
        for block in blocks(CONFIGURATION)
        if block.info == "console"
        for found in re.findall(r"^\$ (.*)\n((?:[^$].*\n|\n)*)", block.text, re.MULTILINE)
    ]
    assert len(examples) == 3
    for command, output in examples:
        *assignments, rest = re.split(r" (?=HTTPKIT_|httpkit )", command)
        environ = dict(assignment.split("=") for assignment in assignments)
        _, *arguments = rest.split()
        result = CliRunner().invoke(main, arguments, env=environ)
        assert result.output.startswith(output), command


def test_the_defaults_that_the_text_names() -> None:
    page = (ROOT / "docs" / "server.md").read_text()
    assert f"`shutdown_timeout` ({Limits().shutdown_timeout:g} s)" in page
    assert f"permissions are {Config().unix_mode:o}" in page
