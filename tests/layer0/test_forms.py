"""Forms: urlencoded and multipart (RFC 7578)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.errors import HTTPError
from httpkit.limits import FormLimits

from .conftest import cut, fuzz, make_request, run, status_of
from .form_bodies import BOUNDARY, multipart, part, read, read_urlencoded, refused

# --- media types ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/json",
        "multipart/mixed; boundary=x",
        "multipart/form-datax",
    ],
)
def test_rfc9110_15_5_16_what_is_no_form_is_415(content_type):
    refused(415, b"a=1", content_type=content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=a/b",
        'multipart/form-data; boundary="a b "',
        'multipart/form-data; boundary="a\xe9"',
        'multipart/form-data; boundary="a*b"',
        'multipart/form-data; boundary="unclosed',
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=" + "a" * 71,
        "multipart/form-data; boundary=" + "a" * 30_000,
        "multipart/form-data; boundary*=utf-8''x",
        "application/x-www-form-urlencoded; charset",
    ],
)
def test_rfc2046_5_1_1_a_bad_boundary_is_400(content_type):
    refused(400, multipart(part()), content_type=content_type)


@pytest.mark.parametrize(
    ("boundary", "parameter"),
    [
        ("a", "a"),
        ("a" * 70, "a" * 70),
        ("gc0pJq0M:08jU534c0p", '"gc0pJq0M:08jU534c0p"'),
        ("'()+_,-./:=? x", '"\'()+_,-./:=? x"'),
        ("ab", r'"a\b"'),
    ],
)
def test_rfc2046_5_1_1_boundaries(boundary, parameter):
    form = read(
        multipart(part(), boundary=boundary),
        content_type=f"Multipart/Form-Data; Boundary={parameter}; x=y",
    )
    assert form["a"] == "1"


# --- urlencoded ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        (b"", []),
        (b"a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"a=x+y%26%C3%A9&b", [("a", "x y&é"), ("b", "")]),
        ("a=é".encode(), [("a", "é")]),
        (b"a=1;b=2", [("a", "1;b=2")]),  # CVE-2021-23336, CVE-2026-53538
    ],
)
def test_urlencoded_forms(body, pairs):
    for size in (1, 3, 1000):
        form = read_urlencoded(*cut(body, size))
        assert form.pairs == pairs
        assert not form.files


def test_urlencoded_with_a_charset_is_still_utf_8():
    form = read(b"a=%C3%A9", content_type="application/x-www-form-urlencoded; charset=ISO-8859-1")
    assert form["a"] == "é"


@pytest.mark.parametrize("body", [b"a=\xff", b"a=%FF", b"%C3=1"])
def test_urlencoded_text_that_is_not_utf_8_is_400(body):
    assert "UTF-8" in refused(400, body, content_type="application/x-www-form-urlencoded")


@pytest.mark.parametrize(
    "body",
    [
        b"a&a&a&a",
        b"&" * 3,
        b"a=12345678901",
        "a=ééééééé".encode(),  # 7 characters, 14 bytes
        b"a=1234567890&b=1234567890&c=1",
        b"a" * 23,
        b"%41" * 23,
        b"a" * 1000,
    ],
)
def test_urlencoded_beyond_a_limit_is_413(body):
    limits = FormLimits(max_fields=3, max_field_size=10, max_text_size=22)
    for size in (1, 1000):
        refused(
            413, *cut(body, size), content_type="application/x-www-form-urlencoded", limits=limits
        )


def test_urlencoded_within_the_limits():
    limits = FormLimits(max_fields=3, max_field_size=10, max_text_size=23)
    assert len(read_urlencoded(b"a=1234567890&b=%41BCDEFGHIJ&c=", limits=limits)) == 3


def test_a_body_is_not_read_beyond_its_limit():
    request = make_request(
        *[b"x" * 100] * 1000, headers=[("content-type", "application/x-www-form-urlencoded")]
    )
    with pytest.raises(HTTPError):
        run(request.form(FormLimits(max_text_size=100)))
    assert request._channel.reads < 10


@pytest.mark.timeout(20)
def test_cve_2026_53539_many_semicolons_take_linear_time():
    assert len(read_urlencoded(b"a;" * 500_000)) == 1


@fuzz
@given(st.binary())
def test_any_urlencoded_body_is_a_form_or_an_http_error(body):
    headers = [("content-type", "application/x-www-form-urlencoded")]
    assert status_of(make_request(body, headers=headers).form()) in (None, 400, 413)


# --- multipart -----------------------------------------------------------------------------------

BROWSER = multipart(
    part("title", "Grüße".encode()),
    part("tag", b"a"),
    part("tag", b"b"),
    part(
        "photo", b"\x89PNG\r\n\x1a\n", filename="my photo.png", headers=["Content-Type: Image/PNG"]
    ),
    part("photo", b"", filename="empty.txt", headers=["Content-Type: text/plain; charset=utf-8"]),
    part("notes", b"", filename="", headers=["Content-Type: application/octet-stream"]),
    part("empty", b""),
)


def check_browser_form(form):
    assert form.pairs == [("title", "Grüße"), ("tag", "a"), ("tag", "b"), ("empty", "")]
    assert form.getlist("tag") == ["a", "b"]
    assert list(form.files) == ["photo"]  # HTML: the control "notes" was left empty
    photo, empty = form.files.getlist("photo")
    assert form.files["photo"] is empty
    assert (photo.filename, photo.content_type, photo.size) == ("my photo.png", "image/png", 8)
    assert run(photo.read()) == b"\x89PNG\r\n\x1a\n"
    assert photo.headers["content-type"] == "Image/PNG"
    assert photo.headers["content-disposition"].startswith("form-data; name=")
    assert (empty.filename, empty.content_type, empty.size) == ("empty.txt", "text/plain", 0)
    form.close()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 38, 41, 64, 100, 10_000])
def test_rfc7578_4_a_form_of_a_browser_however_it_is_cut(size):
    check_browser_form(read(*cut(BROWSER, size)))


@pytest.mark.parametrize("end", [b"--", b"--\r\n", b"--\r\nepilogue\r\n", b"--" + b"\n" * 100])
@pytest.mark.parametrize("start", [b"", b"\r\n"])
@pytest.mark.parametrize("size", [1, 10_000])
def test_rfc2046_5_1_1_what_stands_around_the_parts(start, end, size):
    assert read(*cut(start + multipart(part(), end=end), size)).pairs == [("a", "1")]


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("start", [b"", b"\r\n"])
def test_an_empty_form(start, size):
    form = read(*cut(start + multipart(), size))
    assert not form
    assert not form.files


def test_what_follows_the_end_is_ignored():
    body = multipart(part()) + multipart(part("b", b"2"))
    for size in (1, 50, 10_000):
        assert read(*cut(body, size)).pairs == [("a", "1")]


@pytest.mark.parametrize(
    "content",
    [
        b"\r\n",
        b"\r\n--",
        b"--" + BOUNDARY.encode(),
        b"\r\n--" + BOUNDARY.encode()[:-1],
        b"\r\r\r",
        b"\0",
    ],
)
def test_content_that_looks_like_a_boundary(content):
    for size in (1, 10_000):
        form = read(*cut(multipart(part("f", content, filename="x")), size))
        assert run(form.files["f"].read()) == content


CONTENT = st.binary(max_size=300).filter(lambda c: b"--b" not in c)


@fuzz
@given(
    st.lists(st.tuples(st.booleans(), st.from_regex("[a-z]{1,5}", fullmatch=True), CONTENT)),
    st.integers(1, 400),
)
def test_round_trip(parts, size):
    body = multipart(
        *(
            part(name, content, filename="f" if is_file else None, headers=["Content-Type: x/y"])
            if is_file
            else part(name, content.hex().encode())
            for is_file, name, content in parts
        ),
        boundary="b",
    )
    form = read(*cut(body, size), content_type="multipart/form-data; boundary=b")
    assert form.pairs == [(n, c.hex()) for is_file, n, c in parts if not is_file]
    assert [(n, run(f.read())) for n, f in form.files.pairs] == [
        (n, c) for is_file, n, c in parts if is_file
    ]


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"--b",
                b"\r\n--b",
                b"\r\n",
                b"--",
                b"\r",
                b"\n",
                b":",
                b"Content-Disposition: form-data",
                b'; name="a"',
                b'; filename="x"',
                b"; filename*=utf-8''x",
                b"Content-Type: text/plain; charset=",
                b"Content-Length: 1",
                b" ",
                b'"',
                b"\\",
            ]
        ),
        st.binary(max_size=3),
    )
)


def outcome(chunks):
    request = make_request(*chunks, headers=[("content-type", "multipart/form-data; boundary=b")])
    status = status_of(request.form())
    if status is not None:
        assert status in (400, 413)
        return status
    form = run(request.form())
    return form.pairs, [(n, f.filename, f.size, run(f.read())) for n, f in form.files.pairs]


@fuzz
@given(PIECES, st.booleans(), st.integers(1, 30))
def test_any_multipart_body_is_a_form_or_an_http_error_however_it_is_cut(pieces, proper, size):
    body = b"".join(pieces)
    if proper:
        body = b'--b\r\nContent-Disposition: form-data; name="a"\r\n' + body + b"\r\n--b--"
    outcomes = [outcome(chunks) for chunks in ([body], cut(body, size), cut(body, 1))]
    assert outcomes[0] == outcomes[1] == outcomes[2]


# --- malformed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"-",
        b"x",
        b"--",
        b"--" + BOUNDARY.encode(),
        b"--" + BOUNDARY.encode() + b"\r\n",
        b"--other\r\n" + part(),
        b"preamble\r\n" + multipart(part()),
        b"\n" + multipart(part()),
        b"\r\n\r\n" + multipart(part()),
        multipart(part())[:-6],  # no final boundary
        multipart(part(), end=b"-"),
        multipart(part(), end=b"xx"),
        multipart(part(), end=b" --"),
        multipart(part()).replace(b"\r\n", b"\n"),
        multipart(part(disposition="form-data")),
        multipart(part(disposition='attachment; name="a"')),
        multipart(part(disposition="")),
        multipart(b"Content-Type: text/plain\r\n\r\nx"),
        multipart(b"\r\nx"),
        multipart(b"no colon\r\n\r\nx"),
        multipart(b": empty name\r\n\r\nx"),
        multipart(part(headers=["b\xe9d: x"])),
        multipart(part(headers=["folded: x", " y"])),
        multipart(part()).replace(b'name="a"', b'name="\xff"'),
    ],
)
def test_rfc2046_5_1_malformed_bodies_are_400(body):
    for size in (1, 10_000):
        refused(400, *cut(body, size))


@pytest.mark.parametrize(
    "headers",
    [
        ['Content-Disposition: form-data; name="b"'],
        ["Content-Type: a/b", "Content-Type: c/d"],
        ["X: a\nContent-Type: text/html"],
        ["X: a\rb"],
        ["X: a\0b"],
        ["Content-Transfer-Encoding: base64"],  # RFC 7578 §4.7
        ["Content-Transfer-Encoding: quoted-printable"],
        ["Content-Type: text/plain; charset=idna"],
        ["Content-Type: text/plain; charset=nope"],
        ["Content-Length: 5"],
        ["Content-Length: 0"],
        ["Content-Length: -1"],
    ],
)
def test_part_headers_that_two_readers_could_read_differently_are_400(headers):
    refused(400, multipart(part(headers=headers)))


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="a"; name="b"',
        'form-data; name="a"; Name=b',
        'form-data; name="a"; filename="x"; filename="y"',
        'form-data; filename=x; name="a"; filename="y"',
    ],
)
def test_repeated_parameters_of_a_part_are_400(disposition):
    refused(400, multipart(part(disposition=disposition)))


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="a"; filename="x',
        'form-data; name="a"; filename=',
        'form-data; name="a"; filename=x y.txt',
        'form-data; name="a"; filename=\u6587.txt',
        'form-data; name="a"; filename="x"y',
        'form-data; name="a"; filename',
        'form-data; name="a";\tfilename="x"',
        'form-data; name="a"; x=y"; filename="z"',
        'form-data; name="a" filename="x"',
    ],
)
def test_rfc2183_2_a_disposition_that_is_none_is_400(disposition):
    """Not a field in the place of a file, and not half of its name."""
    refused(400, multipart(part(disposition=disposition)))


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (r'form-data; name="a\"', "a\\"),  # HTML §4.10.21.8 escapes no backslash
        ('form-data ; name = "a" ;; ', "a"),
        ("form-data; name=\"a\"; size=3; x*=utf-8''y", "a"),
    ],
)
def test_dispositions_that_are_unusual(disposition, name):
    assert read(multipart(part(disposition=disposition))).pairs == [(name, "1")]


def test_a_name_may_look_like_a_parameter():
    form = read(multipart(part(disposition='form-data; name="; name="')))
    assert form.pairs == [("; name=", "1")]


@pytest.mark.parametrize("coding", ["7bit", "8BIT", "binary"])
def test_rfc7578_4_7_codings_that_change_nothing(coding):
    assert read(multipart(part(headers=[f"Content-Transfer-Encoding: {coding}"])))["a"] == "1"


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ("form-data; name=a; filename=x.txt", "a", "x.txt"),
        ('Form-Data; Name="a"; Filename="x.txt"', "a", "x.txt"),
        ('form-data; filename="x.txt"; name="a"', "a", "x.txt"),
        ('form-data; name="a%22b"; filename="x%22.txt"', 'a"b', 'x".txt'),  # HTML §4.10.21.8
        (r'form-data; name="a"; filename="x\".txt"', "a", 'x".txt'),
        ('form-data; name="a%0D%0Ab"; filename="x%0D%0A.txt"', "a\r\nb", "x.txt"),
        ('form-data; name="a"; filename="C:\\dir\\x.txt"', "a", "x.txt"),
        ('form-data; name="é"; filename="文.txt"', "é", "文.txt"),
        ('form-data; name=""; filename="x"', "", "x"),
    ],
)
def test_rfc7578_4_2_names_as_browsers_quote_them(disposition, name, filename):
    form = read(multipart(part(disposition=disposition)))
    [(key, file)] = form.files.pairs
    assert (key, file.filename) == (name, filename)


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="f"; filename="safe.txt"; filename*=utf-8\'\'evil.php',
        'form-data; name="f"; filename*=utf-8\'\'evil.php; filename="safe.txt"',
        "form-data; name=\"f\"; name*=utf-8''evil; filename=safe.txt",
        'form-data; name="f"; filename="safe.txt"; filename*0="evil"; filename*1=".php"',
    ],
)
def test_cve_2026_53537_rfc7578_4_2_extended_parameters_are_ignored(disposition):
    # Not refused: .NET sends both forms.
    form = read(multipart(part(disposition=disposition)))
    assert form.files["f"].filename == "safe.txt"


def test_an_extended_name_alone_is_no_file():
    assert read(multipart(part(disposition="form-data; name=a; filename*=utf-8''x")))["a"] == "1"


@pytest.mark.parametrize(
    ("filename", "clean"),
    [("../../etc/passwd", "passwd"), ("a\\..\\b", "b"), ("..", "upload"), ("x\u202ey", "xy")],
)
def test_rfc7578_4_2_a_file_name_is_a_base_name(filename, clean):
    assert read(multipart(part("f", filename=filename))).files["f"].filename == clean


def test_a_nameless_file_that_has_content_is_kept():
    assert read(multipart(part("f", b"x", filename=""))).files["f"].filename == "upload"


@pytest.mark.parametrize("content_type", ["", "nonsense", "a/b/c", "text/é"])
def test_a_media_type_that_is_none_is_octets(content_type):
    form = read(multipart(part("f", filename="x", headers=[f"Content-Type: {content_type}"])))
    assert form.files["f"].content_type == "application/octet-stream"


def test_a_file_without_a_media_type_is_octets():
    assert read(multipart(part("f", filename="x"))).files["f"].content_type == (
        "application/octet-stream"
    )


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [("utf-8", "é".encode(), "é"), ("ISO-8859-1", b"\xe9", "é"), ("windows-1252", b"\x80", "€")],
)
def test_rfc7578_5_1_2_the_charset_of_a_field(charset, content, text):
    headers = [f"Content-Type: text/plain; charset={charset}"]
    assert read(multipart(part("a", content, headers=headers), part("b", b"x")))["a"] == text


def test_rfc7578_5_1_2_text_that_is_not_in_its_charset_is_400():
    refused(400, multipart(part("a", b"\xff")))
    refused(400, multipart(part("a", b"\xff", headers=["Content-Type: text/plain;charset=ascii"])))


def test_the_charset_of_one_field_is_not_that_of_the_next():
    latin = part("a", b"\xe9", headers=["Content-Type: text/plain; charset=latin1"])
    assert read(multipart(latin, part("b", "é".encode()))).pairs == [("a", "é"), ("b", "é")]
