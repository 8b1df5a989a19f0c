# ruff: noqa: ARG001  a handler takes the request, whether it needs it or not
"""The benchmark application in Sanic, with its router; JSON is encoded with msgspec.

Sanic sends no Date, which an origin server has to (RFC 9110 §6.6.1), so a middleware adds it, made
once a second.
"""

import time
from email.utils import formatdate

import msgspec
from sanic import Request, Sanic
from sanic.response import HTTPResponse, json, text

from benchmarks.apps.extras import chunks, resources

app = Sanic("benchmark", dumps=msgspec.json.Encoder().encode, configure_logging=False)


class Date:
    """The Date of this second."""

    def __init__(self) -> None:
        self.second = 0
        self.text = ""

    def now(self) -> str:
        """Return the value of the field."""
        second = int(time.time())
        if second != self.second:
            self.second = second
            self.text = formatdate(second, usegmt=True)
        return self.text


date = Date()


@app.on_response
async def add_date(request: Request, response: HTTPResponse) -> None:
    """Add the field that Sanic leaves out."""
    response.headers["date"] = date.now()


@app.get("/")
async def index(request: Request) -> HTTPResponse:
    """Answer a constant text."""
    return text("Hello, World!")


@app.get("/json")
async def json_(request: Request) -> HTTPResponse:
    """Answer a small object, encoded anew for each request."""
    return json({"message": "Hello, World!"})


@app.get("/users/<id:int>")
async def user(request: Request, id: int) -> HTTPResponse:
    """Answer the path parameter as an integer."""
    return json({"id": id})


@app.post("/echo")
async def length(request: Request) -> HTTPResponse:
    """Read the whole body and answer its length."""
    return text(str(len(request.body)))


@app.get("/stream")
async def stream(request: Request) -> None:
    """Answer in chunks, each as it is made."""
    response = await request.respond(content_type="text/plain; charset=utf-8")
    async for chunk in chunks():
        await response.send(chunk)
    await response.eof()


for name in resources():
    app.add_route(user, f"/{name}/<id:int>", name=name)
