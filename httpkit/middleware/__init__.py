"""Middleware: plain functions `async def middleware(request, next) -> Response`.

This package composes them (`compose.py`), and has those that httpkit brings along, which are its
public names. Nothing here imports a server.
"""

from httpkit.middleware.cache_entries import StoredResponse, VaryBy
from httpkit.middleware.cache_policy import CachePolicy, cache
from httpkit.middleware.cache_store import CacheStore, MemoryStore
from httpkit.middleware.compress import Compress
from httpkit.middleware.conditional import Conditional
from httpkit.middleware.cors import CORS
from httpkit.middleware.response_cache import ResponseCache

__all__ = [
    "CORS",
    "CachePolicy",
    "CacheStore",
    "Compress",
    "Conditional",
    "MemoryStore",
    "ResponseCache",
    "StoredResponse",
    "VaryBy",
    "cache",
]
