"""Requests from trusted proxies: what those say about the client replaces what the socket says.

Owns the decision whom to believe, and how a request looks then. Called by `Server.make_stream`
where `proxy_headers` is on.
"""

from httpkit.protocol.incoming import is_authority
from httpkit.request import RequestHead
from httpkit.semantics.forwarded import ForwardedField, Networks, find_origin
from httpkit.types import Address

__all__ = ["Proxies"]


class Proxies:
    """The proxies of a server.

    Args:
        networks: their addresses, as `forwarded_allow_ips` has them.
        field: which fields they write.

    Raises:
        ValueError: something that is no network.
    """

    def __init__(self, networks: tuple[str, ...], field: ForwardedField) -> None:
        self._networks = Networks(networks)
        self._field: ForwardedField = field

    def resolve(
        self, head: RequestHead, peer: Address | None, scheme: str, *, unix: bool
    ) -> tuple[RequestHead, Address | None]:
        """The head and the client of a request, as the proxies say.

        Args:
            head: as it was received.
            peer: who sent it; `None` if that is unknown.
            scheme: of the connection.
            unix: it came by a Unix socket.
        """
        if not self._networks.trusts("" if peer is None else peer.host, unix=unix):
            return head, peer
        origin = find_origin(head.headers, self._field, self._networks)
        if origin is None:
            return head, peer
        client = peer
        if origin.client is not None:
            client = Address(origin.client.host, origin.client.port)
        authority, headers = None, None
        if origin.host is not None:
            given = origin.host.encode("latin-1")
            if is_authority(given):
                authority = given
                others = [each for each in head.headers if each[0] != b"host"]
                headers = ((b"host", given), *others)
        scheme = origin.scheme or head.scheme or scheme
        return head.replace(authority=authority, headers=headers, scheme=scheme), client
