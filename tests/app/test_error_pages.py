"""Error pages: text, HTML or problem+json, and the traceback of debug mode."""

import json

import pytest

from httpkit.app import App
from httpkit.error_pages import traceback_page
from httpkit.errors import HTTPError
from httpkit.response import Response

from .conftest import BROWSER, PROBLEM, ask, make_request, raising, text

# --- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/def"])
@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/plain; charset=utf-8"),
        ("*/*", "text/plain; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
        ("image/png", "text/plain; charset=utf-8"),
        (BROWSER[1], "text/html; charset=utf-8"),
        ("application/json", PROBLEM),
        (PROBLEM, PROBLEM),
        ("application/json, text/plain;q=0.5", PROBLEM),
        ("text/plain;q=0.5, text/html;q=0.1", "text/plain; charset=utf-8"),
    ],
)
def test_the_form_of_an_error_is_what_the_client_prefers(target, accept, content_type):
    headers = [] if accept is None else [("accept", accept)]
    response = ask(raising(HTTPError(404, "No <such> page.")), "GET", target, *headers)
    assert response.status == 404
    assert response.headers["content-type"] == content_type
    assert response.headers["vary"] == "Accept"
    assert "such" in text(response)


def test_text():
    assert text(ask(raising(HTTPError(404)))) == "404 Not Found\n"
    assert text(ask(raising(HTTPError(404, "No.")))) == "404 Not Found: No.\n"
    assert text(ask(raising(HTTPError(499, "")))) == "499 \n"


def test_html_is_escaped_and_may_load_nothing():
    response = ask(raising(HTTPError(400, "<script>&")), "GET", "/", BROWSER)
    assert "<p>&lt;script&gt;&amp;</p>" in text(response)
    assert "<h1>400 Bad Request</h1>" in text(response)
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<p>" not in text(ask(raising(HTTPError(400)), "GET", "/", BROWSER))


def test_problem_has_the_members_of_rfc_9457():
    error = HTTPError(
        403,
        "Not enough credit.",
        extensions={"type": "https://example.com/credit", "balance": 30, "status": 1, "detail": 2},
    )
    response = ask(raising(error), "GET", "/", ("accept", PROBLEM))
    assert json.loads(response.body) == {
        "type": "https://example.com/credit",
        "title": "Forbidden",
        "status": 403,
        "detail": "Not enough credit.",
        "balance": 30,
    }
    response = ask(raising(HTTPError(404)), "GET", "/", ("accept", PROBLEM))
    assert json.loads(response.body) == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_headers_of_an_error_are_sent_and_replace_ours():
    error = HTTPError(401, headers={"WWW-Authenticate": "Basic", "content-type": "text/x"})
    response = ask(raising(error))
    assert response.headers["www-authenticate"] == "Basic"
    assert response.headers.getlist("content-type") == ["text/x"]
    assert response.headers["vary"] == "Accept"
    response = ask(raising(HTTPError(429, headers=[("vary", "Cookie"), ("retry-after", "9")])))
    assert response.headers["vary"] == "Accept, Cookie"
    assert response.headers["retry-after"] == "9"


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(400, extensions={"x": object()}),
        HTTPError(400, headers={"x": "a\r\nb"}),
    ],
)
def test_an_error_that_cannot_be_written_is_a_500(error, log):
    headers = [("accept", PROBLEM)]
    response = ask(raising(error), "GET", "/", *headers)
    assert response.status == 500
    assert json.loads(response.body)["title"] == "Internal Server Error"
    assert len(log.records) == 1


# --- debug mode ----------------------------------------------------------------------------------


def test_debug_mode_shows_a_traceback_to_browsers():
    app = App(debug=True)
    app.exception_handler(500)(lambda request, error: pytest.fail("the traceback comes first"))

    @app.get("/{name}")
    def handler(request, name):
        secret_local = ["<b>", name]
        return secret_local[5]

    headers = [BROWSER, ("x-evil", "<script>alert(1)</script>")]
    response = ask(app, "GET", "/<img src=x>?q=<i>", *headers)
    page = text(response)
    assert response.status == 500
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "IndexError: list index out of range" in page
    assert "test_error_pages.py" in page
    assert "<mark>" in page
    assert "return secret_local[5]" in page
    assert "&lt;img src=x&gt;" in page
    assert "&lt;script&gt;alert(1)" in page
    for raw in ("<img", "<script", "<b>", "<i>"):
        assert raw not in page


def test_debug_mode_gives_text_to_everybody_else():
    response = ask(raising(ValueError("why"), debug=True))
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert text(response).startswith("GET / (request r-1)\n\nTraceback (most recent call last):")
    assert text(response).endswith("ValueError: why\n")


def test_the_traceback_survives_text_that_utf8_cannot_carry():
    error = ValueError("\ud800")
    assert text(traceback_page(make_request(), error)).endswith("ValueError: \\ud800\n")
    assert "\\ud800" in text(traceback_page(make_request("GET", "/", BROWSER), error))


def test_debug_mode_does_not_change_expected_errors():
    assert text(ask(raising(HTTPError(404), debug=True))) == "404 Not Found\n"


def page_of(error):
    return text(ask(raising(error, debug=True), "GET", "/", BROWSER))


def with_cause():
    try:
        {}["first"]
    except KeyError as error:
        raise ValueError from error


def with_context():
    try:
        {}["first"]
    except KeyError:
        raise ValueError  # noqa: B904 - that is the point


def without_context():
    try:
        {}["first"]
    except KeyError:
        raise ValueError from None


@pytest.mark.parametrize(
    ("fail", "relation"),
    [
        (with_cause, "Caused by: KeyError"),
        (with_context, "Raised while handling: KeyError"),
        (without_context, None),
    ],
)
def test_the_page_shows_where_an_exception_comes_from(fail, relation):
    app = App(debug=True)
    app.get("/")(lambda request: fail())
    page = text(ask(app, "GET", "/", BROWSER))
    relations = [text for text in ("Caused by", "Raised while handling") if f"<h2>{text}" in page]
    assert relations == ([relation.partition(":")[0]] if relation else [])
    assert relation is None or relation in page


def test_the_page_shows_the_members_of_a_group():
    shared = ValueError("member")
    page = page_of(ExceptionGroup("several", [shared, TypeError("other"), shared]))
    assert page.count("In this group: ValueError: member") == 1
    assert "In this group: TypeError: other" in page


def test_the_page_of_a_recursion_is_short():
    def recurse(depth):
        if depth:
            recurse(depth - 1)
        raise RecursionError("deep")

    app = App(debug=True)
    app.get("/")(lambda request: recurse(200))
    page = text(ask(app, "GET", "/", BROWSER))
    assert "frames are left out" in page
    assert page.count("<details") < 100


def test_the_page_survives_locals_and_sources_that_cannot_be_shown():
    class Evil:
        def __repr__(self):
            raise RuntimeError("no repr")

    def build():
        evil, long = Evil(), "x" * 100_000  # noqa: F841 - shown as locals
        exec(compile("1 / 0", "<generated>", "exec"), {})

    app = App(debug=True)
    app.get("/")(lambda request: build())
    page = text(ask(app, "GET", "/", BROWSER))
    assert "&lt;Evil instance at" in page
    assert "&lt;generated&gt;:1" in page
    assert len(page) < 60_000


def test_a_request_with_nothing_to_await_is_answered_at_once():
    app = raising(ValueError(), debug=True)
    assert isinstance(app.handle(make_request("GET", "/def")), Response)
