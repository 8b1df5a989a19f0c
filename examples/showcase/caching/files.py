"""The files of a site: what is promised of each, and what there is to learn from it."""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from examples.showcase.caching import drawing

#: The promise of a file that has just been expired: none.
EXPIRED = "max-age=0"


class SiteFile(NamedTuple):
    """One file.

    Attributes:
        draw: its content in a version.
        cache_control: how long a copy of it is fresh.
        lesson: one sentence for the page.
        hashed: whether its name has a hash of its content.
        expires: whether the promise is a time that can be taken back for the next copy.
    """

    draw: Callable[[int], str | bytes]
    cache_control: str
    lesson: str
    hashed: bool = False
    expires: bool = False

    def content(self, version: int) -> bytes:
        content = self.draw(version)
        return content.encode() if isinstance(content, str) else content


#: By the name that does not change.
FILES: Mapping[str, SiteFile] = {
    "hills.svg": SiteFile(
        drawing.hills,
        "max-age=60",
        "For a minute nobody is asked, so a change shows a minute late; after it one question "
        "renews the copy.",
        expires=True,
    ),
    "waves.svg": SiteFile(
        drawing.waves,
        "max-age=5, stale-while-revalidate=600",
        "After five seconds a browser may show its old copy at once and ask behind your back, so a "
        "change shows at the visit after the next.",
        expires=True,
    ),
    "photo.png": SiteFile(
        drawing.photo,
        "max-age=20",
        "Twenty seconds; it has no coding, since a PNG is compressed already.",
        expires=True,
    ),
    "sun.svg": SiteFile(
        drawing.sun,
        "max-age=31536000, immutable",
        "The name has a hash of the content: it is never asked for again, and a change is another "
        "name in the page.",
        hashed=True,
    ),
    "theme.css": SiteFile(
        drawing.theme,
        "no-cache",
        "no-cache stores it and asks each time: 304 costs a round trip, but no content.",
    ),
    "dial.svg": SiteFile(
        drawing.dial,
        "no-store",
        "no-store keeps nothing: every visit transfers all of it.",
    ),
}


def published_name(name: str, content: bytes) -> str:
    """What a file is called in the page: with a hash of its content, where that is promised."""
    if not FILES[name].hashed:
        return name
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"


def stable_name(published: str) -> str | None:
    """The key of `FILES` for what a file is called in the page; `None` if there is none."""
    if published in FILES:
        return published
    stem, _, suffix = published.rpartition(".")
    name = f"{stem.partition('.')[0]}.{suffix}"
    return name if name in FILES and FILES[name].hashed else None


def header_rule(path: str) -> list[tuple[str, str]]:
    """`Cache-Control` of `/{site}/{file}`, for `app.static`."""
    name = stable_name(path.rpartition("/")[2])
    return [] if name is None else [("Cache-Control", FILES[name].cache_control)]
