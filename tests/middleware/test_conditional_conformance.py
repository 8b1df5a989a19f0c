"""Conditions and ranges by RFC 9110 §13 and §14, over whatever answers them.

The same table for a directory (`app.static`), a file (`Response.file`) and an answer of bytes
(`Conditional`), each through the bytes of HTTP. `TAG` and `DATE` stand for the validators that the
answer has, `TAG0` for what stands between its quotes.
"""

import email.parser
import email.policy
import os
import re
from email.utils import parsedate_to_datetime

import pytest

from httpkit import App, Request, Response
from httpkit.middleware import Conditional
from httpkit.semantics.dates import format_http_date
from httpkit.testing import Client

from .conftest import NOW, Clock
from .scripted import fields

DATA = bytes(range(256)) * 40
SIZE = len(DATA)
OLD = "Thu, 01 Jan 1970 00:00:00 GMT"
#: An hour before now, on a Monday whose formats differ: the month, and a day of one digit.
MODIFIED = 1_709_625_600.0 - 3600  # 2024-03-05 07:00:00 GMT, a Tuesday

KINDS = ["static", "file", "bytes"]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def ask(kind, tmp_path):
    """Sends a request to an app that has the content at `/data.bin`."""
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    os.utime(path, (MODIFIED, MODIFIED))
    app = App(middleware=[Conditional(clock=Clock())] if kind == "bytes" else [])
    if kind == "static":
        app.static("/", tmp_path)
    else:

        @app.get("/data.bin")
        async def handle(request: Request) -> Response:
            if kind == "file":
                return Response.file(path)
            date = {"last-modified": format_http_date(MODIFIED)}
            return Response(DATA, headers=date)

    with Client(app) as client:
        whole = client.get("/data.bin")
        tag = whole.headers["etag"]

        def send(text: str = "", method: str = "GET"):
            text = text.replace("TAG0", tag.strip('"')).replace("TAG", tag)
            text = text.replace("DATE", whole.headers["last-modified"])
            return client.request(method, "/data.bin", headers=fields(text))

        send.whole = whole
        yield send


def test_rfc9110_8_8_an_answer_has_validators(ask):
    assert (ask.whole.status_code, ask.whole.content) == (200, DATA)
    assert re.fullmatch(r'"[\x21\x23-\x7e]+"', ask.whole.headers["etag"])
    assert parsedate_to_datetime(ask.whole.headers["last-modified"]).timestamp() == MODIFIED


HOLDS = {
    "13.1.1 If-Match": "if-match: TAG",
    "13.1.1 one of many": 'if-match: "x", TAG, "y"',
    "13.1.1 in lines": 'if-match: "x"\nif-match: TAG',
    "13.1.1 a star": "if-match: *",
    "13.1.1 commas and spaces": 'if-match: ,, "a,b" ,TAG,',
    "13.1.4 If-Unmodified-Since": "if-unmodified-since: DATE",
    "13.1.4 later": "if-unmodified-since: Tue, 05 Mar 2024 08:00:00 GMT",
    "13.1.4 RFC 850": "if-unmodified-since: Tuesday, 05-Mar-24 07:00:00 GMT",
    "13.1.4 asctime": "if-unmodified-since: Tue Mar  5 07:00:00 2024",
    "13.1.4 no date": "if-unmodified-since: soon",
    "13.1.4 two dates": "if-unmodified-since: DATE, DATE",
    "13.2.2 If-Match before the date": f"if-match: TAG\nif-unmodified-since: {OLD}",
    "13.1.2 another tag": 'if-none-match: "x"',
    "13.1.2 none of many": 'if-none-match: "x", W/"y", "a,b"',
    "13.1.2 a tag is more than its beginning": 'if-none-match: "TAG0x"',
    "13.1.2 without quotes": "if-none-match: TAG0",
    "13.1.2 a small w": 'if-none-match: w/"TAG0"',
    "13.1.2 empty": "if-none-match:",
    "13.1.2 a star in a list is a character": 'if-none-match: "*"',
    "13.1.3 changed since": f"if-modified-since: {OLD}",
    "13.1.3 changed a second later": "if-modified-since: Tue, 05 Mar 2024 06:59:59 GMT",
    "13.1.3 no date": "if-modified-since: Tue, 05 Mar 2024 07:00:00 UTC",
    "13.1.3 no such day": "if-modified-since: Tue, 31 Feb 2024 07:00:00 GMT",
    "13.1.3 another language": "if-modified-since: Di, 05 Mrz 2024 07:00:00 GMT",
    "13.1.3 two lines": "if-modified-since: DATE\nif-modified-since: DATE",
    "13.2.2 If-None-Match before the date": 'if-none-match: "x"\nif-modified-since: DATE',
    "8.8.3 a quote that stays open": 'if-none-match: "x',
    "8.8.3 what follows it": 'if-none-match: "x, TAG',
}

