"""How requests are made of arguments: URLs, fields, bodies, redirects and cookies."""

import io
from typing import Any

import pytest

from httpkit import App
from httpkit.testing import Client, TooManyRedirects
from httpkit.testing.messages import build_request, resolve_url
from httpkit.urls import URL

from .conftest import Connect


@pytest.mark.parametrize(
    ("base", "reference", "params", "expected"),
    [
        ("http://testserver", "/", None, "http://testserver/"),
        ("http://testserver", "", None, "http://testserver/"),
        ("http://testserver", "/a b/é?q=ü", None, "http://testserver/a%20b/%C3%A9?q=%C3%BC"),
        ("http://testserver", "/a%2Fb", None, "http://testserver/a%2Fb"),
        ("http://testserver", "/a/../b/./c", None, "http://testserver/a/../b/./c"),
        ("http://testserver/v1/", "users", None, "http://testserver/v1/users"),
        ("http://testserver/v1/", "/users", None, "http://testserver/users"),
        ("http://testserver", "https://other:8443/x", None, "https://other:8443/x"),
        ("http://testserver", "//other/x", None, "http://other/x"),
        ("http://testserver", "/", {"a": 1, "b": "x y"}, "http://testserver/?a=1&b=x+y"),
        ("http://testserver", "/?a=1", [("a", 2)], "http://testserver/?a=1&a=2"),
        ("http://testserver", "/", {"a": [1, 2]}, "http://testserver/?a=1&a=2"),
        ("http://testserver", "/", "raw=%20", "http://testserver/?raw=%20"),
        ("http://testserver", "/a?", None, "http://testserver/a?"),  # RFC 3986 §6.2.3
        ("http://testserver/v1/", "a?", None, "http://testserver/v1/a?"),
        ("http://testserver", "/a?", {"b": 1}, "http://testserver/a?b=1"),
    ],
)
def test_urls(base: str, reference: str, params: Any, expected: str) -> None:
    assert str(resolve_url(base, reference, params)) == expected


def test_the_target_arrives_as_it_was_written(client: Client) -> None:
    assert client.get("/?").json()["target"] == "/?"
    echo = client.get("/x/../?a=%41", params={"b": "ü"}).json()
    assert echo["target"] == "/x/../?a=%41&b=%C3%BC"


def test_hosts_and_schemes(client: Client) -> None:
    assert client.get("/").json()["url"] == "http://testserver/"
    assert client.get("https://api.example:8443/").json()["url"] == "https://api.example:8443/"
    assert client.get("/", headers={"host": "other"}).json()["url"] == "http://other/"


def test_headers(connect: Connect) -> None:
    client = connect(headers={"x-token": "t", "accept": "text/html"})
    headers = dict(client.get("/", headers={"X-Token": "u"}).json()["headers"])
    assert headers == {
        "host": "testserver",
        "user-agent": "httpkit.testing",
        "accept": "text/html",
        "x-token": "u",
    }
    client.headers["x-token"] = "v"
    assert dict(client.get("/").json()["headers"])["x-token"] == "v"
    repeated = client.get("/", headers=[("x-a", "1"), ("x-a", "2")]).json()["headers"]
    assert [value for name, value in repeated if name == "x-a"] == ["1", "2"]


def test_json(client: Client) -> None:
    echo = client.post("/", json={"a": [1, None]}).json()
    assert echo["body"] == '{"a":[1,null]}'
    assert dict(echo["headers"])["content-type"] == "application/json"
    assert client.post("/", json=None).json()["body"] == "null"
    own = client.post("/", json={}, headers={"content-type": "application/problem+json"}).json()
    assert dict(own["headers"])["content-type"] == "application/problem+json"


def test_form(client: Client) -> None:
    response = client.post("/form", data={"a": "1 &", "b": ["x", b"y"]})
    assert response.json() == {"fields": [["a", "1 &"], ["b", "x"], ["b", "y"]], "files": {}}


