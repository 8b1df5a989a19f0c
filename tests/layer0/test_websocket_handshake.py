"""The opening handshake of WebSocket: RFC 6455 §4.2, RFC 8441 §5, RFC 7692 §7."""

import pytest

from httpkit.errors import HTTPError
from httpkit.headers import Headers
from httpkit.semantics.websocket import (
    DeflateOptions,
    accept_key,
    check_handshake,
    check_origin,
    choose_subprotocol,
    negotiate_deflate,
    read_subprotocols,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "upgrade": "websocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
}


def headers(*pairs: tuple[str, str], **changes: str | None) -> Headers:
    """The good ones, with changes; `None` leaves one out."""
    fields = GOOD | {name.replace("_", "-"): value for name, value in changes.items()}
    return Headers(
        [(name.encode(), value.encode()) for name, value in fields.items() if value is not None]
        + [(name.encode(), value.encode()) for name, value in pairs]
    )


def refusal(fields: Headers, method="GET", version="1.1", protocol=None) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        check_handshake(method, version, fields, protocol)
    return caught.value


def test_a_good_one() -> None:
    assert check_handshake("GET", "1.1", headers(), None) == KEY
    mixed = headers(upgrade="h2c, WebSocket")
    assert check_handshake("GET", "1.1", mixed, None) == KEY


def test_rfc6455_1_3_the_example() -> None:
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_rfc8441_5_an_extended_connect_has_no_key() -> None:
    fields = Headers([(b"sec-websocket-version", b"13")])
    assert check_handshake("GET", "2", fields, "websocket") is None
    error = refusal(Headers([]), version="2", protocol="websocket")
    assert (error.status, error.headers) == (426, {"sec-websocket-version": "13"})


@pytest.mark.parametrize(
    "changes",
    [
        {"sec_websocket_key": None},
        {"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ"},
        {"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZR=="},
        {"sec_websocket_key": "c2hvcnQ="},
        {"sec_websocket_key": ""},
        {"connection": "keep-alive"},
        {"connection": None},
        {"content_length": "1"},
        {"transfer_encoding": "chunked"},
    ],
)
def test_malformed_ones_are_400(changes) -> None:
    assert refusal(headers(**changes)).status == 400


def test_rfc9110_8_6_content_of_no_bytes_is_none() -> None:
    assert check_handshake("GET", "1.1", headers(content_length="0"), None) == KEY


def test_a_second_key_is_400() -> None:
    assert refusal(headers(("sec-websocket-key", KEY))).status == 400


@pytest.mark.parametrize(("method", "version"), [("HEAD", "1.1"), ("GET", "1.0"), ("GET", "2")])
def test_other_requests_are_400(method, version) -> None:
    assert refusal(headers(), method, version).status == 400


@pytest.mark.parametrize("upgrade", [None, "h2c", ""])
@pytest.mark.parametrize("method", ["GET", "HEAD"])  # RFC 9110 §9.3.2: HEAD is answered as GET
def test_rfc9110_15_5_22_an_ordinary_request_is_told_what_this_is(method, upgrade) -> None:
    error = refusal(headers(upgrade=upgrade), method)
    assert (error.status, error.headers) == (426, {"upgrade": "websocket"})


@pytest.mark.parametrize("version", [None, "8", "12", "013", "13, 8", "x"])
def test_rfc6455_4_4_another_version_is_426(version) -> None:
    error = refusal(headers(sec_websocket_version=version))
    assert error.status == 426
    assert error.headers == {"sec-websocket-version": "13", "upgrade": "websocket"}


# --- origin ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "authority", "allowed"),
    [
        (None, "example.com", ()),
        ("https://example.com", "example.com", ()),
        ("https://EXAMPLE.com", "example.COM", ()),
        ("https://example.com", "example.com:443", ()),
        ("http://example.com:80", "example.com", ()),
        ("http://localhost:8000", "localhost:8000", ()),
        ("http://[::1]:8000", "[::1]:8000", ()),
        ("https://other.com", "example.com", ("https://other.com",)),
        ("null", "example.com", ("null",)),
        ("https://other.com", "example.com", ("*",)),
    ],
)
def test_origins_that_may(origin, authority, allowed) -> None:
    check_origin(headers(origin=origin), authority, allowed)


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        ("https://evil.com", "example.com"),
        ("https://example.com.evil.com", "example.com"),
        ("https://example.com:8443", "example.com"),
        ("http://example.com", "example.com:8000"),
        ("https://sub.example.com", "example.com"),
        ("null", "example.com"),
        ("", "example.com"),
        ("file://", "example.com"),
        ("https://[", "example.com"),
        ("https://example.com:99999", "example.com"),
        ("foo://example.com", "example.com"),
    ],
)
def test_rfc6455_10_2_origins_that_may_not(origin, authority) -> None:
    with pytest.raises(HTTPError) as caught:
        check_origin(headers(origin=origin), authority, ("https://other.com",))
    assert caught.value.status == 403


def test_two_origins_are_none() -> None:
    fields = headers(("origin", "https://evil.com"), origin="https://example.com")
    with pytest.raises(HTTPError):
        check_origin(fields, "example.com", ())


# --- subprotocols ----------------------------------------------------------------------------


def test_subprotocols_may_stand_in_several_lines() -> None:
    fields = headers(("sec-websocket-protocol", "c"), sec_websocket_protocol="a, b")
    assert read_subprotocols(fields) == ("a", "b", "c")
    assert read_subprotocols(headers()) == ()


