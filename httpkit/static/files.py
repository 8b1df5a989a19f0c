"""`StaticFiles`: what answers a path below a directory.

Owns which file stands for a path (itself, the index of a directory, `about.html` for `/about`, the
page of an application for everything), the redirects between spellings, and the fields of answers.
How a path becomes an open file is `lookup.py`, what is sent for it `resource.py`.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from os import PathLike
from typing import TypedDict, TypeVar
from urllib.parse import quote

from httpkit.body import FileBody
from httpkit.errors import ConfigurationError, HTTPError, InvalidHeader
from httpkit.headers import encode_fields, encode_header
from httpkit.request import Request
from httpkit.response import Response
from httpkit.semantics.media_types import guess_media_type
from httpkit.semantics.negotiation import preferred_media_type
from httpkit.static.listing import LISTING_TYPES, render_listing
from httpkit.static.lookup import WELL_KNOWN, Identity, Root, identity_of
from httpkit.static.memory import Memory
from httpkit.static.resource import Content, Resource
from httpkit.urls import quote_query

__all__ = ["SIBLINGS", "HeaderRule", "StaticFiles", "StaticOptions"]

T = TypeVar("T")

#: Given a path below the directory, with a slash in front: header fields for what is served there.
HeaderRule = Callable[[str], Iterable[tuple[str, str]]]

#: Siblings that may stand beside a file, the favorite first.
SIBLINGS = (("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz"))

#: Names that change with their content: a hash in hexadecimal or, of eight characters, in
#: base64url, between a separator and the endings. Words and versions do not look like that.
_HASHED = re.compile(
    r"[._-](?:(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{8,64}"
    r"|(?=[\w-]*[a-z0-9][A-Z])(?=[\w-]*[a-z])(?=[\w-]*[0-9])[\w-]{8})(?:\.[a-z0-9]+){1,2}",
    re.ASCII,
)
_IMMUTABLE = "public, max-age=31536000, immutable"  # RFC 8246

#: Larger files are sent from the disk.
_MAX_IN_MEMORY = 262_144


class StaticOptions(TypedDict, total=False):
    """How the files of a directory are served; what `Router.static` takes."""

    #: The file that answers for a directory, `index.html` by default; `None` for none. A directory
    #: without the last slash is redirected to the path with it.
    index: str | None
    #: The page for what is missing, with status 404; by default the app answers.
    not_found: str | None
    #: Answer for paths without a dot in their last name that are no files with the index of the
    #: directory: for applications in the browser that have routes of their own. Not below
    #: `/.well-known/`: who asks there would take the page for an answer.
    spa: bool
    #: Serve `about.html` for `/about`, and redirect `/about.html` there.
    clean_urls: bool
    #: List directories without an index, as a page or, by `Accept`, as JSON.
    listing: bool
    #: Serve and list names that begin with a dot, too. Without, `.well-known` in the directory
    #: itself is served all the same (RFC 8615), and not listed.
    dotfiles: bool
    #: Follow symbolic links that lead out of the directory. Those inside are followed anyway.
    symlinks: bool
    #: Serve `app.js.br`, `app.js.zst` or `app.js.gz` in the place of `app.js` to clients that take
    #: them, where they stand beside it and are not older.
    precompressed: bool
    #: The value of `Cache-Control`; by default none is sent, and caches guess.
    cache_control: str | None
    #: Whether names that contain a hash of their content (`app.3f2a9c1b.js`) are cached for good
    #: (RFC 8246); or a regular expression that finds such names.
    immutable: bool | str
    #: Called with each path below the directory, a slash in front: header fields for what is there.
    #: They replace others of the same name.
    headers: HeaderRule | None
    #: Bytes that small files may take in memory, 32 MiB by default; 0 keeps none.
    memory: int
    #: Seconds for which a file in memory is served without a look at the disk, 1 by default.
    check_interval: float


class StaticFiles:
    """Answers GET and HEAD with the files of a directory; a handler for `{path:path}`.

    `StaticOptions` tells what the arguments mean.

    Attributes:
        directory: whose files are served, absolute.
        loads: how often the disk was read for a request; all others were answered from memory.

    Raises:
        ConfigurationError: there is no such directory, or an option makes no sense.
    """

    def __init__(
        self,
        directory: str | PathLike[str],
        *,
        index: str | None = "index.html",
        not_found: str | None = None,
        spa: bool = False,
        clean_urls: bool = False,
        listing: bool = False,
        dotfiles: bool = False,
        symlinks: bool = False,
        precompressed: bool = False,
        cache_control: str | None = None,
        immutable: bool | str = False,
        headers: HeaderRule | None = None,
        memory: int = 33_554_432,
        check_interval: float = 1.0,
    ) -> None:
        self._root = root = Root(directory, dotfiles=dotfiles, symlinks=symlinks)
        self.directory = root.directory
        self.loads = 0
        self._index = self._check_file("index", index)
        self._not_found = self._check_file("not_found", not_found)
        if spa and index is None:
            raise ConfigurationError("spa=True needs an index, the page of the application")
        self._spa = spa
        self._clean_urls = clean_urls
        self._listing = listing
        self._precompressed = precompressed
        self._cache_control = cache_control
        if cache_control is not None:
            try:
                encode_header("cache-control", cache_control)
            except InvalidHeader as error:
                raise ConfigurationError(f"cache_control: {error}") from None
        self._hashed = _read_pattern(immutable)
        if headers is not None and not callable(headers):
            raise ConfigurationError(
                f"headers of static files is {headers!r}: give a function of the path, "
                "or HeaderRules of a mapping or a file"
            )
        self._rule = headers
        for name, number in (("memory", memory), ("check_interval", check_interval)):
            if not isinstance(number, int | float) or number < 0:
                raise ConfigurationError(
                    f"{name}={number!r} of static files: give a number of "
                    f"{'bytes' if name == 'memory' else 'seconds'}, 0 or more"
                )
        #: What forgets the raw targets that lead to what is kept.
        self._learned: dict[str, Callable[[], None]] = {}
        self._memory = Memory(root, memory, check_interval, self._unlearn)

    def _check_file(self, option: str, name: str | None) -> str | None:
        if name is not None and not self._root.serves(name):
            raise ConfigurationError(f"{option} {name!r}: give the name of a file, or None")
        return name

    # --- answering ---------------------------------------------------------------------------

    def __call__(
        self, request: Request, path: str = "", **_: object
    ) -> Response | Awaitable[Response]:
        """Answer with what stands for a path; an awaitable where the disk has to be asked.

        Raises:
            HTTPError: 404 for everything that is not to be served; 412 and 416.
        """
        resource = self._memory.get(path)
        return resource.answer(request) if resource is not None else self._find(request, path)

    async def _find(self, request: Request, path: str) -> Response:
        try:
            found = await self._ask(request, path, partial(self._load, request, path))
        except HTTPError as error:
            page = await self._answer_missing(request, path) if error.status == 404 else None
            if page is None:
                raise
            return page
        if isinstance(found, Response):
            return found
        self._learn(request, path)
        return found.answer(request)

    async def _ask(self, request: Request, key: str, load: Callable[[], T]) -> Resource | T:
        """What stands for a path: from memory after a look at the disk, or from there.

        Raises:
            HTTPError: 404.
        """
        memory = self._memory
        if key in memory:
            await memory.recheck()
            resource = memory.get(key)
            if resource is not None:
                return resource
        self.loads += 1
        found = await request.channel.run_blocking(load)
        if isinstance(found, Resource):
            memory.keep(key, found)
        return found

    async def answer_unrouted(self, request: Request) -> Response | None:
        """The page for a path that can name no file: a slash in it was encoded, or is one too many.

        To an application in the browser that is a path like others: `/artists/AC%2FDC`.
        """
        name = request.path.rpartition("/")[2]
        well_known = f"/{WELL_KNOWN}/" in request.path
        return await self._answer_missing(request, f"{WELL_KNOWN}/{name}" if well_known else name)

    async def _answer_missing(self, request: Request, path: str) -> Response | None:
        """The page of the application, or that for what is missing, if there is one."""
        if self._is_page(path) and self._index is not None:
            page = await self._ask_page(request, self._index)
            if page is not None:
                return page.answer(request)
        if self._not_found is not None:
            page = await self._ask_page(request, self._not_found)
            if page is not None:
                answer = page.whole(request).copy()
                answer.status = 404
                for name in ("accept-ranges", "cache-control", "etag", "last-modified"):
                    answer.headers.discard(name)
                return answer
        return None

    def _is_page(self, path: str) -> bool:
        """Whether the application in the browser may have a page for what is no file."""
        return (
            self._spa
            and "." not in path.rpartition("/")[2]
            and not path.startswith(f"{WELL_KNOWN}/")
        )

    async def _ask_page(self, request: Request, name: str) -> Resource | None:
        """A page of the root by the name of its file; no path leads to its key."""
        try:
            return await self._ask(request, f"\0{name}", partial(self._load_file, name))
        except HTTPError:
            return None

    # --- the raw targets of what is kept -----------------------------------------------------

    def _learn(self, request: Request, path: str) -> None:
        """Let the router find what is kept by the raw target, as it finds static routes."""
        if path in self._memory and path not in self._learned and request.route is not None:
            forget = request.route.learn(request)
            if forget is not None:
                self._learned[path] = forget

    def _unlearn(self, path: str) -> None:
        forget = self._learned.pop(path, None)
        if forget is not None:
            forget()

    # --- from the disk -----------------------------------------------------------------------

    def _load(self, request: Request, path: str) -> Resource | Response:
        """Find out what stands for a path. Blocks.

        Raises:
            HTTPError: 404.
        """
        directory, slash, last = path.rpartition("/")
        if not last:
            if slash and not directory:
                raise HTTPError(404)  # a slash too many
            return self._load_index(request, directory, path)
        html = self._clean_urls and last.endswith(".html")
        try:
            file = self._root.open(path)
        except HTTPError:
            if not self._clean_urls or html:
                raise
            return self._load_page(path)
        if file is None:
            if self._clean_urls and self._root.identify(f"{path}.html") is not None:
                return self._load_page(path)
            self._load_index(request, path, f"{path}/")  # nothing else has a slash
            return _redirect(request, f"./{quote(last, safe='')}/", 307)
        if html:
            file.close()
            name = "" if last == self._index else quote(last.removesuffix(".html"), safe="")
            return _redirect(request, f"./{name}", 308)
        return self._make(path, path, file, [])

    def _load_page(self, path: str) -> Resource:
        """`about.html` for `about`, which is no file itself."""
        page = f"{path}.html"
        file = self._root.open(page)
        if file is None:
            raise HTTPError(404)
        return self._make(path, page, file, [(path, self._root.identify(path))])

    def _load_index(self, request: Request, directory: str, path: str) -> Resource | Response:
        if self._index is not None:
            name = f"{directory}/{self._index}" if directory else self._index
            with suppress(HTTPError):
                return self._load_file(name, path)
        if not self._listing:
            raise HTTPError(404)
        return self._list(request, directory, path)

    def _load_file(self, name: str, path: str | None = None) -> Resource:
        """A file by its name, as what stands for a path."""
        file = self._root.open(name)
        if file is None:
            raise HTTPError(404)
        return self._make(path if path is not None else name, name, file, [])

    def _list(self, request: Request, directory: str, path: str) -> Response:
        """The listing of a directory, with the fields of its path."""
        entries = self._root.scan(directory)
        if self._precompressed:
            names = {entry.name for entry in entries}
            siblings = {name + ending for name in names for _, ending in SIBLINGS}
            entries = [entry for entry in entries if entry.name not in siblings]
        wanted = preferred_media_type(request.headers.get("accept"), LISTING_TYPES)
        root = request.path.removesuffix(path)
        response = render_listing(
            request.path, entries, wanted or LISTING_TYPES[0], root=root or "/"
        )
        if self._rule is not None:
            response.headers.update(self._rule(f"/{path}"))
            response.headers.add_vary("Accept")  # a rule for files knows nothing of JSON
        return response

    def _make(
        self,
        path: str,
        name: str,
        file: FileBody,
        probes: Sequence[tuple[str, Identity | None]],
    ) -> Resource:
        """Everything that is sent for a file."""
        noted = [*probes, (name, identity_of(file.info))]
        contents: list[Content] = []
        if self._precompressed:
            for coding, ending in SIBLINGS:
                sibling = name + ending
                noted.append((sibling, self._root.identify(sibling)))
                coded = self._open_sibling(sibling, file) if noted[-1][1] is not None else None
                if coded is not None:
                    contents.append(_read(coding, coded))
        contents.append(_read("identity", file))
        return Resource(contents, self._fields(path, name), noted, time.time())

    def _open_sibling(self, name: str, file: FileBody) -> FileBody | None:
        """A coded file that is not older than the one it was made of.

        Nor empty: no content is coded to nothing, but a build that failed may leave such a file.
        """
        try:
            coded = self._root.open(name)
        except HTTPError:
            return None
        if coded is None:
            return None
        # Some tools keep whole seconds only.
        older = coded.info.st_mtime_ns < file.info.st_mtime_ns // 10**9 * 10**9
        if older or not coded.length:
            coded.close()
            return None
        return coded

    def _fields(self, path: str, name: str) -> list[tuple[bytes, bytes]]:
        """Of every answer with this file; the rules have the last word."""
        media_type = guess_media_type(name)
        if media_type.startswith("text/"):
            media_type += "; charset=utf-8"
        # A page that somebody has uploaded as a picture must not become a page again.
        fields = {"content-type": media_type, "x-content-type-options": "nosniff"}
        if self._hashed is not None and self._hashed.search(name.rpartition("/")[2]):
            fields["cache-control"] = _IMMUTABLE
        elif self._cache_control is not None:
            fields["cache-control"] = self._cache_control
        more: list[tuple[bytes, bytes]] = []
        if self._rule is not None:
            more = encode_fields(self._rule(f"/{path}"))
        replaced = {each for each, _ in more}
        own = [field for field in encode_fields(fields) if field[0] not in replaced]
        return own + more


def _read_pattern(immutable: bool | str) -> re.Pattern[str] | None:  # noqa: FBT001 - as it is given
    if isinstance(immutable, bool):
        return _HASHED if immutable else None
    try:
        return re.compile(immutable)
    except re.error as error:
        raise ConfigurationError(f"immutable {immutable!r} is no pattern: {error}") from None


def _read(coding: str, file: FileBody) -> Content:
    """Keep small files in memory, and large ones open."""
    if file.length > _MAX_IN_MEMORY:
        return Content(coding, file, None)
    data = file.span(0).read(file.length)
    return Content(coding, file, data if len(data) == file.length else None)


def _redirect(request: Request, location: str, status: int) -> Response:
    """To another spelling of the same place, where relative links lead the right way.

    Relative, so that it holds behind a proxy that cuts a prefix off, and can name no other host;
    the dot keeps a colon from making a scheme of the name (RFC 3986 §4.2).
    """
    query = quote_query(request.query_string)
    return Response.redirect(location + (f"?{query}" if query else ""), status)
