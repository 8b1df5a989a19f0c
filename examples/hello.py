"""The smallest application: `python examples/hello.py`, or `httpkit run examples.hello:app`."""

from httpkit import App, Request

app = App()


@app.get("/")
async def index(request: Request) -> str:
    return "Hello, world!"


@app.get("/users/{id:int}")
async def user(request: Request, id: int) -> dict[str, int]:
    return {"id": id}


if __name__ == "__main__":
    app.run(port=8000)
