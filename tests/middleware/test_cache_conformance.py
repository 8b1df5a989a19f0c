"""What a shared cache must and should do: storing and freshness (RFC 9111 §3, §4.2, §5.2, §5.3).

One conversation for each behaviour, through the bytes of HTTP. Where `ResponseCache` differs on
purpose, the id says so, and docs/caching.md says why.
"""

import pytest

from .scripted import Step, at, play


def reused(says: str, wait: float = 3, status: int = 200, **options) -> list[Step]:
    """An answer that has to be used again."""
    first = Step("origin", says, status=status)
    return [first, Step("store", says, wait=wait, status=status, **options)]


def asked_again(says: str, wait: float = 3, status: int = 200) -> list[Step]:
    """One that must not be."""
    return [Step("origin", says, status=status), Step("origin", says, wait=wait, status=status)]


LIFETIMES = {
    "4.2.1 max-age": reused("cache-control: max-age=3600"),
    "4.2.1 max-age is over": asked_again("cache-control: max-age=3600", 3600),
    "4.2.1 max-age up to the last second": reused("cache-control: max-age=3600", 3599),
    "4.2.1 max-age=0": asked_again("cache-control: max-age=0", 0),
    "4.2.1 s-maxage beats a shorter max-age": reused("cache-control: max-age=1, s-maxage=3600"),
    "4.2.1 s-maxage beats a longer max-age": asked_again("cache-control: max-age=99, s-maxage=1"),
    "4.2.1 s-maxage in a line of its own": asked_again(
        "cache-control: max-age=3600\ncache-control: s-maxage=1"
    ),
    "4.2.1 max-age beats a past Expires": reused(
        f"cache-control: max-age=60\nexpires: {at(-100)}\ndate: {at(0)}"
    ),
    "4.2.1 max-age beats an invalid Expires": reused("cache-control: max-age=60\nexpires: 0"),
    "4.2.1 max-age=0 beats a future Expires": asked_again(
        f"cache-control: max-age=0\nexpires: {at(1000)}"
    ),
    "4.2.1 the first of two max-age": asked_again("cache-control: max-age=1, max-age=1800"),
    "4.2.1 the first of two max-age lines": asked_again(
        "cache-control: max-age=1\ncache-control: max-age=1800"
    ),
    "1.2.2 max-age of 2^31": reused("cache-control: max-age=2147483648"),
    "1.2.2 max-age that overflows": reused("cache-control: max-age=99999999999999999999"),
    "1.2.2 max-age with leading zeros": reused("cache-control: max-age=003600"),
    "1.2.2 many leading zeros make no number greater": asked_again(
        "cache-control: max-age=0000000000000002"
    ),
    "4.2.1 a negative max-age": asked_again("cache-control: max-age=-3600"),
    "4.2.1 max-age with a letter before": asked_again("cache-control: max-age=a3600"),
    "4.2.1 max-age with a letter behind": asked_again("cache-control: max-age=3600a"),
    "4.2.1 max-age with a fraction": asked_again("cache-control: max-age=3600.5"),
    "4.2.1 max-age without a number": asked_again("cache-control: max-age="),
    "5.2 max-age in quotes": reused('cache-control: max-age="3600"'),
    "5.2 max-age in single quotes": asked_again("cache-control: max-age='3600'"),
    "5.2 a space before the equals sign": asked_again("cache-control: max-age =3600"),
    "5.2 a space after the equals sign": asked_again("cache-control: max-age= 3600"),
    "5.2 max-age in the string of an extension": asked_again(
        'cache-control: extension="max-age=3600", max-age=1'
    ),
    "5.2 and behind it": asked_again('cache-control: max-age=1, extension="max-age=3600"'),
    "5.2 any case": reused("cache-control: MaX-aGe=3600"),
    "5.2.3 unknown directives": reused("cache-control: foobar, x=y, max-age=3600"),
    "5.2 empty members": reused("cache-control: ,, max-age=3600,"),
    "5.3 Expires": reused(f"expires: {at(3600)}\ndate: {at(0)}"),
    "5.3 Expires counts from Date": asked_again(f"expires: {at(3602)}\ndate: {at(3600)}"),
    "5.3 Expires in the past": asked_again(f"expires: {at(-3600)}\ndate: {at(0)}", 0),
    "5.3 Expires is Date": asked_again(f"expires: {at(0)}\ndate: {at(0)}", 0),
    "5.3 Expires before a fast Date": asked_again(f"expires: {at(300)}\ndate: {at(400)}"),
    "5.3 Expires without a valid Date": reused(f"expires: {at(100)}\ndate: foo"),
    "5.3 two Expires": asked_again(f"expires: {at(100)}\nexpires: {at(100)}"),
    "9110 5.6.7 Expires as RFC 850": reused("expires: Friday, 15-Jan-27 09:00:00 GMT"),
    "9110 5.6.7 Expires as asctime": reused("expires: Fri Jan 15 09:00:00 2027"),
} | {
    f"5.3 invalid Expires: {text}": asked_again(f"expires: {text}\ndate: {at(0)}", 0)
    for text in (
        "0",
        "-1",
        "never",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "THU, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 AUG 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 gMT",
        "Thu, 31 Feb 2050 02:01:18 GMT",
    )
}

