"""Media types (RFC 9110 §8.3), charsets and guesses by file name."""

import codecs
import mimetypes
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpkit.semantics import media_types
from httpkit.semantics.media_types import MediaType, find_codec, guess_media_type, parse_media_type

from .conftest import fuzz

CODECS = sorted(set(media_types._CODECS.values()))


@pytest.mark.parametrize(
    ("field", "parsed"),
    [
        ("", MediaType("", {})),
        ("Text/HTML", MediaType("text/html", {})),
        ('text/html; Charset="UTF-8"', MediaType("text/html", {"charset": "UTF-8"})),
        ("text/html;charset", None),
        ("text/html;charset=a;charset=b", None),
    ],
)
def test_rfc9110_8_3_1_media_types(field, parsed):
    assert parse_media_type(field) == parsed


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF-8", "utf-8"),
        ("utf8", "utf-8"),
        ("ISO-8859-15", "iso8859-15"),
        ("Windows-1252", "cp1252"),
        ("", None),
        ("no-such", None),
        # codecs of Python that a peer must not choose: quadratic, stateful or not of text
        ("idna", None),  # CVE-2022-45061
        ("punycode", None),
        ("unicode_escape", None),
        ("raw_unicode_escape", None),
        ("utf-7", None),
        ("undefined", None),
        ("rot13", None),
        ("zlib", None),
        ("base64", None),
        ("utf-8\0", None),
        ("../x", None),
    ],
)
def test_a_peer_may_name_known_charsets_only(label, codec):
    assert find_codec(label) == codec


@pytest.mark.parametrize("codec", CODECS)
def test_every_charset_of_the_table_is_a_codec(codec):
    assert codecs.lookup(codec)._is_text_encoding


@settings(fuzz, max_examples=200)
@given(st.sampled_from(CODECS), st.binary())
def test_decoding_fails_in_one_way_only(codec, data):
    with suppress(UnicodeDecodeError):
        data.decode(codec)


def test_unknown_charsets_leave_nothing_behind(monkeypatch):
    # The registry of Python keeps every name it was ever asked for.
    def refuse(*args):
        raise AssertionError("asked the registry")

    monkeypatch.setattr(codecs, "lookup", refuse)
    assert find_codec("x" * 100) is None


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("index.html", "text/html"),
        ("a.css", "text/css"),
        ("a.js", "text/javascript"),
        ("a.mjs", "text/javascript"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.txt", "text/plain"),
        ("A.PNG", "image/png"),
        ("/dir.html/a.pdf", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("a.html.bz2", "application/x-bzip2"),
        ("a.ogg", "audio/ogg"),
        ("a.flac", "audio/flac"),
        ("a.m4a", "audio/mp4"),
        ("a.xhtml", "application/xhtml+xml"),
        ("a.jsonld", "application/ld+json"),
        ("feed.atom", "application/atom+xml"),
        ("a.epub", "application/epub+zip"),
        ("a.unknown", "application/octet-stream"),
        ("html", "application/octet-stream"),
        (".html", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("data:text/html,x", "application/octet-stream"),
        ("http://x/y.png", "image/png"),
    ],
)
def test_guesses(name, media_type):
    assert guess_media_type(name) == media_type


def test_what_the_machine_has_installed_plays_no_part(monkeypatch):
    mimetypes.add_type("application/x-of-this-machine", ".html")
    try:
        assert guess_media_type("a.html") == "text/html"
    finally:
        mimetypes.init()


@fuzz
@given(st.text())
def test_every_name_has_a_type(name):
    assert "/" in guess_media_type(name)
