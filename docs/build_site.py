"""Build the documentation as a site: `make docs`, or `make docs-serve` with live reload.

The pages stand in `docs/`, and some at the top of the repository where people look for them. This
gathers them in `build/docs`, turns the links between them into links of the site, and leaves the
rest to Zensical, which fails on whatever leads nowhere. Links to source files become plain text:
the site cannot know where the code is hosted.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

import httpkit.certificates
import httpkit.channels
import httpkit.middleware
import httpkit.testing

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
GATHERED = ROOT / "build" / "docs"

#: Pages outside of `docs/`, and what they are called in the site.
OUTSIDE = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "license.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
}
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
#: What a page needs to be found: the rest of `docs/` is not published.
_PUBLISHED = {".md", ".svg", ".css", ".png"}


def published() -> dict[str, str]:
    """Every file of the site by its path in the repository; the values are paths in the site."""
    files = {
        str(path.relative_to(ROOT)): str(path.relative_to(DOCS))
        for path in DOCS.rglob("*")
        if path.suffix in _PUBLISHED
    }
    return files | OUTSIDE


def rewrite(text: str, source: str, pages: dict[str, str]) -> str:
    """Turn the links of a page, as they are in the repository, into links of the site."""
    here = PurePosixPath(source).parent

    def link(found: re.Match[str]) -> str:
        target = os.path.normpath(here / found["path"])
        if target in pages:
            start = PurePosixPath(pages[source]).parent
            path = os.path.relpath(pages[target], start)
            return f"{found['image']}[{found['text']}]({path}{found['anchor'] or ''})"
        # A link that leads nowhere stays as it is, so that the strict build complains.
        return found["text"] if (ROOT / target).exists() else found[0]

    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def gather() -> None:
    """Write what has changed into `build/docs`, and remove what is gone."""
    pages = published()
    for source, target in pages.items():
        content = (ROOT / source).read_bytes()
        if target.endswith(".md"):
            content = rewrite(content.decode(), source, pages).encode()
        file = GATHERED / target
        # Unchanged files keep their time: the live reload looks at it.
        if not file.exists() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    for file in GATHERED.rglob("*"):
        if file.is_file() and str(file.relative_to(GATHERED)) not in pages.values():
            file.unlink()


class Loads(HTMLParser):
    """The addresses that a page makes the browser load, and the anchors it has."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Whatever has an address, but for links that are followed by a click only."""
        for name, value in attrs:
            if name in {"src", "srcset", "data", "poster"} or (name == "href" and tag == "link"):
                self.addresses.append(value or "")
            elif name == "id":
                self.anchors.add(value or "")


_CSS_ADDRESS = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""")


def problems(site: Path) -> Iterator[str]:
    """What is wrong with a built site although every link leads somewhere."""
    anchors: set[str] = set()
    for file in sorted(site.rglob("*")):
        found: list[str] = []
        if file.suffix == ".html":
            page = Loads()
            page.feed(file.read_text())
            found = page.addresses
            anchors |= page.anchors
        elif file.suffix in {".css", ".svg"}:
            found = _CSS_ADDRESS.findall(file.read_text())
        for address in found:
            if address.startswith(("http:", "https:", "//")):
                yield f"{file.relative_to(site)} loads {address}"
    for name in public_names():
        if name not in anchors:
            yield f"{name} is missing in the reference"


def public_names() -> list[str]:
    """What the public modules export; docs/index.md names them."""
    modules = (
        httpkit,
        httpkit.certificates,
        httpkit.channels,
        httpkit.middleware,
        httpkit.testing,
    )
    return [f"{module.__name__}.{name}" for module in modules for name in module.__all__]


def zensical(*arguments: str) -> list[str]:
    """The command line of Zensical in the same environment."""
    return [sys.executable, "-m", "zensical", *arguments]


def build() -> int:
    """Build the site into `site/`; the exit code."""
    shutil.rmtree(GATHERED, ignore_errors=True)
    shutil.rmtree(ROOT / "site", ignore_errors=True)
    gather()
    command = zensical("build", "--strict", "--clean")
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        return code
    found = list(problems(ROOT / "site"))
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


def serve(address: str) -> int:
    """Serve the site and gather its pages anew twice a second, until Ctrl-C."""
    gather()
    with subprocess.Popen(zensical("serve", "--dev-addr", address), cwd=ROOT) as server:
        try:
            while server.poll() is None:
                time.sleep(0.5)
                gather()
        except KeyboardInterrupt:
            server.terminate()
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the documentation as a site.")
    parser.add_argument("--serve", metavar="HOST:PORT", help="serve it and reload what changes")
    address = parser.parse_args().serve
    return serve(address) if address else build()


if __name__ == "__main__":
    sys.exit(main())
