"""What clients that other people wrote talk to: a handler that tells what has arrived."""

from httpkit.request import Request
from httpkit.response import Response
from tests.server.live import LiveServer


async def describe(request: Request) -> Response:
    """The body, or else the request line; `/large` and `/hinted` do what their names say."""
    if request.path == "/large":
        return Response(b"a" * 1_000_000)
    if request.path == "/hinted":
        await request.early_hints("</style.css>; rel=preload; as=style")
    body = await request.body()
    return Response(
        body or f"{request.method} {request.path} {request.http_version}",
        headers={"x-length": str(len(body))},
    )


def url_of(server: LiveServer, path: str = "/") -> str:
    """Of a server on a TCP port."""
    return f"http://{server.address}{path}"
