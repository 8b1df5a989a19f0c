"""What answers: the page, its files, what was counted, and what the buttons do.

    httpkit run examples.showcase.app:app

has it at `/caching/`. A visitor is known by a cookie; nothing here is for more than that.
"""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from typing import Any

from examples.showcase.caching.files import EXPIRED, FILES, SiteFile, header_rule, stable_name
from examples.showcase.caching.sites import PAGE, Site, Sites
from httpkit import App, HTTPError, Next, Request, Response
from httpkit.middleware import MemoryStore, ResponseCache, cache

HERE = Path(__file__).parent
TEMPLATE = Template((HERE / "page.html").read_text(encoding="utf-8"))
#: Texts become text nodes only; the last line holds the scripts to that.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE_POLICY = "private, no-cache"
PAGE_LESSON = (
    "The page names everything else, so it is asked for each time: that is how a new name gets "
    "known."
)
#: Seconds that the report is fresh in the cache of the server.
REPORT_LIFETIME = 20

sites = Sites()
store = ResponseCache(MemoryStore(max_bytes=262_144))


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    async with sites.open():
        yield


app = App(lifespan=lifespan)
app.static("/static", HERE / "static", middleware=[cache(no_cache=True)])


@app.middleware
async def strict(request: Request, next: Next) -> Response:
    """Pages load what this server serves, and are part of no other page."""
    response = await next(request)
    response.headers["content-security-policy"] = POLICY
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["referrer-policy"] = "same-origin"
    return response


# --- the page and its files ----------------------------------------------------------------


@app.get("/")
async def page(request: Request) -> Response:
    """The page; a visitor whom nobody knows gets a site first."""
    name, secure = cookie_name(request)
    known = sites.find(request.cookies.get(name))
    site = known or await sites.make()
    html = TEMPLATE.substitute(
        {name.partition(".")[0]: address(site, name) for name in site.published}
    )
    tag = hashlib.sha256(html.encode()).hexdigest()[:16]
    response = request.check(etag=tag) or Response.html(html)
    response.headers["etag"] = f'"{tag}"'
    response.headers["cache-control"] = PAGE_POLICY
    if known is None:
        response.set_cookie(name, site.token, secure=secure)
    if request.method == "GET":
        site.begin_visit(response.status)
    return response


async def count(request: Request, next: Next) -> Response:
    """Note what a visitor gets of a file, and keep the word of `expire`."""
    response = await next(request)
    token, _, published = str(request.path_params["path"]).partition("/")
    site, name = sites.find(token), stable_name(published)
    if site is not None and name is not None and request.method == "GET":
        site.count(name, response.status)
        if response.status == 200 and name in site.expired:
            site.expired.discard(name)
            response.headers["cache-control"] = EXPIRED
    return response


# Nothing is kept in memory, so that a change shows at once.
app.static(
    "/files",
    sites.directory,
    middleware=[count],
    headers=header_rule,
    precompressed=True,
    index=None,
    memory=0,
)


@app.get("/state")
async def state(request: Request) -> Response:
    """What the server knows about this visitor."""
    return describe(find_site(request))


# --- the buttons ---------------------------------------------------------------------------


@app.post("/change/{name}")
async def change(request: Request, name: str) -> Response:
    """Write the next version of a file: other content, another ETag."""
    site = find_site(request)
    find_file(name)
    await sites.change(site, name)
    return describe(site)


@app.post("/expire/{name}")
async def expire(request: Request, name: str) -> Response:
    """Let the next whole answer be stale from the beginning.

    A server cannot take back what it has promised, so the page fetches the file anew after this.
    """
    site = find_site(request)
    if not find_file(name).expires:
        raise HTTPError(409, f"{name} has no time to take back.")
    site.expired.add(name)
    return describe(site)


@app.post("/purge")
async def purge(request: Request) -> Response:
    """Forget the report of this visitor."""
    site = find_site(request)
    await store.invalidate_tag(site.token)
    return describe(site)


@app.post("/forget")
async def forget(request: Request) -> Response:
    """Begin anew: the next page comes with another site."""
    await sites.remove(find_site(request))
    name, secure = cookie_name(request)
    response = Response(None, 204, {"cache-control": "no-store"})
    response.delete_cookie(name, secure=secure)
    return response


# --- a cache inside the server -------------------------------------------------------------


@app.get("/report/{token}", middleware=[store, cache(0, s_maxage=REPORT_LIFETIME)])
async def report(request: Request, token: str) -> Response:
    """Something that takes its time. Browsers ask each time, the cache of the server does not."""
    site = sites.find(token)
    if site is None:
        raise HTTPError(404, "There is no such site.")
    site.reports += 1
    answer = Response.json({"run": site.reports, "made": time.time()})
    answer.headers["cache-tag"] = site.token
    return answer


# --- pieces --------------------------------------------------------------------------------


def cookie_name(request: Request) -> tuple[str, bool]:
    """Its name, and whether it is for TLS alone (RFC 6265bis §4.1.3.2)."""
    return ("__Host-caching", True) if request.url.scheme == "https" else ("caching", False)


def find_site(request: Request) -> Site:
    """The site of who asks.

    Raises:
        HTTPError: 404, there is none, or it has made room for others.
    """
    site = sites.find(request.cookies.get(cookie_name(request)[0]))
    if site is None:
        raise HTTPError(404, "Your site is gone. Load the page anew.")
    return site


def find_file(name: str) -> SiteFile:
    if name not in FILES:
        raise HTTPError(404, f"There is no file {name}.")
    return FILES[name]


def address(site: Site, name: str) -> str:
    """Of a file, relative to the page."""
    return f"files/{site.token}/{site.published[name]}"


def describe(site: Site) -> Response:
    """What the page shows of a site; `now` is Unix time in seconds."""
    rows = [describe_row(site, PAGE, "./", PAGE_POLICY, PAGE_LESSON)]
    for name, file in FILES.items():
        row = describe_row(site, name, address(site, name), file.cache_control, file.lesson)
        rows.append(row | {"version": site.versions[name], "expires": file.expires})
    value = {
        "now": time.time(),
        "visits": site.visits,
        "rows": rows,
        "report": {"address": f"report/{site.token}", "runs": site.reports},
    }
    return Response.json(value, headers={"cache-control": "no-store"})


def describe_row(
    site: Site, name: str, address: str, cache_control: str, lesson: str
) -> dict[str, Any]:
    return {
        "name": name,
        "address": address,
        "cacheControl": cache_control,
        "lesson": lesson,
        "total": site.total[name],
        "visit": site.visit[name],
    }
