"""What proxies say about the client: `Forwarded` (RFC 7239) and `X-Forwarded-*`, as pure functions.

Each proxy adds itself at the right end, so these lists are read from there: an entry counts only
while everything to its right comes from proxies that are trusted. What a client has written into
the list before stands further left, and is never reached. Which of the two kinds of fields counts
is for the caller to say: a proxy that writes one of them passes the other on as the client sent it.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal, NamedTuple

from httpkit.semantics.parameters import parse_parameters, split_list

__all__ = ["ForwardedField", "Networks", "Node", "Origin", "find_origin", "parse_node"]

#: Which fields the proxies write.
ForwardedField = Literal["x-forwarded", "forwarded"]
#: As many proxies as anybody has in a row; what stands further left is not looked at.
_MAX_HOPS = 64
#: RFC 7239 §6.3, and §6.2.
_HIDDEN = re.compile(r"_[A-Za-z0-9._-]++|unknown", re.IGNORECASE)
_PORT = re.compile(r"[0-9]{1,5}+")
#: Schemes of requests. Traefik says those of WebSockets, which are opened with them (RFC 6455 §3).
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class Node(NamedTuple):
    """One end of a hop.

    Attributes:
        host: an IP address in its usual form; of a hidden one the obfuscated identifier, or
            `unknown`.
        port: 0 if it is not said, or obfuscated.
        hidden: it is no address.
    """

    host: str
    port: int
    hidden: bool


class Origin(NamedTuple):
    """Where a request comes from, as far as trusted proxies say.

    Attributes:
        client: its host and port.
        scheme: `http`, `https` or `None`: what the client spoke with the outermost of them.
        host: the `Host` that it asked for, not checked, or `None`.
    """

    client: Node | None
    scheme: str | None
    host: str | None


class Networks:
    """The addresses of proxies.

    Args:
        texts: networks in CIDR notation, single addresses, `unix` for peers on a Unix socket, `*`
            for everybody.

    Raises:
        ValueError: one that is none of these, or has bits beyond its prefix.
    """

    __slots__ = ("_all", "_known", "_networks", "_unix")

    def __init__(self, texts: Iterable[str]) -> None:
        words = {text.strip() for text in texts}
        self._all = "*" in words
        self._unix = self._all or "unix" in words
        self._networks = [ip_network(word) for word in sorted(words - {"*", "unix"})]
        #: Few proxies open many connections.
        self._known: dict[str, bool] = {}

    def trusts(self, host: str, *, unix: bool = False) -> bool:
        """Whether a peer, or a hop that one has named, is one of these proxies."""
        if unix or self._all:
            return self._unix
        known = self._known.get(host)
        if known is None:
            known = self._contains(host)
            if len(self._known) >= 1024:
                self._known.clear()
            self._known[host] = known
        return known

    def _contains(self, host: str) -> bool:
        try:
            address = _plain(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _plain(text: str) -> IPv4Address | IPv6Address:
    """An address; one of IPv4 within IPv6 (RFC 4291 §2.5.5.2) is the one of IPv4."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_node(text: str) -> Node | None:
    """A node with or without a port (RFC 7239 §6); `None` if it is malformed.

    `X-Forwarded-For` has the same forms, and addresses of IPv6 without brackets besides.
    """
    host, port = text.strip(), ""
    if host.startswith("["):
        host, bracket, port = host[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return None
        port = port[1:] if port else ""
        if not port and text.rstrip().endswith(":"):
            return None
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
        if not port:
            return None
    number = 0
    if _PORT.fullmatch(port) and int(port) <= 65535:
        number = int(port)
    elif port and not (port.startswith("_") and _HIDDEN.fullmatch(port)):
        return None
    if _HIDDEN.fullmatch(host):
        return Node(host, number, hidden=True)
    try:
        return Node(str(_plain(host)), number, hidden=False)
    except ValueError:
        return None


def find_origin(
    headers: Sequence[tuple[bytes, bytes]],
    field: ForwardedField,
    networks: Networks,
) -> Origin | None:
    """What the proxies say, for a request from one that is trusted; `None` if they say nothing.

    Behind a malformed entry nothing counts, and the client is `unknown`: it must not pass for a
    proxy because it has spoiled the list, with a quote that it left open for example.

    Args:
        headers: of the request, names in lower case.
        field: which of them the proxies write.
        networks: the proxies.
    """
    hops = _forwarded(headers) if field == "forwarded" else _x_forwarded(headers)
    origin: Origin | None = None
    try:
        for origin in hops:
            client = origin.client
            if client is None or client.hidden or not networks.trusts(client.host):
                break
    except ValueError:
        _, scheme, host = origin or Origin(None, None, None)
        return Origin(Node("unknown", 0, hidden=True), scheme, host)
    return origin


def _values(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    return ", ".join([value.decode("latin-1") for field, value in headers if field == name])


def _last(field: str) -> list[str]:
    """The members of a list from the right, as many as count."""
    return list(split_list(field))[: -_MAX_HOPS - 1 : -1]


def _scheme(text: str | None) -> str | None:
    return _SCHEMES.get((text or "").lower())


def _read_client(text: str) -> Node:
    node = parse_node(text)
    if node is None:
        raise ValueError(text)
    return node


def _forwarded(headers: Sequence[tuple[bytes, bytes]]) -> Iterable[Origin]:
    """The elements of `Forwarded` (RFC 7239 §4) from the right; ValueError for a malformed one."""
    for element in _last(_values(headers, b"forwarded")):
        parsed = parse_parameters(";" + element)
        if parsed is None:
            raise ValueError(element)
        pairs = parsed[1]
        client = _read_client(pairs["for"]) if "for" in pairs else None
        yield Origin(client, _scheme(pairs.get("proto")), pairs.get("host"))


def _x_forwarded(headers: Sequence[tuple[bytes, bytes]]) -> Iterable[Origin]:
    """The hops of `X-Forwarded-For` from the right, with scheme and host where these are said.

    Proxies that add to the list of addresses mostly replace the others, which then have one member:
    that of the outermost one, which holds for all.
    """
    clients = _last(_values(headers, b"x-forwarded-for"))
    schemes = _last(_values(headers, b"x-forwarded-proto"))
    hosts = _last(_values(headers, b"x-forwarded-host"))
    ports = _last(_values(headers, b"x-forwarded-port"))
    count = len(clients) or int(bool(schemes or hosts))
    for index in range(count):
        client = _read_client(clients[index]) if clients else None
        host = _member(hosts, index)
        port = _member(ports, index)
        scheme = _scheme(_member(schemes, index))
        if host is not None and port is not None and _needs_port(host, port, scheme):
            host = f"{host}:{port}"
        yield Origin(client, scheme, host)


def _member(members: list[str], index: int) -> str | None:
    if not members:
        return None
    return members[index] if index < len(members) else members[-1]


def _needs_port(host: str, port: str, scheme: str | None) -> bool:
    """Whether a host without a port gets this one: not where the scheme says it already."""
    usual = {"http": "80", "https": "443"}.get(scheme or "")
    named = ":" in host.rpartition("]")[2]
    return not named and port != usual and _PORT.fullmatch(port) is not None
