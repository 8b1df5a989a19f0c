"""Middleware: plain functions `async def middleware(request, next) -> Response`.

This package composes them, and has those that httpkit brings along. Nothing here imports a server.
"""

from httpkit.middleware.cache_policy import CachePolicy, cache
from httpkit.middleware.compose import Layer, Responder, compose
from httpkit.middleware.conditional import Conditional

__all__ = ["CachePolicy", "Conditional", "Layer", "Responder", "cache", "compose"]
