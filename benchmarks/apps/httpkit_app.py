# ruff: noqa: ARG001  a handler takes the request, whether it needs it or not
"""The benchmark application as a user of httpkit would write it; JSON is msgspec's (built in)."""

from benchmarks.apps.extras import CACHED, chunks, download, resources
from httpkit import App, Request, Response
from httpkit.middleware import ResponseCache, cache

app = App()


@app.get("/")
async def index(request: Request) -> str:
    """Answer a constant text."""
    return "Hello, World!"


@app.get("/json")
async def json_(request: Request) -> dict[str, str]:
    """Answer a small object, encoded anew for each request."""
    return {"message": "Hello, World!"}


@app.get("/users/{id:int}")
async def user(request: Request, id: int) -> dict[str, int]:
    """Answer the path parameter as an integer."""
    return {"id": id}


@app.post("/echo")
async def length(request: Request) -> str:
    """Read the whole body and answer its length."""
    return str(len(await request.body()))


@app.get("/stream")
async def stream(request: Request) -> Response:
    """Answer in chunks, each as it is made."""
    return Response(chunks(), media_type="text/plain; charset=utf-8")


@app.get("/download")
async def large(request: Request) -> Response:
    """Answer many bytes at once."""
    return Response(download(), media_type="application/octet-stream")


@app.get("/cached", middleware=[ResponseCache()])
@cache(max_age=86_400)
async def cached(request: Request) -> Response:
    """Answer what the cache keeps; it runs once."""
    return Response(CACHED, media_type="text/plain; charset=utf-8")


async def resource(request: Request, id: int) -> dict[str, int]:
    """Answer the path parameter as an integer, on one of many routes."""
    return {"id": id}


for name in resources():
    app.get(f"/{name}/{{id:int}}", name=name)(resource)
