"""The cases of WebSocket."""

from benchmarks.cases.model import Case, websocket_case
from benchmarks.messages import JOIN


def echo_case(name: str, title: str, size: int, *, connections: int, depth: int = 1) -> Case:
    """Return the case of a WebSocket that sends each text message back."""
    return websocket_case(name, title, b"x" * size, connections=connections, depth=depth)


WEBSOCKET_CASES = (
    echo_case(
        "ws-echo-32", "WebSocket echo of 32 bytes, on 32 connections in turns", 32, connections=32
    ),
    echo_case(
        "ws-echo-16-in-flight",
        "WebSocket echo of 32 bytes, on 32 connections with 16 messages in flight each",
        32,
        connections=32,
        depth=16,
    ),
    echo_case(
        "ws-echo-4k", "WebSocket echo of 4 KiB, on 32 connections in turns", 4096, connections=32
    ),
    echo_case(
        "ws-echo-64k", "WebSocket echo of 64 KiB, on 8 connections in turns", 65536, connections=8
    ),
    websocket_case(
        "ws-fanout-1000",
        "One message to 1 000 WebSockets; the latency is that of the last one",
        b"The quick brown fox jumps over the lazy dog.",
        connections=1000,
        generator="fanout",
        request=JOIN,
    ),
    websocket_case(
        "ws-idle-memory",
        "10 000 WebSockets that say nothing (as many as the limit of descriptors allows)",
        b"x" * 32,
        connections=10_000,
        generator="idle",
    ),
)
