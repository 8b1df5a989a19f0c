"""Requests: the raw head that engines read, and the `Request` that handlers get."""

from httpkit.request.head import RequestHead
from httpkit.request.request import Request
from httpkit.request.state import State

__all__ = ["Request", "RequestHead", "State"]
