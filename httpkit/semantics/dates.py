"""HTTP dates (RFC 9110 §5.6.7): one format is written, three are read.

Refuses everything outside the grammar by giving `None`, as an unreadable date in a precondition
means that the precondition is ignored. Names of days and months are compared here rather than by
`strptime`, which reads them in the locale of the process. Called by cookies, static files and
conditional requests.
"""

import re
from datetime import UTC, datetime
from email.utils import formatdate

__all__ = ["format_http_date", "parse_http_date"]

_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DAY_L = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"

#: The formats in the order of §5.6.7. §5.6.7 also makes the names case-sensitive.
_FORMATS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"{_DAY_L}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"{_DAY} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def format_http_date(timestamp: float) -> str:
    """A Unix timestamp in seconds as IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`."""
    return formatdate(timestamp, usegmt=True)


def parse_http_date(text: str, *, now: float | None = None) -> float | None:
    """Read IMF-fixdate, RFC 850 or asctime into a Unix timestamp; `None` if it is none of them.

    The name of the day is not checked against the date. A leap second counts as the second before
    it. A two-digit year of the RFC 850 format is taken as the past century if the date would
    otherwise lie more than 50 years after `now` (a Unix timestamp), as the RFC demands; without
    `now` 69 to 99 are the past century, as in POSIX.
    """
    text = text.strip(" \t")
    for pattern in _FORMATS:
        match = pattern.fullmatch(text)
        if match is not None:
            break
    else:
        return None
    year = int(match["year"])
    try:
        if len(match["year"]) == 4:
            return _moment(year, match).timestamp()
        return _resolve_century(year, match, now)
    except ValueError:  # No such day or time: 31 February, 25:00.
        return None


def _moment(year: int, match: re.Match[str]) -> datetime:
    month = _MONTHS.index(match["month"]) + 1
    second = int(match["second"])
    return datetime(
        year,
        month,
        int(match["day"]),
        int(match["hour"]),
        int(match["minute"]),
        59 if second == 60 else second,  # RFC 9110 §5.6.7 allows 60 for a leap second.
        tzinfo=UTC,
    )


def _resolve_century(year: int, match: re.Match[str], now: float | None) -> float:
    if now is None:
        return _moment(year + (1900 if year >= 69 else 2000), match).timestamp()
    today = datetime.fromtimestamp(now, UTC)
    year += today.year - today.year % 100
    moment = _moment(year, match)
    # Compared in parts: today in 50 years need not exist (29 February).
    limit = (today.year + 50, *today.timetuple()[1:6])
    if moment.timetuple()[:6] > limit:
        moment = _moment(year - 100, match)
    return moment.timestamp()