@pytest.mark.parametrize("value", ["a, a", "a b", "a, (b)", '"a"'])
def test_rfc6455_4_1_subprotocols_are_different_tokens(value) -> None:
    with pytest.raises(HTTPError) as caught:
        read_subprotocols(headers(sec_websocket_protocol=value))
    assert caught.value.status == 400


def test_the_servers_favorite_is_chosen() -> None:
    assert choose_subprotocol(("a", "b"), ("b", "a")) == "b"
    assert choose_subprotocol(("a",), ("c",)) is None
    assert choose_subprotocol((), ()) is None


# --- permessage-deflate ----------------------------------------------------------------------

ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def agreement(offers: str, **options):
    return negotiate_deflate(headers(sec_websocket_extensions=offers), DeflateOptions(**options))


@pytest.mark.parametrize(
    ("offer", "bits", "answer"),
    [
        ("permessage-deflate", 12, ANSWER),
        ("Permessage-Deflate", 12, ANSWER),
        ("permessage-deflate; client_max_window_bits", 12, ANSWER),
        ("permessage-deflate; client_max_window_bits=8", 12, ANSWER),
        ("permessage-deflate;client_max_window_bits = 10", 12, ANSWER),
        ("permessage-deflate; server_no_context_takeover", 12, ANSWER),
        ("permessage-deflate; client_no_context_takeover", 12, ANSWER),
        (
            "permessage-deflate; server_max_window_bits=9",
            9,
            ANSWER + "; server_max_window_bits=9",
        ),
        (
            'permessage-deflate; server_max_window_bits="15"; client_max_window_bits',
            12,
            ANSWER + "; server_max_window_bits=12",
        ),
        (
            "x-webkit-deflate-frame, permessage-deflate; foo, permessage-deflate",
            12,
            ANSWER,
        ),
    ],
)
def test_rfc7692_7_1_offers_that_are_taken(offer, bits, answer) -> None:
    assert agreement(offer) == (bits, answer, False, False, 15)


@pytest.mark.parametrize(
    "parameters",
    [
        "; foo",
        "; foo=1",
        "; server_no_context_takeover=1",
        "; client_no_context_takeover=true",
        "; client_no_context_takeover; client_no_context_takeover",
        "; server_max_window_bits=10; server_max_window_bits=10",
        "; server_max_window_bits",
        "; server_max_window_bits=8",
        "; server_max_window_bits=7",
        "; server_max_window_bits=16",
        "; server_max_window_bits=010",
        "; server_max_window_bits=-1",
        '; server_max_window_bits="1 0"',
        "; client_max_window_bits=7",
        "; client_max_window_bits=16",
        "; client_max_window_bits=",
        "; client_max_window_bits=1x",
        ";",
        "; =1",
        "; a b",
    ],
)
def test_rfc7692_7_1_offers_that_are_declined(parameters) -> None:
    assert agreement("permessage-deflate" + parameters) is None


def test_no_offer() -> None:
    assert negotiate_deflate(headers(), DeflateOptions()) is None
    assert agreement("permessage-bzip2") is None


BOTH = {"server_context_takeover": True, "client_context_takeover": True}
OFFER = "permessage-deflate"


@pytest.mark.parametrize(
    ("options", "offer", "answer", "agreed"),
    [
        (BOTH, "", "", (12, True, True, 15)),
        (
            BOTH,
            "; server_no_context_takeover",
            "; server_no_context_takeover",
            (12, False, True, 15),
        ),
        (
            BOTH,
            "; client_no_context_takeover",
            "; client_no_context_takeover",
            (12, True, False, 15),
        ),
        (
            {"server_context_takeover": True},
            "; client_max_window_bits",
            "; client_no_context_takeover",
            (12, True, False, 15),
        ),
        (
            {"client_context_takeover": True},
            "; client_max_window_bits",
            "; server_no_context_takeover",
            (12, False, True, 15),
        ),
        # §7.1.2.1: the server obeys, and says what it takes.
        (
            {**BOTH, "server_max_window_bits": 15},
            "; server_max_window_bits=10",
            "; server_max_window_bits=10",
            (10, True, True, 15),
        ),
        (
            {**BOTH, "server_max_window_bits": 9},
            "; server_max_window_bits=10",
            "; server_max_window_bits=9",
            (9, True, True, 15),
        ),
        ({**BOTH, "server_max_window_bits": 15}, "", "", (15, True, True, 15)),
        # §7.1.2.2: the client can be told only if it has offered that.
        ({**BOTH, "client_max_window_bits": 10}, "", "", (12, True, True, 15)),
        (
            {**BOTH, "client_max_window_bits": 10},
            "; client_max_window_bits",
            "; client_max_window_bits=10",
            (12, True, True, 10),
        ),
        (BOTH, "; client_max_window_bits=8", "; client_max_window_bits=8", (12, True, True, 8)),
        (
            {**BOTH, "client_max_window_bits": 9},
            "; client_max_window_bits=12",
            "; client_max_window_bits=9",
            (12, True, True, 9),
        ),
    ],
)
def test_rfc7692_7_1_what_a_route_wants_and_an_offer_takes_away(
    options, offer, answer, agreed
) -> None:
    found = agreement(OFFER + offer, **options)
    assert found is not None
    assert found.answer == OFFER + answer
    assert (
        found.window_bits,
        found.server_context_takeover,
        found.client_context_takeover,
        found.client_window_bits,
    ) == agreed
