"""Multipart bodies part by part: order, laziness, turns, limits, saving."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.errors import BodyTooLarge, ClientDisconnected, HTTPError
from httpkit.forms import Part, parts
from httpkit.limits import FormLimits

from .conftest import FakeChannel, cut, fuzz, make_request, run
from .form_bodies import BOUNDARY, multipart, part, read

CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
BODY = multipart(
    part("title", "Grüße".encode()),
    part("photo", b"\x89PNG" * 100, filename="../a b.png", headers=["Content-Type: Image/PNG"]),
    part("unchosen", b"", filename="", headers=["Content-Type: application/octet-stream"]),
    part("data", b'{"a": 1}', headers=["Content-Type: application/json"]),
    part("raw", b"x", filename="raw"),
)


def request_of(*chunks, content_type=CONTENT_TYPE):
    return make_request(*chunks, headers=[("content-type", content_type)])


def walk(request, visit, limits=None):
    """Call `await visit(part)` for each part; what it gave."""

    async def walk_through():
        return [await visit(part) async for part in request.multipart(limits)]

    return run(walk_through())


def refused(status, visit, *chunks, limits=None, **options):
    with pytest.raises(HTTPError) as caught:
        walk(request_of(*chunks, **options), visit, limits)
    assert caught.value.status == status, caught.value.detail
    assert caught.value.detail.endswith(".")
    return caught.value


async def read_part(part):
    return part.name, await part.read()


async def skip(part):
    return part.name


@pytest.mark.parametrize("size", [1, 3, 64, 100_000])
def test_rfc7578_parts_in_their_order(size):
    seen = []

    async def look(part):
        seen.append((part.name, part.filename, part.content_type))
        assert part.headers["content-disposition"].startswith("form-data; name=")
        content = b"".join([chunk async for chunk in part])
        assert part.size == len(content)
        return content

    contents = walk(request_of(*cut(BODY, size)), look)
    assert contents == ["Grüße".encode(), b"\x89PNG" * 100, b'{"a": 1}', b"x"]
    assert seen == [
        ("title", None, "text/plain"),  # RFC 7578 §4.4
        ("photo", "a b.png", "image/png"),  # RFC 7578 §4.2: directories are dropped
        ("data", None, "application/json"),
        ("raw", "raw", "application/octet-stream"),
    ]


def test_a_part_shows_what_it_is():
    async def show(part):
        return repr(part)

    assert walk(request_of(multipart(part(), part("f", filename="x"))), show) == [
        "<Part 'a' field text/plain>",
        "<Part 'f' 'x' application/octet-stream>",
    ]


@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_not_read_is_skipped(size):
    async def read_some(part):
        async for chunk in part:
            return part.name, chunk[:1]
        raise AssertionError("an empty part")

    names = ["title", "photo", "data", "raw"]
    assert walk(request_of(*cut(BODY, size)), skip) == names
    assert [name for name, _ in walk(request_of(*cut(BODY, size)), read_some)] == names


def test_a_nameless_file_that_has_content_is_a_part():
    async def look(part):
        return part.filename, await part.read()

    body = multipart(part("f", b"123", filename=""))
    for size in (1, 1000):
        assert walk(request_of(*cut(body, size)), look) == [("upload", b"123")]
        assert walk(request_of(*cut(body, size)), skip) == ["f"]


def test_nothing_is_read_ahead():
    """The client is slowed to the reader: a chunk is asked for when the one before is used up."""
    chunks = [
        b"--" + BOUNDARY.encode() + b"\r\n" + part("f", b"1" * 50, filename="x"),
        b"2" * 50,
        b"3" * 50 + b"\r\n--" + BOUNDARY.encode() + b"--",
    ]
    request = request_of(*chunks)

    async def check():
        reads = []
        async for each in request.multipart():
            reads.append(request._channel.reads)
            reads += [request._channel.reads async for _ in each]
        return reads

    assert run(check()) == [1, 1, 2, 3]


@pytest.mark.parametrize("read_it", [Part.read, Part.text, lambda part: anext(part.stream())])
def test_a_part_can_be_read_in_its_turn_only(read_it):
    async def check():
        kept = []
        async for each in request_of(BODY).multipart():
            kept.append(each)
            if len(kept) == 2:
                with pytest.raises(RuntimeError, match="before the next one"):
                    await read_it(kept[0])
                assert len(await each.read()) == 400
                with pytest.raises(RuntimeError, match="has been read already"):
                    await read_it(each)
        for each in kept:
            with pytest.raises(RuntimeError, match="before the next one"):
                await read_it(each)

    run(check())


def test_a_part_cannot_be_read_after_the_iteration_was_left():
    async def check():
        parts = request_of(BODY).multipart()
        part = await anext(parts)
        await parts.aclose()
        with pytest.raises(RuntimeError):
            await part.read()

    run(check())


def test_the_body_is_consumed_once():
    request = request_of(BODY)
    assert len(walk(request, skip)) == 4
    with pytest.raises(RuntimeError, match="consumed"):
        walk(request, skip)
    with pytest.raises(RuntimeError, match=r"consumed already, by stream\(\), form\(\) or"):
        run(request.form())


def test_a_body_that_was_read_whole_still_has_parts():
    request = request_of(BODY)
    run(request.body())
    assert len(walk(request, skip)) == 4


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "multipart/mixed; boundary=x",
        "multipart/related; boundary=x",
        "application/x-www-form-urlencoded",
    ],
)
def test_rfc9110_15_5_16_other_kinds_of_multipart_are_415(content_type):
    error = refused(415, skip, BODY, content_type=content_type)
    assert "RFC 7578" in error.detail
    assert error.headers == {"accept": "multipart/form-data"}


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary", CONTENT_TYPE + "*"]
)
def test_a_malformed_content_type_is_400(content_type):
    refused(400, skip, BODY, content_type=content_type)


@pytest.mark.parametrize("visit", [read_part, skip])
@pytest.mark.parametrize(
    "body", [BODY[:-4], BODY[:300], b"", b"preamble" + BODY, b"--x\r\n" + BODY]
)
def test_a_malformed_body_is_400(visit, body):
    for size in (7, 100_000):
        refused(400, visit, *cut(body, size))


@pytest.mark.parametrize("visit", [read_part, skip])
@pytest.mark.parametrize(
    ("limits", "parts"),
    [
        ({"max_fields": 2}, [part()] * 3),  # CVE-2023-30798
        ({"max_files": 2}, [part("f", filename="x")] * 3),
        ({"max_field_size": 10}, [part("a", b"x" * 11)]),  # CVE-2024-47874
        ({"max_text_size": 10}, [part("a", b"x" * 6)] * 2),
        ({"max_file_size": 10}, [part("f", b"x" * 11, filename="x")]),
        ({"max_part_headers": 1}, [part(headers=["a: b"])]),
        ({"max_part_header_size": 60}, [part("n" * 60)]),
    ],
)
def test_beyond_a_limit_is_413_whether_it_is_read_or_not(visit, limits, parts):
    for size in (1, 100_000):
        refused(413, visit, *cut(multipart(*parts), size), limits=FormLimits(**limits))


def test_at_the_limits():
    limits = FormLimits(max_fields=4, max_files=2, max_field_size=10, max_file_size=20)
    parts = [part("a", b"x" * 10)] * 2 + [part("f", b"y" * 20, filename="y")] * 2
    assert len(walk(request_of(multipart(*parts)), lambda part: part.read(20), limits)) == 4


def test_the_limit_of_a_file_holds_for_whole_forms_too():
    with pytest.raises(HTTPError) as caught:
        read(
            *cut(multipart(part("f", b"x" * 11, filename="x")), 20),
            limits=FormLimits(max_file_size=10),
        )
    assert caught.value.status == 413
    assert "10 bytes" in caught.value.detail


def test_cve_2024_47874_a_part_is_not_collected_without_a_limit():
    """A file has no limit of its own, `read` has."""
    body = multipart(part("f", b"x" * 3_000_000, filename="x"))
    request = request_of(*cut(body, 65_536))
    with pytest.raises(HTTPError) as caught:
        walk(request, read_part)
    assert caught.value.status == 413
    assert request._channel.reads < 20

    async def read_all(part):
        return len(await part.read(3_000_000))

    assert walk(request_of(*cut(body, 65_536)), read_all) == [3_000_000]


def test_a_part_that_is_too_large_to_read_can_be_skipped():
    async def try_to_read(part):
        try:
            return await part.read(3)
        except HTTPError as error:
            return error.status

    parts = [part("f", b"x" * 4, filename="x"), part("g", b"x" * 3, filename="x")]
    assert walk(request_of(*cut(multipart(*parts), 1)), try_to_read) == [413, b"xxx"]


@pytest.mark.parametrize("error", [BodyTooLarge(), ClientDisconnected()])
def test_a_failure_of_the_body_reaches_the_reader(error):
    with pytest.raises(type(error)):
        walk(request_of(BODY[:200], error), read_part)
    with pytest.raises(type(error)):
        walk(request_of(BODY[:200], error), skip)


# --- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [("utf-8", b"\xc3\xa9", "é"), ("iso-8859-1", b"\xe9", "é"), ("utf-8", b"", "")],
)
def test_rfc7578_5_1_2_text(charset, content, text):
    body = multipart(part("a", content, headers=[f"Content-Type: text/plain; charset={charset}"]))
    assert walk(request_of(body), Part.text) == [text]


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain; charset=nope"])
def test_rfc7578_5_1_2_text_that_is_not_in_its_charset_is_400(content_type):
    refused(
        400, Part.text, multipart(part("a", b"\xe9", headers=[f"Content-Type: {content_type}"]))
    )


# --- saving --------------------------------------------------------------------------------------


def saving(request, path, limits=None):
    async def save(part):
        return await part.save(path)

    return walk(request, save, limits)


def test_a_part_is_saved_while_it_arrives(tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"y" * 5000)
    request = request_of(*cut(multipart(part("f", b"x" * 1000, filename="x")), 300))
    assert saving(request, target) == [1000]
    assert target.read_bytes() == b"x" * 1000
    # Everything that waits for the disk runs in a thread.
    assert set(request._channel.blocking_calls) == {"open", "write", "close"}


def test_a_cancellation_while_the_file_is_opened_leaves_none(tmp_path):
    class Cancelled(BaseException):
        pass

    class Channel(FakeChannel):
        async def run_blocking(self, function, /, *args):
            value = await super().run_blocking(function, *args)
            if self.blocking_calls == ["open"]:
                raise Cancelled
            return value

    channel = Channel([BODY])
    with pytest.raises(Cancelled):
        saving(
            make_request(headers=[("content-type", CONTENT_TYPE)], channel=channel), tmp_path / "x"
        )
    assert channel.blocking_calls == ["open", "discard"]
    assert os.listdir(tmp_path) == []


class FullDisk(io.FileIO):
    def write(self, data):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("special", [False, True])
def test_a_full_disk_is_the_error_of_the_system(tmp_path, monkeypatch, special):
    request = request_of(multipart(part("f", b"x" * 100_000, filename="x")))
    target = tmp_path / "target"
    if special:  # what is no file of ours to take away
        target.symlink_to("/dev/null")
    monkeypatch.setattr(parts, "open", FullDisk, raising=False)
    with pytest.raises(OSError, match="No space"):
        saving(request, target)
    assert os.listdir(tmp_path) == ["target"] * special


@pytest.mark.parametrize(
    "tail", [b"", ClientDisconnected(), BodyTooLarge(), GeneratorExit(), KeyboardInterrupt()]
)
def test_a_part_that_does_not_come_whole_leaves_no_file(tmp_path, tail):
    request = request_of(multipart(part("f", b"x" * 1000, filename="x"))[:-60], tail)
    with pytest.raises(HTTPError if tail == b"" else type(tail)):
        saving(request, tmp_path / "target")
    assert os.listdir(tmp_path) == []


def test_a_file_beyond_its_limit_leaves_nothing(tmp_path):
    request = request_of(*cut(multipart(part("f", b"x" * 1000, filename="x")), 300))
    with pytest.raises(HTTPError):
        saving(request, tmp_path / "target", FormLimits(max_file_size=500))
    assert os.listdir(tmp_path) == []


def test_saving_where_nobody_may_write_is_the_error_of_the_system(tmp_path):
    with pytest.raises(OSError):
        saving(request_of(BODY), tmp_path / "nope" / "x")


def test_saving_out_of_turn_replaces_nothing(tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"kept")

    async def check():
        [first, *_] = [part async for part in request_of(BODY).multipart()]
        with pytest.raises(RuntimeError):
            await first.save(target)

    run(check())
    assert target.read_bytes() == b"kept"


# --- uploads of whole forms: threads for the disk, none for memory -------------------------------


def blocking_calls(size, spool_size):
    channel = FakeChannel(cut(multipart(part("f", b"x" * size, filename="x")), 100))
    request = make_request(headers=[("content-type", CONTENT_TYPE)], channel=channel)
    upload = run(request.form(FormLimits(spool_size=spool_size))).files["f"]
    calls = list(channel.blocking_calls)
    assert len(run(upload.read())) == size
    upload.close()
    return calls, channel.blocking_calls[len(calls) :]


def test_a_small_upload_needs_no_thread():
    assert blocking_calls(1000, 1000) == ([], [])


def test_cve_2025_54121_a_large_upload_is_written_and_read_in_threads():
    received, read_again = blocking_calls(1001, 1000)
    # The write that moves the spool to disk is the first one there.
    assert set(received) == {"write", "seek"}
    assert received.count("write") <= 2
    assert read_again == ["read"]
    assert blocking_calls(5000, 1)[0].count("write") >= 49


# --- whatever arrives ----------------------------------------------------------------------------

PIECES = st.lists(
    st.sampled_from(
        [
            b"--b",
            b"\r\n--b",
            b"\r\n",
            b"--",
            b"Content-Disposition: form-data",
            b'; name="a"',
            b'; filename="x"',
            b'; filename=""',
            b"text",
        ]
    ),
    max_size=30,
)


@fuzz
@given(PIECES, st.integers(1, 20), st.booleans())
def test_parts_and_forms_are_one_set_of_rules(pieces, size, proper):
    body = b"".join(pieces)
    if proper:
        body = b'--b\r\nContent-Disposition: form-data; name="a"\r\n' + body + b"\r\n--b--"
    options = {"content_type": "multipart/form-data; boundary=b"}

    def by_parts():
        async def look(part):
            return part.name, part.filename, await part.read()

        return walk(request_of(*cut(body, size), **options), look)

    def by_form():
        form = run(request_of(body, **options).form())
        fields = [(name, None, value.encode()) for name, value in form.pairs]
        return fields + [(n, f.filename, run(f.read())) for n, f in form.files.pairs]

    def outcome(function):
        try:
            return sorted(function(), key=repr)
        except HTTPError as error:
            return error.status

    assert outcome(by_parts) == outcome(by_form)
