"""Bodies of forms, and reading them without a loop; shared by the tests of forms."""

import pytest

from httpkit.errors import HTTPError

from .conftest import make_request, run

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


def part(name="a", content=b"1", *, filename=None, headers=(), disposition=None):
    if disposition is None:
        disposition = f'form-data; name="{name}"'
        if filename is not None:
            disposition += f'; filename="{filename}"'
    lines = [f"Content-Disposition: {disposition}", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + content


def multipart(*parts, boundary=BOUNDARY, end=b"--\r\n"):
    delimiter = b"--" + boundary.encode()
    return b"".join(delimiter + b"\r\n" + p + b"\r\n" for p in parts) + delimiter + end


def read(*chunks, content_type=f"multipart/form-data; boundary={BOUNDARY}", limits=None):
    headers = [("content-type", content_type)] if content_type is not None else []
    return run(make_request(*chunks, headers=headers).form(limits))


def read_urlencoded(*chunks, limits=None):
    return read(*chunks, content_type="application/x-www-form-urlencoded", limits=limits)


def refused(status, *chunks, **options):
    with pytest.raises(HTTPError) as caught:
        read(*chunks, **options)
    assert caught.value.status == status, caught.value.detail
    assert caught.value.detail.endswith(".")
    return caught.value.detail
