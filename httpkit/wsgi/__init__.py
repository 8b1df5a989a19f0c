"""The border to WSGI (PEP 3333): `WSGIApplication` serves somebody else's WSGI application."""

from httpkit.wsgi.application import WSGIApplication

__all__ = ["WSGIApplication"]
