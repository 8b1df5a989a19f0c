"""Conditional answers: validators for every answer, and 304 for clients that have it already.

Owns what becomes of an answer that a handler has given anyway; who knows its validators earlier
asks `Request.check` and spares the work. The rules are those of `httpkit.semantics.conditional`.
"""

import time
from collections.abc import Callable

from httpkit.body import FileBody
from httpkit.representation import answer_conditionally, with_validators
from httpkit.request import Request
from httpkit.response import Response
from httpkit.types import Next

__all__ = ["Conditional"]


class Conditional:
    """Middleware: `ETag` and `Last-Modified`, 304 and 412 (RFC 9110 §8.8, §13).

    A 200 to GET or HEAD gets a strong `ETag` of its body unless it has one. That of a file is made
    of its size and its time of modification, which becomes `Last-Modified`. What the handler told
    `request.check` comes before both. Streams pass as they are.

    Args:
        clock: gives the Unix time.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    async def __call__(self, request: Request, next: Next) -> Response:
        """Answer, with validators and by the preconditions of the request."""
        response = await next(request)
        if response.status != 200 or request.method not in ("GET", "HEAD"):
            return response
        if not isinstance(response.body, bytes | FileBody):
            return response
        now = self._clock()
        return answer_conditionally(request, with_validators(request, response, now), now)
