"""File names: RFC 6266 and RFC 8187 outgoing, RFC 7578 §4.2 incoming."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.headers import encode_header
from httpkit.semantics.disposition import clean_filename, content_disposition

from .conftest import fuzz


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\system.ini", "system.ini"),
        ("\\\\host\\share\\a.txt", "a.txt"),
        ("a/b\\c.txt", "c.txt"),
        ("..\\../x", "x"),
        ("a b.txt", "a b.txt"),
        ("  a.txt \t", "a.txt"),
        ("naïve 文.txt", "naïve 文.txt"),
        ("a\r\nb\0c\x7f\x85.txt", "abc.txt"),
        ("a\u202egpj.exe", "agpj.exe"),
        ("a\u2028b\u2066c", "abc"),
        ("a\ud800b", "ab"),
        (".htaccess", ".htaccess"),
        ("...", "..."),
        ("", "upload"),
        (".", "upload"),
        ("..", "upload"),
        ("a/", "upload"),
        ("a/..", "upload"),
        (".\0.", "upload"),
        (" . ", "upload"),
        ("\r\n", "upload"),
        ("\ud800", "upload"),
    ],
)
def test_rfc7578_4_2_only_a_base_name_is_left(name, clean):
    assert clean_filename(name) == clean


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a" * 300, "a" * 255),
        ("a" * 300 + ".tar", "a" * 251 + ".tar"),
        ("a." + "b" * 300, "a." + "b" * 253),
        ("é" * 200 + ".txt", "é" * 125 + ".txt"),
        ("x" * 254 + "é", "x" * 254),
        ("a" * 254 + " b", "a" * 254),
    ],
)
def test_names_are_cut_to_what_a_file_system_takes(name, clean):
    assert clean_filename(name) == clean


@fuzz
@given(st.text())
def test_a_clean_name_stays_in_its_directory(name):
    clean = clean_filename(name)
    assert clean not in ("", ".", "..")
    assert "/" not in clean
    assert "\\" not in clean
    assert "\0" not in clean
    assert len(clean.encode()) <= 255
    assert clean_filename(clean) == clean


@pytest.mark.parametrize(
    ("filename", "value"),
    [
        (None, "attachment"),
        ("a.txt", 'attachment; filename="a.txt"'),
        ("a b;c,d.txt", 'attachment; filename="a b;c,d.txt"'),
        ("é.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("50%25.txt", "attachment; filename=\"50_25.txt\"; filename*=UTF-8''50%2525.txt"),
        ("what?.txt", "attachment; filename=\"what_.txt\"; filename*=UTF-8''what%3F.txt"),
        ("a'b(c)*.txt", 'attachment; filename="a\'b(c)*.txt"'),
        ("é'(*.txt", "attachment; filename=\"_'(*.txt\"; filename*=UTF-8''%C3%A9%27%28%2A.txt"),
        (
            "é!#$&+-.^_`|~",
            "attachment; filename=\"_!#$&+-.^_`|~\"; filename*=UTF-8''%C3%A9!#$&+-.^_`|~",
        ),
        ("../a\r\nb", 'attachment; filename="ab"'),
        ("a\udcff.txt", 'attachment; filename="a.txt"'),  # os.listdir of a name that is not UTF-8
        ("..", 'attachment; filename="download"'),
        ("", 'attachment; filename="download"'),
    ],
)
def test_rfc6266_content_disposition(filename, value):
    assert content_disposition(filename) == value


def test_rfc6266_4_2_inline():
    assert content_disposition(None, inline=True) == "inline"
    assert content_disposition("a", inline=True) == 'inline; filename="a"'


@fuzz
@given(st.text())
def test_rfc8187_any_name_makes_a_safe_field_that_keeps_it(filename):
    value = content_disposition(filename)
    encode_header("content-disposition", value)
    assert value.isascii()
    assert value.count('"') == 2
    plain, _, extended = value.partition("; filename*=UTF-8''")
    name = unquote(extended, errors="strict") if extended else plain.split('"')[1]
    assert name == clean_filename(filename, "download")
