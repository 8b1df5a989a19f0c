"""Forms beyond their limits, and bodies made to cost more than they should."""

import sys

import pytest

from httpkit.errors import HTTPError
from httpkit.forms import parser
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
        run(request.form(SMALL))
    assert caught.value.status == 413
    assert request._channel.reads <= 2


def test_cve_2026_42561_a_header_without_an_end_is_refused_before_it_is_complete():
    endless = multipart(part(headers=["a: " + "x" * 1_000_000]))
    request = make_request(
        *cut(endless, 1000),
        headers=[("content-type", f"multipart/form-data; boundary={BOUNDARY}")],
    )
    with pytest.raises(HTTPError) as caught:
        run(request.form())
    assert caught.value.status == 413
    assert request._channel.reads <= 7


# --- hostile bodies take linear time -------------------------------------------------------------
#
# Work is counted, not timed: the calls of Python and C functions, and the bytes that each search of
# the parser may have to look at. Eight times the body must not be much more than eight times the
# work. For patterns, which count as one call, there is a body that would never end.


def work(monkeypatch, body, step):
    """Calls and bytes that a form takes to be read or refused."""
    count = {"calls": 0, "bytes": 0}

    class Counted(parser.PushMultipartParser):
        def parse(self, chunk):
            count["bytes"] += len(chunk) + len(self._buffer)
            return super().parse(chunk)

    def on_event(frame, event, argument):
        if event in ("call", "c_call"):
            count["calls"] += 1

    chunks = cut(body, step)
    with monkeypatch.context() as patch:
        patch.setattr(parser, "PushMultipartParser", Counted)
        sys.setprofile(on_event)
        try:
            read(*chunks).close()
        except HTTPError:
            pass
        finally:
            sys.setprofile(None)
    return count


DELIMITER = b"--" + BOUNDARY.encode()


@pytest.mark.parametrize("step", [7, 1000])
@pytest.mark.parametrize(
    "make",
    [
        # CVE-2024-53981, CVE-2026-40347: bytes before the first boundary and after the last one,
        # each of which was skipped, and logged, by itself
        lambda n: b"\r\n" * n + multipart(part()),
        lambda n: b"\n" * n + multipart(part()),
        lambda n: multipart(part(), end=b"--" + b"\r\n" * n),
        lambda n: multipart(part(), end=b"--" + b"-" * n),
        # CVE-2023-46136: a line break, then much without any; and what else may begin a boundary
        lambda n: multipart(part("f", b"\r\n" + b"x" * n, filename="x")),
        lambda n: multipart(part("f", b"\n" + b"\0" * n, filename="x")),
        lambda n: multipart(part("f", b"\r" * n, filename="x")),
        lambda n: multipart(part("f", b"\r\n" * n, filename="x")),
        lambda n: multipart(part("f", b"\r\n-" * n, filename="x")),
        lambda n: multipart(part("f", (b"\r\n" + DELIMITER[:-1]) * (n // 40), filename="x")),
        # CVE-2026-42561: headers that do not end
        lambda n: DELIMITER + b"\r\n" + b"a" * n,
        lambda n: multipart(part(headers=["a: b"] * (n // 6))),
        # CVE-2023-30798: parts without number
        lambda n: multipart(*[part()] * (n // 100)),
        lambda n: multipart(*[part("f", b"", filename="")] * (n // 100)),
    ],
)
def test_hostile_bodies_take_linear_work(monkeypatch, make, step):
    small, large = (work(monkeypatch, make(n), step) for n in (5_000, 40_000))
    for kind in small:
        assert large[kind] <= 10 * max(small[kind], 500), (kind, small, large)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        # CVE-2024-24762, CVE-2026-28356: patterns that backtrack
        (multipart(part(disposition='form-data; name="' + "\\" * 4000)), 400),
        (multipart(part(disposition='form-data; x="' + '\\"' * 2000)), 400),
        (multipart(part(disposition='form-data; name="a"' + "; " * 2000)), None),
        (multipart(part(headers=["Content-Type: a" + ";a=" * 1300])), None),
    ],
)
def test_hostile_part_headers_come_to_an_end(body, status):
    if status is None:
        read(body).close()
    else:
        refused(status, body)


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
