"""The segment tree against the obvious way to do it: try every pattern and rank what matches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.routing.converters import BUILT_IN, PathConverter, join_path
from httpkit.routing.pattern import Pattern
from httpkit.routing.tree import Mount, Node, find

from .conftest import fuzz


class Hex:
    def convert(self, text):
        return int(text, 16)

    def to_string(self, value):
        return f"{value:x}"


CONVERTERS = {**BUILT_IN, "hex": Hex(), "other": Hex()}
RANKS = ["int", "uuid", "float", "hex", "str", "path"]


def build(*texts):
    root = Node()
    for text in texts:
        assert root.insert(Pattern(text, CONVERTERS.get).segments, text) == text
    return root


def look_up(root, path):
    values = []
    found = find(root, path.split("/")[1:], values)
    return found, values


@pytest.mark.parametrize(
    ("path", "pattern", "values"),
    [
        ("/a/b/c", "/a/{x}/c", ["b"]),
        ("/a/b/d", "/a/b/d", []),
        ("/a/b/e", None, None),
        ("/n/1", "/n/{x:int}", [1]),
        ("/n/1.5", "/n/{x:float}", [1.5]),
        ("/n/ff", "/n/{x:hex}", [255]),
        ("/n/xyz", "/n/{x}", ["xyz"]),
        ("/n/x/y", "/n/{x:path}", ["x/y"]),
        ("/n/", "/n/{x:path}", [""]),
        ("/n/1/", "/n/{x:path}", ["1/"]),
        ("/n", None, None),
        ("/", "/", []),
        ("/s/", None, None),
    ],
)
def test_the_most_specific_segment_wins_and_choices_are_taken_back(path, pattern, values):
    root = build(
        "/",
        "/a/b/d",
        "/a/{x}/c",
        "/n/{x:path}",
        "/n/{x}",
        "/n/{x:float}",
        "/n/{x:hex}",
        "/n/{x:int}",
        "/s/{x}",
    )
    found, taken = look_up(root, path)
    assert found == pattern
    if pattern is not None:
        assert taken == values


def test_own_converters_are_tried_in_the_order_of_registration():
    assert look_up(build("/{x:other}", "/{x:hex}"), "/a")[0] == "/{x:other}"
    assert look_up(build("/{x:hex}", "/{x:other}"), "/a")[0] == "/{x:hex}"


def test_a_pattern_is_inserted_once():
    root = build("/a/{x}", "/b/{x:path}")
    assert root.insert(Pattern("/a/{other}", CONVERTERS.get).segments, "new") == "/a/{x}"
    assert root.insert(Pattern("/b/{other:path}", CONVERTERS.get).segments, "new") == "/b/{x:path}"


def test_a_slash_inside_a_segment_is_data():
    root = build("/a/b", "/a/{x:path}", "/s/{x}")
    assert find(root, ["a/b"], []) is None
    assert find(root, ["a", "b/c"], []) is None
    values = []
    assert find(root, ["s", "a/b"], values) == "/s/{x}"
    assert values == ["a/b"]


def test_a_mount_keeps_what_it_got():
    root = build("/{rest:path}", "/m/x", "/{p}/y", "/m/inner/z")
    outer, inner = Mount("outer"), Mount("inner")
    root.node_at(["m"]).mount = outer
    root.node_at(["m", "inner"]).mount = inner
    assert look_up(root, "/m/x")[0] == "/m/x"
    assert look_up(root, "/m/y")[0] is outer
    assert look_up(root, "/m")[0] is outer
    assert look_up(root, "/m/inner/q")[0] is inner
    assert look_up(root, "/n/y")[0] == "/{p}/y"
    assert look_up(root, "/q/r/s")[0] == "/{rest:path}"


def test_a_mount_behind_choices_keeps_what_it_got():
    root = build("/{rest:path}", "/{p}/x")
    mount = Mount(None)
    root.node_at(Pattern("/{p}", CONVERTERS.get).segments).mount = mount
    assert look_up(root, "/a/b")[0] is mount
    assert look_up(root, "/a/x") == ("/{p}/x", ["a"])


LITERALS = ["a", "b", "1"]
PARAMETERS = ["{%s}", "{%s:int}", "{%s:float}", "{%s:hex}"]


@st.composite
def patterns(draw):
    parts = []
    for index in range(draw(st.integers(1, 4))):
        part = draw(st.sampled_from(LITERALS + PARAMETERS))
        parts.append(part % f"p{index}" if "%" in part else part)
    end = draw(st.sampled_from(["", "/", "/{rest:path}"]))
    return "/" + "/".join(parts) + end


def naive(texts, segments):
    """Every pattern tried on its own; the best is the one with the best first difference."""
    matches = []
    for text in texts:
        ranks, values = [], []
        pattern = Pattern(text, CONVERTERS.get).segments
        rest = None
        if pattern and not isinstance(pattern[-1], str):
            rest = pattern[-1] if isinstance(pattern[-1].converter, PathConverter) else None
        head = pattern[:-1] if rest is not None else pattern
        if len(segments) < len(head) or (rest is None and len(segments) != len(head)):
            continue
        for wanted, segment in zip(head, segments, strict=False):
            if isinstance(wanted, str):
                if wanted != segment:
                    break
                ranks.append(-1)
                continue
            try:
                values.append(wanted.converter.convert(segment) if segment else int("x"))
            except ValueError:
                break
            name = next(n for n, c in CONVERTERS.items() if c is wanted.converter)
            ranks.append(RANKS.index(name))
        else:
            if rest is not None:
                tail = segments[len(head) :]
                if not tail or join_path(tail) is None:
                    continue
                values.append(join_path(tail))
                ranks.append(RANKS.index("path"))
            matches.append((ranks, text, values))
    return min(matches)[1:] if matches else (None, None)


@given(
    st.lists(patterns(), max_size=12),
    st.lists(st.sampled_from(["a", "b", "1", "1.5", "z", "", "a/b"]), min_size=1, max_size=6),
)
@fuzz
def test_finds_what_trying_every_pattern_finds(texts, segments):
    root = Node()
    entered = [t for t in texts if root.insert(Pattern(t, CONVERTERS.get).segments, t) == t]
    values = []
    found = find(root, segments, values)
    expected, expected_values = naive(entered, segments)
    assert found == expected
    if found is not None:
        assert values == expected_values


def test_work_is_bounded_by_the_tree_not_by_the_path():
    """Two ways at each of ten levels; a path that fails at the end tries each node once."""
    calls = 0

    class Counting:
        def convert(self, text):
            nonlocal calls
            calls += 1
            return text

        def to_string(self, value):
            return value

    names = {"one": Counting(), "two": Counting()}
    root = Node()
    texts = ["/" + "/".join(f"{{p{i}:{kind}}}" for i in range(10)) for kind in names]
    for text in texts:
        root.insert(Pattern(text, names.get).segments, text)
    assert find(root, ["x"] * 9 + ["y", "z"], []) is None
    assert calls <= 20
