"""What the options of TLS do to a request before the application sees it, and to its answer.

Owns redirects from plain ports, client certificates by host name, and HSTS. Refuses requests for a
host that the TLS session is not about. `Server` calls the application through it; a server that
needs none of this calls the application itself.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from httpkit.request import Request
from httpkit.response import Response, Upgrade
from httpkit.server.config import Config
from httpkit.urls import URL

__all__ = ["secure_call"]

Call = Callable[[Request], Any]

_PROTECTED = "This host needs a client certificate.\n"
_MISDIRECTED = "This connection was made for another host.\n"


def secure_call(call: Call, config: Config, tls_port: Callable[[], int]) -> Call:
    """An application's call with what the options ask for around it; often the same one.

    Args:
        call: of the application.
        config: checked options.
        tls_port: gives the port that redirects lead to.
    """
    if config.hsts is not None:
        call = partial(_add_hsts, call, f"max-age={config.hsts}")
    if config.tls_client_auth_hosts:
        names = frozenset(name.lower() for name in config.tls_client_auth_hosts)
        call = partial(_check_host, call, names)
    if config.redirect_http is not None:
        call = partial(_redirect, call, tls_port)
    return call


def _redirect(call: Call, tls_port: Callable[[], int], request: Request) -> Any:
    """308 (Permanent Redirect), which keeps the method and the body, for whatever came in plain.

    The location is the host that the client has asked for itself, so it leads nowhere else.
    """
    if request.tls is not None:
        return call(request)
    host = request.host
    if not host:
        return Response("There is no Host to redirect to.\n", 400)
    if ":" in host:
        host = f"[{host}]"
    port = tls_port()
    authority = host if port == 443 else f"{host}:{port}"
    url = request.url
    url = URL("https", authority, url.path or "/", url.query, empty_query=url.empty_query)
    return Response(b"", 308, {"location": str(url), "cache-control": "no-store"})


def _check_host(call: Call, names: frozenset[str], request: Request) -> Any:
    """403 without a certificate where one is needed, 421 where SNI and Host differ.

    One connection may carry requests for several hosts (RFC 9110 §7.4), but here the certificate
    belongs to the session, and the session to the name it was made for.
    """
    tls = request.tls
    host = request.host.rstrip(".")
    protected = host in names or f"*.{host.partition('.')[2]}" in names
    asked = None if tls is None or tls.server_name is None else tls.server_name.rstrip(".")
    if (asked is None and protected and tls is not None) or asked not in (None, host):
        return Response(_MISDIRECTED, 421)
    if protected and (tls is None or tls.client_certificate is None):
        return Response(_PROTECTED, 403)
    return call(request)


def _add_hsts(call: Call, value: str, request: Request) -> Any:
    """Strict-Transport-Security over TLS; RFC 6797 §7.2 forbids it elsewhere."""
    result = call(request)
    if request.tls is None:
        return result
    if isinstance(result, Response):
        return _with_hsts(result, value)
    return _await_with_hsts(result, value) if isinstance(result, Awaitable) else result


async def _await_with_hsts(result: Awaitable[Any], value: str) -> Any:
    response = await result
    return _with_hsts(response, value) if isinstance(response, Response) else response


def _with_hsts(response: Response, value: str) -> Response:
    if any(name == b"strict-transport-security" for name, _ in response.raw_headers):
        return response
    if not isinstance(response, Upgrade):
        response = response.copy()  # an application may send the same one on the plain port
    response.headers["strict-transport-security"] = value
    return response
