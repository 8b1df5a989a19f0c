"""What a shared cache must and should do: choosing, validating, invalidating, serving stale.

RFC 9111 §4.1, §4.2.4, §4.3, §4.4, §3.2, RFC 5861, and RFC 9110 §14 for parts of what is stored. The
other half is test_cache_conformance.py.
"""

import asyncio

import pytest

from httpkit import App, Request, Response
from httpkit.middleware import ResponseCache
from httpkit.testing import AsyncClient, Client

from .conftest import Clock
from .scripted import Origin, Step, at, play
from .test_cache_conformance import cases

FRESH = "cache-control: max-age=3600"
BRIEF = "cache-control: max-age=10"
TAGGED = f'{BRIEF}\netag: "a"'
VARIED = f"{FRESH}\nvary: x-foo"


def differ(vary: str, first: str, second: str, whence: str) -> list[Step]:
    """Two requests for a resource that varies."""
    says = f"{FRESH}\nvary: {vary}"
    return [Step("origin", says, first), Step(whence, says, second)]


VARY = {
    "4.1 the same": differ("X-Foo", "x-foo: 1", "x-foo: 1", "store"),
    "4.1 another value": differ("x-foo", "x-foo: 1", "x-foo: 2", "origin"),
    "4.1 none": differ("x-foo", "x-foo: 1", "", "origin"),
    "4.1 none, then one": differ("x-foo", "", "x-foo: 1", "origin"),
    "4.1 none, then an empty one": differ("x-foo", "", "x-foo:", "origin"),
    "4.1 none at all": differ("x-foo", "", "", "store"),
    "4.1 other fields do not matter": differ("x-foo", "x-foo: 1\nx: 2", "x-foo: 1\nx: 3", "store"),
    "4.1 one of three differs": differ(
        "x-a, x-b, x-c", "x-a: 1\nx-b: 2\nx-c: 3", "x-a: 1\nx-b: 2\nx-c: 4", "origin"
    ),
    "4.1 three in any order": differ(
        "x-a, x-b, x-c", "x-a: 1\nx-b: 2\nx-c: 3", "x-c: 3\nx-b: 2\nx-a: 1", "store"
    ),
    "4.1 one of three is in neither": differ(
        "x-a, x-b, x-c", "x-a: 1\nx-c: 3", "x-a: 1\nx-c: 3", "store"
    ),
    "4.1 values do not run into each other": differ(
        "x-a, x-b", "x-a: 1\nx-b: 23", "x-a: 12\nx-b: 3", "origin"
    ),
    "4.1 lines are combined": differ("x-foo", "x-foo: 1, 2", "x-foo: 1\nx-foo: 2", "store"),
    "4.1 spaces of unknown fields stay": differ("x-foo", "x-foo: 1,2", "x-foo: 1, 2", "origin"),
    "4.1 order of languages": differ(
        "accept-language", "accept-language: en, de", "accept-language: de,en", "store"
    ),
    "4.1 weights count": differ(
        "accept-language", "accept-language: en, de", "accept-language: en, de;q=0.5", "origin"
    ),
    "4.1 what it varies by may grow": [
        Step("origin", VARIED, "x-foo: 1"),
        Step("origin", f"{FRESH}\nvary: x-foo, x-bar", "x-foo: 2\nx-bar: 1"),
        Step("origin", f"{FRESH}\nvary: x-foo, x-bar", "x-foo: 2\nx-bar: 2"),
        Step("store", asks="x-foo: 2\nx-bar: 1", body="run 2"),
    ],
    "4.1 one does not push the other out": [
        Step("origin", VARIED, "x-foo: 1"),
        Step("origin", VARIED, "x-foo: 2"),
        Step("store", VARIED, "x-foo: 1", body="run 1"),
        Step("store", VARIED, "x-foo: 2", body="run 2"),
    ],
} | {
    f"4.1 Vary: {vary.replace(chr(10), ' / ')}": [
        Step("origin", f"{FRESH}\nvary: {vary}", "x-foo: 1")
    ]
    * 2
    for vary in ("*", "*, *", ", *", "*, x-foo", "x-foo, *", "*\nvary: *", "x-foo\nvary: *")
}

