"""Names in certificates: what counts as one, and which hosts it stands for (RFC 9525)."""

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from httpkit.certificates import names
from httpkit.certificates.names import machine_names, matches, names_of, parse_name
from httpkit.errors import ConfigurationError

from .chains import make


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("localhost", "localhost"),
        ("Example.TEST.", "example.test"),
        ("*.example.test", "*.example.test"),
        ("my_service.test", "my_service.test"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
    ],
)
def test_names_as_they_stand_in_certificates(text: str, name: str) -> None:
    assert parse_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        "-a.test",
        "a-.test",
        "a b.test",
        "a\0.test",
        "a\n.test",
        "*",
        "*.test",
        "a.*.test",
        "w*.example.test",
        "1.2.3.400",
        "host.1",
        "https://example.test",
        "example.test:443",
        "x" * 64 + ".test",
        ".".join(["x" * 60] * 5),
        "ü" * 80 + ".test",
        "[::1",
    ],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="neither a host name nor an IP address"):
        parse_name(text)


@given(st.text())
def test_any_text_is_a_name_or_a_mistake(text: str) -> None:
    try:
        name = parse_name(text)
    except ConfigurationError:
        return
    assert parse_name(name) == name
    names.general_name(name)


@pytest.mark.parametrize(
    ("host", "certificate", "expected"),
    [
        ("www.example.test", ["www.example.test"], True),
        ("www.example.test", ["*.example.test"], True),
        ("example.test", ["*.example.test"], False),
        ("a.b.example.test", ["*.example.test"], False),
        ("www.example.test", ["w*.example.test"], False),
        ("www.example.test", ["example.test", "other.test"], False),
        ("www.example.test", ["www.example.test."], True),
        ("127.0.0.1", ["127.0.0.1"], True),
        ("127.0.0.1", ["*.0.0.1"], False),
        ("::1", ["127.0.0.1", "::1"], True),
        ("localhost", ["*."], False),
        ("localhost", ["*"], False),
        ("www.test", ["*.test"], False),
    ],
)
def test_matching(host: str, certificate: list[str], expected: bool) -> None:
    """RFC 9525 §6.3: a wildcard is one whole label, and none of an address."""
    assert matches(host, certificate) is expected


def test_the_names_of_a_certificate_are_dns_names_and_addresses() -> None:
    made = make("x", names=["A.example.test".lower(), "127.0.0.1", "::1"])
    assert names_of(made.certificate) == ("a.example.test", "127.0.0.1", "::1")
    assert names_of(make("x").certificate) == ()


def test_other_kinds_of_names_are_left_out() -> None:
    mail = x509.SubjectAlternativeName([x509.RFC822Name("a@example.test"), x509.DNSName("b.test")])
    assert names_of(make("x", extensions=[mail]).certificate) == ("b.test",)


@pytest.mark.parametrize(
    ("host", "more"),
    [
        ("laptop", ["laptop", "laptop.local"]),
        ("laptop.example.test", ["laptop.example.test"]),
        ("localhost", ["localhost.local"]),
        ("not a name", []),
    ],
)
def test_the_names_of_this_machine(
    host: str, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names.socket, "gethostname", lambda: host)
    assert machine_names() == ("localhost", "127.0.0.1", "::1", *more)