AGES = {
    "5.1 a hit has an Age": reused("cache-control: max-age=60", 5, has="age: 5"),
    "5.1 a new answer has none": [Step("origin", lacks="age")],
    "4.2.3 it adds to the age of the origin": reused(
        "cache-control: max-age=600\nage: 30", 5, has="age: 35"
    ),
    "4.2.3 with Expires, too": reused(
        f"expires: {at(600)}\ndate: {at(0)}\nage: 30", 5, has="age: 35"
    ),
    "4.2.3 the age of the origin counts": asked_again("cache-control: max-age=10\nage: 15", 0),
    "4.2.3 and that of its Date": reused(
        f"cache-control: max-age=60\ndate: {at(-20)}", 5, has=f"age: 25\ndate: {at(-20)}"
    ),
    "4.2.3 the greater of both": reused(
        f"cache-control: max-age=60\ndate: {at(-20)}\nage: 40", 5, has="age: 45"
    ),
    "4.2.3 a slow clock of the origin": asked_again(
        f"cache-control: max-age=10\ndate: {at(-3600)}", 0
    ),
    "4.2.3 a Date in the future is no age": reused(
        f"cache-control: max-age=60\ndate: {at(3600)}", 5, has="age: 5"
    ),
    "4.2.3 a Date in the future does not prolong": asked_again(
        f"cache-control: max-age=60\ndate: {at(3600)}", 60
    ),
    "5.1 an Age that is no number": reused("cache-control: max-age=60\nage: abc", 5, has="age: 5"),
    "5.1 a negative Age": reused("cache-control: max-age=60\nage: -7200", 5, has="age: 5"),
    "5.1 a fraction": reused("cache-control: max-age=60\nage: 7200.0", 5, has="age: 5"),
    "5.1 the first of several": asked_again("cache-control: max-age=3600\nage: 7200, 0", 0),
    "5.1 of several lines": asked_again("cache-control: max-age=3600\nage: 7200\nage: 0", 0),
    "5.1 if that is 0": reused("cache-control: max-age=3600\nage: 0, 7200", 5, has="age: 5"),
    "1.2.2 an Age that overflows": asked_again(
        "cache-control: max-age=99999999999\nage: 99999999999999999999", 0
    ),
    "9110 6.6.1 Date stays": reused("cache-control: max-age=60", 5, has=f"date: {at(0)}"),
}

STATUSES = [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 401, 404, 410, 429, 451, 499]
STATUSES += [500, 502, 503, 504, 599]

