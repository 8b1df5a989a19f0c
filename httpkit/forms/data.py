"""What a form gives: `FormData` and `UploadedFile`.

Uploads are kept in memory up to `FormLimits.spool_size` and in a temporary file beyond it. What
needs a disk runs in a thread; what is in memory is read where it is asked for. Made by `form.py`.
"""

import shutil
from collections.abc import Callable, Iterable
from os import PathLike
from tempfile import SpooledTemporaryFile
from typing import Any

from httpkit.headers import Headers
from httpkit.types import RunBlocking
from httpkit.urls import MultiMapping, Query

__all__ = ["FormData", "UploadedFile"]

_COPY_SIZE = 65_536


class UploadedFile:
    """A file that was sent with a form.

    Everything but `size` and the bytes is what the client claims. The temporary file belongs to
    this object: `close` gives it back, at the latest when the object is collected.

    Attributes:
        filename: a base name that is safe to show and to use, see `clean_filename`.
        content_type: the media type in lower case without parameters;
            `application/octet-stream` if the client gave none.
        headers: the header fields of the part, as sent.
        size: in bytes.
        file: the binary file, at its start; its own methods wait for the disk.
    """

    __slots__ = ("_run_blocking", "content_type", "file", "filename", "headers", "size")

    def __init__(
        self,
        file: "SpooledTemporaryFile[bytes]",
        filename: str = "upload",
        content_type: str = "application/octet-stream",
        headers: Headers | None = None,
        size: int = 0,
        *,
        run_blocking: RunBlocking | None = None,
    ) -> None:
        self._run_blocking = run_blocking
        self.file = file
        self.filename = filename
        self.content_type = content_type
        self.headers = Headers() if headers is None else headers
        self.size = size

    async def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from the current position, all that is left by default."""
        if self.file.name is None:  # in memory
            return self.file.read(size)
        content: bytes = await self._run(self.file.read, size)
        return content

    async def save(self, path: str | PathLike[str]) -> None:
        """Write the whole content to `path`, replacing what is there.

        Args:
            path: where the caller wants it. `directory / upload.filename` stays in the directory,
                but two uploads may have the same name.

        Raises:
            OSError: the file cannot be written.
        """
        await self._run(self._copy, path)

    def _copy(self, path: str | PathLike[str]) -> None:
        self.file.seek(0)
        with open(path, "wb") as target:
            shutil.copyfileobj(self.file, target, _COPY_SIZE)
        self.file.seek(0)

    async def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._run_blocking is None:  # made by hand, as in a test
            return function(*args)
        return await self._run_blocking(function, *args)

    def close(self) -> None:
        """Give memory or temporary file back; further calls do nothing."""
        self.file.close()

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.file.close()

    def __repr__(self) -> str:
        return f"<UploadedFile {self.filename!r} {self.content_type} {self.size} bytes>"


class FormData(Query):
    """A form: a mapping of names to text values, as `Query`, and `files` beside it.

    `form["name"]` is the last value, `form.getlist("name")` all, `form.files["name"]` an
    `UploadedFile` with the same rules. A file control that was left empty is not in `files`.
    """

    __slots__ = ("files",)

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]] = (),
        files: Iterable[tuple[str, UploadedFile]] = (),
    ) -> None:
        super().__init__(pairs)
        #: The uploads by the name of their control.
        self.files: MultiMapping[UploadedFile] = MultiMapping(files)

    def close(self) -> None:
        """Close every upload now rather than with the request."""
        for _, file in self.files.pairs:
            file.close()

    def __repr__(self) -> str:
        return f"FormData({self.pairs!r}, files={self.files.pairs!r})"
