"""A small site for each visitor: a directory with files, and what was asked of it.

Owns the temporary directory. Whatever visitors do, there are at most `MAX_SITES` sites of a fixed
number of files each; who was away for longest makes room. State is that of this process, so behind
several workers a visitor would meet several sites.
"""

import asyncio
import atexit
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from examples.showcase.caching.files import FILES, published_name
from httpkit import HTTPError
from httpkit.middleware.codings import CODINGS
from httpkit.static.precompress import find_sources, precompress, remove_siblings

#: About 60 KiB each.
MAX_SITES = 200
#: Statuses that are counted.
STATUSES = (200, 206, 304)
#: The page itself, among what is counted.
PAGE = "page"
#: Made once, with the compressed siblings; a new site is a copy of it. No token looks like that.
_TEMPLATE = ".template"


class Site:
    """What one visitor has.

    Attributes:
        token: its name in URLs.
        directory: of its files.
        published: what each of `FILES` is called now.
        versions: of the files, from 1 on.
        visits: how often the page was asked for.
        total: answers by file and status, the page among them.
        visit: the same since the page was last asked for.
        expired: files whose next whole answer promises nothing.
        reports: how often the handler of the report has run.
    """

    def __init__(self, token: str, directory: Path, published: dict[str, str]) -> None:
        self.token = token
        self.directory = directory
        self.published = published
        self.versions = dict.fromkeys(FILES, 1)
        self.visits = 0
        self.total = _no_counts()
        self.visit = _no_counts()
        self.expired: set[str] = set()
        self.reports = 0

    def begin_visit(self, status: int) -> None:
        """The page is asked for; what comes now comes for it."""
        self.visits += 1
        self.visit = _no_counts()
        self.count(PAGE, status)

    def count(self, name: str, status: int) -> None:
        if status in STATUSES:
            self.total[name][status] += 1
            self.visit[name][status] += 1


def _no_counts() -> dict[str, dict[int, int]]:
    return {name: dict.fromkeys(STATUSES, 0) for name in (PAGE, *FILES)}


class Sites:
    """All sites, the one that was used last at the end.

    Attributes:
        directory: where they are, one directory each.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="httpkit-caching-"))
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        self._sites: dict[str, Site] = {}
        self._published: dict[str, str] = {}
        #: One at a time on the disk: changes of one file must not cross.
        self._lock = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._sites)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Draw and compress the files; at the end all sites are gone."""
        self._lock = asyncio.Lock()  # of this loop
        self._published = await asyncio.to_thread(_make_template, self.directory / _TEMPLATE)
        try:
            yield
        finally:
            self._sites.clear()
            _empty(self.directory)

    def find(self, token: str | None) -> Site | None:
        """The site of a token, which counts as used."""
        site = self._sites.pop(token or "", None)
        if site is not None:
            self._sites[site.token] = site
        return site

    async def make(self) -> Site:
        """A new site, in the place of the oldest one if there are too many."""
        token = secrets.token_urlsafe(12).replace("-", "_")
        site = Site(token, self.directory / token, dict(self._published))
        async with self._lock:
            await asyncio.to_thread(shutil.copytree, self.directory / _TEMPLATE, site.directory)
            self._sites[token] = site
        while len(self._sites) > MAX_SITES:
            await self.remove(next(iter(self._sites.values())))
        return site

    async def remove(self, site: Site) -> None:
        self._sites.pop(site.token, None)
        async with self._lock:
            await asyncio.to_thread(shutil.rmtree, site.directory, ignore_errors=True)

    async def change(self, site: Site, name: str) -> None:
        """Write the next version of a file.

        Raises:
            HTTPError: 404, the site has made room for others meanwhile.
        """
        async with self._lock:
            if site.token not in self._sites:
                raise HTTPError(404, "This site is gone.")
            version = site.versions[name] + 1
            content = await asyncio.to_thread(FILES[name].content, version)
            published = published_name(name, content)
            old = site.published[name]
            await asyncio.to_thread(_replace, site.directory, old, published, content)
            site.versions[name], site.published[name] = version, published


def _make_template(directory: Path) -> dict[str, str]:
    """Write version 1 of all files; what each is called."""
    directory.mkdir(mode=0o700)
    published = {}
    for name, file in FILES.items():
        content = file.content(1)
        published[name] = published_name(name, content)
        (directory / published[name]).write_bytes(content)
    _compress(directory, published.values())
    return published


def _replace(directory: Path, old: str, new: str, content: bytes) -> None:
    """Put a new content in the place of an old one, which had perhaps another name.

    Siblings of the old content go first: they must not be sent for the new one.
    """
    sources = [each for each in find_sources(str(directory)) if Path(each.path).name == old]
    remove_siblings(sources, list(CODINGS))
    draft = directory / ".draft"
    draft.write_bytes(content)
    draft.replace(directory / new)  # whole or not at all
    if new != old:
        (directory / old).unlink()
    _compress(directory, [new])


def _compress(directory: Path, names: Iterable[str]) -> None:
    """Make the compressed siblings, as `httpkit compress` does."""
    wanted = {str(directory / name) for name in names}
    sources = [each for each in find_sources(str(directory)) if each.path in wanted]
    precompress(sources, [coding for coding, can in CODINGS.items() if can()])


def _empty(directory: Path) -> None:
    for entry in os.scandir(directory):
        shutil.rmtree(entry.path, ignore_errors=True)
