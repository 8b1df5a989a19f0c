"""Forms beyond their limits, and bodies made to cost more than they should."""

import pytest

from httpkit import forms
from httpkit.errors import HTTPError
from httpkit.forms import parse_form
from httpkit.limits import FormLimits

from .conftest import cut, make_request, run
from .form_bodies import BOUNDARY, multipart, part, read, refused

# --- limits --------------------------------------------------------------------------------------

SMALL = FormLimits(
    max_fields=3,
    max_files=2,
    max_field_size=10,
    max_text_size=15,
    max_part_headers=2,
    max_part_header_size=100,
    spool_size=8,
)


@pytest.mark.parametrize(
    "parts",
    [
        [part()] * 4,  # CVE-2023-30798: any number of parts
        [part("f", filename="x")] * 3,
        [part("a", b"x" * 11)],  # CVE-2024-47874: fields of any size
        [part("a", b"x" * 8)] * 2,
        [part(headers=["a: b", "c: d"])],  # CVE-2026-42561: part headers of any number and size
        [part(headers=["a: " + "b" * 100])],
        [part("n" * 100)],
    ],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_form_beyond_a_limit_is_413(parts, size):
    refused(413, *cut(multipart(*parts), size), limits=SMALL)


def test_a_form_at_its_limits():
    form = read(
        multipart(
            part("a", b"x" * 10),
            part("f", b"x" * 1000, filename="x", headers=["Content-Type: a/b"]),
            part("f", filename="x"),
        ),
        limits=SMALL,
    )
    assert len(form["a"]) == 10
    assert [file.size for file in form.files.getlist("f")] == [1000, 1]


def test_cve_2024_47874_a_field_is_refused_before_it_is_complete():
    endless = multipart(part("a", b"x" * 1_000_000))
    request = make_request(
        *cut(endless, 1000),
        headers=[("content-type", f"multipart/form-data; boundary={BOUNDARY}")],
    )
    with pytest.raises(HTTPError) as caught:
        run(parse_form(request, SMALL))
    assert caught.value.status == 413
    assert request._channel.reads <= 2


def test_cve_2026_42561_a_header_without_an_end_is_refused_before_it_is_complete():
    endless = multipart(part(headers=["a: " + "x" * 1_000_000]))
    request = make_request(
        *cut(endless, 1000),
        headers=[("content-type", f"multipart/form-data; boundary={BOUNDARY}")],
    )
    with pytest.raises(HTTPError) as caught:
        run(parse_form(request))
    assert caught.value.status == 413
    assert request._channel.reads <= 7


# --- hostile bodies take linear time; the timeout is the only clock ------------------------------


@pytest.mark.timeout(20)
@pytest.mark.parametrize("size", [100, 65_536])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        # CVE-2024-53981, CVE-2026-40347: line breaks before the first boundary, anything after
        (b"\r\n" * 1_000_000, 400),
        (b"\n" * 2_000_000 + multipart(part()), 400),
        (multipart(part(), end=b"--" + b"\r\n" * 1_000_000), None),
        (multipart(part(), end=b"--" + b"-" * 2_000_000), None),
        # CVE-2023-46136: starts of boundaries in the content
        (multipart(part("f", b"\r" * 2_000_000, filename="x")), None),
        (multipart(part("f", b"\r\n" * 1_000_000, filename="x")), None),
        (multipart(part("f", b"\r\n-" * 600_000, filename="x")), None),
        (
            multipart(part("f", (b"\r\n--" + BOUNDARY.encode()[:-1]) * 50_000, filename="x")),
            None,
        ),
        (b"--" + BOUNDARY.encode() + b"\r\n" + b"a" * 2_000_000, 413),
        # many tiny parts
        (multipart(*[part()] * 20_000), 413),
        (multipart(*[part("f", b"", filename="")] * 20_000), 413),
        # CVE-2024-24762, CVE-2026-28356: patterns that backtrack
        (multipart(part(disposition='form-data; name="' + "\\" * 4000)), 400),
        (multipart(part(disposition='form-data; x="' + '\\"' * 2000)), 400),
        (multipart(part(disposition='form-data; name="a"' + "; " * 2000)), None),
        (multipart(part(headers=["Content-Type: a" + ";a=" * 1300])), None),
    ],
)
def test_hostile_bodies_take_linear_time(body, status, size):
    if status is None:
        read(*cut(body, size)).close()
    else:
        refused(status, *cut(body, size))


@pytest.mark.parametrize("step", [1, 10])
def test_the_parser_sees_no_byte_twice(monkeypatch, step):
    # Work is counted where it is done: bytes handed to the parser, and the size of each search.
    seen = 0

    class Counted(forms.PushMultipartParser):
        def parse(self, chunk):
            nonlocal seen
            seen += len(chunk) + len(self._buffer)
            return super().parse(chunk)

    monkeypatch.setattr(forms, "PushMultipartParser", Counted)
    sizes = {}
    for length in (2_000, 20_000):
        seen = 0
        body = multipart(part("f", b"\r\n--" * (length // 4), filename="x"))
        read(*cut(body, step)).close()
        sizes[length] = seen
    assert sizes[20_000] < 12 * sizes[2_000]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=" + "a" * 30_000,
        'multipart/form-data; boundary="' + "\\" * 30_000,
        'multipart/form-data; !="' + '\\"' * 15_000,
        "multipart/form-data" + ";" * 30_000,
        "multipart/form-data" + "; a" * 10_000,
    ],
)
def test_cve_2024_24762_hostile_content_types(content_type):
    refused(400, multipart(part()), content_type=content_type)
