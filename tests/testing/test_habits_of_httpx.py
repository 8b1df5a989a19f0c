"""`Client` and httpx's client side by side: the same calls reach an application the same way."""

import codecs
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from httpkit import App
from httpkit.testing import Client, HTTPXTransport, UnexpectedStatusError

CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "path": ("GET", "/", {}),
    "params": (
        "GET",
        "/",
        {"params": {"a": "b c", "n": 3, "yes": True, "no": False, "none": None}},
    ),
    "lists": ("GET", "/", {"params": {"a": [1, 2], "b": ("x",)}}),
    "pairs": ("GET", "/", {"params": [("a", "1"), ("a", "2")]}),
    "json": ("POST", "/", {"json": {"a": [1, None, True], "é": "ü"}}),
    "text": ("POST", "/", {"content": "é"}),
    "bytes": ("PUT", "/", {"content": b"\x00\xff"}),
    "form": ("POST", "/", {"data": {"a": "1 &", "b": ["x", "y"], "yes": True, "none": None}}),
    "empty post": ("POST", "/", {}),
    "empty patch": ("PATCH", "/", {}),
    "delete": ("DELETE", "/", {}),
    "headers": ("GET", "/", {"headers": {"X-Token": "t", "Accept": "text/html"}}),
    "repeated headers": ("GET", "/", {"headers": [("X-A", "1"), ("X-A", "2")]}),
    "auth": ("GET", "/", {"auth": ("ada", "secret")}),
    "redirect": ("GET", "/redirect/302", {"follow_redirects": True}),
    "redirect of post": ("POST", "/redirect/303", {"content": b"x", "follow_redirects": True}),
    "lower case": ("get", "/", {}),
}
#: What the two may differ in: what they say of themselves, and what httpx alone can decode.
OWN = {"user-agent", "accept-encoding", "connection"}


@pytest.fixture
def both(app: App) -> Iterator[tuple[Client, httpx.Client]]:
    options: dict[str, Any] = {"params": {"all": "1"}, "headers": {"x-all": "1"}}
    transport = HTTPXTransport(app)
    theirs = httpx.Client(transport=transport, base_url="http://testserver", **options)
    with Client(app, **options) as ours, theirs:
        yield ours, theirs


def comparable(echo: dict[str, Any]) -> dict[str, Any]:
    headers = [pair for pair in echo["headers"] if pair[0] not in OWN]
    body = echo["body"].replace(": ", ":").replace(", ", ",")
    return {**echo, "headers": sorted(headers), "body": body}


@pytest.mark.parametrize("call", CALLS)
def test_requests(both: Any, call: str) -> None:
    method, url, options = CALLS[call]
    echoes = [comparable(each.request(method, url, **options).json()) for each in both]
    if "params" in options and "none" in options["params"]:
        assert echoes[0]["target"].endswith("a=b+c&n=3&yes=true&no=false&none=")
    assert echoes[0] == echoes[1]


@pytest.mark.parametrize("files", [{"f": b"x"}, {"f": ("a.txt", b"x")}, {"f": ("a", b"x", "a/b")}])
def test_forms_with_files(both: Any, files: Any) -> None:
    data = {"a": "1", "b": ["x", "y"], "yes": True, "n": 3}
    ours, theirs = [each.post("/form", data=data, files=files).json() for each in both]
    assert ours["fields"] == theirs["fields"]
    (_, kind, content), (_, their_kind, their_content) = ours["files"]["f"], theirs["files"]["f"]
    assert (kind, content) == (their_kind, their_content)


SAME = (
    "status_code reason_phrase content text encoding is_informational is_success is_redirect "
    "is_client_error is_server_error is_error has_redirect_location"
).split()


@pytest.mark.parametrize(
    "path", ["/", "/latin", "/empty", "/nowhere", "/fail/expected", "/redirect/307", "/choice/304"]
)
def test_responses(both: Any, path: str) -> None:
    ours, theirs = [each.get(path) for each in both]
    for name in SAME if path != "/" else ["status_code", "encoding", "is_success"]:
        if name == "encoding":
            assert codecs.lookup(ours.encoding) == codecs.lookup(theirs.encoding)
        else:
            assert getattr(ours, name) == getattr(theirs, name), name
    assert str(ours.url) == str(theirs.url)
    assert ours.headers["date"]
    if ours.is_success:
        assert ours.raise_for_status() is ours
        assert theirs.raise_for_status() is theirs
        return
    with pytest.raises(httpx.HTTPStatusError):
        theirs.raise_for_status()
    with pytest.raises(UnexpectedStatusError) as caught:
        ours.raise_for_status()
    assert caught.value.response is ours
    assert caught.value.request is ours.request


def test_streams(both: Any) -> None:
    for client in both:
        with client.stream("GET", "/numbers") as response:
            assert list(response.iter_lines()) == ["1", "2"]
        with client.stream("GET", "/numbers") as response:
            assert response.read() == b"1\n2\n"


def test_options_of_the_client(app: App) -> None:
    with Client(app, auth=("ada", "x"), params="a=1") as client:
        echo = client.get("/?b=2", params={"c": 3}).json()
        assert echo["target"] == "/?b=2&a=1&c=3"
        assert dict(echo["headers"])["authorization"] == "Basic YWRhOng="
        assert "authorization" not in dict(client.get("/", auth=None).json()["headers"])
