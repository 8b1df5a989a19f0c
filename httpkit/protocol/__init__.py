"""Sans-IO protocol engines: bytes in, events out; no clock, no socket, no event loop."""
