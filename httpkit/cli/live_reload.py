"""Live reload of `httpkit serve`: pages in browsers are loaded again when a file changes.

Owns a script that goes into every page, and a stream of events for it. Style sheets alone are
replaced in the page as it is. For development only: pages change on their way, and nothing may be
kept by caches.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from httpkit.app import App
from httpkit.body import FileBody
from httpkit.request import Request
from httpkit.response import Response
from httpkit.routing.router import Router
from httpkit.semantics.media_types import parse_media_type
from httpkit.server.watch import watch
from httpkit.types import Next

__all__ = ["LiveReload"]

logger = logging.getLogger("httpkit")

#: Below a name with a dot, so that no file that is served is hidden by it.
_SCRIPT_PATH = "/.httpkit/live-reload.js"
_EVENTS_PATH = "/.httpkit/live-reload"
#: Files whose changes change no page: what `httpkit compress` and editors leave.
_IGNORED = (".*", "*~", "*.br", "*.gz", "*.zst", "*.tmp", "*.swp", "node_modules", "__pycache__")
#: Seconds after which a stream looks whether the server stops.
_LOOK = 0.5
#: Larger pages are sent as they are.
_MAX_PAGE = 16_777_216
#: What would give an answer that the script cannot be put into: 304, a part, or a coding.
_WITHHELD = frozenset(
    b"accept-encoding if-modified-since if-none-match if-range range".split(),
)
#: Where a page ends as most do. Elsewhere the same text may stand in a script or a comment.
_END_OF_BODY = re.compile(rb"</body\s*>\s*(?:</html\s*>\s*)?\Z", re.IGNORECASE)
_TAG = f'<script src="{_SCRIPT_PATH}"></script>\n'.encode()

_SCRIPT = f"""\
(() => {{
  const source = new EventSource("{_EVENTS_PATH}");
  let lost = false;
  source.addEventListener("error", () => {{ lost = true; }});
  source.addEventListener("open", () => {{ if (lost) location.reload(); }});
  source.addEventListener("reload", () => location.reload());
  source.addEventListener("style", () => {{
    for (const link of document.querySelectorAll('link[rel~="stylesheet"]')) {{
      const url = new URL(link.href);
      if (url.origin !== location.origin) continue;
      url.searchParams.set("live-reload", Date.now());
      link.href = url;
    }}
  }});
  addEventListener("pagehide", () => source.close());
}})();
"""


class LiveReload:
    """Middleware, routes and a lifespan for an app that serves a directory.

    Args:
        directory: that is watched, with everything below it.
        changes: gives sets of changed paths.
    """

    def __init__(
        self,
        directory: str,
        changes: Callable[[], AsyncIterator[set[str]]] | None = None,
    ) -> None:
        self._changes = changes or (lambda: watch([directory], ("*",), _IGNORED))
        #: How many changes there have been, and the last of them that needs a whole new page.
        self._version = 0
        self._page_version = 0
        self._changed = asyncio.Event()

    def install(self, app: App) -> None:
        """Add the routes of the script to an app."""
        router = Router()
        router.get(_SCRIPT_PATH)(self._send_script)
        router.get(_EVENTS_PATH)(self._send_events)
        app.include(router)

    @asynccontextmanager
    async def lifespan(self, _: App) -> AsyncIterator[None]:
        """Watch the files while the app serves."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        try:
            async for paths in self._changes():
                self.announce(paths)
        except Exception:
            # The files are served all the same; the system may watch no more of them, say.
            logger.exception("files are not watched any more, so pages are not reloaded")

    def announce(self, paths: set[str]) -> None:
        """Tell every page that these files have changed."""
        self._version += 1
        if not all(path.endswith(".css") for path in paths):
            self._page_version = self._version
        self._changed.set()
        self._changed = asyncio.Event()

    # --- what the script asks for --------------------------------------------------------------

    async def _send_script(self, _request: Request) -> Response:
        return Response(
            _SCRIPT, headers={"cache-control": "no-store"}, media_type="text/javascript"
        )

    async def _send_events(self, request: Request) -> Response:
        return Response(
            self._events(request),
            headers={"cache-control": "no-store"},
            media_type="text/event-stream",
        )

    async def _events(self, request: Request) -> AsyncGenerator[str, None]:
        """One event for all changes since the last one, until the server stops."""
        seen = self._version
        yield ": connected\n\n"
        while not request.shutting_down:
            if self._version != seen:
                kind = "reload" if self._page_version > seen else "style"
                seen = self._version
                yield f"event: {kind}\ndata: {self._version}\n\n"
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _LOOK)

    # --- pages ---------------------------------------------------------------------------------

    async def __call__(self, request: Request, next: Next) -> Response:
        """Put the script into pages, and let nobody keep anything."""
        if request.method not in ("GET", "HEAD") or request.path == _EVENTS_PATH:
            return await next(request)
        wants_page = _wants_page(request)
        if wants_page:
            fields = [field for field in request.raw_headers if field[0] not in _WITHHELD]
            request = request.replace_headers(fields)
        response = (await next(request)).copy()
        response.headers["cache-control"] = "no-store"
        if wants_page and _is_page(response):
            await _insert_script(response)
        return response


def _wants_page(request: Request) -> bool:
    """Whether a browser is to show the answer: scripts load pieces of HTML, too, to put them in.

    Whoever does not say what it is for (Sec-Fetch-Dest) is judged by what it accepts.
    """
    destination = request.headers.get("sec-fetch-dest")
    if destination is not None:
        return destination in ("document", "iframe", "frame")
    return "text/html" in request.headers.get("accept", "text/html")


def _is_page(response: Response) -> bool:
    headers = response.headers
    media_type = parse_media_type(headers.get("content-type", ""))
    if media_type is None or media_type.essence != "text/html":
        return False
    if "content-encoding" in headers or response.status in (206, 304):
        return False
    body = response.body
    return isinstance(body, bytes) or (isinstance(body, FileBody) and body.length <= _MAX_PAGE)


async def _insert_script(response: Response) -> None:
    body = response.body
    if isinstance(body, FileBody):
        body = await asyncio.to_thread(_read, body)
    assert isinstance(body, bytes)
    end = _END_OF_BODY.search(body)
    position = len(body) if end is None else end.start()
    response.body = body[:position] + _TAG + body[position:]
    headers = response.headers
    for name in ("accept-ranges", "content-length", "etag", "last-modified"):
        headers.discard(name)
    policy = headers.get("content-security-policy", "")
    if policy.startswith("default-src 'none'") and "script-src" not in policy:
        # A listing or an error: nothing in it is a script but this one.
        headers["content-security-policy"] = f"{policy}; script-src 'self'; connect-src 'self'"


def _read(body: FileBody) -> bytes:
    try:
        pieces: list[bytes] = []
        while data := body.read(_MAX_PAGE):
            pieces.append(data)
        return b"".join(pieces)
    finally:
        body.close()
