"""Conditional requests (RFC 9110 §8.8, §13): entity tags, dates, and what a precondition decides.

Owns the grammar of entity tags, both ways to compare them, and the order in which preconditions
count. Where a field cannot be read the answer is the harmless one: a change is refused, a read
gets the whole content. Called by `Request.check`, the middleware for caching, and whoever answers
ranges.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from httpkit.semantics.dates import parse_http_date

__all__ = ["ETag", "Outcome", "Validators", "evaluate_preconditions", "range_applies"]

#: RFC 9110 §8.8.3: entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE. Backslashes escape nothing.
_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*+)"')
_LIST = re.compile(rf"[ \t,]*+({_ETAG.pattern})[ \t]*+(?=,|$)")


class ETag(NamedTuple):
    """An entity tag (RFC 9110 §8.8.3).

    Attributes:
        opaque: what stands between the quotes.
        weak: whether it promises equivalence only, not equal bytes.
    """

    opaque: str
    weak: bool = False

    @classmethod
    def parse(cls, text: str) -> "ETag | None":
        """Read the value of an `ETag` field; `None` if it is none."""
        match = _ETAG.fullmatch(text.strip(" \t"))
        return None if match is None else cls(match[2], match[1] is not None)

    @classmethod
    def of(cls, text: str) -> "ETag":
        """What an application gives: with quotes as it is, without them a strong tag.

        Raises:
            ValueError: a character that no tag may have.
        """
        tag = cls.parse(text) or cls.parse(f'"{text}"')
        if tag is None:
            raise ValueError(f"{text!r} cannot be an entity tag (RFC 9110 §8.8.3)")
        return tag

    def __str__(self) -> str:
        return f'W/"{self.opaque}"' if self.weak else f'"{self.opaque}"'

    def matches_strongly(self, other: "ETag") -> bool:
        """RFC 9110 §8.8.3.2: neither is weak, and they are the same."""
        return not self.weak and not other.weak and self.opaque == other.opaque

    def matches_weakly(self, other: "ETag") -> bool:
        """RFC 9110 §8.8.3.2: the same but for weakness."""
        return self.opaque == other.opaque


class Validators(NamedTuple):
    """What is known of the current representation; both are `None` where nothing is.

    Attributes:
        etag: its entity tag.
        last_modified: Unix timestamp; what is written has whole seconds, so fractions do not count.
    """

    etag: ETag | None = None
    last_modified: float | None = None


class Outcome(Enum):
    """What preconditions decide."""

    #: Do what was asked.
    PROCEED = 200
    #: The client has it already.
    NOT_MODIFIED = 304
    #: Change nothing.
    FAILED = 412


def evaluate_preconditions(
    method: str,
    headers: Mapping[str, str],
    validators: Validators,
    *,
    exists: bool = True,
    now: float | None = None,
) -> Outcome:
    """Decide by the preconditions of a request, in the order of RFC 9110 §13.2.2.

    To be asked where the request would succeed without them (§13.2.1), before anything is done.
    `If-Range` only chooses between a part and the whole, see `range_applies`.

    Args:
        method: of the request; CONNECT, OPTIONS and TRACE have no preconditions (§13.2.1).
        headers: of the request.
        validators: of the representation as it is now.
        exists: whether there is one; decides what `*` means.
        now: Unix timestamp, for two-digit years.
    """
    if method in ("CONNECT", "OPTIONS", "TRACE"):
        return Outcome.PROCEED
    if_match = headers.get("if-match")
    if if_match is not None:
        if not _is_listed(if_match, validators.etag, exists=exists, strong=True):
            return Outcome.FAILED
    elif _is_unmodified(headers.get("if-unmodified-since"), validators, exists, now) is False:
        return Outcome.FAILED
    reads = method in ("GET", "HEAD")
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None:
        if _is_listed(if_none_match, validators.etag, exists=exists, strong=False):
            return Outcome.NOT_MODIFIED if reads else Outcome.FAILED
    elif reads and _is_unmodified(headers.get("if-modified-since"), validators, exists, now):
        return Outcome.NOT_MODIFIED
    return Outcome.PROCEED


def range_applies(
    headers: Mapping[str, str],
    validators: Validators,
    *,
    date: float | None = None,
    now: float | None = None,
) -> bool:
    """Whether `If-Range`, if there is one, lets a `Range` count (RFC 9110 §13.1.5).

    Args:
        headers: of the request.
        validators: of the representation as it is now.
        date: Unix timestamp of the answer. A modification is a strong validator once that is at
            least a second later (§8.8.2.2); without a date it is none.
        now: Unix timestamp, for two-digit years.
    """
    if_range = headers.get("if-range")
    if if_range is None:
        return True
    tag = ETag.parse(if_range)
    if tag is not None:
        return validators.etag is not None and tag.matches_strongly(validators.etag)
    moment, modified = parse_http_date(if_range, now=now), validators.last_modified
    if moment is None or modified is None or date is None:
        return False
    return moment == modified // 1 and date - modified // 1 >= 1


def _is_listed(field: str, etag: ETag | None, *, exists: bool, strong: bool) -> bool:
    """RFC 9110 §13.1.1 and §13.1.2: whether `*` or one of the tags stands for what there is.

    A list that cannot be read to its end counts as far as it can be read: less is listed then.
    """
    if field.strip(" \t") == "*":
        return exists
    if etag is None or not exists:
        return False
    position = 0
    while match := _LIST.match(field, position):
        tag = ETag(match[3], match[2] is not None)
        if tag.matches_strongly(etag) if strong else tag.matches_weakly(etag):
            return True
        position = match.end()
    return False


def _is_unmodified(
    field: str | None,
    validators: Validators,
    exists: bool,  # noqa: FBT001 - private
    now: float | None,
) -> bool | None:
    """RFC 9110 §13.1.3 and §13.1.4; `None` where the field says nothing and is ignored."""
    if field is None or validators.last_modified is None or not exists:
        return None
    moment = parse_http_date(field, now=now)
    return None if moment is None else validators.last_modified // 1 <= moment
