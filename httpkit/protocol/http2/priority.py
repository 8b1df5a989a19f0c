"""The Priority field (RFC 9218 §4, §5)."""

import re

__all__ = ["DEFAULT_URGENCY", "parse_priority"]

DEFAULT_URGENCY = 3
#: Octets of a value that is looked at. Seven are enough; 16 000 take 4 ms, and 2 000 such frames
#: are within the abuse budget.
_MAX_SIZE = 256

# One member of a dictionary of RFC 8941: a key, perhaps a value, perhaps parameters.
_MEMBER = re.compile(rb"\s*([a-z*][a-z0-9_.*-]*)(?:=([^,;\s]*))?[^,]*")


def parse_priority(value: bytes) -> tuple[int, bool]:
    """Urgency from 0 (first) to 7, and whether the answer is of use in parts.

    What is unknown, malformed or out of range is ignored, as §4 demands.
    """
    urgency, incremental = DEFAULT_URGENCY, False
    if len(value) > _MAX_SIZE:
        return urgency, incremental
    for member in value.split(b","):
        match = _MEMBER.fullmatch(member)
        if match is None:
            continue
        key, item = match.groups()
        if key == b"u" and item is not None and re.fullmatch(rb"[0-7]", item):
            urgency = int(item)
        elif key == b"i" and item in (None, b"?1", b"?0"):
            incremental = item != b"?0"
    return urgency, incremental
