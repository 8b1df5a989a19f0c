"""File bodies: what may be opened, spans, and who closes the descriptor."""

import errno
import gc
import os
import socket

import pytest

from httpkit import body as body_module
from httpkit.body import FileBody, UnopenedFile


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_a_whole_file(path):
    body = FileBody(path)
    assert (body.offset, body.length, body.size) == (0, 10, 10)
    assert body.mtime == path.stat().st_mtime
    assert body.read(4) == b"0123"
    assert (body.offset, body.length) == (4, 6)
    assert body.read(100) == b"456789"
    assert body.read(100) == b""
    assert body.length == 0


@pytest.mark.parametrize(
    ("offset", "length", "content"),
    [
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (0, 0, b""),
        (10, None, b""),
        (11, None, b""),
        (11, 5, b""),
        (8, 100, b"89"),  # never more than there is: a Content-Length must come true
    ],
)
def test_a_span(path, offset, length, content):
    body = FileBody(path, offset, length)
    assert body.length == len(content)
    assert body.read(100) == content
    assert body.size == 10


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
def test_a_negative_span_is_refused(path, offset, length):
    with pytest.raises(ValueError, match="negative"):
        FileBody(path, offset, length)


def test_a_file_that_shrinks_gives_less_than_its_length(path):
    body = FileBody(path)
    path.write_bytes(b"01")
    assert body.read(10) == b"01"
    assert body.read(10) == b""
    assert body.length == 8


def memory_of(*places):
    """Stands for the system call: which bytes are in the memory of the system."""

    def preadv(descriptor, buffers, offset, flags):
        assert flags == os.RWF_NOWAIT
        if offset not in places:
            raise OSError(errno.EAGAIN, "")
        return os.pread(descriptor, len(buffers[0]), offset)

    return preadv


def test_what_is_in_memory_is_read_without_waiting(path, monkeypatch):
    monkeypatch.setattr(body_module.os, "preadv", memory_of(0, 3, 4, 9))
    body = FileBody(path)
    assert body.read_cached(4) == b"0123"
    assert (body.offset, body.length) == (4, 6)
    assert body.read_cached(100) == b"456789"
    assert body.read_cached(100) is None


@pytest.mark.parametrize("places", [(), (0,), (9,)])
def test_what_is_not_in_memory_at_both_ends_is_left_to_read(path, monkeypatch, places):
    monkeypatch.setattr(body_module.os, "preadv", memory_of(*places))
    body = FileBody(path)
    assert body.read_cached(100) is None
    assert body.read_at_once(100) is None
    assert body.read(100) == b"0123456789"


def test_a_system_that_cannot_tell_always_waits(path, monkeypatch):
    monkeypatch.setattr(body_module, "_NOWAIT", 0)
    assert FileBody(path).read_cached(100) is None


def test_what_is_little_is_read_at_once(path):
    body = FileBody(path, 2, 5)
    assert body.read_at_once(4) is None
    assert body.read_at_once(5) == b"23456"
    assert body.length == 0


def test_what_has_changed_is_not_read_at_once(path):
    body = FileBody(path)
    path.write_bytes(b"0123456789!")
    assert body.has_changed()
    assert body.read_at_once(100) is None
    path.write_bytes(b"012")
    assert body.read_at_once(100) is None


def test_warming_leaves_the_place(path):
    body = FileBody(path)
    body.warm(5)
    body.warm(500)
    os.truncate(path, 3)
    body.warm(500)
    assert (body.offset, body.length) == (0, 10)


def test_spans_share_the_descriptor_and_close_it_together(path):
    body = FileBody(path)
    span = body.span(3, 4)
    descriptor = body.fd
    assert (span.fd, span.read(10), body.length) == (descriptor, b"3456", 10)
    body.close()
    assert (body.fd, is_open(descriptor)) == (-1, True)
    span.close()
    assert not is_open(descriptor)


def test_a_symbolic_link_is_followed(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    assert FileBody(link).size == 10


def test_closing(path):
    body = FileBody(str(path))
    descriptor = body.fd
    assert not os.get_inheritable(descriptor)
    body.close()
    assert not is_open(descriptor)
    body.close()
    assert body.fd == -1


def test_a_body_that_nobody_sends_gives_its_descriptor_back(path):
    body = FileBody(path)
    descriptor = body.fd
    del body
    gc.collect()
    assert not is_open(descriptor)


def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize("make", [os.mkdir, make_fifo, make_socket])
def test_directories_fifos_and_sockets_are_not_files(tmp_path, make):
    path = tmp_path / "x"
    make(path)
    gc.collect()  # what other tests have left is not counted
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(FileNotFoundError):
        FileBody(path)
    assert len(os.listdir("/dev/fd")) == before


def test_devices_are_not_files():
    with pytest.raises(FileNotFoundError):
        FileBody(os.devnull)


def test_a_device_without_a_driver_is_no_file_either(monkeypatch):
    def refuse(path, flags):
        raise OSError(errno.ENODEV, "no such device")

    monkeypatch.setattr(body_module.os, "open", refuse)
    with pytest.raises(FileNotFoundError):
        FileBody("/dev/imagined")


def test_other_failures_are_themselves(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        FileBody(tmp_path / "nope")
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(OSError) as caught:
        FileBody("x" * 5000)
    assert caught.value.errno == errno.ENAMETOOLONG
    with pytest.raises(ValueError):
        FileBody("a\0b")


# --- descriptors of others, and files by their path ----------------------------------------------


def test_a_body_of_a_descriptor(path):
    descriptor = os.open(path, os.O_RDONLY)
    body = FileBody.from_descriptor(descriptor)
    assert (body.fd, body.offset, body.length, body.size) == (descriptor, 0, 10, 10)
    assert body.read(3) == b"012"
    body.close()
    assert not is_open(descriptor)


def test_a_descriptor_of_something_else_is_refused_and_closed(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(FileNotFoundError, match="not a regular file"):
        FileBody.from_descriptor(descriptor)
    assert not is_open(descriptor)


def test_a_file_that_is_still_to_be_opened(path):
    file = UnopenedFile(path)
    assert file.path is path
    assert file.open().length == 10
    with pytest.raises(FileNotFoundError):
        UnopenedFile(path.with_name("nope")).open()