def test_files(client: Client) -> None:
    file = io.BytesIO(b"from disk")
    file.name = "/tmp/notes.json"  # type: ignore[attr-defined]
    response = client.post(
        "/form",
        data={"title": "T", "tags": ["a", "b"]},
        files={
            "plain": b"bytes",
            "text": ("a.txt", "text"),
            "typed": ("b.bin", io.BytesIO(b"x"), "image/png"),
            "disk": file,
            'odd"name': ('q"uote\r\n.txt', b""),
        },
    )
    echo = response.json()
    assert echo["fields"] == [["title", "T"], ["tags", "a"], ["tags", "b"]]
    assert echo["files"]["plain"] == ["plain", "application/octet-stream", "bytes"]
    assert echo["files"]["text"] == ["a.txt", "text/plain", "text"]
    assert echo["files"]["typed"] == ["b.bin", "image/png", "x"]
    assert echo["files"]["disk"] == ["notes.json", "application/json", "from disk"]
    assert len(echo["files"]) == 5
    with_fields = {"f": ("a.txt", b"x", None, {"X-A": "1"}), "g": (None, "plain")}
    body = build_request("POST", URL("http", "x", "/"), files=with_fields).body
    assert b'filename="a.txt"\r\nContent-Type: text/plain\r\nX-A: 1\r\n\r\nx\r\n' in body
    assert b'name="g"\r\n\r\nplain\r\n' in body
    assert client.post("/form", files=[("f", b"1")]).json()["files"]["f"][2] == "1"


def test_no_files_make_no_multipart_form() -> None:
    """As with httpx: a helper of a test may hand on what it got."""
    url = URL("http", "x", "/")
    form = build_request("POST", url, data={"a": "1"}, files={})
    assert form.body == b"a=1"
    assert form.header(b"content-type") == b"application/x-www-form-urlencoded"
    nothing = build_request("POST", url, files=[])
    assert nothing.body == b""
    assert nothing.header(b"content-type") is None


def test_one_kind_of_body_only() -> None:
    url = URL("http", "x", "/")
    with pytest.raises(TypeError, match="give one of content, json, or data and files"):
        build_request("POST", url, content=b"", json={})


@pytest.mark.parametrize("data", ["a=b", b"a=b"])
def test_a_form_is_no_text(data: Any) -> None:
    with pytest.raises(TypeError, match="give a body as content"):
        build_request("POST", URL("http", "x", "/"), data=data)


def test_an_option_that_no_request_has_is_refused() -> None:
    """A test that misspells one would pass for another reason than its own."""
    misspelt: dict[str, Any] = {"body": b"x"}
    with Client(App()) as client:
        with pytest.raises(TypeError, match="a request has no option 'body': auth, content, "):
            client.post("/", **misspelt)
        with (
            pytest.raises(TypeError, match="a request has no option 'body'"),
            client.stream("POST", "/", **misspelt),
        ):
            pass


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("GET", {}, None),
        ("POST", {}, b"0"),
        ("DELETE", {"content": b"ab"}, b"2"),
        ("POST", {"content": b"ab", "headers": {"content-length": "2"}}, b"2"),
        ("POST", {"content": [b"ab"]}, None),
    ],
)
def test_content_length(method: str, options: Any, expected: bytes | None) -> None:
    request = build_request(method, URL("http", "x", "/"), **options)
    assert request.header(b"content-length") == expected


# --- redirects -----------------------------------------------------------------------------


def test_redirects_are_not_followed_unless_wanted(client: Client) -> None:
    response = client.get("/redirect/302")
    assert response.status_code == 302
    assert response.is_redirect
    assert response.history == []


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (302, "GET", "GET"),
    ],
)
def test_followed_redirects(client: Client, status: int, method: str, expected: str) -> None:
    body = {"content": b"data"} if method == "POST" else {}
    response = client.request(method, f"/redirect/{status}?to=/?x=1", follow_redirects=True, **body)
    echo = response.json()
    assert echo["method"] == expected
    assert echo["body"] == ("data" if expected == "POST" else "")
    assert response.url == "http://testserver/?x=1"
    assert [each.status_code for each in response.history] == [status]
    assert response.history[0].url == f"http://testserver/redirect/{status}?to=/?x=1"


def test_head_stays_head(client: Client) -> None:
    response = client.head("/redirect/303", follow_redirects=True)
    assert response.request.method == "HEAD"
    assert response.status_code == 200


