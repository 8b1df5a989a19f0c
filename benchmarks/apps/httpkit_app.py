# ruff: noqa: ARG001  a handler takes the request, whether it needs it or not
"""The benchmark application as a user of httpkit would write it; JSON is msgspec's (built in)."""

from httpkit import App, Request

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
