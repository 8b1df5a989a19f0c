"""A small typed program that uses httpkit as its users do.

Type checked against the installed wheel, so that `py.typed` and the public types are; then run.
"""

from collections.abc import AsyncIterator

from msgspec import Struct

from httpkit import App, HTTPError, Next, Request, Response, Router
from httpkit.testing import Client


class Item(Struct):
    """What is stored."""

    name: str
    price: float


items = Router("/items")
stored: dict[int, Item] = {}


@items.get("/{id:int}", name="item")
async def get_item(request: Request, id: int) -> Item:
    """Answer with one item."""
    if id not in stored:
        raise HTTPError(404)
    return stored[id]


@items.post("")
async def add_item(request: Request) -> Response:
    """Store an item."""
    stored[1] = await request.json(Item)
    return Response.redirect(request.url_for("item", id=1))


@items.get("")
async def list_items(request: Request) -> AsyncIterator[str]:
    """Stream the names."""
    for item in stored.values():
        yield item.name


app = App()
app.include(items)


@app.middleware
async def mark(request: Request, next: Next) -> Response:
    """Say who has answered."""
    response = await next(request)
    response.headers["x-served-by"] = "consumer"
    return response


if __name__ == "__main__":
    with Client(app, follow_redirects=True) as client:
        added = client.post("/items", json={"name": "tea", "price": 2.5})
        if added.json(Item) != Item("tea", 2.5) or client.get("/items").text != "tea":
            raise SystemExit("a wrong answer")
        if added.headers["x-served-by"] != "consumer":
            raise SystemExit("no middleware")
