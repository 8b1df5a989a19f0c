"""`app.static`: conditions, ranges, codings and fields (RFC 9110 §8, §12 to §15)."""

import asyncio
import email.parser
import email.policy
import hashlib
import os
from typing import NamedTuple

import pytest

from httpkit.body import FileBody
from httpkit.errors import ConfigurationError, LocalProtocolError
from httpkit.headers import Headers
from httpkit.response import Response
from httpkit.semantics.dates import format_http_date, parse_http_date
from httpkit.static import files

from .static_site import Site, content

DATA = bytes(range(256)) * 40


class Answer(NamedTuple):
    """What arrives."""

    status: int
    headers: Headers
    content: bytes


@pytest.fixture(params=["memory", "disk"])
def site(request, tmp_path, monkeypatch):
    """Files in memory, and open ones."""
    if request.param == "disk":
        monkeypatch.setattr(files, "_MAX_IN_MEMORY", 10)
    site = Site(tmp_path)
    site.write("data.bin", DATA)
    return site


@pytest.fixture(params=["first", "again"])
def ask(request, site):
    """Asks the disk, or what is in memory."""

    def ask(target, *headers, method="GET"):
        async def both():
            if request.param == "again":
                await content(await site.ask(target))
                site.opened.clear()
            answer = await site.ask(target, *headers, method=method)
            assert bool(site.opened) == (request.param == "first")
            return Answer(answer.status, answer.headers, await content(answer))

        return asyncio.run(both())

    return ask


def tag_of(site, name="data.bin", suffix=""):
    info, data = (site.root / name).stat(), (site.root / name).read_bytes()
    if len(data) > files._MAX_IN_MEMORY:
        return f'"{info.st_size:x}-{info.st_mtime_ns:x}{suffix}"'
    return f'"{hashlib.blake2b(data, digest_size=16).hexdigest()}{suffix}"'


def date_of(site, name="data.bin", later=0):
    return format_http_date((site.root / name).stat().st_mtime + later)


# --- validators and conditions -------------------------------------------------------------------


def test_a_file_has_validators(site, ask):
    answer = ask("/data.bin")
    assert (answer.status, answer.content) == (200, DATA)
    assert answer.headers["etag"] == tag_of(site)
    assert answer.headers["last-modified"] == date_of(site)
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "fields",
    [
        {"if-none-match": "TAG"},
        {"if-none-match": "W/TAG"},
        {"if-none-match": '"x", TAG'},
        {"if-none-match": "*"},
        {"if-none-match": "TAG", "if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"if-none-match": "TAG", "range": "bytes=0-1"},
        {"if-none-match": "TAG", "accept-encoding": "br"},
        {"if-modified-since": "DATE"},
        {"if-modified-since": "DATE", "range": "bytes=0-1"},
        {"if-match": "TAG", "if-none-match": "TAG"},
    ],
)
def test_rfc9110_15_4_5_who_has_it_gets_304(site, ask, method, fields):
    sent = [
        (name, value.replace("TAG", tag_of(site)).replace("DATE", date_of(site)))
        for name, value in fields.items()
    ]
    answer = ask("/data.bin", *sent, method=method)
    assert (answer.status, answer.content) == (304, b"")
    assert answer.headers["etag"] == tag_of(site)
    assert {"content-type", "last-modified", "accept-ranges"}.isdisjoint(answer.headers)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "fields",
    [
        {"if-none-match": '"x"'},
        {"if-none-match": '"x"', "if-modified-since": "DATE"},
        {"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"if-modified-since": "nonsense"},
        {"if-match": "TAG"},
        {"if-match": "*"},
        {"if-unmodified-since": "DATE"},
    ],
)
def test_rfc9110_13_2_2_otherwise_the_whole(site, ask, fields):
    sent = [
        (name, value.replace("TAG", tag_of(site)).replace("DATE", date_of(site)))
        for name, value in fields.items()
    ]
    answer = ask("/data.bin", *sent)
    assert (answer.status, answer.content) == (200, DATA)


