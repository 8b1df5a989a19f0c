"""Routing: patterns, routers and the way from a request to its handler.

Two halves that meet in `definitions.py`: `router.py` writes down what an application registers,
and `compile.py` turns it into what is served. On the hot path are only `dispatch.py` (which table,
which route), `tree.py` (dynamic routes) and the endpoints that `endpoint.py` has built.
"""

from httpkit.routing.converters import Converter
from httpkit.routing.route import RouteInfo
from httpkit.routing.router import Router

__all__ = ["Converter", "RouteInfo", "Router"]
