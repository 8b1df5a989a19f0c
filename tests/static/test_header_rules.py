"""`HeaderRules`: the shape of the file, what matches, and what is refused in which line."""

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpkit import ConfigurationError
from httpkit.static.header_rules import HeaderRules

FILE = """\
# Everywhere
/*
  X-Frame-Options: DENY
  Cache-Control: no-cache

/assets/*
  # for good
  Cache-Control: public, max-age=31536000, immutable
  Link: </a.css>; rel=preload
  Link: </b.css>; rel=preload
/embed/:name/view
\t! X-Frame-Options
"""


def names(pattern: str, path: str) -> bool:
    """Whether a pattern matches a path."""
    return bool(HeaderRules({pattern: {"X": "y"}}).match(path))


def test_a_file():
    rules = HeaderRules.parse(FILE)
    everywhere = (("X-Frame-Options", "DENY"), ("Cache-Control", "no-cache"))
    assert rules.match("/") == everywhere
    assert rules.match("/embed/a/b/view") == everywhere
    assert rules.match("/embed/a/view") == (("Cache-Control", "no-cache"),)
    assert dict(rules.match("/assets/x/y.js"))["Cache-Control"].endswith("immutable")
    links = [value for name, value in rules.match("/assets/a.js") if name == "Link"]
    assert links == ["</a.css>; rel=preload", "</b.css>; rel=preload"]


def test_later_rules_replace_whatever_the_case_of_the_name():
    rules = HeaderRules({"/*": {"X-A": "1", "X-B": "1"}, "/a": {"x-a": "2"}})
    assert rules.match("/a") == (("x-a", "2"), ("X-B", "1"))
    again = HeaderRules.parse("/*\n ! X-A\n/a\n X-A: 1\n")
    assert again.match("/a") == (("X-A", "1"),)
    assert again.match("/b") == ()


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/", "/", True),
        ("/", "/a", False),
        ("/a", "/a/", False),
        ("/*", "/", True),
        ("/*", "/a/b", True),
        ("/a/*", "/a", False),
        ("/a/*", "/a/", True),
        ("/*.js", "/x/y.js", True),
        ("/*.js", "/.js", True),
        ("/*.js", "/x.js.map", False),
        ("/*/b/*", "/a/b/c", True),
        ("/*/b/*", "/b/c", False),
        ("/a*a", "/a", False),
        ("/a*a", "/aa", True),
        ("/*ab", "/aabab", True),
        ("/**", "/x", True),
        ("/:x", "/a", True),
        ("/:x", "/", False),
        ("/:x", "/a/b", False),
        ("/:x/b", "/a/b", True),
        ("/*/:x/c", "/1/2/3/c", True),
        ("/*/:x", "/1/2/", False),
        ("/u/:id/*", "/u/7/", True),
        ("/u/:id/*", "/u//", False),
        ("/a:b", "/a:b", True),
        ("/:1", "/:1", True),
        ("/:x-y", "/:x-y", True),
        ("/a.b", "/axb", False),
        ("/a%20b", "/a b", True),
        ("/%2A", "/*", True),
        ("/%2A", "/a", False),
        ("/über", "/über", True),
        ("/%C3%BCber", "/über", True),
    ],
)
def test_patterns(pattern, path, matches):
    assert names(pattern, path) is matches


@given(st.text("/ab*", max_size=8), st.text("/ab", max_size=12))
@settings(deadline=None)
def test_stars_are_those_of_a_shell(pattern, path):
    assert names(f"/{pattern}", f"/{path}") is fnmatchcase(f"/{path}", f"/{pattern}")


def test_a_path_cannot_take_its_time():
    """Many stars against a long path of almost matches: an expression would go back for ever."""
    rules = HeaderRules({"/" + "*a" * 30 + "*b": {"X": "y"}, "/*/:x/:y/*z": {"X": "y"}})
    start = time.process_time()
    assert rules.match("/" + "a" * 8000) == ()
    assert rules.match("/a" * 4000) == ()
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  X: y\n", "_headers:1: a field without a pattern above it"),
        ("/a\n", "_headers:1: the pattern has no fields: indent them"),
        ("/a\n  X: y\n/b\n\n", "_headers:3: the pattern has no fields"),
        ("/a\nX: y\n", "_headers:2: 'X: y' is no pattern of a path: indent it"),
        ("a/*\n", "_headers:1: 'a/\\*' is no pattern of a path: begin it with a slash"),
        ("https://a.example/*\n", "_headers:1: 'https://a.example/.*: begin it with a slash"),
        ("/a?b\n", "_headers:1: '/a\\?b' has a query"),
        ("/a\n  /b\n", "_headers:2: '/b' is no field: begin patterns at the left margin"),
        ("/a\n  X y\n", "_headers:2: 'X y' is no field: write Name: value"),
        ("/a\n  X Y: z\n", "_headers:2: header name 'X Y' is not a token"),
        ("/a\n  X:\n", "_headers:2: X has no value: write one, or ! X"),
        ("/a\n  X: a\x01b\n", "_headers:2: value .* of header 'X' is not allowed"),
        ("/a\n  X: 日本\n", "_headers:2: header 'X': '日本' cannot be written to the wire"),
        ("/a\n  !\n", "_headers:2: header name '' is not a token"),
        ("/a\n  ! X\n  X: y\n", "_headers:3: X is both set and removed"),
        ("/a\n  X: y\n  ! x\n", "_headers:3: x is both set and removed"),
        ("/a\n  Content-Type: a/b\n  content-type: c/d\n", "_headers:3: content-type stands here"),
        ("/a\n  Content-Length: 3\n", "_headers:2: Content-Length is for the server to say"),
        ('/a\n  ETag: "x"\n', "_headers:2: ETag is for the server to say"),
        ("/a\n  ! Last-Modified\n", "_headers:2: Last-Modified is for the server to say"),
        ("/a\n  ! transfer-encoding\n", "_headers:2: transfer-encoding is for the server to say"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ConfigurationError, match=message):
        HeaderRules.parse(text)


def test_what_is_refused_in_code():
    with pytest.raises(ConfigurationError, match="pattern 'a': 'a' is no pattern"):
        HeaderRules({"a": {"X": "y"}})
    with pytest.raises(ConfigurationError, match="pattern '/a': value"):
        HeaderRules({"/a": {"X": "y\r\nSet-Cookie: z"}})


def test_other_ends_of_lines_and_a_byte_order_mark():
    assert HeaderRules.parse("\ufeff/a\r\n  X: y \r\n").match("/a") == (("X", "y"),)


def test_files(tmp_path):
    file = tmp_path / "rules"
    file.write_text("/ü\n  X: y\n", encoding="utf-8")
    assert HeaderRules.load(file).match("/ü") == (("X", "y"),)
    file.write_bytes(b"/\xff\n")
    with pytest.raises(ConfigurationError, match=r"rules is not UTF-8"):
        HeaderRules.load(file)
    with pytest.raises(ConfigurationError, match=r"absent cannot be read: No such file"):
        HeaderRules.load(tmp_path / "absent")
    file.write_text("/a\n  X\n")
    with pytest.raises(ConfigurationError, match=r"rules:2: 'X' is no field"):
        HeaderRules.load(file)
