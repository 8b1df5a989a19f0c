"""The same small application, written once for each interface that a server speaks.

Every one answers the same routes with the same bytes and does the same work: it dispatches on
method and path, converts the path parameter to an integer, encodes JSON with msgspec and reads
the whole request body. :mod:`benchmarks.verify` checks this before each measurement.
"""