CONDITIONS = {
    "4.3.2 a tag": [
        Step("origin", TAGGED),
        Step("store", asks='if-none-match: "a"', gets=304, has='etag: "a"', body=""),
    ],
    "4.3.2 a weak one": [
        Step("origin", f'{BRIEF}\netag: W/"a"'),
        Step("store", asks='if-none-match: W/"a"', gets=304),
    ],
    "9110 8.8.3.2 weak against strong": [
        Step("origin", TAGGED),
        Step("store", asks='if-none-match: W/"a"', gets=304),
    ],
    "4.3.2 another tag": [Step("origin", TAGGED), Step("store", asks='if-none-match: "b"')],
    "4.3.2 the first of many": [
        Step("origin", TAGGED),
        Step("store", asks='if-none-match: "a", "b", "c"', gets=304),
    ],
    "4.3.2 one in the middle": [
        Step("origin", TAGGED),
        Step("store", asks='if-none-match: "b", "a", "c"', gets=304),
    ],
    "4.3.2 the last one": [
        Step("origin", TAGGED),
        Step("store", asks='if-none-match: "b", "c", "a"', gets=304),
    ],
    "4.3.2 in lines of their own": [
        Step("origin", TAGGED),
        Step("store", asks='if-none-match: "b"\nif-none-match: "a"', gets=304),
    ],
    "4.3.2 a star": [Step("origin", TAGGED), Step("store", asks="if-none-match: *", gets=304)],
    "9110 8.8.3 without quotes it is no tag": [
        Step("origin", TAGGED),
        Step("store", asks="if-none-match: a"),
    ],
    "9110 8.8.3 the W is upper case": [
        Step("origin", f'{BRIEF}\netag: W/"a"'),
        Step("store", asks='if-none-match: w/"a"'),
    ],
    "9110 8.8.3 commas are a part of it": [
        Step("origin", f'{BRIEF}\netag: "a,b"'),
        Step("store", asks='if-none-match: "x", "a,b"', gets=304),
    ],
    "9110 8.8.3 obs-text": [
        Step("origin", f'{BRIEF}\netag: "\xfc"'),
        Step("store", asks='if-none-match: "\xfc"', gets=304, has='etag: "\xfc"'),
    ],
    "4.3.2 the tag counts before the date": [
        Step("origin", f"{TAGGED}\nlast-modified: {at(-5000)}"),
        Step("store", asks=f'if-none-match: "b"\nif-modified-since: {at(0)}'),
        Step("store", asks=f'if-none-match: "a"\nif-modified-since: {at(-9999)}', gets=304),
    ],
    "4.3.2 a date": [
        Step("origin", f"{BRIEF}\nlast-modified: {at(-3000)}"),
        Step("store", asks=f"if-modified-since: {at(-3000)}", gets=304),
        Step("store", asks=f"if-modified-since: {at(-2000)}", gets=304),
        Step("store", asks=f"if-modified-since: {at(-3001)}"),
    ],
    "9110 5.6.7 as RFC 850": [
        Step("origin", f"{BRIEF}\nlast-modified: {at(-3000)}"),
        Step("store", asks="if-modified-since: Friday, 15-Jan-27 08:00:00 GMT", gets=304),
    ],
    "9110 5.6.7 as asctime": [
        Step("origin", f"{BRIEF}\nlast-modified: {at(-3000)}"),
        Step("store", asks="if-modified-since: Fri Jan 15 08:00:00 2027", gets=304),
    ],
    "9110 13.1.3 no date at all": [
        Step("origin", f"{BRIEF}\nlast-modified: {at(-3000)}"),
        Step("store", asks="if-modified-since: soon"),
    ],
    "4.3.2 Date stands for Last-Modified": [
        Step("origin", BRIEF),
        Step("store", asks=f"if-modified-since: {at(0)}", gets=304, wait=3),
        Step("store", asks=f"if-modified-since: {at(-1)}"),
    ],
    "9110 13.2.1 only a 200": [
        Step("origin", TAGGED, status=404),
        Step("store", asks='if-none-match: "a"', status=404),
    ],
    "4.3.2 what asks for the state goes to the origin": [
        Step("origin", TAGGED),
        Step("origin", TAGGED, asks='if-match: "a"', sees='if-match: "a"'),
        Step("origin", TAGGED, asks=f"if-unmodified-since: {at(0)}"),
    ],
}

