"""The site as far as it can be checked without building it: navigation, reference, gathering.

`make docs` builds it strictly: Zensical checks links and anchors, `problems` the rest.
"""

import importlib.util
import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import httpkit
import httpkit.testing
from tests.protocol.open_choices import OPEN_CHOICES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PICTURES = sorted((DOCS / "pictures").glob("*.svg"))


def load_builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_site", DOCS / "build_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


builder = load_builder()


def pages(nav: list[Any]) -> Iterator[str]:
    """Every page of a navigation, however deep."""
    for entry in nav:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from pages(value)


def test_every_page_is_in_the_navigation_once() -> None:
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    listed = list(pages(project["nav"]))
    assert len(listed) == len(set(listed))
    published = {page for page in builder.published().values() if page.endswith(".md")}
    assert set(listed) <= published
    missing = {page for page in published - set(listed) if not page.startswith("benchmarks/")}
    assert not missing, "add the page to nav in zensical.toml"


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    described = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    assert len(described) == len(set(described))
    assert set(builder.public_names()) <= set(described)
    assert f"httpkit.{httpkit.App.__name__}" in builder.public_names()
    assert f"httpkit.testing.{httpkit.testing.Client.__name__}" in builder.public_names()


def test_the_choices_where_the_rfcs_leave_one() -> None:
    page = (DOCS / "explanation" / "strictness.md").read_text()
    rows = [
        f"| {name} | {choice.section} | {choice.text} | {choice.status or 'served'} |"
        for name, choice in OPEN_CHOICES.items()
    ]
    heading = "| input | section | what it says, and what is done | answer |\n|---|---|---|---|"
    assert "\n".join([heading, *rows]) in page


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_pictures_have_a_text_and_two_color_schemes_and_load_nothing(picture: Path) -> None:
    root = ET.parse(picture).getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.findtext(f"{name}title")
    assert root.findtext(f"{name}desc")
    assert "prefers-color-scheme: dark" in picture.read_text()
    assert re.findall(r"https?://[^\s\"']+", picture.read_text()) == ["http://www.w3.org/2000/svg"]


def test_every_picture_is_shown_with_an_alternative_text() -> None:
    sources = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    text = "".join(page.read_text() for page in sources)
    for picture in PICTURES:
        (alternative,) = re.findall(rf"!\[([^\]]+)\]\([^)]*{picture.name}\)", text)
        assert len(alternative) > 40


PAGES = {
    "README.md": "readme.md",
    "ARCHITECTURE.md": "architecture.md",
    "docs/index.md": "index.md",
    "docs/server.md": "server.md",
    "docs/how-to/files.md": "how-to/files.md",
    "docs/pictures/layers.svg": "pictures/layers.svg",
}


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("docs/index.md", "[a](../ARCHITECTURE.md)", "[a](architecture.md)"),
        ("docs/index.md", "[a](how-to/files.md#x)", "[a](how-to/files.md#x)"),
        ("docs/how-to/files.md", "[a](../server.md)", "[a](../server.md)"),
        ("docs/how-to/files.md", "[a](../../ARCHITECTURE.md#x)", "[a](../architecture.md#x)"),
        ("ARCHITECTURE.md", "![a b](docs/pictures/layers.svg)", "![a b](pictures/layers.svg)"),
        ("ARCHITECTURE.md", "see [`limits`](httpkit/limits.py).", "see `limits`."),
        ("ARCHITECTURE.md", "[nowhere](docs/nowhere.md)", "[nowhere](docs/nowhere.md)"),
        ("docs/index.md", "[a](#here)", "[a](#here)"),
        ("docs/index.md", "[a](https://www.rfc-editor.org/)", "[a](https://www.rfc-editor.org/)"),
        ("docs/index.md", "```\n[a](../ARCHITECTURE.md)\n```", "```\n[a](../ARCHITECTURE.md)\n```"),
    ],
)
def test_links_between_pages_are_rewritten(source: str, text: str, expected: str) -> None:
    assert builder.rewrite(text, source, PAGES) == expected


def test_what_a_built_page_loads_from_elsewhere_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<link href="https://a.example/x.css"><a href="https://b.example/">fine</a>'
        '<script src="//c.example/x.js"></script><img src="/local.svg">'
        + "".join(f'<h2 id="{name}"></h2>' for name in builder.public_names()[1:])
    )
    (tmp_path / "x.css").write_text('@import "https://d.example/y.css"; a { background: url(z) }')
    assert list(builder.problems(tmp_path)) == [
        "index.html loads https://a.example/x.css",
        "index.html loads //c.example/x.js",
        "x.css loads https://d.example/y.css",
        f"{builder.public_names()[0]} is missing in the reference",
    ]


def test_pages_that_are_gone_leave_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "GATHERED", tmp_path)
    (tmp_path / "old.md").write_text("gone")
    builder.gather()
    assert not (tmp_path / "old.md").exists()
    index = tmp_path / "index.md"
    assert "(architecture.md)" in index.read_text()
    before = index.stat().st_mtime_ns
    builder.gather()
    assert index.stat().st_mtime_ns == before
