"""Uploaded files: memory and disk, reading and saving, and who closes them."""

import gc
import os
import tempfile
from io import BytesIO

import pytest

from httpkit.errors import BodyTooLarge, ClientDisconnected, HTTPError
from httpkit.forms import FormData, UploadedFile
from httpkit.forms import form as form_module
from httpkit.headers import Headers
from httpkit.limits import FormLimits

from .conftest import run
from .form_bodies import multipart, part, read

# --- files ---------------------------------------------------------------------------------------


def uploads(**options):
    return read(multipart(part("f", b"x" * 100, filename="x.bin")), **options).files["f"]


def test_a_small_file_stays_in_memory():
    assert isinstance(uploads().file._file, BytesIO)


@pytest.mark.parametrize("spool_size", [0, 1, 99])
def test_a_large_file_goes_to_disk(spool_size):
    file = uploads(limits=FormLimits(spool_size=spool_size))
    assert not isinstance(file.file._file, BytesIO)
    assert file.size == 100
    assert run(file.read()) == b"x" * 100


def test_reading_goes_on_where_it_stopped():
    file = uploads()
    assert run(file.read(60)) == b"x" * 60
    assert run(file.read(60)) == b"x" * 40
    assert run(file.read()) == b""


@pytest.mark.parametrize("spool_size", [10, 1000])
def test_saving_writes_the_whole_file_and_replaces_another(tmp_path, spool_size):
    file = uploads(limits=FormLimits(spool_size=spool_size))
    target = tmp_path / file.filename
    target.write_bytes(b"y" * 500)
    run(file.read(10))
    run(file.save(target))
    assert target.read_bytes() == b"x" * 100
    assert run(file.read(1)) == b"x"


def test_saving_where_nobody_may_write_is_the_error_of_the_system(tmp_path):
    with pytest.raises(OSError):
        run(uploads().save(tmp_path / "nope" / "x"))


def test_closing_a_form_closes_its_files():
    form = read(multipart(part("f", filename="x"), part("g", filename="y")))
    form.close()
    assert form.files["f"].file.closed
    assert form.files["g"].file.closed
    form.close()


def descriptors():
    return len(os.listdir("/dev/fd"))


def test_files_that_nobody_closes_are_closed_with_the_form():
    gc.collect()  # what other tests have left is not counted
    before = descriptors()
    form = read(multipart(part("f", b"x" * 100, filename="x")), limits=FormLimits(spool_size=8))
    assert descriptors() == before + 1
    del form
    gc.collect()
    assert descriptors() == before


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        ([multipart(part())[:-6]], HTTPError),
        ([BodyTooLarge()], BodyTooLarge),
        ([ClientDisconnected()], ClientDisconnected),
        ([GeneratorExit()], GeneratorExit),
    ],
)
def test_a_form_that_fails_closes_its_files_at_once(monkeypatch, tail, error):
    made = []

    class Recorded(tempfile.SpooledTemporaryFile):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(form_module, "SpooledTemporaryFile", Recorded)
    body = multipart(part("f", b"x" * 100, filename="x"), part("g", b"y" * 100, filename="y"))
    with pytest.raises(error):
        read(body[:-60], *tail, limits=FormLimits(spool_size=8))
    assert [file.closed for file in made] == [True, True]


def test_a_full_disk_is_the_error_of_the_system(monkeypatch):
    class Full(tempfile.SpooledTemporaryFile):
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(form_module, "SpooledTemporaryFile", Full)
    with pytest.raises(OSError):
        read(multipart(part("f", filename="x")))


def test_a_file_of_a_test_is_easily_made():
    with tempfile.SpooledTemporaryFile() as spool:
        file = UploadedFile(spool)
        assert (file.filename, file.content_type, file.size) == (
            "upload",
            "application/octet-stream",
            0,
        )
        assert file.headers == Headers()
        assert repr(file) == "<UploadedFile 'upload' application/octet-stream 0 bytes>"
        assert repr(FormData([("a", "1")], [("f", file)])) == (
            f"FormData([('a', '1')], files=[('f', {file!r})])"
        )


def test_a_file_of_a_test_needs_no_server(tmp_path):
    with tempfile.SpooledTemporaryFile(max_size=1) as spool:
        spool.write(b"12345")
        spool.seek(0)
        file = UploadedFile(spool, size=5)
        assert run(file.read(2)) == b"12"
        run(file.save(tmp_path / "x"))
        assert (tmp_path / "x").read_bytes() == b"12345"


def test_an_upload_that_was_never_made_is_collected_quietly():
    UploadedFile.__new__(UploadedFile).__del__()