UNCHANGED = {
    "13.1.2 If-None-Match": "if-none-match: TAG",
    "13.1.2 compares weakly": "if-none-match: W/TAG",
    "13.1.2 the last of many": 'if-none-match: "x", W/"y", TAG',
    "13.1.2 behind a tag with a comma": 'if-none-match: "a,b,", "\xfc", TAG',
    "13.1.2 without spaces": 'if-none-match: "x",TAG,"y"',
    "13.1.2 in lines": 'if-none-match: "x"\nif-none-match: TAG',
    "13.1.2 a star": "if-none-match: *",
    "13.1.3 If-Modified-Since": "if-modified-since: DATE",
    "13.1.3 later": "if-modified-since: Tue, 05 Mar 2024 08:00:00 GMT",
    "13.1.3 in the future": "if-modified-since: Tue, 05 Mar 2824 08:00:00 GMT",
    "13.1.3 RFC 850": "if-modified-since: Tuesday, 05-Mar-24 07:00:00 GMT",
    "13.1.3 asctime": "if-modified-since: Tue Mar  5 07:00:00 2024",
    "13.2.2 If-None-Match before the date": f"if-none-match: TAG\nif-modified-since: {OLD}",
    "13.2.2 If-Match first": "if-match: TAG\nif-none-match: TAG",
    "13.2.2 the range last": "if-none-match: TAG\nrange: bytes=0-1",
    "13.2.2 a bad range, too": "if-none-match: TAG\nrange: bytes=99999999-",
    "13.2.2 If-Range, too": "if-none-match: TAG\nrange: bytes=0-1\nif-range: TAG",
}

FAILED = {
    "13.1.1 another tag": 'if-match: "x"',
    "13.1.1 none of many": 'if-match: "x", "y"',
    "13.1.1 compares strongly": "if-match: W/TAG",
    "13.1.1 empty": "if-match:",
    "13.1.1 without quotes": "if-match: TAG0",
    "13.1.4 changed since": f"if-unmodified-since: {OLD}",
    "13.1.4 RFC 850": "if-unmodified-since: Sunday, 06-Nov-94 08:49:37 GMT",
    "13.1.4 asctime": "if-unmodified-since: Sun Nov  6 08:49:37 1994",
    "13.2.2 before If-None-Match": 'if-match: "x"\nif-none-match: TAG',
    "13.2.2 the date before If-None-Match": f"if-unmodified-since: {OLD}\nif-none-match: TAG",
    "13.2.2 before the range": 'if-match: "x"\nrange: bytes=0-1',
}


def each(table):
    """The rows of a table with their ids."""
    return pytest.mark.parametrize("text", table.values(), ids=table.keys())


@each(HOLDS)
def test_rfc9110_13_conditions_that_hold(ask, text):
    answer = ask(text)
    assert (answer.status_code, answer.content) == (200, DATA)


@each(UNCHANGED)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_rfc9110_13_what_the_client_has(ask, text, method):
    answer = ask(text, method)
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == ask.whole.headers["etag"]  # §15.4.5
    assert {"content-type", "content-range", "content-length"}.isdisjoint(answer.headers)


@each(FAILED)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_rfc9110_13_what_has_changed(ask, text, method):
    assert ask(text, method).status_code == 412


# --- §14: ranges, of files -----------------------------------------------------------------------

