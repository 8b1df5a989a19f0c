"""The border to ASGI, both ways.

`ASGIApplication` makes an `Application` of somebody else's ASGI app, so that the server serves it;
`ASGICallable` makes an ASGI app of an `Application`, so that other servers serve it. ASGI's
dictionaries exist here and nowhere else.
"""

from httpkit.asgi.application import ASGIApplication
from httpkit.asgi.lifespan import LifespanChoice
from httpkit.asgi.messages import ASGIProtocolError, Receive, Scope, Send
from httpkit.asgi.serving import ASGICallable

__all__ = [
    "ASGIApplication",
    "ASGICallable",
    "ASGIProtocolError",
    "LifespanChoice",
    "Receive",
    "Scope",
    "Send",
]
