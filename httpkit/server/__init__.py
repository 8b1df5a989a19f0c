"""The server: configuration, exchanges, graceful stop, access log.

It knows an application by `types.Application` alone.
"""
