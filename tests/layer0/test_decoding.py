"""Bodies with a content coding (RFC 9110 §8.4): on demand, within a limit, or not at all."""

import gzip as gzip_module
import random
import zlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit import decoding
from httpkit.errors import BodyTooLarge, ClientDisconnected, HTTPError

from .conftest import FakeChannel, cut, fuzz, make_request, run, status_of
from .form_bodies import BOUNDARY, multipart, part


def gzip(content: bytes, level: int = 9) -> bytes:
    """Without the time, which would make every run another one."""
    return gzip_module.compress(content, level, mtime=0)


TEXT = b"The quick brown fox jumps over the lazy dog. " * 1000
NOISE = random.Random(0).randbytes(200_000)


def coded(*chunks, coding="gzip", max_body=1_000_000, headers=(), **options):
    fields = [("content-encoding", coding), *headers]
    return make_request(*chunks, headers=fields, max_body=max_body, **options)


def decode(*chunks, max_size=None, **options):
    request = coded(*chunks, **options)
    request.decode_body(max_size)
    return run(request.body())


def refused(status, *chunks, **options):
    with pytest.raises(HTTPError) as caught:
        decode(*chunks, **options)
    assert caught.value.status == status
    assert caught.value.detail.endswith(".")
    return caught.value


def test_without_the_call_a_body_is_what_was_sent():
    body = gzip(TEXT)
    assert run(coded(body).body()) == body
    assert run(coded(b"x", coding="br").body()) == b"x"


@pytest.mark.parametrize("size", [1, 7, 1024, 1_000_000])
@pytest.mark.parametrize("content", [b"", b"x", TEXT, NOISE, bytes(500_000)])
def test_rfc9110_8_4_1_gzip_and_deflate_however_they_are_cut(content, size):
    if size == 1:
        content = content[:5000]
    assert decode(*cut(gzip(content), size)) == content
    assert decode(*cut(zlib.compress(content), size), coding="deflate") == content


@pytest.mark.parametrize(
    "coding", ["gzip", "GZip", "x-gzip", "identity, gzip", ", gzip ,", "gzip,identity"]
)
def test_rfc9110_8_4_1_3_names_of_gzip(coding):
    assert decode(gzip(b"x"), coding=coding) == b"x"


@pytest.mark.parametrize("coding", ["", "identity", "Identity, identity", ","])
def test_a_body_without_a_coding_stays_as_it_is(coding):
    assert decode(b"plain", coding=coding) == b"plain"
    request = make_request(b"plain", max_body=10)
    request.decode_body()
    assert run(request.body()) == b"plain"


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "deflate,gzip", "*", "gzip;q=1"]
)
def test_rfc9110_15_5_16_another_coding_is_415_with_accept_encoding(coding):
    error = refused(415, b"x", coding=coding)
    assert error.headers == {"accept-encoding": "gzip, deflate"}


def test_several_fields_are_one_list():
    request = make_request(
        b"x", headers=[("content-encoding", "gzip"), ("content-encoding", "gzip")], max_body=1
    )
    with pytest.raises(HTTPError):
        request.decode_body()


def test_no_content_has_nothing_to_decode():
    assert decode() == b""
    assert decode(coding="deflate") == b""


# --- gzip members --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_rfc1952_2_2_several_members(size):
    body = gzip(b"a") + gzip(b"") + gzip(b"b" * 100_000)
    assert decode(*cut(body, size)) == b"a" + b"b" * 100_000


def test_many_tiny_members_take_linear_work(monkeypatch):
    """Each member leaves the rest of the input over, as a copy: that rest has to be small."""
    copied = 0

    class Counted:
        def __init__(self, wbits):
            self._real = real(wbits)

        def decompress(self, data, size):
            nonlocal copied
            copied += len(data)
            return self._real.decompress(data, size)

        def __getattr__(self, name):
            return getattr(self._real, name)

    real = zlib.decompressobj
    monkeypatch.setattr(decoding.zlib, "decompressobj", Counted)
    work = []
    for count in (1000, 8000):
        copied = 0
        assert decode(gzip(b"") * count) == b""
        work.append(copied)
    assert work[1] <= 9 * work[0]


# --- malformed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_body_that_is_cut_short_is_400(coding, size):
    body = gzip(TEXT[:2000]) if coding == "gzip" else zlib.compress(TEXT[:2000])
    for end in (1, 5, len(body) // 2, len(body) - 8, len(body) - 4, len(body) - 1):
        assert "cut short" in refused(400, *cut(body[:end], size), coding=coding).detail


def test_a_member_that_is_cut_short_is_400():
    refused(400, gzip(b"a") + gzip(b"b")[:-1])
    refused(400, gzip(b"a") + b"\x1f")


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip(b"a") + b"\0\0\0"),
        ("gzip", gzip(b"a")[:-8] + b"\0" * 8),  # the checksum
        ("gzip", zlib.compress(b"a")),
        ("deflate", b"not deflate"),
        ("deflate", zlib.compress(b"a")[2:-4]),  # RFC 9110 §8.4.1.2: without the zlib format
        ("deflate", zlib.compress(b"a") + b"x"),
        ("deflate", zlib.compress(b"a") * 2),
        ("deflate", gzip(b"a")),
    ],
)
def test_a_malformed_body_is_400(coding, body):
    for size in (1, 1000):
        assert "not valid" in refused(400, *cut(body, size), coding=coding).detail