VALIDATION = {
    "4.3.1 a tag": [
        Step("origin", TAGGED),
        Step("origin", TAGGED, status=304, wait=11, gets=200, sees='if-none-match: "a"'),
        Step("store", body="run 1", wait=9),
    ],
    "4.3.1 a weak one": [
        Step("origin", f'{BRIEF}\netag: W/"a"'),
        Step("origin", BRIEF, status=304, wait=11, gets=200, sees='if-none-match: W/"a"'),
    ],
    "4.3.1 a date": [
        Step("origin", f"{BRIEF}\nlast-modified: {at(-99)}"),
        Step("origin", BRIEF, wait=11, sees=f"if-modified-since: {at(-99)}", body="run 2"),
    ],
    "4.3.1 both": [
        Step("origin", f"{TAGGED}\nlast-modified: {at(-99)}"),
        Step(
            "origin",
            BRIEF,
            status=304,
            wait=11,
            gets=200,
            sees=f'if-none-match: "a"\nif-modified-since: {at(-99)}',
        ),
    ],
    "4.3.1 with the fields that it varies by": [
        Step("origin", f"{TAGGED}\nvary: x-foo", "x-foo: 1"),
        Step("origin", TAGGED, "x-foo: 1", wait=11, sees='x-foo: 1\nif-none-match: "a"'),
    ],
    "4.3.1 not the tag of another variant": [
        Step("origin", f"{TAGGED}\nvary: x-foo", "x-foo: 1"),
        Step("origin", f"{TAGGED}\nvary: x-foo", "x-foo: 2", misses="if-none-match"),
    ],
    "4.3.1 not the tag of the client": [
        Step("origin", asks='if-none-match: "x"', misses="if-none-match", body="run 1"),
    ],
    "4.3.3 the client's condition is answered by what came": [
        Step("origin", TAGGED),
        Step("origin", TAGGED, 'if-none-match: "a"', status=304, wait=11, gets=304),
    ],
    "4.3.3 a new answer": [
        Step("origin", TAGGED),
        Step("origin", f'{BRIEF}\netag: "b"', wait=11, body="run 2"),
        Step("store", body="run 2", has='etag: "b"'),
    ],
    "5.2.2.4 no-cache confirms each time": [
        Step("origin", 'cache-control: no-cache, max-age=60\netag: "a"'),
        Step("origin", "", status=304, gets=200, sees='if-none-match: "a"', body="run 1"),
        Step("origin", "", status=304, gets=200, sees='if-none-match: "a"', body="run 1"),
    ],
    "4.3.4 a 304 about another strong tag": [
        Step("origin", TAGGED),
        Step("origin", f'{FRESH}\netag: "b"\nx: 1', status=304, wait=11, misses="if-none-match"),
        Step("origin", FRESH, body="run 4", lacks="x"),
    ],
    "4.3.4 a 304 that nobody has asked for": [
        Step("origin", FRESH, status=204),
        Step("origin", FRESH, "cache-control: no-cache", status=304),
        Step("store", status=204),
    ],
}


def updated(name: str, old: str, new: str, kept: str) -> list[Step]:
    """A field of a 304, in the answer and in what is stored."""
    return [
        Step("origin", f"{TAGGED}\n{name}: {old}"),
        Step(
            "origin",
            f"{FRESH}\n{name}: {new}",
            status=304,
            wait=11,
            gets=200,
            has=f"{name}: {kept}",
            body="run 1",
        ),
        Step("store", has=f"{name}: {kept}", body="run 1"),
    ]