@pytest.mark.parametrize(
    "fields",
    [
        {"if-match": '"x"'},
        {"if-match": "W/TAG"},
        {"if-match": '"x"', "if-none-match": "TAG"},
        {"if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    ],
)
def test_rfc9110_15_5_13_what_must_not_have_changed_has(site, ask, fields):
    sent = [(name, value.replace("TAG", tag_of(site))) for name, value in fields.items()]
    assert ask("/data.bin", *sent).status == 412


def test_rfc9110_8_8_1_another_content_of_the_same_size_and_time_has_another_tag(tmp_path):
    """Builds with SOURCE_DATE_EPOCH: each version of a page has the same time, and size as well."""
    tags = []
    for page in (b"app.3f2a9c1b.js", b"app.9d41e07c.js"):
        site = Site(tmp_path)
        site.write("page.html", page)
        os.utime(tmp_path / "page.html", (315_532_800, 315_532_800))
        answer = asyncio.run(site.ask("/page.html", *(("if-none-match", tag) for tag in tags)))
        assert (answer.status, answer.body) == (200, page)
        tags.append(answer.headers["etag"])
    assert not any(tag.startswith("W/") for tag in tags)


#: Bytes of a file that is not kept in memory, and whose tag is no hash.
LARGE = 300_000


def test_a_file_that_may_still_be_changing_is_not_kept(tmp_path):
    """Two versions within one tick look the same from outside."""
    site = Site(tmp_path)

    async def main():
        tags = []
        for version in (b"1", b"2"):
            site.write("new", version, age=0)
            answer = await site.ask("/new")
            assert answer.body == version
            tags.append(answer.headers["etag"])
        assert tags[0] != tags[1]
        assert not any(tag.startswith("W/") for tag in tags)  # they are hashes

    asyncio.run(main())


def test_rfc9110_8_8_1_a_large_file_that_may_still_be_changing_has_a_weak_tag(tmp_path):
    """Two versions within one tick would have the same strong tag."""
    site = Site(tmp_path)
    site.write("new", b"1" * LARGE, age=0)

    async def main():
        first = await site.ask("/new")
        assert first.headers["etag"].startswith('W/"')
        part = await site.ask("/new", ("range", "bytes=0-0"), ("if-range", first.headers["etag"]))
        assert part.status == 200

    asyncio.run(main())


def test_rfc9110_8_8_2_1_no_date_lies_in_the_future(tmp_path):
    site = Site(tmp_path)
    site.write("new", b"1" * LARGE, age=-100_000)
    answer = asyncio.run(site.ask("/new"))
    modified = parse_http_date(answer.headers["last-modified"])
    assert modified is not None
    assert modified < (tmp_path / "new").stat().st_mtime - 50_000
    assert answer.headers["etag"].startswith("W/")


@pytest.mark.parametrize("size", [3, LARGE])
def test_a_time_before_all_dates(tmp_path, monkeypatch, size):
    """File systems keep what they are told (some of them: so it is only said here)."""
    monkeypatch.setattr(FileBody, "mtime", property(lambda body: -1e11))
    site = Site(tmp_path)
    path = site.write("old", b"1" * size)
    site.app.get("/one")(lambda request: Response.file(path))

    async def main():
        for target in ("/old", "/one"):
            answer = await site.ask(target)
            assert answer.status == 200
            assert answer.headers["last-modified"] == "Mon, 01 Jan 0001 00:00:00 GMT"
            again = ("if-modified-since", answer.headers["last-modified"])
            assert await site.status(target, again) == 304

    asyncio.run(main())


# --- ranges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-99", 10, 100),
        ("bytes=10000-", 10_000, len(DATA)),
        ("bytes=-7", len(DATA) - 7, len(DATA)),
        ("bytes=10-99999999", 10, len(DATA)),
        ("bytes=0-9, 5-20", 0, 21),
    ],
)
def test_rfc9110_14_2_one_part(ask, field, start, end):
    answer = ask("/data.bin", ("range", field))
    assert (answer.status, answer.content) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
    assert "etag" in answer.headers


