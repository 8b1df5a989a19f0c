"""Status lines and methods (RFC 9110 §9, §15; RFC 9112 §4)."""

from http import HTTPStatus

import pytest

from httpkit.status import BODILESS, METHODS, REASONS, STATUS_LINES, status_line


def test_rfc9112_4_every_registered_status_has_a_line():
    for status in HTTPStatus:
        assert STATUS_LINES[status] == b"HTTP/1.1 %d %s\r\n" % (status, REASONS[status].encode())
        assert status_line(status) is STATUS_LINES[status]


def test_rfc9110_15_5_14_the_phrase_is_the_current_one():
    assert status_line(413) == b"HTTP/1.1 413 Content Too Large\r\n"


def test_rfc9112_4_an_unregistered_status_keeps_the_space():
    assert status_line(299) == b"HTTP/1.1 299 \r\n"


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]
)
def test_rfc9110_9_the_common_methods_are_known(method):
    assert METHODS[method.encode()] == method


def test_rfc9110_9_1_methods_are_case_sensitive():
    assert b"get" not in METHODS
    assert b"FOO" not in METHODS


def test_rfc9110_6_4_1_answers_without_a_body():
    assert sorted(BODILESS) == [204, 304]
