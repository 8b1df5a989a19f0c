"""Patterns: their grammar, the mistakes it finds, and URLs that always lead back."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.errors import ConfigurationError
from httpkit.routing.converters import BUILT_IN
from httpkit.routing.pattern import Parameter, Pattern, parse_pattern
from httpkit.routing.tree import Node, find
from httpkit.urls import decode_path

from .conftest import fuzz


def bind(text):
    return Pattern(text, BUILT_IN.get)


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", []),
        ("/", [""]),
        ("/a", ["a"]),
        ("/a/", ["a", ""]),
        ("/a b/ü", ["a b", "ü"]),
        ("/{x}", [Parameter("x", "str")]),
        ("/{x:int}/y/{rest:path}", [Parameter("x", "int"), "y", Parameter("rest", "path")]),
        ("/100%", ["100%"]),
    ],
)
def test_parses(text, segments):
    assert parse_pattern(text) == segments


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("users", "write '/users'"),
        ("/a//b", "remove a slash"),
        ("//evil", "remove a slash"),
        ("/{x}/{x}", "'x' twice; rename one"),
        ("/{x:path}/y", "must stand last"),
        ("/file-{x}", "fills a whole segment"),
        ("/{x", "fills a whole segment"),
        ("/x}", "fills a whole segment"),
        ("/{a}{b}", "fills a whole segment"),
        ("/{x:int:int}", "fills a whole segment"),
        ("/{}", "must be an identifier"),
        ("/{a-b}", "must be an identifier"),
        ("/{class}", "must be an identifier"),
        ("/.", "normalized first"),
        ("/a/../b", "normalized first"),
        ("/a\\b", "normalized first"),
        ("/a\0", "normalized first"),
        ("/search?q=1", "use request.query"),
        ("/a#b", "use request.query"),
        ("/a%20b", "written decoded"),
    ],
)
def test_refuses_with_advice(text, advice):
    with pytest.raises(ConfigurationError, match=advice.replace("?", r"\?")):
        parse_pattern(text)


def test_an_unknown_converter_is_named():
    with pytest.raises(ConfigurationError, match=r"unknown converter 'hex'.*app\.converter\('hex'"):
        bind("/{x:hex}")


def test_an_empty_pattern_needs_a_prefix():
    with pytest.raises(ConfigurationError, match="needs a prefix"):
        bind("")


@pytest.mark.parametrize(
    ("text", "target"),
    [("/", b"/"), ("/a b/ü", b"/a%20b/%C3%BC"), ("/100%", b"/100%25"), ("/{x}", None)],
)
def test_static_target_is_canonical(text, target):
    assert bind(text).static_target == target


@pytest.mark.parametrize(
    ("text", "parameters", "url"),
    [
        ("/users/{id:int}", {"id": 3}, "/users/3"),
        ("/{x}", {"x": "a/b"}, "/a%2Fb"),
        ("/{x}", {"x": "ü ?#%"}, "/%C3%BC%20%3F%23%25"),
        ("/{x}", {"x": "\\evil"}, "/%5Cevil"),
        ("/{x:float}", {"x": 0.00001}, "/1e-05"),
        ("/f/{rest:path}", {"rest": "a b/c"}, "/f/a%20b/c"),
        ("/f/{rest:path}", {"rest": ""}, "/f/"),
        ("/{x}", {"x": 1, "page": 2, "tag": ["a", "b"]}, "/1?page=2&tag=a&tag=b"),
    ],
)
def test_builds(text, parameters, url):
    assert bind(text).build(parameters) == url


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("/{x:int}", {"x": 10**19}),
        ("/{x}", {"x": ""}),
        ("/{x}", {"x": ".."}),
        ("/{x}", {"x": "."}),
        ("/{x}", {"x": "a/../b"}),
        ("/{x}", {"x": "a\0"}),
        ("/{rest:path}", {"rest": "/evil.example"}),
        ("/f/{rest:path}", {"rest": "/etc/passwd"}),
        ("/f/{rest:path}", {"rest": "../x"}),
    ],
)
def test_builds_no_url_that_it_would_not_match(text, parameters):
    with pytest.raises(ValueError):
        bind(text).build(parameters)


def test_names_the_missing_parameter():
    with pytest.raises(LookupError, match=r"/\{x\} needs the parameter 'x'"):
        bind("/{x}").build({})


@given(
    st.text(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.uuids(),
    st.lists(st.text(), max_size=4).map("/".join),
)
@fuzz
def test_what_is_built_matches_again(text, integer, number, identifier, rest):
    pattern = bind("/a b/{s}/{i:int}/{f:float}/{u:uuid}/{p:path}")
    values = {"s": text, "i": integer, "f": number, "u": identifier, "p": rest}
    try:
        path = pattern.build(values)
    except ValueError:
        return
    root: Node[str] = Node()
    root.insert(pattern.segments, "leaf")
    segments = decode_path(path.encode("ascii"))
    assert segments is not None
    found: list[object] = []
    assert find(root, segments, found) == "leaf"
    assert found == list(values.values())
    assert isinstance(found[3], uuid.UUID)


@given(st.lists(st.text(), max_size=4).map("/".join))
@fuzz
def test_no_value_builds_another_host(rest):
    for text in ("/{rest:path}", "/{rest}", "/{rest}/"):
        try:
            path = bind(text).build({"rest": rest})
        except ValueError:
            continue
        assert path[0] == "/"
        assert path[1:2] not in ("/", "\\")
