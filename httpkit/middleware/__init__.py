"""Middleware: plain functions `async def middleware(request, next) -> Response`.

This package composes them; it has no state and imports nothing above layer 0.
"""

from httpkit.middleware.compose import Layer, Responder, compose

__all__ = ["Layer", "Responder", "compose"]
