"""`Compress`: RFC 9110 §8.4, §8.8.3.3, §12.5.3; RFC 9659."""

import asyncio
import gzip
import os
import zlib
from collections.abc import AsyncIterator

import brotli
import pytest
import zstandard

from httpkit import (
    App,
    ConfigurationError,
    FileBody,
    LocalProtocolError,
    Request,
    Response,
)
from httpkit.middleware import Compress, Conditional, ResponseCache, cache, codings
from httpkit.response import Upgrade
from httpkit.testing import Client
from tests.app.conftest import ask

from .conftest import Site, status_of

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
TEXT = "The quick brown fox jumps over the lazy dog. " * 100
BIG = TEXT * 100
CODED = ["br", "zstd", "gzip"]
BROWSER = ("accept-encoding", "gzip, deflate, br, zstd")


def accept(value):
    return ("accept-encoding", value)


def decode(coding, data):
    if coding == "br":
        return brotli.decompress(data)
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return gzip.decompress(data) if coding == "gzip" else data


def app_of(answer, *middleware, **options):
    app = App(middleware=[Compress(**options), *middleware])
    app.get("/")(answer if callable(answer) else lambda request: answer)
    return app


def pieces_of(response):
    async def collect():
        return [piece async for piece in response.body]

    return asyncio.run(collect())


# --- the choice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        (None, None),  # anything goes, so what is simplest
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("br;q=0, *", "zstd"),
        ("*", "br"),
        ("*;q=0", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("deflate", None),
        ("x-unknown, gzip;q=x", None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_rfc9110_12_5_3_what_the_client_likes_best(method, field, coding):
    response = ask(app_of(TEXT), method, "/", *([] if field is None else [accept(field)]))
    assert response.headers.get("content-encoding") == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert decode(coding, response.body) == TEXT.encode()
    assert (len(response.body) < len(TEXT)) is (coding is not None)


def test_the_favorites_of_the_server():
    app = app_of(TEXT, codings=["gzip", "br"])
    assert ask(app, "GET", "/", BROWSER).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in ask(app, "GET", "/", accept("zstd")).headers


@pytest.mark.parametrize("coding", CODED)
def test_large_bodies(coding):
    response = ask(app_of(BIG), "GET", "/", accept(coding))
    assert decode(coding, response.body) == BIG.encode()


# --- what is left alone --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        Response(TEXT, media_type="image/png"),
        Response(TEXT.encode()),
        Response(TEXT, headers={"content-encoding": "x"}),
        Response(TEXT, headers={"cache-control": "max-age=5, no-transform"}),
        Response(TEXT, headers={"content-range": "bytes 0-9/10"}),
        Response(TEXT, 416, headers={"content-range": "bytes */10"}),
        Response(TEXT, 206, media_type="image/png"),
        Response(TEXT, media_type='text/plain; charset="x'),
        Response(b"", 204),
        Response(None),
    ],
    ids=str,
)
def test_left_alone_for_everybody(response):
    answer = ask(app_of(response), "GET", "/", BROWSER)
    assert answer is response
    assert "vary" not in answer.headers


@pytest.mark.parametrize(
    "body", ["", "x" * 1023, "".join(chr(33 + n * n * 7919 % 90) for n in range(40))]
)
def test_small_bodies_stay_but_say_that_they_vary(body):
    response = ask(app_of(body), "GET", "/", BROWSER)
    assert (response.body, response.headers["vary"]) == (body.encode(), "Accept-Encoding")
    assert "content-encoding" not in response.headers