def test_rfc9110_14_6_several_parts(ask):
    answer = ask("/data.bin", ("range", "bytes=0-9, 500-599, -5"))
    assert answer.status == 206
    kind = answer.headers["content-type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    assert answer.headers.get("content-length", str(len(answer.content))) == str(
        len(answer.content)
    )
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {kind}\r\n\r\n".encode() + answer.content
    )
    size = len(DATA)
    parts = [
        (part["content-range"], part.get_payload(decode=True)) for part in message.iter_parts()
    ]
    assert parts == [
        (f"bytes 0-9/{size}", DATA[:10]),
        (f"bytes 500-599/{size}", DATA[500:600]),
        (f"bytes {size - 5}-{size - 1}/{size}", DATA[-5:]),
    ]


@pytest.mark.parametrize("field", ["bytes=99999999-", "bytes=-0", f"bytes={len(DATA)}-"])
def test_rfc9110_15_5_17_nothing_of_it(ask, field):
    answer = ask("/data.bin", ("range", field))
    assert answer.status == 416
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize(
    "fields",
    [
        [("range", "lines=0-1")],
        [("range", "bytes=5-1")],
        [("range", "bytes=a-b")],
        [("range", "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 9000, 200)))],
        [("range", "bytes=0-1"), ("range", "bytes=4-5")],
        [("range", "bytes=0-1"), ("if-range", '"x"')],
        [("range", "bytes=0-1"), ("if-range", "Thu, 01 Jan 1970 00:00:00 GMT")],
    ],
)
def test_rfc9110_14_2_what_is_ignored(ask, fields):
    answer = ask("/data.bin", *fields)
    assert (answer.status, answer.content) == (200, DATA)


def test_rfc9110_13_1_5_if_range_holds(site, ask):
    for condition in (tag_of(site), date_of(site)):
        answer = ask("/data.bin", ("range", "bytes=1-2"), ("if-range", condition))
        assert (answer.status, answer.content) == (206, DATA[1:3])


def test_rfc9110_14_2_head_has_no_parts(ask):
    assert ask("/data.bin", ("range", "bytes=0-1"), method="HEAD").status == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.truncate(path, 100),
        lambda path: path.write_bytes(b"x" * len(DATA)),
        os.utime,
    ],
    ids=["shrunk", "rewritten", "touched"],
)
def test_a_file_that_changes_under_several_parts_has_no_end(tmp_path, monkeypatch, change):
    monkeypatch.setattr(files, "_MAX_IN_MEMORY", 10)
    site = Site(tmp_path)
    path = site.write("data.bin", DATA)

    async def main():
        answer = await site.ask("/data.bin", ("range", "bytes=0-9,5000-6000"))
        change(path)
        with pytest.raises(LocalProtocolError, match="has changed while it was sent"):
            await content(answer)

    asyncio.run(main())


# --- codings -------------------------------------------------------------------------------------


@pytest.fixture
def coded(tmp_path, monkeypatch):
    """A script with three siblings."""
    site = Site(tmp_path, precompressed=True)
    site.write("app.js", b"script")
    for ending, data in ((".br", b"BR"), (".zst", b"ZSTD"), (".gz", b"GZ")):
        site.write(f"app.js{ending}", data)
    return site


