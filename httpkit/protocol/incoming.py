"""What a request has to satisfy on every version of HTTP."""

import re
from ipaddress import AddressValueError, IPv6Address

from httpkit.status import METHODS

__all__ = ["CONTENT_LENGTH", "ORIGIN_METHODS", "is_authority"]

#: RFC 9110 §8.6; as many digits as fit into 64 bits.
CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")
#: Methods that reach an application: CONNECT is for proxies, whatever its target.
ORIGIN_METHODS = {raw: name for raw, name in METHODS.items() if name != "CONNECT"}
# RFC 3986 §3.2.2: reg-name or IPv4 address, or an IP literal; then a port. Userinfo is refused.
_AUTHORITY = re.compile(
    rb"(?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})++|\[([0-9A-Fa-f:.]++)\])"
    rb"(?::([0-9]{0,5}))?"
)

# Authorities that passed the grammar lately: a server sees few, and asks for each request. A
# longer one than any name of DNS with a port is checked each time, so that memory is bounded.
_known_authorities: set[bytes] = set()
_MAX_KNOWN = 1024
_MAX_KNOWN_SIZE = 262


def is_authority(value: bytes) -> bool:
    """Whether this is a host of RFC 3986 §3.2.2 and a port that can exist."""
    if value in _known_authorities:
        return True
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        return False
    address, port = match.groups()
    if port and int(port) > 65535:
        return False
    if address is not None:
        try:
            IPv6Address(address.decode())
        except AddressValueError:
            return False
    if len(value) <= _MAX_KNOWN_SIZE:
        if len(_known_authorities) >= _MAX_KNOWN:
            _known_authorities.clear()
        _known_authorities.add(value)
    return True
