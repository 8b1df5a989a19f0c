"""From the options of `httpkit serve` to the application that serves a directory."""

import os
from collections.abc import Callable
from typing import NamedTuple

from httpkit.app import App
from httpkit.cli.live_reload import LiveReload
from httpkit.cli.schema import Site
from httpkit.errors import ConfigurationError
from httpkit.middleware.compress import Compress
from httpkit.middleware.cors import CORS
from httpkit.static.header_rules import HeaderRules
from httpkit.types import Middleware

__all__ = ["Served", "describe_site", "make_site"]


class Served(NamedTuple):
    """A site that is ready to be served.

    Attributes:
        app: the application.
        misses: how often it had to read the disk.
    """

    app: App
    misses: Callable[[], int]


def make_site(site: Site) -> Served:
    """The application for a directory.

    Raises:
        ConfigurationError: there is no such directory, or an option makes no sense; the message
            begins with the name of the option.
    """
    if os.path.isfile(site.directory):
        raise ConfigurationError(
            f"{site.directory!r} is a file, not a directory: give the one that it is in, as in "
            f"httpkit serve {os.path.dirname(site.directory) or '.'}"
        )
    if not os.path.isdir(site.directory):
        raise ConfigurationError(
            f"there is no directory {site.directory!r} to serve: give the right one, as in "
            "httpkit serve dist"
        )
    layers: list[Middleware] = []
    if site.cors or site.cors_origin:
        layers.append(CORS(site.cors_origin or "*", headers="*", expose=_EXPOSED))
    if site.compress:
        layers.append(Compress())
    live = LiveReload(site.directory) if site.live_reload else None
    if live is not None:
        layers.append(live)
    app = App(middleware=layers, lifespan=None if live is None else live.lifespan)
    if live is not None:
        live.install(app)
    files = app.static(
        "/",
        site.directory,
        index=site.index,
        spa=site.spa,
        clean_urls=site.clean_urls,
        not_found=site.not_found,
        listing=site.listing,
        dotfiles=site.dotfiles,
        symlinks=site.symlinks,
        precompressed=site.precompressed,
        cache_control=site.cache,
        immutable=site.immutable,
        headers=None if site.headers is None else HeaderRules.load(site.headers),
        # What has just been saved is what the page must show.
        memory=0 if site.live_reload else _MEMORY,
    )
    return Served(app, lambda: files.loads)


#: Fields that players and download managers look at.
_EXPOSED = ("Accept-Ranges", "Content-Encoding", "Content-Length", "Content-Range", "ETag")
#: Bytes of files that are kept.
_MEMORY = 67_108_864


def describe_site(site: Site) -> str:
    """What is served and how, for the banner."""
    names = (
        "spa clean_urls listing dotfiles symlinks precompressed compress immutable live_reload"
    ).split()
    words = [name.replace("_", " ") for name in names if getattr(site, name)]
    words += [site.cache] if site.cache is not None else []
    words += [f"fields of {site.headers}"] if site.headers is not None else []
    if site.cors or site.cors_origin:
        words.append(f"cors for {', '.join(site.cors_origin) or 'everybody'}")
    return " · ".join([os.path.abspath(site.directory), *words])