UPDATES = (
    {
        "3.2 what a 304 leaves out stays": [
            Step("origin", f"{TAGGED}\nx-a: 1"),
            Step("origin", FRESH, status=304, wait=11, gets=200, has="x-a: 1"),
            Step("store", has="x-a: 1", wait=1000),
        ],
        "3.2 a lifetime that has ended": [
            Step("origin", TAGGED),
            Step("origin", BRIEF, status=304, wait=11, gets=200),
            Step("store", wait=9),
            Step("origin", wait=1),
        ],
        "3.2 lines are replaced, not added": [
            Step("origin", f"{TAGGED}\nx-a: 1\nx-a: 2"),
            Step("origin", f"{FRESH}\nx-a: 3", status=304, wait=11, gets=200, has="x-a: 3"),
            Step("store", has="x-a: 3"),
        ],
        "3.2 Age begins anew": [
            Step("origin", TAGGED),
            Step("origin", FRESH, status=304, wait=11, gets=200),
            Step("store", wait=4, has=f"age: 4\ndate: {at(11)}"),
        ],
        "3.2 no-store of a 304": [
            Step("origin", TAGGED),
            Step("origin", "cache-control: no-store", status=304, wait=11, gets=200, body="run 1"),
            Step("origin", TAGGED),
        ],
        "7.3 Set-Cookie of a 304 is for one": [
            Step("origin", TAGGED),
            Step("origin", f"{FRESH}\nset-cookie: a=b", status=304, wait=11, gets=200),
            Step("origin", TAGGED, lacks="set-cookie"),
        ],
    }
    | {
        f"3.2 {name}": updated(name, old, new, new)
        for name, old, new in (
            ("x-test", "1", "2"),
            ("content-foo", "1", "2"),
            ("content-location", "/a", "/b"),
            ("content-language", "de", "en"),
            ("content-disposition", "inline", "attachment"),
            ("content-security-policy", "default-src 'self'", "default-src 'none'"),
            ("expires", at(1), at(3600)),
            ("link", "</a>; rel=x", "</b>; rel=x"),
        )
    }
    | {
        f"3.2 {name} is about what is stored (on purpose)": updated(name, old, new, old)
        for name, old, new in (
            ("content-type", "text/html; charset=utf-8", "text/plain; charset=utf-8"),
            ("content-encoding", "identity", "gzip"),
            ("content-md5", "rL0Y20zC+Fzt72VPzMSk2A==", "N7UdGUp1E+RbVvZSTy1R8g=="),
            ("repr-digest", "sha-256=:aa==:", "sha-256=:bb==:"),
        )
    }
)

HEADS = {
    "4.3.5 a HEAD goes to the origin when stale": [
        Step("origin", BRIEF),
        Step("origin", BRIEF, method="HEAD", wait=11),
    ],
    "4.3.5 the same tag": [
        Step("origin", f"{TAGGED}\nx: 1\ny: 1"),
        Step("origin", f'{FRESH}\netag: "a"\nx: 2', method="HEAD", wait=11),
        Step("store", body="run 1", has="x: 2\ny: 1", wait=1000),
    ],
    "4.3.5 another tag": [
        Step("origin", f'{FRESH}\netag: "a"'),
        Step("origin", f'{FRESH}\netag: "b"', "cache-control: no-cache", method="HEAD"),
        Step("origin", FRESH),
    ],
    "4.3.5 another date": [
        Step("origin", f"{FRESH}\nlast-modified: {at(-9)}"),
        Step("origin", f"last-modified: {at(-5)}", "cache-control: no-cache", method="HEAD"),
        Step("origin", FRESH),
    ],
    "4.3.5 nothing is said": [
        Step("origin", f'{FRESH}\netag: "a"'),
        Step("origin", FRESH, "cache-control: no-cache", method="HEAD"),
        Step("store"),
    ],
    "4.3.5 a 304": [
        Step("origin", TAGGED),
        Step("origin", f"{FRESH}\nx: 2", method="HEAD", status=304, wait=11, gets=200),
        Step("store", body="run 1", has="x: 2", wait=1000),
    ],
    "4.3.5 an error says nothing": [
        Step("origin", f'{FRESH}\netag: "a"'),
        Step("origin", FRESH, "cache-control: no-cache", method="HEAD", status=410),
        Step("store"),
    ],
}

INVALIDATION = (
    {
        f"4.4 {method}": [
            Step("origin", FRESH),
            Step("origin", "", method=method, sends=b"x"),
            Step("origin", FRESH),
        ]
        for method in ("POST", "PUT", "PATCH", "DELETE")
    }
    | {
        f"4.4 {method} that failed": [
            Step("origin", FRESH),
            Step("origin", "", method=method, status=status, sends=b"x"),
            Step("store"),
        ]
        for method, status in (("POST", 500), ("PUT", 400), ("DELETE", 404))
    }
    | {
        f"4.4 {name} of {method}: {where}": [
            Step("origin", FRESH, target="/other"),
            Step("origin", f"{name}: {where}", method=method, status=201, sends=b"x"),
            Step("origin", FRESH, target="/other"),
        ]
        for method in ("POST", "PUT", "DELETE")
        for name in ("location", "content-location")
        for where in ("/other", "http://EXAMPLE.com:80/other#x")
    }
    | {
        "4.4 a redirect": [
            Step("origin", FRESH),
            Step("origin", "location: /done", method="POST", status=303, sends=b"x"),
            Step("origin", FRESH),
        ],
        "4.4 not on another host": [
            Step("origin", FRESH, target="http://other.example/x"),
            Step("origin", "location: http://other.example/x", method="POST", sends=b"x"),
            Step("store", target="http://other.example/x"),
        ],
        "4.4 all variants": [
            Step("origin", VARIED, "x-foo: 1"),
            Step("origin", VARIED, "x-foo: 2"),
            Step("origin", "", method="POST", sends=b"x"),
            Step("origin", VARIED, "x-foo: 1"),
            Step("origin", VARIED, "x-foo: 2"),
        ],
        "4.4 not by reading": [
            Step("origin", FRESH),
            Step("store", method="HEAD"),
            Step("store"),
        ],
    }
)

