"""From a request to the `scope` of ASGI (HTTP, specification 2.5)."""

from typing import Any

from httpkit.request import Request
from httpkit.types import Address
from httpkit.urls import split_target, unquote

__all__ = ["make_scope"]

#: What an application may send besides; `http.response.push` where the client could be told.
_EXTENSIONS: dict[str, dict[str, Any]] = {
    "http.response.trailers": {},
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
}
_WITH_PUSH = {**_EXTENSIONS, "http.response.push": {}}
_PERCENT = 0x25


def make_scope(
    request: Request, root_path: str, raw_root: bytes, state: dict[str, Any]
) -> dict[str, Any]:
    """The scope of a request.

    Args:
        request: as the server got it.
        root_path: where the application is mounted, without a last slash. The target does not
            have it; `path` and `raw_path` of the scope do.
        raw_root: the same, percent-encoded.
        state: of the lifespan; the scope gets a shallow copy.
    """
    path, query = split_target(request.target)
    if _PERCENT in path:
        text = unquote(path).decode("utf-8", "replace")
    else:
        text = path.decode("utf-8", "replace")
    version = request.http_version
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": version,
        "method": request.method,
        "scheme": request.scheme,
        "path": root_path + text,
        "raw_path": raw_root + path,
        "query_string": query,
        "root_path": root_path,
        "headers": list(request.raw_headers),
        "client": _client(request.client),
        "server": _server(request.server),
        "state": state.copy(),
        "extensions": (_WITH_PUSH if version == "2" else _EXTENSIONS).copy(),
    }


def _client(address: Address | None) -> tuple[str, int] | None:
    """A peer on a Unix socket has no address that would mean anything."""
    return (address[0], address[1]) if address is not None and address[1] else None


def _server(address: Address | None) -> tuple[str, int | None] | None:
    return None if address is None else (address[0], address[1] or None)
