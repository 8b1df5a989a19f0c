"""The showcase: a landing page that explains itself, and one small example for each promise.

`make demo` runs it. Nothing here is special: it is what an application looks like.
"""

import asyncio
import hashlib
import inspect
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template

from examples.chat.app import app as chat
from examples.showcase.caching.app import app as caching
from examples.showcase.notes import create_note, notes
from httpkit import App, HTTPError, Next, Request, Response, __version__
from httpkit.middleware import Compress, Conditional, ResponseCache, cache

HERE = Path(__file__).parent

# Browsers ask before they use what they have, and get a 304; where more is known, a route says so.
app = App(middleware=[cache(no_cache=True), Compress(), Conditional()])
app.include(notes, prefix="/api/notes")
app.mount("/chat", chat)
app.mount("/caching", caching)
app.static("/static", HERE / "static")


@app.middleware
async def only_our_own(request: Request, next: Next) -> Response:
    """Let pages load nothing but what this server serves."""
    response = await next(request)
    response.headers.setdefault("content-security-policy", "default-src 'self'")
    return response


@app.get("/", middleware=[ResponseCache(), cache(max_age=10, stale_while_revalidate=60)])
async def index(request: Request) -> Response:
    code = {
        f"code_{function.__name__}": escape(inspect.getsource(function))
        for function in (create_note, receive_upload, stream, slow)
    }
    return page("index", version=__version__, **code)


@app.get("/upload")
async def upload_form(request: Request) -> Response:
    return page("upload")


@app.post("/upload", max_body=10 * 1024 * 1024)
async def receive_upload(request: Request) -> Response:
    form = await request.form()
    upload = form.files.get("file")
    if upload is None:
        raise HTTPError(400, "Choose a file first.")
    content = await upload.read()
    return page(
        "received",
        title=escape(form.get("title") or "no title"),
        filename=escape(upload.filename),
        content_type=escape(upload.content_type),
        size=f"{upload.size:,}",
        sha256=hashlib.sha256(content).hexdigest(),
        start=escape(content[:400].decode("utf-8", "replace")),
    )


@app.get("/stream")
async def stream(request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        for number in range(1, 11):
            yield f"{datetime.now(UTC):%H:%M:%S.%f}  line {number} of 10\n"
            await asyncio.sleep(0.4)

    return Response(lines(), media_type="text/plain")


@app.get("/slow")
async def slow(request: Request) -> dict[str, float]:
    try:
        seconds = float(request.query.get("seconds", 2))
    except ValueError:
        raise HTTPError(400, "seconds must be a number.") from None
    if not 0 <= seconds <= 10:  # nor is nan
        raise HTTPError(400, "seconds must be from 0 to 10.")
    await asyncio.sleep(seconds)
    return {"slept": seconds}


def page(name: str, **values: str) -> Response:
    """A page from its file; values are put in as they are, so escape what people have sent."""
    template = Template((HERE / "pages" / f"{name}.html").read_text(encoding="utf-8"))
    return Response.html(template.substitute(values))