STORING = (
    {
        "4.2.2 no heuristics (on purpose)": asked_again(f"last-modified: {at(-86400)}", 0),
        "4.2.2 nothing is said": asked_again("", 0),
        "5.2.2.5 no-store": asked_again("cache-control: no-store, max-age=60", 0),
        "5.2.2.5 in any case": asked_again("cache-control: No-StOrE, max-age=60", 0),
        "5.2.2.5 beside Expires": asked_again(f"cache-control: no-store\nexpires: {at(60)}", 0),
        "5.2.2.7 private": asked_again("cache-control: private, max-age=60", 0),
        "5.2.2.7 private for fields": reused(
            'cache-control: private="x-a", max-age=60\nx-a: 1\nx-b: 2', has="x-b: 2", lacks="x-a"
        ),
        "5.2.2.4 no-cache": asked_again("cache-control: no-cache, max-age=60", 0),
        "5.2.2.4 in any case": asked_again("cache-control: No-CaChE, max-age=60", 0),
        "5.2.2.4 no-cache for a field": reused(
            'cache-control: no-cache="x-a", max-age=60\nx-a: 1\nx-b: 2', has="x-b: 2", lacks="x-a"
        ),
        "5.2.2.4 for several": reused(
            'cache-control: no-cache="x-a, X-B", max-age=60\nx-a: 1\nx-b: 2\nx-c: 3',
            has="x-c: 3",
            lacks="x-a x-b",
        ),
        "5.2.2.4 for none is for all": asked_again('cache-control: no-cache="", max-age=60', 0),
        "5.2.2.4 a quote that stays open": asked_again(
            'cache-control: max-age=60, no-cache="x-a', 0
        ),
        "4.2.1 the strictest no-cache": asked_again(
            'cache-control: max-age=60, no-cache="x-a", no-cache', 0
        ),
        "5.2.2.2 must-revalidate while fresh": reused("cache-control: max-age=60, must-revalidate"),
        "5.2.2.3 must-understand": reused("cache-control: max-age=60, must-understand, no-store"),
        "5.2.2.3 a status nobody knows": asked_again(
            "cache-control: max-age=60, must-understand", 0, 299
        ),
        "5.4 Pragma of an answer means nothing": reused(
            "cache-control: max-age=60\npragma: no-cache"
        ),
        "7.3 Set-Cookie (on purpose)": asked_again("cache-control: max-age=60\nset-cookie: a=b", 0),
        "7.3 Set-Cookie that is private": reused(
            'cache-control: max-age=60, private="set-cookie"\nset-cookie: a=b', lacks="set-cookie"
        ),
        "3.1 fields of proxies": reused(
            "cache-control: max-age=60\nproxy-authenticate: x\nproxy-authentication-info: y",
            lacks="proxy-authenticate proxy-authentication-info",
        ),
        "3.1 all other fields": reused(
            "cache-control: max-age=60\nx-frame-options: deny\nclear-site-data: x",
            has="x-frame-options: deny\nclear-site-data: x",
        ),
        "9110 8.7 Content-Location": reused(
            "cache-control: max-age=60\ncontent-location: /x", has="content-location: /x"
        ),
        "6266 Content-Disposition": reused(
            "cache-control: max-age=60\ncontent-disposition: attachment",
            has="content-disposition: attachment",
        ),
        "3.3 a part": [
            Step("origin", "cache-control: max-age=60\ncontent-range: bytes 0-4/9", status=206)
        ]
        * 2,
        "3 a POST": [
            Step("origin", "cache-control: max-age=60\ncontent-location: /", method="POST"),
            Step("origin"),
        ],
        "3 a HEAD is not stored for GET": [
            Step("origin", method="HEAD"),
            Step("origin", body="run 2"),
        ],
        "3 a GET is for HEAD": [Step("origin"), Step("store", method="HEAD", body="")],
    }
    | {
        f"3 a fresh {status}": reused("cache-control: max-age=60", status=status)
        for status in STATUSES
    }
    | {
        f"4.2.4 a stale {status}": asked_again("cache-control: max-age=2", status=status)
        for status in (200, 204, 301, 404, 503, 599)
    }
)

