"""HTTP dates (RFC 9110 §5.6.7): one format is written, three are read."""

from datetime import UTC, datetime
from email.utils import formatdate

__all__ = ["format_http_date", "parse_http_date"]

_IMF_FIXDATE = "%a, %d %b %Y %H:%M:%S GMT"
_ASCTIME = "%a %b %d %H:%M:%S %Y"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def format_http_date(timestamp: float) -> str:
    """A Unix timestamp in seconds as IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`."""
    return formatdate(timestamp, usegmt=True)


def parse_http_date(text: str, *, now: float | None = None) -> float | None:
    """Read IMF-fixdate, RFC 850 or asctime into a Unix timestamp; `None` if it is none of them.

    A two-digit year of the RFC 850 format that would lie more than 50 years after `now` (a Unix
    timestamp) is taken as the past century, as the RFC demands.
    """
    text = text.strip()
    try:
        if text[:3] + text[3:4] in {f"{day[:3]}," for day in _DAYS}:
            moment = datetime.strptime(text, _IMF_FIXDATE)
        elif text.partition(",")[0] in _DAYS:
            return _parse_rfc850(text, now)
        else:
            moment = datetime.strptime(" ".join(text.split()), _ASCTIME)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC).timestamp()


def _parse_rfc850(text: str, now: float | None) -> float:
    moment = datetime.strptime(text.partition(", ")[2], "%d-%b-%y %H:%M:%S GMT")
    if now is not None:
        this_year = datetime.fromtimestamp(now, UTC).year
        year = this_year - this_year % 100 + moment.year % 100
        if year > this_year + 50:
            year -= 100
        moment = moment.replace(year=year)
    return moment.replace(tzinfo=UTC).timestamp()
