"""The tree of exceptions and the wire codes that its classes carry."""

import pytest

from httpkit import errors
from httpkit.errors import (
    BodyTooLarge,
    HTTPError,
    HTTPKitError,
    InvalidHeader,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    reason_phrase,
)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_exception_descends_from_the_root(name):
    assert issubclass(getattr(errors, name), HTTPKitError)


@pytest.mark.parametrize("error", [getattr(errors, name) for name in errors.__all__])
def test_what_a_peer_did_is_its_fault_and_what_we_did_is_ours(error):
    if issubclass(error, RemoteProtocolError):
        assert 400 <= error.status <= 505
    elif issubclass(error, ProtocolError):
        assert error.status == 500


def test_local_and_remote_are_apart():
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
    assert not issubclass(LocalProtocolError, RemoteProtocolError)


def test_an_invalid_header_is_a_value_error_too():
    assert issubclass(InvalidHeader, ValueError)


def test_the_codes_of_a_body_that_is_too_large():
    assert (BodyTooLarge.status, BodyTooLarge.error_code, BodyTooLarge.close_code) == (
        413,
        0xB,
        1009,
    )


@pytest.mark.parametrize("status", [399, 200, 100, 600, 0, -1, "404", None])
def test_an_http_error_is_an_error(status):
    with pytest.raises(ValueError, match="400 to 599"):
        HTTPError(status)


@pytest.mark.parametrize("detail", [{"code": 7}, ["no"], 7, b"no"])
def test_rfc9457_3_1_4_the_detail_of_an_http_error_is_text(detail):
    with pytest.raises(TypeError, match=r"members of the problem as extensions="):
        HTTPError(404, detail)


def test_an_http_error_says_what_it_is():
    error = HTTPError(404)
    assert (error.status, error.detail, error.headers, error.extensions) == (
        404,
        "Not Found",
        None,
        None,
    )
    assert str(error) == "404 Not Found"
    error = HTTPError(429, "Slow down.", {"retry-after": "3"}, {"balance": 1})
    assert str(error) == "429 Slow down."
    assert error.headers == {"retry-after": "3"}
    assert error.extensions == {"balance": 1}


def test_an_empty_detail_is_kept():
    assert HTTPError(500, "").detail == ""


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, "OK"),
        (413, "Content Too Large"),  # RFC 9110 §15.5.14
        (414, "URI Too Long"),
        (416, "Range Not Satisfiable"),
        (422, "Unprocessable Content"),  # RFC 9110 §15.5.21
        (599, ""),
    ],
)
def test_rfc9110_15_reason_phrases(status, phrase):
    assert reason_phrase(status) == phrase
