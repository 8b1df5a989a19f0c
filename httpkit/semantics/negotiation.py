"""Proactive negotiation (RFC 9110 §12): which of several offers a client likes best.

Owns the reading of `Accept`, `Accept-Encoding` and `Accept-Language` and the choice among the
offers of an application. Refuses nothing: these fields are hints, so a malformed member is
ignored and the rest still counts. Called by error rendering, handlers and compression.

The rules, the same for every field:

1. The most specific member that matches an offer decides its quality, not the highest one.
2. Quality 0 excludes an offer.
3. The highest quality wins; among equals the offer that was named more specifically, then the one
   that stands first in the offers.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from httpkit.semantics.parameters import parse_parameters, split_list

__all__ = [
    "MAX_MEMBERS",
    "Preference",
    "parse_preferences",
    "preferred_language",
    "preferred_media_type",
    "preferred_token",
    "refuses_token",
]

#: Members of one field that are looked at; the rest is ignored. Browsers send about ten. Bounds
#: the work of a choice, which is members times offers.
MAX_MEMBERS = 64

#: RFC 9110 §12.4.2: 0 to 1 with at most three decimals. More of them (0.33333) and a missing zero
#: (.2, older Java clients) are read as well: a hint that is understood should not be thrown away.
_QUALITY = re.compile(r"(?:0?\.[0-9]++|0\.?|1(?:\.0*+)?)")
_MEDIA_TYPE = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+/[!#$%&'+.^_`|~0-9A-Za-z-]+")
_MEDIA_RANGE = re.compile(rf"\*/\*|{_MEDIA_TYPE.pattern}|[!#$%&'+.^_`|~0-9A-Za-z-]+/\*")


class Preference(NamedTuple):
    """One member of an Accept-like field.

    Attributes:
        value: a media range, coding or language range, in lower case.
        parameters: what stands before the weight; names and values in lower case.
        quality: 0.0 to 1.0, where 0.0 means "not acceptable".
    """

    value: str
    parameters: dict[str, str]
    quality: float


def parse_preferences(field: str) -> list[Preference]:
    """Read an Accept-like field (RFC 9110 §12.4, §12.5); malformed members are left out.

    At most `MAX_MEMBERS` members are read, in time linear in the length of the field.
    """
    return [
        preference
        for member in islice(split_list(field), MAX_MEMBERS)
        if (preference := _parse_member(member)) is not None
    ]


def preferred_media_type(accept: str | None, offers: Sequence[str]) -> str | None:
    """Choose the media type for an answer (RFC 9110 §12.5.1).

    Args:
        accept: the value of `Accept`; `None` if the request has none.
        offers: media types, possibly with parameters, the server's favorite first.

    Returns:
        One of the offers; the first one if the client states no readable preference; `None` if it
        accepts none of them (then answer 406, or disregard its wishes) or nothing is offered.

    Raises:
        ValueError: an offer is not a media type.
    """
    if accept is None or accept == "*/*":
        return offers[0] if offers else None
    preferences = [p for p in parse_preferences(accept) if _MEDIA_RANGE.fullmatch(p.value)]
    if not preferences:
        return offers[0] if offers else None
    return _choose(preferences, offers, _media_type_specificity)


def preferred_token(field: str | None, offers: Sequence[str]) -> str | None:
    """Choose among plain tokens, e.g. content codings (RFC 9110 §12.5.3), without regard to case.

    Args:
        field: the value of the field; `None` if the request has none.
        offers: the server's favorite first.

    Returns:
        One of the offers, the first one without a field. `None` if the client accepts none of
        them, which is what an empty field says. That `identity` is acceptable unless excluded
        (§12.5.3) is for the caller, who knows whether it is one of the offers.
    """
    if field is None:
        return offers[0] if offers else None
    return _choose(parse_preferences(field), offers, _token_specificity)


def refuses_token(field: str, token: str) -> bool:
    """Whether a client takes a token in no case: it says quality 0, by name or by `*`."""
    preferences = parse_preferences(field)
    level, quality = max(
        ((_token_specificity(p, token), p.quality) for p in preferences), default=(0, 0.0)
    )
    return level > 0 and quality == 0


def preferred_language(field: str | None, offers: Sequence[str]) -> str | None:
    """Choose a language (RFC 9110 §12.5.4) by tags such as `de` and `en-GB`.

    A range matches its own subtags (RFC 4647 §3.3.1: `en` takes `en-GB`) and, less specifically,
    what is left of it from the right (§3.4: `en-US` falls back to `en`).

    Args:
        field: the value of `Accept-Language`; `None` if the request has none.
        offers: language tags, the server's favorite first.

    Returns:
        One of the offers, the first one without a field; `None` if none is acceptable.
    """
    if field is None:
        return offers[0] if offers else None
    return _choose(parse_preferences(field), offers, _language_specificity)


def _parse_member(member: str) -> Preference | None:
    parsed = parse_parameters(member)
    if parsed is None or not parsed[0]:
        return None
    value, parameters = parsed
    kept: dict[str, str] = {}
    quality = 1.0
    for name, text in parameters.items():
        if name == "q":
            if not _QUALITY.fullmatch(text):
                return None
            quality = float(text[:5])  # The three decimals that count.
            break  # What follows the weight was accept-ext in RFC 7231 and means nothing now.
        kept[name] = text.lower()
    return Preference(value.lower(), kept, quality)


def _choose(
    preferences: list[Preference],
    offers: Sequence[str],
    specificity: Callable[[Preference, str], int],
) -> str | None:
    """Apply the rules of the module; `specificity` is 0 where a preference does not match."""
    best: tuple[float, int] = (0.0, 0)
    chosen: str | None = None
    for offer in offers:
        # Among equally specific members, e.g. a repeated one, the higher quality counts.
        level, quality = max(
            ((specificity(p, offer), p.quality) for p in preferences), default=(0, 0.0)
        )
        if level and quality > 0 and (quality, level) > best:
            best, chosen = (quality, level), offer
    return chosen


def _media_type_specificity(preference: Preference, offer: str) -> int:
    """RFC 9110 §12.5.1: parameters before type before `type/*` before `*/*`."""
    offered, offered_parameters = _parse_offer(offer)
    value, parameters = preference.value, preference.parameters
    for name, text in parameters.items():
        # Clients ask for `application/json;charset=utf-8` of servers that never name a charset,
        # and choosing one by negotiation is deprecated (§12.5.2).
        expected = offered_parameters.get(name, text if name == "charset" else None)
        if expected != text:
            return 0
    if value == offered:
        return 3 + len(parameters)
    if value == "*/*":
        return 1
    kind, _, subtype = value.partition("/")
    return 2 if subtype == "*" and offered.startswith(f"{kind}/") else 0


def _token_specificity(preference: Preference, offer: str) -> int:
    if preference.value == offer.lower():
        return 2
    return 1 if preference.value == "*" else 0


def _language_specificity(preference: Preference, offer: str) -> int:
    wanted, offered = preference.value, offer.lower()
    if wanted == "*":
        return 1
    if wanted == offered or offered.startswith(f"{wanted}-"):
        # A longer range says more; an exact or a covering one more than any fallback.
        return 1_000 + len(wanted)
    if wanted.startswith(f"{offered}-"):
        # Excluding `en-US` says nothing about `en`.
        return 1 + len(offered) if preference.quality > 0 else 0
    return 0


@lru_cache(maxsize=256)
def _parse_offer(offer: str) -> tuple[str, dict[str, str]]:
    """Offers are the application's constants, so a cache of them is bounded in practice too."""
    parsed = parse_parameters(offer)
    if parsed is None or not _MEDIA_TYPE.fullmatch(parsed[0]):
        raise ValueError(f"{offer!r} is not a media type that could be offered")
    value, parameters = parsed
    return value.lower(), {name: text.lower() for name, text in parameters.items()}
