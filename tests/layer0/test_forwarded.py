"""Forwarded (RFC 7239) and X-Forwarded-*: tables, and anything by chance."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpkit.semantics.forwarded import Networks, Node, Origin, find_origin, parse_node

UNKNOWN = Node("unknown", 0, hidden=True)
NOBODY = Origin(UNKNOWN, None, None)
PROXIES = Networks(["10.0.0.0/8", "2001:db8:f::/48", "192.0.2.1"])


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("192.0.2.43", ("192.0.2.43", 0, False)),
        ("192.0.2.43:47011", ("192.0.2.43", 47011, False)),
        ("192.0.2.43:_port", ("192.0.2.43", 0, False)),
        ("[2001:db8:cafe::17]", ("2001:db8:cafe::17", 0, False)),
        ("[2001:DB8:cafe::17]:4711", ("2001:db8:cafe::17", 4711, False)),
        ("2001:db8:cafe::17", ("2001:db8:cafe::17", 0, False)),
        ("::ffff:192.0.2.1", ("192.0.2.1", 0, False)),
        ("fe80::1%eth0", ("fe80::1", 0, False)),
        ("unknown", ("unknown", 0, True)),
        ("unknown:80", ("unknown", 80, True)),
        ("_gazonk", ("_gazonk", 0, True)),
        ("_SEVKISEK:_x", ("_SEVKISEK", 0, True)),
        (" 192.0.2.43 ", ("192.0.2.43", 0, False)),
        ("", None),
        ("_", None),
        ("example.com", None),
        ("192.0.2", None),
        ("192.0.2.256", None),
        ("192.0.2.43:", None),
        ("192.0.2.43:65536", None),
        ("192.0.2.43:x", None),
        ("192.0.2.43:-1", None),
        ("192.0.2.43:²", None),
        ("[2001:db8::1", None),
        ("[2001:db8::1]x", None),
        ("[2001:db8::1]:", None),
        ("[]", None),
    ],
)
def test_nodes(text, node) -> None:
    """RFC 7239 §6."""
    assert parse_node(text) == (None if node is None else Node(*node))


def client(host: str, port: int = 0, *, hidden: bool = False, scheme=None, name=None) -> Origin:
    return Origin(Node(host, port, hidden), scheme, name)


FORWARDED = [
    ("for=198.51.100.1", client("198.51.100.1")),
    ('For="[2001:db8:cafe::17]:4711"', client("2001:db8:cafe::17", 4711)),
    (
        "for=198.51.100.1;proto=HTTPS;by=203.0.113.43;host=example.com",
        client("198.51.100.1", scheme="https", name="example.com"),
    ),
    ("for=198.51.100.1, for=10.0.0.1", client("198.51.100.1")),
    ("for=6.6.6.6, for=198.51.100.1, for=10.0.0.1, for=192.0.2.1", client("198.51.100.1")),
    ('for=6.6.6.6, for="[2001:db8:f::1]:80"', client("6.6.6.6")),
    ("for=10.0.0.1, for=10.0.0.2", client("10.0.0.1")),
    ("for=6.6.6.6, for=unknown", client("unknown", hidden=True)),
    ("for=6.6.6.6, for=_hidden", client("_hidden", hidden=True)),
    ("for=6.6.6.6, proto=https", Origin(None, "https", None)),
    ('for="198.51.100.1, for=6.6.6.6"', NOBODY),
    ('for="6.6.6.6, for=198.51.100.1', NOBODY),
    ('for="\\198.51.100.1"', client("198.51.100.1")),
    ("for=6.6.6.6, for=nonsense", NOBODY),
    ("for=6.6.6.6, for=nonsense, for=10.0.0.1;proto=https", Origin(UNKNOWN, "https", None)),
    ("for=6.6.6.6;for=7.7.7.7", NOBODY),
    ("for=6.6.6.6, for 10.0.0.1", NOBODY),
    ("for=198.51.100.1;proto=wss", client("198.51.100.1", scheme="https")),
    ("for=198.51.100.1;proto=ftp", client("198.51.100.1")),
    ("for=198.51.100.1;unheard=of", client("198.51.100.1")),
    ("", None),
    (" , ,", None),
]


@pytest.mark.parametrize(("value", "origin"), FORWARDED)
def test_forwarded(value, origin) -> None:
    headers = [(b"forwarded", value.encode()), (b"x-forwarded-for", b"9.9.9.9")]
    assert find_origin(headers, "forwarded", PROXIES) == origin


def test_lines_of_a_field_are_one_list() -> None:
    """RFC 7239 §7.1."""
    headers = [(b"forwarded", b"for=198.51.100.1"), (b"forwarded", b"for=10.0.0.1;proto=https")]
    assert find_origin(headers, "forwarded", PROXIES) == client("198.51.100.1")


X_FORWARDED = [
    ({"for": "198.51.100.1"}, client("198.51.100.1")),
    ({"for": "198.51.100.1:80"}, client("198.51.100.1", 80)),
    ({"for": "6.6.6.6, 198.51.100.1, 10.0.0.1"}, client("198.51.100.1")),
    ({"for": "6.6.6.6, 2001:db8::9"}, client("2001:db8::9")),
    ({"for": "10.0.0.1, 10.0.0.2"}, client("10.0.0.1")),
    ({"for": "6.6.6.6, nonsense"}, NOBODY),
    ({"for": "6.6.6.6,, 10.0.0.1"}, client("6.6.6.6")),
    ({"for": "6.6.6.6", "proto": "https"}, client("6.6.6.6", scheme="https")),
    ({"for": "6.6.6.6, 10.0.0.1", "proto": "https"}, client("6.6.6.6", scheme="https")),
    ({"for": "6.6.6.6, 10.0.0.1", "proto": "https, http"}, client("6.6.6.6", scheme="https")),
    ({"for": "6.6.6.6, 7.7.7.7", "proto": "https, http"}, client("7.7.7.7", scheme="http")),
    ({"for": "6.6.6.6", "proto": "ws"}, client("6.6.6.6", scheme="http")),
    (  # as Traefik has it for WebSockets: the port of `wss` is not said again
        {"for": "6.6.6.6", "proto": "wss", "host": "example.com", "port": "443"},
        client("6.6.6.6", scheme="https", name="example.com"),
    ),
    ({"for": "6.6.6.6", "proto": "gopher"}, client("6.6.6.6")),
    ({"proto": "https"}, Origin(None, "https", None)),
    ({"host": "example.com"}, Origin(None, None, "example.com")),
    ({"host": "example.com", "port": "8443"}, Origin(None, None, "example.com:8443")),
    ({"host": "example.com:1", "port": "8443"}, Origin(None, None, "example.com:1")),
    ({"host": "[::1]", "port": "8443"}, Origin(None, None, "[::1]:8443")),
    (
        {"host": "example.com", "port": "443", "proto": "https"},
        Origin(None, "https", "example.com"),
    ),
    ({"host": "example.com", "port": "x"}, Origin(None, None, "example.com")),
    ({"port": "443"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("values", "origin"), X_FORWARDED)
def test_x_forwarded(values, origin) -> None:
    headers = [(f"x-forwarded-{name}".encode(), each.encode()) for name, each in values.items()]
    headers.append((b"forwarded", b"for=9.9.9.9"))
    assert find_origin(headers, "x-forwarded", PROXIES) == origin


@pytest.mark.parametrize(
    ("texts", "host", "trusted"),
    [
        (["127.0.0.0/8"], "127.1.2.3", True),
        (["127.0.0.0/8"], "::ffff:127.0.0.1", True),
        (["127.0.0.0/8"], "128.0.0.1", False),
        (["127.0.0.0/8"], "::1", False),
        (["::1"], "::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["*"], "6.6.6.6", True),
        ([" 10.0.0.1 "], "10.0.0.1", True),
        (["10.0.0.1"], "nonsense", False),
        (["unix"], "10.0.0.1", False),
        ([], "127.0.0.1", False),
    ],
)
def test_networks(texts, host, trusted) -> None:
    networks = Networks(texts)
    assert networks.trusts(host) is trusted
    assert networks.trusts(host) is trusted  # as it is known by now


@pytest.mark.parametrize(("texts", "trusted"), [(["unix"], True), (["*"], True), (["::/0"], False)])
def test_peers_on_a_unix_socket(texts, trusted) -> None:
    assert Networks(texts).trusts("", unix=True) is trusted


@pytest.mark.parametrize("text", ["", "example.com", "10.0.0.1/8", "10.0.0.0/33", "unix:x"])
def test_what_is_no_network(text) -> None:
    with pytest.raises(ValueError, match=r"does not appear to be|has host bits"):
        Networks([text])


def test_what_is_known_does_not_grow_for_ever() -> None:
    networks = Networks(["10.0.0.0/8"])
    for number in range(2000):
        networks.trusts(f"10.0.{number // 256}.{number % 256}")
    assert len(networks._known) <= 1024


_PIECES = st.sampled_from(
    [
        "for=",
        "6.6.6.6",
        "10.0.0.1",
        '"',
        "\\",
        ",",
        ";",
        "=",
        " ",
        "[::1]",
        ":80",
        "_x",
        "proto=https",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=12).map("".join), st.sampled_from(["forwarded", "x-forwarded"]))
def test_nothing_left_of_an_untrusted_entry_counts(text, field) -> None:
    """Whatever a client writes, the proxy's entry at the right end wins."""
    name = b"forwarded" if field == "forwarded" else b"x-forwarded-for"
    entry = "for=198.51.100.7" if field == "forwarded" else "198.51.100.7"
    headers = [(name, text.encode()), (name, entry.encode())]
    origin = find_origin(headers, field, PROXIES)
    # A quote that the client has left open takes the proxy's entry in: then it is unknown.
    assert origin is not None
    assert origin.client in (Node("198.51.100.7", 0, hidden=False), UNKNOWN)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["forwarded", "x-forwarded"]))
def test_anything_is_read_without_an_exception(value, field) -> None:
    names = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto")
    find_origin([(name, value) for name in names], field, Networks(["*"]))