AUTHORIZED = (
    {
        "3.5 Authorization": [
            Step("origin", f"expires: {at(600)}", "authorization: FOO", sees="authorization: FOO"),
            Step("origin"),
        ]
    }
    | {
        f"3.5 but {directive}": [
            Step("origin", f"cache-control: max-age=60, {directive}", "authorization: FOO"),
            Step("store"),
        ]
        for directive in ("public", "must-revalidate", "s-maxage=60")
    }
    | {
        f"3.5 not by {directive}": [
            Step("origin", f"cache-control: max-age=60, {directive}", "authorization: FOO"),
            Step("origin"),
        ]
        for directive in ("proxy-revalidate", "immutable", "stale-if-error=60")
    }
)

WISHES = {
    "5.2.1.1 max-age=0": [Step("origin"), Step("origin", asks="cache-control: max-age=0")],
    "5.2.1.1 max-age": [Step("origin"), Step("origin", asks="cache-control: max-age=1", wait=3)],
    "5.2.1.1 max-age against Age": [
        Step("origin", "cache-control: max-age=3600\nage: 1800"),
        Step("origin", asks="cache-control: max-age=600"),
    ],
    "5.2.1.1 max-age that suffices": [
        Step("origin"),
        Step("store", asks="cache-control: max-age=10", wait=3),
    ],
    "5.2.1.2 max-stale": [
        Step("origin"),
        Step("store", asks="cache-control: max-stale=10", wait=65),
    ],
    "5.2.1.2 max-stale without a limit": [
        Step("origin", 'cache-control: max-age=60\netag: "a"'),
        Step("store", asks="cache-control: max-stale", wait=600),
    ],
    "5.2.1.2 more than that": [
        Step("origin", 'cache-control: max-age=60\netag: "a"'),
        Step("origin", asks="cache-control: max-stale=10", wait=80),
    ],
    "5.2.1.3 min-fresh": [Step("origin"), Step("origin", asks="cache-control: min-fresh=100")],
    "5.2.1.3 min-fresh with Age": [
        Step("origin", "cache-control: max-age=1500\nage: 1000"),
        Step("origin", asks="cache-control: min-fresh=1000"),
    ],
    "5.2.1.4 no-cache": [Step("origin"), Step("origin", asks="cache-control: no-cache")],
    "5.2.1.4 no-cache confirms": [
        Step("origin", 'cache-control: max-age=60\netag: "a"'),
        Step(
            "origin",
            'etag: "a"\ncache-control: max-age=60',
            "cache-control: no-cache",
            status=304,
            gets=200,
            sees='if-none-match: "a"',
            body="run 1",
        ),
    ],
    "5.2.1.5 no-store is not stored": [
        Step("origin", asks="cache-control: no-store"),
        Step("origin"),
    ],
    "5.2.1.5 no-store may be answered": [
        Step("origin"),
        Step("store", asks="cache-control: no-store"),
    ],
    "5.2.1.7 only-if-cached": [Step("store", asks="cache-control: only-if-cached", gets=504)],
    "5.2.1.7 if it is": [Step("origin"), Step("store", asks="cache-control: only-if-cached")],
    "5.2.1 garbage": [Step("origin"), Step("store", asks='cache-control: "=,;x')],
    "5.4 Pragma of a request means nothing": [
        Step("origin"),
        Step("store", asks="pragma: no-cache"),
    ],
    "7.3 a Cookie of the request is for Vary": [Step("origin"), Step("store", asks="cookie: a=b")],
}


def cases(*tables):
    """Every conversation of some tables, with its id."""
    return [pytest.param(steps, id=name) for table in tables for name, steps in table.items()]


@pytest.mark.parametrize("steps", cases(LIFETIMES, AGES))
def test_rfc9111_freshness(steps):
    play(steps)


@pytest.mark.parametrize("steps", cases(STORING, AUTHORIZED))
def test_rfc9111_storing(steps):
    play(steps)


@pytest.mark.parametrize("steps", cases(WISHES))
def test_rfc9111_5_2_1_wishes_of_clients(steps):
    play(steps)


@pytest.mark.parametrize("wish", ["no-cache", "max-age=0", "no-store", "min-fresh=99"])
def test_rfc9111_5_2_1_that_are_not_heeded(wish):
    asks = f"cache-control: {wish}"
    play([Step("origin", asks=asks), Step("store", asks=asks)], heed_clients=False)
