"""The options of servers that run more than one application."""

HTTPKIT = ("httpkit", "run")
HTTPKIT_OPTIONS = ("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning")
HTTPKIT_NATIVE = ("--http1", "native", "--http2", "native")
HTTPKIT_REFERENCE = ("--http1", "reference", "--http2", "reference")
HTTPKIT_FASTEST = (*HTTPKIT, *HTTPKIT_OPTIONS, *HTTPKIT_NATIVE, "--no-access-log")
HTTPKIT_TLS = ("--tls-cert", "{certificate}", "--tls-key", "{key}")
HTTPKIT_MODULES = ("httpkit", "httptools", "ngh2")

UVICORN_OPTIONS = (
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--loop", "uvloop"),
    *("--interface", "asgi3", "--lifespan", "off", "--ws", "none", "--log-level", "warning"),
    *("--no-access-log", "--no-proxy-headers", "--no-server-header", "--backlog", "2048"),
)
UVICORN_WEBSOCKET = ("--ws", "websockets-sansio")
UVICORN_TLS = ("--ssl-certfile", "{certificate}", "--ssl-keyfile", "{key}")

GRANIAN_OPTIONS = (
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--loop", "uvloop"),
    *("--no-ws", "--no-access-log", "--log-level", "warning", "--runtime-threads", "1"),
    *("--backlog", "2048"),
)
GRANIAN_HTTP1 = ("--http", "1", "--runtime-mode", "st", "--http1-pipeline-flush")
#: The mode of the runtime is the one that granian itself chooses for HTTP/2.
GRANIAN_HTTP2 = ("--http", "2", "--runtime-mode", "mt")
GRANIAN_WEBSOCKET = (*GRANIAN_HTTP1, "--ws")
GRANIAN_TLS = ("--ssl-certificate", "{certificate}", "--ssl-keyfile", "{key}")
