"""Benchmarks of httpkit against its peers: ``python -m benchmarks`` (or ``make bench``).

This package is a tool of the repository, not a part of httpkit: it is never installed with it.
``benchmarks/README.md`` says what each figure means and how to add a peer or a case.
"""