#: The field, and the parts: pairs of the first byte and the one behind the last.
PARTS = {
    "14.1.2 the first bytes": ("range: bytes=0-499", [(0, 500)]),
    "14.1.2 one byte": ("range: bytes=0-0", [(0, 1)]),
    "14.1.2 the last byte": ("range: bytes=-1", [(SIZE - 1, SIZE)]),
    "14.1.2 to the end": ("range: bytes=9500-", [(9500, SIZE)]),
    "14.1.2 beyond the end": ("range: bytes=9500-99999999", [(9500, SIZE)]),
    "14.1.2 far beyond": (f"range: bytes=9500-{'9' * 18}", [(9500, SIZE)]),
    "14.2 a unit in any case": ("range: Bytes=0-1", [(0, 2)]),
    "5.6.1 spaces and empty members": ("range: bytes= 0-1 ,, ", [(0, 2)]),
    "14.1.2 two": ("range: bytes=0-9,500-509", [(0, 10), (500, 510)]),
    "15.3.7.2 in the order of the request": (
        "range: bytes=5000-5009, 0-9, 9000-9001",
        [(5000, 5010), (0, 10), (9000, 9002)],
    ),
    "15.3.7.2 overlapping": ("range: bytes=0-99,50-199", [(0, 200)]),
    "15.3.7.2 one inside the other": ("range: bytes=0-999,50-199", [(0, 1000)]),
    "14.2 all of it": ("range: bytes=0-", [(0, SIZE)]),
    "14.2 all of it, by its last byte": (f"range: bytes=0-{SIZE - 1}", [(0, SIZE)]),
    "14.1.2 a suffix that is longer": ("range: bytes=-99999999", [(0, SIZE)]),
    "15.3.7.2 parts that are all of it": ("range: bytes=0-99,100-", [(0, SIZE)]),
    "15.3.7.2 the same twice": ("range: bytes=5-9,5-9", [(5, 10)]),
    "14.2 one of them lies outside": ("range: bytes=0-1,99999999-", [(0, 2)]),
    "14.1.2 a suffix among them": ("range: bytes=0-9,-10", [(0, 10), (SIZE - 10, SIZE)]),
    "13.1.5 If-Range by tag": ("range: bytes=0-1\nif-range: TAG", [(0, 2)]),
    "13.1.5 If-Range by date": ("range: bytes=0-1\nif-range: DATE", [(0, 2)]),
    "13.1.5 If-Range as RFC 850": (
        "range: bytes=0-1\nif-range: Tuesday, 05-Mar-24 07:00:00 GMT",
        [(0, 2)],
    ),
    "13.2.2 other conditions that hold": (
        'range: bytes=0-1\nif-match: TAG\nif-none-match: "x"',
        [(0, 2)],
    ),
}

WHOLE = {
    "14.2 another unit": "range: lines=0-1",
    "14.2 no unit": "range: 0-1",
    "14.2 backwards": "range: bytes=5-1",
    "14.2 no numbers": "range: bytes=a-b",
    "14.2 negative": "range: bytes=--1",
    "14.2 nothing": "range: bytes=",
    "14.2 a dash": "range: bytes=-",
    "14.2 one of them is none": "range: bytes=0-1,x",
    "14.2 spaces inside": "range: bytes=0 - 1",
    "14.2 two lines": "range: bytes=0-1\nrange: bytes=4-5",
    "17.15 too many": "range: bytes=" + ",".join(f"{n}-{n}" for n in range(0, 9000, 200)),
    "17.15 CVE-2011-3192": "range: bytes=0-," + ",".join(f"5-{n}" for n in range(6, 1300)),
    "14.2 a number that overflows": f"range: bytes={'9' * 40}-",
    "13.1.5 another tag": 'range: bytes=0-1\nif-range: "x"',
    "13.1.5 a weak tag": "range: bytes=0-1\nif-range: W/TAG",
    "13.1.5 another date": f"range: bytes=0-1\nif-range: {OLD}",
    "13.1.5 a later date": "range: bytes=0-1\nif-range: Tue, 05 Mar 2024 08:00:00 GMT",
    "13.1.5 neither": "range: bytes=0-1\nif-range: soon",
    "13.1.5 a list": 'range: bytes=0-1\nif-range: "x", TAG',
    "13.1.5 before the range is looked at": 'range: bytes=99999999-\nif-range: "x"',
    "13.1.5 without a range": 'if-range: "x"',
}

NOTHING = {
    "15.5.17 behind the end": "range: bytes=99999999-",
    "15.5.17 right behind it": f"range: bytes={SIZE}-",
    "15.5.17 a suffix of nothing": "range: bytes=-0",
    "15.5.17 all of them": f"range: bytes={SIZE}-,{SIZE + 9}-{SIZE + 10}",
    "13.1.5 with If-Range": "range: bytes=99999999-\nif-range: TAG",
}

