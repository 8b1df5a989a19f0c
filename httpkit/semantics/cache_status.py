"""`Cache-Status` (RFC 9211): what a cache says about how it came to an answer. Writes it only."""

from typing import Literal

__all__ = ["Forward", "format_cache_status"]

#: Why a request went forward (RFC 9211 §2.2).
Forward = Literal[
    "bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"
]


def format_cache_status(
    name: str,
    *,
    hit: bool = False,
    fwd: Forward | None = None,
    fwd_status: int | None = None,
    ttl: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    detail: str | None = None,
) -> str:
    """One member of the field.

    Args:
        name: of the cache; a token.
        hit: no request went forward (§2.1).
        fwd: why one did (§2.2).
        fwd_status: what was answered to it, where that differs from this answer (§2.3).
        ttl: seconds that the answer is fresh yet, negative if it is stale (§2.4).
        stored: it was stored (§2.5).
        collapsed: it was waited for together with other requests (§2.6).
        detail: a token, for humans (§2.8).
    """
    parts = [name]
    if hit:
        parts.append("hit")
    if fwd is not None:
        parts.append(f"fwd={fwd}")
    if fwd_status is not None:
        parts.append(f"fwd-status={fwd_status}")
    if ttl is not None:
        parts.append(f"ttl={ttl}")
    if stored:
        parts.append("stored")
    if collapsed:
        parts.append("collapsed")
    if detail is not None:
        parts.append(f"detail={detail}")
    return "; ".join(parts)