def test_credentials_stay_on_their_host(connect: Connect) -> None:
    client = connect(follow_redirects=True)
    headers = {"authorization": "Bearer t"}
    same = client.get("/redirect/302?to=/", headers=headers).json()
    assert dict(same["headers"])["authorization"] == "Bearer t"
    other = client.get("/redirect/302?to=http://other/", headers=headers).json()
    assert other["url"] == "http://other/"
    assert "authorization" not in dict(other["headers"])


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/", True),
        ("http://testserver:80/", True),
        ("http://testserver:8080/", False),
        ("https://testserver/", False),
        ("//other/", False),
    ],
)
def test_what_authenticates_stays_within_an_origin(
    connect: Connect, target: str, kept: bool
) -> None:
    """RFC 9110 §15.4, RFC 6454 §5."""
    client = connect(follow_redirects=True)
    echo = client.get(f"/redirect/302?to={target}", auth=("ada", "ü"), cookies={"a": "1"}).json()
    headers = dict(echo["headers"])
    assert headers.get("authorization") == ("Basic YWRhOsO8" if kept else None)  # RFC 7617 §2.1
    assert headers.get("cookie") == ("a=1" if kept else None)


@pytest.mark.parametrize("status", [300, 304, 305])
def test_other_statuses_are_not_followed(client: Client, status: int) -> None:
    """RFC 9110 §15.4.1: a choice is the user's; the others redirect to nothing."""
    response = client.get(f"/choice/{status}", follow_redirects=True)
    assert (response.status_code, response.history) == (status, [])
    assert (response.is_redirect, response.has_redirect_location) == (True, False)


def test_a_request_that_takes_too_long(client: Client, app: App) -> None:
    with pytest.raises(TimeoutError):
        client.get("/hang", timeout=0.2)
    assert app.state.events[-1] == "hang cancelled"
    assert client.get("/numbers").text == "1\n2\n"


def test_a_client_that_gives_up(connect: Connect, app: App) -> None:
    client = connect(timeout=0.2)
    with pytest.raises(TimeoutError), client.stream("GET", "/hang"):
        pass
    assert app.state.events[-1] == "hang cancelled"
    with client.stream("GET", "/numbers", timeout=None) as response:
        assert response.read() == b"1\n2\n"


def test_endless_redirects(client: Client) -> None:
    with pytest.raises(TooManyRedirects, match="/loop redirects more than 20 times"):
        client.get("/loop", follow_redirects=True)


def test_an_iterable_cannot_be_sent_again(client: Client) -> None:
    with pytest.raises(TypeError, match="give bytes instead of an iterable"):
        client.post("/redirect/307", content=iter([b"x"]), follow_redirects=True)
    assert client.get("/").status_code == 200


# --- cookies -------------------------------------------------------------------------------


def test_cookies_are_kept(connect: Connect) -> None:
    client = connect(follow_redirects=True)
    response = client.get("/login")
    assert response.json()["cookies"] == {"session": "s1"}
    assert response.history[0].cookies == {"session": "s1", "locked": "1", "deep": "1"}
    assert client.cookies["session"] == "s1"
    assert client.get("/").json()["cookies"] == {"session": "s1"}
    secure = client.get("https://testserver/login").json()["cookies"]
    assert secure == {"session": "s1", "locked": "1"}
    assert client.get("/").json()["cookies"] == {"session": "s1"}
    assert client.get("http://other/").json()["cookies"] == {}
    client.get("/logout")
    assert client.get("/").json()["cookies"] == {}


def test_cookies_of_the_client_and_of_a_request(connect: Connect) -> None:
    client = connect(cookies={"a": "1"})
    assert client.get("/").json()["cookies"] == {"a": "1"}
    assert client.get("/", cookies={"b": "2"}).json()["cookies"] == {"a": "1", "b": "2"}
    assert client.get("/", headers={"cookie": "c=3"}).json()["cookies"] == {"c": "3"}
    client.cookies["a"] = "9"
    assert client.get("/").json()["cookies"] == {"a": "9"}
    del client.cookies["a"]
    assert client.get("/").json()["cookies"] == {}


def test_what_a_client_shows(app: App) -> None:
    client = Client(app, base_url="https://example.com")
    assert client.base_url == "https://example.com"