files = pytest.mark.parametrize("kind", ["static", "file"], indirect=True)


def parts_of(answer) -> list[tuple[str, bytes]]:
    """The parts of a 206: what `Content-Range` says, and the bytes."""
    kind = answer.headers["content-type"]
    if not kind.startswith("multipart/byteranges"):
        return [(answer.headers["content-range"], answer.content)]
    assert "content-range" not in answer.headers  # §15.3.7.2
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(head + answer.content)
    assert not message.defects
    parts = list(message.iter_parts())
    assert {part["content-type"] for part in parts} == {"application/octet-stream"}
    return [(part["content-range"], part.get_payload(decode=True)) for part in parts]


@files
@pytest.mark.parametrize(("text", "spans"), PARTS.values(), ids=PARTS.keys())
def test_rfc9110_14_parts(ask, text, spans):
    answer = ask(text)
    assert answer.status_code == 206
    assert parts_of(answer) == [
        (f"bytes {start}-{end - 1}/{SIZE}", DATA[start:end]) for start, end in spans
    ]
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["etag"] == ask.whole.headers["etag"]


@files
@each(WHOLE)
def test_rfc9110_14_2_ranges_that_do_not_count(ask, text):
    answer = ask(text)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["accept-ranges"] == "bytes"


@files
@each(NOTHING)
def test_rfc9110_15_5_17_nothing_to_send(ask, text):
    answer = ask(text)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert DATA not in answer.content


@files
def test_rfc9110_14_2_a_head_has_no_parts(ask):
    answer = ask("range: bytes=0-1", "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(SIZE)


@pytest.mark.parametrize("target", ["/empty", "/files/empty"])
def test_rfc9110_14_1_2_an_empty_file_has_an_end_but_no_beginning(tmp_path, target):
    (tmp_path / "empty").touch()
    app = App()
    app.static("/files", tmp_path)
    app.get("/empty")(lambda request: Response.file(tmp_path / "empty"))
    with Client(app) as client:
        for field in ("bytes=0-", "bytes=-0"):
            answer = client.get(target, headers={"range": field})
            assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */0")
        answer = client.get(target, headers={"range": "bytes=-1"})
        assert (answer.status_code, answer.content) == (200, b"")


# --- §13.2.1: where conditions do not count ------------------------------------------------------


def test_rfc9110_13_2_1_a_404_is_not_conditional(tmp_path):
    app = App(middleware=[Conditional(clock=Clock())])
    app.static("/files", tmp_path)
    app.get("/gone")(lambda request: Response("gone", 404, {"etag": '"a"'}))
    with Client(app) as client:
        for target in ("/files/none", "/gone"):
            for text in ('if-none-match: "a"', "if-none-match: *", 'if-match: "x"', "if-match: *"):
                assert client.get(target, headers=fields(text)).status_code == 404


def test_rfc9110_13_2_1_the_answer_to_a_post_is_not_what_is_selected():
    app = App(middleware=[Conditional(clock=Clock())])
    runs = []

    @app.post("/")
    def change(request: Request) -> Response:
        runs.append(request)
        return Response("done", headers={"etag": '"a"'})

    with Client(app) as client:
        answer = client.post("/", headers={"if-none-match": '"a"'})
    assert (answer.status_code, answer.text, len(runs)) == (200, "done", 1)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("if-none-match: *", 412),
        ('if-none-match: "1"', 412),
        ('if-none-match: W/"1"', 412),
        ('if-none-match: "2"', 200),
        ('if-match: "1"', 200),
        ('if-match: W/"1"', 412),
        ("if-match: *", 200),
        ("if-modified-since: Tue, 05 Mar 2024 08:00:00 GMT", 200),  # §13.1.3: reads only
        (f"if-unmodified-since: {OLD}", 412),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_rfc9110_13_1_changes_under_conditions(method, text, status):
    app = App(middleware=[Conditional(clock=Clock())])
    changed = []

    @app.route("/", ["POST", "PUT", "DELETE", "PATCH"])
    def change(request: Request) -> str:
        request.check(etag="1", last_modified=NOW)
        changed.append(request.method)
        return "changed"

    with Client(app) as client:
        assert client.request(method, "/", headers=fields(text)).status_code == status
    assert changed == [method] * (status == 200)