@fuzz
@given(st.binary(max_size=200), st.integers(1, 50), st.sampled_from(["gzip", "deflate"]))
def test_any_body_is_decoded_or_an_http_error(body, size, coding):
    request = coded(*cut(body, size), coding=coding)
    request.decode_body()
    assert status_of(request.body()) in (None, 400)


@fuzz
@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 400))
def test_round_trip(contents, size):
    body = b"".join(gzip(content) for content in contents)
    assert decode(*cut(body, size)) == b"".join(contents)


# --- limits --------------------------------------------------------------------------------------


@cache
def bomb():
    return gzip(bytes(100_000_000), 9)


def test_a_bomb_is_413_before_it_has_gone_off(monkeypatch):
    made = 0

    class Counted:
        def __init__(self, wbits):
            self._real = real(wbits)

        def decompress(self, data, size):
            nonlocal made
            assert 0 < size <= 65_536
            assert len(data) <= 1024
            output = self._real.decompress(data, size)
            made += len(output)
            return output

        def __getattr__(self, name):
            return getattr(self._real, name)

    real = zlib.decompressobj
    monkeypatch.setattr(decoding.zlib, "decompressobj", Counted)
    request = coded(bomb())
    request.decode_body(300_000)
    with pytest.raises(BodyTooLarge, match="300000 bytes"):
        run(request.body())
    assert made == 300_001


def test_the_pieces_of_a_bomb_are_bounded_and_made_in_threads():
    channel = FakeChannel([bomb()])
    request = coded(channel=channel)
    request.decode_body(200_000_000)

    async def check():
        total = most = 0
        async for chunk in request.stream():
            total += len(chunk)
            most = max(most, len(chunk))
        return total, most

    assert run(check()) == (100_000_000, 65_536)
    # All but the first: in between, other requests get their turn.
    assert channel.blocking_calls == ["read"] * (100_000_000 // 65_536)


def test_an_ordinary_body_needs_no_thread():
    channel = FakeChannel(cut(gzip(NOISE), 10_000))
    request = coded(channel=channel)
    request.decode_body()
    assert run(request.body()) == NOISE
    assert len(channel.blocking_calls) <= 200_000 // 65_536


@pytest.mark.parametrize(("limit", "fits"), [(999, False), (1000, True), (1001, True)])
def test_the_limit_is_exact(limit, fits):
    body = gzip(b"x" * 1000)
    if fits:
        assert len(decode(body, max_size=limit)) == 1000
        assert len(decode(body, max_body=limit)) == 1000
    else:
        for options in ({"max_size": limit}, {"max_body": limit}):
            with pytest.raises(BodyTooLarge):
                decode(body, **options)


def test_a_body_beyond_its_limit_stays_refused():
    request = coded(gzip(b"x" * 1000))
    request.decode_body(10)
    for _ in range(2):
        with pytest.raises(BodyTooLarge):
            run(request.trailers())


def test_a_route_without_a_limit_has_to_name_one():
    request = coded(gzip(b"x"), max_body=None)
    with pytest.raises(ValueError, match="max_size"):
        request.decode_body()
    request.decode_body(1)
    assert run(request.body()) == b"x"


# --- with the rest of the request ----------------------------------------------------------------


def test_every_way_to_read_is_decoded():
    request = coded(gzip(b'{"a": 1}'))
    request.decode_body()
    assert run(request.json()) == {"a": 1}
    request = coded(gzip("é".encode()))
    request.decode_body()
    assert run(request.text()) == "é"
    content_type = ("content-type", f"multipart/form-data; boundary={BOUNDARY}")
    request = coded(gzip(multipart(part())), headers=[content_type])
    request.decode_body()
    assert run(request.form()).pairs == [("a", "1")]


def test_the_other_things_of_the_channel_are_there():
    request = coded(gzip(b"x"))
    request.decode_body()
    assert (request.id, request.client.port, request.is_disconnected()) == ("r-1", 1234, False)
    run(request.early_hints("</a.css>"))
    assert not run(request.trailers())


def test_called_again_it_sets_the_limit():
    request = coded(gzip(b"x" * 100))
    request.decode_body(1000)
    request.decode_body(10)
    with pytest.raises(BodyTooLarge):
        run(request.body())


def test_a_body_that_was_read_cannot_be_decoded():
    for read in (lambda request: request.body(), lambda request: anext(request.stream())):
        request = coded(gzip(b"x"))
        run(read(request))
        with pytest.raises(RuntimeError, match="before it is read"):
            request.decode_body()


def test_a_client_that_leaves_is_no_malformed_body():
    with pytest.raises(ClientDisconnected):
        decode(gzip(TEXT)[:50], ClientDisconnected())