@pytest.mark.parametrize(
    ("accepted", "coding", "data"),
    [
        (None, None, b"script"),
        ("", None, b"script"),
        ("gzip, deflate, br, zstd", "br", b"BR"),
        ("gzip, zstd", "zstd", b"ZSTD"),
        ("gzip;q=0.9, br;q=0.1", "gzip", b"GZ"),
        ("br;q=0", None, b"script"),
        ("identity;q=0, gzip", "gzip", b"GZ"),
        ("identity, gzip;q=0.5", None, b"script"),
        ("*", "br", b"BR"),
        ("compress", None, b"script"),
    ],
)
def test_rfc9110_12_5_3_the_sibling_that_the_client_likes_best(coded, accepted, coding, data):
    fields = [] if accepted is None else [("accept-encoding", accepted)]

    async def main():
        for _ in range(2):
            answer = await coded.ask("/app.js", *fields)
            assert (answer.status, answer.body) == (200, data)
            assert answer.headers.get("content-encoding") == coding
            assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
            assert answer.headers["vary"] == "Accept-Encoding"
            tag = answer.headers["etag"]
            again = await coded.ask("/app.js", *fields, ("if-none-match", tag))
            assert (again.status, again.headers["etag"]) == (304, tag)
            assert again.headers["vary"] == "Accept-Encoding"

    asyncio.run(main())


def test_each_coding_has_a_tag_of_its_own_and_ranges(coded):
    async def main():
        tags = set()
        for accepted in ("br", "zstd", "gzip", "identity"):
            answer = await coded.ask("/app.js", ("accept-encoding", accepted))
            tags.add(answer.headers["etag"])
            part = await coded.ask(
                "/app.js",
                ("accept-encoding", accepted),
                ("range", "bytes=1-"),
                ("if-range", answer.headers["etag"]),
            )
            assert (part.status, part.body) == (206, answer.body[1:])
        assert len(tags) == 4

    asyncio.run(main())


def test_a_list_in_several_lines_is_one(coded):
    fields = [("accept-encoding", "gzip;q=0.1"), ("accept-encoding", "br")]
    assert asyncio.run(coded.ask("/app.js", *fields)).headers["content-encoding"] == "br"


def test_what_clients_accept_is_remembered_only_so_far(coded):
    async def main():
        for n in range(100):
            long = "x" * 10_000 if n < 10 else ""
            answer = await coded.ask("/app.js", ("accept-encoding", f"gzip, x{n}{long}"))
            assert answer.headers["content-encoding"] == "gzip"
        choices = coded.memory.get("app.js")._choices
        assert len(choices) <= 32
        assert sum(len(each or b"") for each in choices) < 1000

    asyncio.run(main())


def test_a_sibling_that_is_older_is_not_served(coded):
    coded.write("app.js", b"newer script", age=10)
    answer = asyncio.run(coded.ask("/app.js", ("accept-encoding", "br, gzip")))
    assert (answer.body, "vary" in answer.headers) == (b"newer script", False)


def test_a_sibling_that_is_empty_is_not_served(coded):
    """A full disk leaves such files; a browser would take an empty script for the whole."""
    coded.write("app.js.br", b"")
    answer = asyncio.run(coded.ask("/app.js", ("accept-encoding", "br, gzip")))
    assert (answer.body, answer.headers["content-encoding"]) == (b"GZ", "gzip")


def test_siblings_stay_inside_and_are_files(coded, tmp_path_factory):
    secret = tmp_path_factory.mktemp("outside") / "secret"
    secret.write_bytes(b"SECRET")
    (coded.root / "app.js.br").unlink()
    (coded.root / "app.js.br").symlink_to(secret)
    (coded.root / "app.js.zst").unlink()
    (coded.root / "app.js.zst").mkdir()
    answer = asyncio.run(coded.ask("/app.js", ("accept-encoding", "br, zstd, gzip")))
    assert (answer.body, answer.headers["content-encoding"]) == (b"GZ", "gzip")


def test_siblings_are_not_looked_for_unless_asked(tmp_path):
    site = Site(tmp_path)
    site.write("app.js", b"script")
    site.write("app.js.br", b"BR")
    answer = asyncio.run(site.ask("/app.js", ("accept-encoding", "br")))
    assert (answer.body, "vary" in answer.headers) == (b"script", False)


# --- fields --------------------------------------------------------------------------------------