NOISE = bytes(zlib.crc32(bytes([n % 256, n // 256])) % 256 for n in range(2000))


def test_what_would_grow_stays():
    response = ask(app_of(Response(NOISE, media_type="text/plain")), "GET", "/", BROWSER)
    assert response.body == NOISE
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize("field", ["gzip, identity;q=0", "gzip, *;q=0", "*;q=0, gzip;q=0.1"])
@pytest.mark.parametrize("body", [b"x", NOISE])
def test_rfc9110_12_5_3_what_is_not_coded_may_be_refused(field, body):
    app = app_of(Response(body, media_type="text/plain"))
    response = ask(app, "GET", "/", accept(field))
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(response.body) == body
    # Who takes nothing that there is gets what there is (§12.5.3: it may be disregarded).
    assert ask(app, "GET", "/", accept("identity;q=0, deflate")).body == body
    empty = app_of(Response(b"", media_type="text/plain"))
    assert ask(empty, "GET", "/", accept(field)).body == b""


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/byteranges; boundary=x"])
def test_rfc9110_15_3_7_a_part_stays_but_says_that_the_whole_varies(media_type):
    part = Response(TEXT, 206, {"content-range": "bytes 0-9/10"}, media_type=media_type)
    response = ask(app_of(part), "GET", "/", BROWSER)
    assert (response.status, response.body) == (206, TEXT.encode())
    assert response.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize(
    "media_type",
    ["text/csv", "application/json", "application/problem+json", "image/svg+xml", "x/y+text"],
)
def test_types_that_are_worth_it(media_type):
    response = ask(app_of(Response(TEXT, media_type=media_type)), "GET", "/", BROWSER)
    assert response.headers["content-encoding"] == "br"


def test_other_types_can_be_added():
    app = app_of(Response(TEXT, media_type="x/Y"), media_types=["X/y"])
    assert ask(app, "GET", "/", BROWSER).headers["content-encoding"] == "br"


def test_errors_are_compressed_too():
    assert ask(app_of(Response(TEXT, 404)), "GET", "/", BROWSER).headers["content-encoding"]


def test_upgrades_pass():
    async def session(stream) -> None:
        raise AssertionError("no server here")

    upgrade = Upgrade("foo", session)
    assert ask(app_of(upgrade), "GET", "/", BROWSER) is upgrade


# --- fields --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [len(TEXT), 1023])
def test_rfc9110_8_6_an_empty_answer_to_a_head_says_what_a_get_would(size):
    """Mounted applications announce what they would send: not its length once it is coded."""

    def answer(request: Request) -> Response:
        headers = {"content-length": str(size), "etag": '"a"', "content-type": "text/plain"}
        return Response(b"" if request.method == "HEAD" else "x" * size, headers=headers)

    app = App(middleware=[Compress()])
    app.route("/", methods=["GET", "HEAD"])(answer)
    whole = ask(app, "GET", "/", accept("gzip"))
    head = ask(app, "HEAD", "/", accept("gzip"))
    for name in ("content-encoding", "content-length", "etag", "vary"):
        assert head.headers.get(name) == whole.headers.get(name)
    assert head.body == b""


def test_the_fields_of_a_coded_answer():
    given = Response(
        TEXT,
        headers={
            "content-length": str(len(TEXT)),
            "accept-ranges": "bytes",
            "content-md5": "x",
            "content-digest": "sha-256=:x:",
            "repr-digest": "sha-256=:x:",
            "vary": "accept",
            "x": "y",
        },
    )
    response = ask(app_of(given), "GET", "/", accept("gzip"))
    assert dict(response.headers) == {
        "content-type": "text/plain; charset=utf-8",
        "vary": "accept, Accept-Encoding",
        "x": "y",
        "content-encoding": "gzip",
    }
    assert given.body == TEXT.encode()  # an application may keep its answer


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"'])
def test_rfc9110_8_8_3_3_each_coding_has_a_tag_of_its_own(tag):
    app = app_of(Response(TEXT, headers={"etag": tag}), Conditional())
    tags = {coding: ask(app, "GET", "/", accept(coding)).headers["etag"] for coding in CODED}
    tags["identity"] = ask(app).headers["etag"]
    assert len(set(tags.values())) == 4
    assert tags["identity"] == tag
    assert tags["br"] == tag.replace("1", "1-br")
    for coding, own in tags.items():
        response = ask(app, "GET", "/", accept(coding), ("if-none-match", f'"x", {own}'))
        assert response.status == 304
        assert response.headers["etag"] == own  # RFC 9110 §15.4.5
        assert response.headers["vary"] == "Accept-Encoding"
    assert ask(app, "GET", "/", BROWSER, ("if-none-match", '"2-br"')).status == 200


@pytest.mark.parametrize("field", ["gzip", "identity", ""])
def test_rfc9111_4_3_3_a_tag_of_another_coding_is_not_confirmed(field):
    """A shared cache would send what it has stored under that tag to a client without br."""
    app = app_of(Response(TEXT, headers={"etag": '"1"'}), Conditional())
    response = ask(app, "GET", "/", accept(field), ("if-none-match", '"1-br"'))
    assert response.status == 200


def test_a_change_that_asks_for_a_new_place_heeds_the_tags_of_every_coding():
    app = App(middleware=[Compress()])

    @app.put("/")
    async def change(request: Request) -> str:
        request.check(etag="1")
        return "done"

    assert ask(app, "PUT", "/", ("if-none-match", '"1-br", "1-gzip"')).status == 412
    assert ask(app, "PUT", "/", ("if-none-match", '"2-br"')).status == 200


def test_a_tag_that_ends_like_ours_is_still_known():
    app = app_of(Response(TEXT, headers={"etag": '"a-gzip"'}), Conditional())
    assert ask(app, "GET", "/", ("if-none-match", '"a-gzip"')).status == 304


@pytest.mark.parametrize("condition", [("if-modified-since", DATE), ("if-none-match", "*")])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_rfc9110_15_4_5_a_304_to_who_names_no_tag_has_that_of_the_200(method, condition):
    """A client that took the tag of the plain content for that of a coded one would mix both."""
    given = Response(TEXT, headers={"etag": '"1"', "last-modified": DATE})
    small = Response("x", headers={"etag": '"2"', "last-modified": DATE})
    for answer, tag in ((given, '"1-br"'), (small, '"2"')):
        app = app_of(answer, Conditional())
        fields = (BROWSER, condition, ("range", "bytes=0-1"))
        assert ask(app, method, "/", BROWSER).headers["etag"] == tag
        response = ask(app, method, "/", *fields)
        assert (response.status, response.body) == (304, b"")
        assert response.headers["etag"] == tag
        assert response.headers["vary"] == "Accept-Encoding"


def test_what_has_changed_since_the_304_is_sent():
    versions = iter(
        [Response("old", headers={"etag": '"1"', "last-modified": DATE}), Response(TEXT)]
    )
    app = app_of(lambda request: next(versions), Conditional())
    response = ask(app, "GET", "/", BROWSER, ("if-modified-since", DATE))
    assert (response.status, decode("br", response.body)) == (200, TEXT.encode())


def test_what_hangs_on_a_304_is_done_though_it_is_made_anew():
    done = []

    def handler(request):
        answer = request.check(etag="1", last_modified=0) or Response(TEXT)
        answer.add_background(lambda: done.append(answer.status))
        return answer

    with Client(app_of(handler)) as client:
        fields = {"accept-encoding": "br", "if-none-match": "*"}
        assert client.get("/", headers=fields).status_code == 304
    assert sorted(done) == [200, 304]


def test_a_304_that_nobody_has_asked_for_passes():
    app = app_of(Response(status=304, headers={"etag": '"1"'}))
    assert ask(app, "GET", "/", BROWSER).status == 304


def test_a_304_without_a_tag():
    response = ask(app_of(Response(b"", 304)), "GET", "/", BROWSER)
    assert dict(response.headers) == {"vary": "Accept-Encoding"}


def test_a_change_is_protected_by_the_tag_of_a_coded_answer():
    app = App(middleware=[Compress()])

    @app.put("/")
    async def change(request: Request) -> str:
        request.check(etag="1")
        return "done"

    assert ask(app, "PUT", "/", ("if-match", '"1-br"')).status == 200
    assert ask(app, "PUT", "/", ("if-match", '"2-br"')).status == 412


# --- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", CODED)
def test_each_piece_of_a_stream_can_be_read_when_it_comes(coding):
    decoder = {
        "br": lambda: brotli.Decompressor().process,
        "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
        "gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS).decompress,
    }[coding]()

    async def stream(request: Request) -> AsyncIterator[str | bytes]:
        yield "one"
        yield b""
        yield bytearray(b"two")

    response = ask(
        app_of(Response(stream(None), media_type="text/event-stream")), "GET", "/", accept(coding)
    )
    assert response.headers["content-encoding"] == coding
    pieces = [decoder(piece) for piece in pieces_of(response)]
    assert b"".join(pieces) == b"onetwo"
    assert pieces[0] == b"one"


def test_a_stream_that_is_left_ends_what_it_codes():
    ended = []

    async def stream() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
        finally:
            ended.append(True)

    response = ask(app_of(Response(stream(), media_type="text/plain")), "GET", "/", BROWSER)

    async def read_one() -> None:
        assert await anext(response.body)
        await response.body.aclose()

    asyncio.run(read_one())
    assert ended == [True]


def test_iterables_need_not_be_generators():
    class Once:
        def __init__(self):
            self.left = ["x"]

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    response = ask(app_of(Response(Once(), media_type="text/plain")), "GET", "/", accept("gzip"))
    assert gzip.decompress(b"".join(pieces_of(response))) == b"x"


@pytest.mark.parametrize("coding", CODED)
def test_files_are_coded_in_pieces(tmp_path, coding):
    path = tmp_path / "file.txt"
    path.write_text(BIG)
    bodies = []

    def send(request: Request) -> Response:
        bodies.append(FileBody(path))
        return Response(bodies[-1], media_type="text/plain")

    response = ask(app_of(send), "GET", "/", accept(coding))
    assert decode(coding, b"".join(pieces_of(response))) == BIG.encode()
    assert bodies[0].fd == -1
    small = ask(app_of(send, minimum_size=len(BIG) + 1), "GET", "/", accept(coding))
    assert isinstance(small.body, FileBody)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.truncate(path, 1000),
        lambda path: path.write_text("x" * len(BIG)),
    ],
    ids=["shrunk", "rewritten"],
)
@pytest.mark.parametrize("coding", CODED)
def test_a_file_that_changes_while_it_is_coded_has_no_end(tmp_path, coding, change):
    """A coded file has no length that would tell: its end must not come."""
    path = tmp_path / "file.txt"
    path.write_text(BIG)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    answer = Response(FileBody(path), media_type="text/plain")
    response = ask(app_of(answer), "GET", "/", accept(coding))
    change(path)
    with pytest.raises(LocalProtocolError, match="has changed while it was sent"):
        pieces_of(response)


def test_ranges_of_a_file_are_those_of_its_bytes(tmp_path):
    """RFC 9110 §14.2: and who has a coded part gets the whole anew, since it has another tag."""
    (tmp_path / "file.txt").write_text(BIG)
    app = App(middleware=[Compress(["gzip"])])
    app.static("/", tmp_path, memory=0)

    def get(*fields):
        return ask(app, "GET", "/file.txt", BROWSER, *fields)

    whole = get()
    assert gzip.decompress(b"".join(pieces_of(whole))) == BIG.encode()
    coded = whole.headers["etag"]
    assert coded.endswith('-gzip"')
    part = get(("range", "bytes=0-9"))
    assert (part.status, part.headers["content-range"]) == (206, f"bytes 0-9/{len(BIG)}")
    assert "content-encoding" not in part.headers
    assert part.headers["vary"] == "Accept-Encoding"
    again = get(("range", "bytes=0-9"), ("if-range", coded))
    assert (again.status, again.headers["content-encoding"]) == (200, "gzip")
    assert get(("if-none-match", coded)).status == 304
    beyond = get(("range", f"bytes={len(BIG)}-"))
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(BIG)}")
    assert "content-encoding" not in beyond.headers


def test_a_file_that_nobody_has_opened_is_left_alone(tmp_path):
    async def unopened(request, next):
        await next(request)
        return Response.file(tmp_path / "a.txt")

    response = ask(app_of("x", unopened), "GET", "/", BROWSER)
    assert "content-encoding" not in response.headers


# --- with the cache ------------------------------------------------------------------------------


def test_variants_are_stored_and_served_by_coding(clock):
    site = Site(clock, middleware=[Compress(), cache(60)])
    site.app.get("/text")(lambda request: site.requests.append(request) or TEXT)
    bodies = {}
    for coding in (*CODED, "identity"):
        response = site.ask("/text", accept(coding))
        bodies[coding] = response.body
        assert decode(coding, response.body) == TEXT.encode()
    assert len(set(bodies.values())) == 4
    runs = site.runs
    for coding, body in bodies.items():
        hit = site.ask("/text", accept(coding))
        assert status_of(hit) == "httpkit; hit; ttl=60"
        assert hit.body == body
        answer = site.ask("/text", accept(coding), ("if-none-match", hit.headers["etag"]))
        assert answer.status == 304
    assert site.runs == runs


@pytest.mark.parametrize(
    "kinds",
    [
        (Compress, Conditional),
        (Conditional, Compress),
        (ResponseCache, Compress),
        (Conditional, ResponseCache, Compress),
        (ResponseCache, Conditional, Compress),
    ],
    ids=lambda kinds: " ".join(kind.__name__ for kind in kinds),
)
@pytest.mark.parametrize("lifetime", ["max-age=60", "max-age=0"])
def test_rfc9110_8_8_3_3_a_tag_that_was_checked_is_one_for_each_coding_too(kinds, lifetime):
    """Wherever it is written into the answer, and with conditions as without them."""

    async def handler(request: Request) -> Response:
        answer = request.check(etag="1")
        answer = Response(TEXT) if answer is None else answer
        answer.headers["cache-control"] = lifetime
        return answer

    app = App(middleware=[kind() for kind in kinds])
    app.get("/")(handler)
    for coding, tag in (*((coding, f'"1-{coding}"') for coding in CODED), ("identity", '"1"')):
        for condition in ((), (("if-none-match", '"x"'),), (("if-none-match", '"x", "1-x"'),)):
            response = ask(app, "GET", "/", accept(coding), *condition)
            assert response.status == 200
            assert response.headers["etag"] == tag
        for known in (tag, "*"):
            response = ask(app, "GET", "/", accept(coding), ("if-none-match", known))
            assert response.status == 304
            assert response.headers["etag"] == tag


# --- configuration -------------------------------------------------------------------------------


def test_without_the_extra_there_is_gzip(monkeypatch):
    monkeypatch.setattr(codings, "find_spec", lambda name: None)
    app = app_of(TEXT)
    assert ask(app, "GET", "/", BROWSER).headers["content-encoding"] == "gzip"
    with pytest.raises(ConfigurationError, match="compress"):
        Compress(["br"])


@pytest.mark.parametrize("options", [{"codings": ["deflate"]}, {"minimum_size": -1}])
def test_what_makes_no_sense_is_refused_at_once(options):
    with pytest.raises(ConfigurationError, match="Compress"):
        Compress(**options)


def test_the_cache_may_stand_inside_too(clock):
    app = App(middleware=[Compress(), ResponseCache(clock=clock), cache(60)])
    app.get("/")(lambda request: TEXT)
    for _ in range(2):
        response = ask(app, "GET", "/", BROWSER)
        assert decode("br", response.body) == TEXT.encode()
    assert status_of(response).startswith("httpkit; hit")