STALE = {
    f"4.2.4 {directive}": [
        Step("origin", f"cache-control: max-age=2, stale-if-error=60, {directive}"),
        Step("origin", "", status=503, wait=3),
    ]
    for directive in ("must-revalidate", "proxy-revalidate", "no-cache")
} | {
    "4.2.4 an error is an error": [Step("origin", BRIEF), Step("origin", "", status=503, wait=11)],
    "5861 4 stale-if-error": [
        Step("origin", "cache-control: max-age=2, stale-if-error=60"),
        Step("origin", "", status=503, wait=3, gets=200, body="run 1", has="age: 3"),
    ],
    "5861 4 has an end": [
        Step("origin", "cache-control: max-age=2, stale-if-error=60"),
        Step("origin", "", status=503, wait=62),
    ],
    "5861 4 a 404 is no error": [
        Step("origin", "cache-control: max-age=2, stale-if-error=60"),
        Step("origin", "", status=404, wait=3),
    ],
    "5861 3 has an end": [
        Step("origin", "cache-control: max-age=2, stale-while-revalidate=60"),
        Step("origin", "", wait=62),
    ],
    "5861 3 not if it must be confirmed": [
        Step("origin", "cache-control: max-age=2, stale-while-revalidate=60, must-revalidate"),
        Step("origin", "", wait=3),
    ],
    "5.5 no Warning": [
        Step("origin", "cache-control: max-age=2, stale-if-error=60"),
        Step("origin", "", status=503, wait=3, gets=200, lacks="warning"),
    ],
}


def part(asks: str, gets: int, has: str = "", body: str | None = None, **options) -> list[Step]:
    """A range of what is stored: `run 1`."""
    says = f'{FRESH}\netag: "a"\nlast-modified: {at(-99)}'
    return [
        Step("origin", says),
        Step("store", asks=asks, gets=gets, has=has, body=body, **options),
    ]


PARTS = {
    "14.1.2 the first bytes": part("range: bytes=0-1", 206, "content-range: bytes 0-1/5", "ru"),
    "14.1.2 to the end": part("range: bytes=2-", 206, "content-range: bytes 2-4/5", "n 1"),
    "14.1.2 the last bytes": part("range: bytes=-1", 206, "content-range: bytes 4-4/5", "1"),
    "14.1.2 beyond the end": part("range: bytes=4-99", 206, "content-range: bytes 4-4/5", "1"),
    "14.2 more than all": part("range: bytes=-99", 206, "content-range: bytes 0-4/5", body="run 1"),
    "15.5.17 behind the end": part(
        "range: bytes=5-", 416, "content-range: bytes */5\ncache-status: httpkit; hit; ttl=3600"
    ),
    "14.2 another unit": part("range: lines=0-1", 200, body="run 1"),
    "14.2 no range": part("range: bytes=1-0", 200, body="run 1"),
    "14.2 not for HEAD": part("range: bytes=0-1", 200, method="HEAD", body=""),
    "13.2.2 conditions come first": part('range: bytes=0-1\nif-none-match: "a"', 304, body=""),
    "13.1.5 If-Range": part('range: bytes=0-1\nif-range: "a"', 206, body="ru"),
    "13.1.5 another tag": part('range: bytes=0-1\nif-range: "b"', 200, body="run 1"),
    "13.1.5 a weak tag": part('range: bytes=0-1\nif-range: W/"a"', 200, body="run 1"),
    "13.1.5 a date": part(f"range: bytes=0-1\nif-range: {at(-99)}", 206, body="ru"),
    "13.1.5 a later date": part(f"range: bytes=0-1\nif-range: {at(-9)}", 200, body="run 1"),
    "8.8.2.2 a date of the second it was made in": [
        Step("origin", f"{FRESH}\nlast-modified: {at(0)}"),
        Step("store", asks=f"range: bytes=0-1\nif-range: {at(0)}", gets=200, wait=60),
    ],
    "9111 4 a part has an Age": part("range: bytes=0-1", 206, "age: 7", "ru", wait=7),
    "9111 3.3 stale parts are the origin's": [
        Step("origin", TAGGED),
        Step("origin", TAGGED, "range: bytes=0-1", wait=11, sees="range: bytes=0-1"),
    ],
    "9111 3.3 parts are not stored (on purpose)": [
        Step("origin", f"{FRESH}\ncontent-range: bytes 0-1/5", "range: bytes=0-1", status=206),
        Step("origin", FRESH),
    ],
}


