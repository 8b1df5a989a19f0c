"""A directory to be served, with the handler's clock and a way to count looks at the disk."""

import os
from pathlib import Path
from typing import Any

from httpkit.app import App
from httpkit.response import Response
from httpkit.static import StaticFiles

from .conftest import make_request

#: An hour ago, as seen by tests: no file of that age is still changing.
AGE = 3600


class Site:
    """An app that serves a directory at `/`, asked inside one loop.

    Attributes:
        now: monotonic seconds, as the memory of the files sees it.
        opened: every path that was looked for on the disk.
    """

    def __init__(self, root: Path, prefix: str = "/", **options: Any) -> None:
        self.root = root
        self.now = 1000.0
        self.opened: list[str] = []
        self.app = App()
        self.app.static(prefix, root, **options)
        [inclusion] = self.app.definitions.inclusions
        [route] = inclusion.router.definitions.routes
        assert isinstance(route.handler, StaticFiles)
        self.files = route.handler
        self.memory = self.files._memory
        self.memory._clock = lambda: self.now
        find = self.files._root.open

        def note(path):
            self.opened.append(path)
            return find(path)

        self.files._root.open = note  # type: ignore[method-assign]

    def write(self, name: str, content: bytes, age: float = AGE) -> Path:
        """Make a file that was changed so many seconds ago."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        modified = path.stat().st_mtime - age
        os.utime(path, (modified, modified))
        return path

    async def ask(self, target: str, *headers: tuple[str, str], method: str = "GET") -> Response:
        """The answer; one with a file is read and closed."""
        answer = self.app.handle(make_request(method, target, *headers))
        return answer if isinstance(answer, Response) else await answer

    async def status(self, target: str, *headers: tuple[str, str]) -> int:
        """The status of an answer."""
        return (await self.ask(target, *headers)).status


async def content(response: Response) -> bytes:
    """The body of an answer, whatever it is made of."""
    body: Any = response.body
    if isinstance(body, bytes):
        return body
    if hasattr(body, "read"):
        data = body.read(body.length)
        body.close()
        assert isinstance(data, bytes)
        return data
    return b"".join([bytes(piece) async for piece in body])
