"""httpkit: an asyncio HTTP server and web framework."""

__version__ = "0.1.0"
