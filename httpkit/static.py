"""Files of a directory: the handler behind `app.static`.

Owns the way from a path to an open file below the directory, and nothing that leads out of it:

1. A path comes decoded and split (`httpkit.urls.decode_path`), without dot segments and NUL. Empty
   names, backslashes and, unless they are wanted, names that begin with a dot are refused.
2. `realpath` says where it leads, symbolic links followed; that has to lie below the directory.
3. That place is reached name by name from a descriptor of the directory, and no link is followed
   any more. So whoever puts a link there between the steps gets a 404, too, and no file outside.

Devices, FIFOs and sockets are not even opened. Refused is answered like missing, with 404, so that
nobody learns what is there. Everything here waits for the disk: `Router.static` runs it in the
app's pool of threads. Files are found anew for each request, so a directory that is a link may be
switched to another release.
"""

import os
import stat
from os import PathLike
from urllib.parse import quote

from httpkit.body import FileBody, is_missing
from httpkit.errors import ConfigurationError, HTTPError
from httpkit.request import Request
from httpkit.response import Response
from httpkit.semantics.media_types import guess_media_type
from httpkit.urls import quote_query

__all__ = ["StaticFiles"]

# O_PATH, where there is one: passing through a directory needs no permission to list it.
_STEP_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

#: A page that somebody has uploaded as a picture must not become a page again.
_HEADERS = (("x-content-type-options", "nosniff"),)


class StaticFiles:
    """Answers GET and HEAD with the files of a directory; a handler for `{path:path}`.

    Args:
        directory: whose files are served, those below it included.
        index: the file that stands for a directory, or `None`.
        dotfiles: whether names that begin with a dot are served.

    Raises:
        ConfigurationError: there is no such directory, or `index` is not a name.
    """

    def __init__(
        self, directory: str | PathLike[str], *, index: str | None, dotfiles: bool
    ) -> None:
        self.directory = os.path.abspath(directory)
        if not os.path.isdir(self.directory):
            raise ConfigurationError(
                f"there is no directory {self.directory!r} for static files: create it, or give "
                "the right one; a relative one begins at the current directory"
            )
        self._index = index
        self._dotfiles = dotfiles
        if index is not None and not (_is_plain(index) and self._is_served(index)):
            raise ConfigurationError(f"index {index!r}: give the name of a file, or None")

    def __call__(self, request: Request, path: str, **_: object) -> Response:
        """Answer with the file at a path, or with that of its directory. Blocks.

        Raises:
            HTTPError: 404 for everything that is no file to be served.
        """
        *directories, last = path.split("/")
        names = [*directories, last] if last else directories
        if not all(_is_plain(name) and self._is_served(name) for name in names):
            raise HTTPError(404)
        if not last:
            return _answer(self._open_index(names), self._index or "")
        body = self._open(names)
        if body is None:
            self._open_index(names).close()
            return _redirect(request, last)
        return _answer(body, last)

    def _is_served(self, name: str) -> bool:
        return self._dotfiles or not name.startswith(".")

    def _open_index(self, names: list[str]) -> FileBody:
        body = None if self._index is None else self._open([*names, self._index])
        if body is None:
            raise HTTPError(404)
        return body

    def _open(self, names: list[str]) -> FileBody | None:
        """The file below the directory; `None` for a directory."""
        try:
            root = os.path.realpath(self.directory, strict=True)
            real = os.path.realpath(os.path.join(root, *names), strict=True)
            if os.path.commonpath((root, real)) != root:
                raise HTTPError(404)
            return _open_below(root, os.path.relpath(real, root).split(os.sep))
        except OSError as error:
            if is_missing(error):
                raise HTTPError(404) from error
            raise


def _is_plain(name: str) -> bool:
    """Whether it names an entry of a directory, and on no system anything else."""
    return name not in ("", ".", "..") and not any(c in name for c in "/\\\0")


def _open_below(root: str, names: list[str]) -> FileBody | None:
    """Walk to a file without following links; `None` where there is a directory."""
    step = os.open(root, _STEP_FLAGS)
    try:
        for name in names[:-1]:
            last, step = step, os.open(name, _STEP_FLAGS, dir_fd=step)
            os.close(last)
        mode = os.stat(names[-1], dir_fd=step, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):
            raise HTTPError(404)
        return FileBody.from_descriptor(os.open(names[-1], _FILE_FLAGS, dir_fd=step))
    finally:
        os.close(step)


def _answer(body: FileBody, name: str) -> Response:
    return Response(body, headers=_HEADERS, media_type=guess_media_type(name))


def _redirect(request: Request, name: str) -> Response:
    """To the same path with a slash, where the links of an index lead the right way.

    Relative, so that it holds behind a proxy that cuts a prefix off, and can name no other host;
    the dot keeps a colon from making a scheme of the name (RFC 3986 §4.2).
    """
    query = quote_query(request.query_string)
    location = f"./{quote(name, safe='')}/" + (f"?{query}" if query else "")
    return Response.redirect(location, 307)