@pytest.mark.parametrize("steps", cases(VARY))
def test_rfc9111_4_1_vary(steps):
    play(steps)


@pytest.mark.parametrize("steps", cases(CONDITIONS, VALIDATION, HEADS))
def test_rfc9111_4_3_validation(steps):
    play(steps)


@pytest.mark.parametrize("steps", cases(UPDATES))
def test_rfc9111_3_2_updates(steps):
    play(steps)


@pytest.mark.parametrize("steps", cases(INVALIDATION))
def test_rfc9111_4_4_invalidation(steps):
    play(steps)


@pytest.mark.parametrize("steps", cases(STALE))
def test_rfc9111_4_2_4_and_rfc5861_stale(steps):
    play(steps)


@pytest.mark.parametrize("steps", cases(PARTS))
def test_rfc9110_14_parts_of_what_is_stored(steps):
    play(steps)


def test_rfc5861_3_a_new_answer_is_fetched_behind_a_stale_one():
    says = "cache-control: max-age=2, stale-while-revalidate=60"
    play(
        [
            Step("origin", says),
            Step("store", says, wait=1, body="run 1"),
            Step("origin", says, wait=2, body="run 1", has="age: 3"),  # behind the answer
            Step("store", says, body="run 2", has="age: 0"),
        ]
    )


def test_rfc9110_15_2_interim_answers_pass_and_are_not_stored():
    app = App(middleware=[ResponseCache(clock=Clock())])

    @app.get("/")
    async def handle(request: Request) -> Response:
        await request.send_informational(103, {"link": "</style.css>; rel=preload"})
        return Response("x", headers={"cache-control": "max-age=60"})

    with Client(app) as client:
        first, second = client.get("/"), client.get("/")
    assert [each.status for each in first.informational] == [103]
    assert second.informational == []
    assert "link" not in second.headers
    assert second.headers["cache-status"] == "httpkit; hit; ttl=60"


def test_rfc9110_6_5_an_answer_with_trailers_is_not_stored():
    app = App(middleware=[ResponseCache(clock=Clock())])
    runs = []

    @app.get("/")
    def handle(request: Request) -> Response:
        runs.append(request)
        return Response("x", headers={"cache-control": "max-age=60"}, trailers={"x-sum": "1"})

    with Client(app) as client:
        for _ in range(2):
            assert client.get("/", headers={"te": "trailers"}).text == "x"
    assert len(runs) == 2


def test_rfc9211_2_6_two_requests_are_one():
    origin, gate = Origin(), asyncio.Event()
    origin.says = [("cache-control", "max-age=60")]
    cache = ResponseCache(clock=Clock())
    app = App(middleware=[cache])

    @app.get("/")
    async def handle(request: Request) -> Response:
        await gate.wait()
        return await origin.handle(request, "/")

    async def main() -> None:
        async with AsyncClient(app) as client:
            tasks = [asyncio.ensure_future(client.get("/")) for _ in range(2)]
            for _ in range(100):
                await asyncio.sleep(0)
            gate.set()
            answers = await asyncio.gather(*tasks)
        assert sorted(each.headers["cache-status"] for each in answers) == [
            "httpkit; fwd=uri-miss; collapsed",
            "httpkit; fwd=uri-miss; stored",
        ]
        assert len(origin.requests) == 1

    asyncio.run(main())
