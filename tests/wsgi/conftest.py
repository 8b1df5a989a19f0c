"""Hosted WSGI applications over both HTTP/1.1 parsers and both loops."""

from tests.server.conftest import engine, live, loop

__all__ = ["engine", "live", "loop"]