def test_cache_control_on_answers_and_confirmations(tmp_path):
    site = Site(tmp_path, cache_control="max-age=60")
    site.write("a.css", b"x")

    async def main():
        answer = await site.ask("/a.css")
        assert answer.headers["cache-control"] == "max-age=60"
        again = await site.ask("/a.css", ("if-none-match", answer.headers["etag"]))
        assert (again.status, again.headers["cache-control"]) == (304, "max-age=60")

    asyncio.run(main())


HASHED = [
    "app.3f2a9c1b.js",
    "app-3f2a9c1b4d5e6f70.css",
    "main.3f2a9c1b.chunk.js",
    "chunk_0a1b2c3d.js.map",
    "index-BsK3kd9a.js",
    "logo-D1wr-gTd.svg",
]
PLAIN = [
    "app.js",
    "jquery-3.6.0.min.js",
    "report-20240101.pdf",
    "deadbeef.js",
    "photo-facade.jpg",
    "my-Chapter2.html",
    "my-component2.js",
    "v-a1b2c3d.js",
]


@pytest.mark.parametrize("name", HASHED + PLAIN)
def test_rfc8246_names_with_a_hash_are_immutable(tmp_path, name):
    site = Site(tmp_path, immutable=True, cache_control="no-cache")
    site.write(name, b"x")
    expected = "public, max-age=31536000, immutable" if name in HASHED else "no-cache"
    assert asyncio.run(site.ask(f"/{name}")).headers["cache-control"] == expected


def test_names_that_are_immutable_by_a_pattern_of_ones_own(tmp_path):
    site = Site(tmp_path, immutable=r"^v\d+-")
    site.write("v1-x.js", b"x")
    site.write("app.3f2a9c1b.js", b"x")
    assert "immutable" in asyncio.run(site.ask("/v1-x.js")).headers["cache-control"]
    assert "cache-control" not in asyncio.run(site.ask("/app.3f2a9c1b.js")).headers


def test_validators_of_a_rule_replace_those_of_the_file(tmp_path):
    """An answer has one tag, and conditions are decided by the one that was sent."""
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    site = Site(
        tmp_path,
        headers=lambda path: [("ETag", '"v7"'), ("Last-Modified", date)],
        precompressed=True,
    )
    site.write("app.js", b"script")
    site.write("app.js.gz", b"coded")

    async def main():
        for accepted, tag in (("identity", '"v7"'), ("gzip", '"v7-gzip"')):
            coding = ("accept-encoding", accepted)
            answer = await site.ask("/app.js", coding)
            assert answer.headers.getlist("etag") == [tag]
            assert answer.headers.getlist("last-modified") == [date]
            assert await site.status("/app.js", coding, ("if-none-match", tag)) == 304
            assert await site.status("/app.js", coding, ("if-modified-since", date)) == 304
            part = ("range", "bytes=0-1"), ("if-range", tag)
            assert await site.status("/app.js", coding, *part) == 206

    asyncio.run(main())


def test_rules_add_fields_and_replace_others(tmp_path):
    asked = []

    def rule(path):
        asked.append(path)
        return [("X-Frame-Options", "DENY"), ("Content-Type", "text/x-own"), ("link", "</a>")]

    site = Site(tmp_path, headers=rule, prefix="/s", precompressed=True)
    site.write("docs/a.css", b"x")
    site.write("docs/a.css.gz", b"y")
    answer = asyncio.run(site.ask("/s/docs/a.css"))
    assert asked == ["/docs/a.css"]
    assert answer.headers["content-type"] == "text/x-own"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "Accept-Encoding"


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spa": True, "index": None}, "index"),
        ({"immutable": "("}, "no pattern"),
        ({"not_found": "a/b"}, "name of a file"),
        ({"memory": -1}, "0 or more"),
        ({"check_interval": -1}, "0 or more"),
        ({"cache_control": "a\r\nb"}, "not allowed"),
        ({"headers": {"/*": {"X-A": "1"}}}, "give a function of the path, or HeaderRules"),
        ({"headers": "_headers"}, "give a function of the path, or HeaderRules"),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, message):
    with pytest.raises((ConfigurationError, ValueError), match=message):
        Site(tmp_path, **options)
