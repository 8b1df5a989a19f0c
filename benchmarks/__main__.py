"""Lets ``python -m benchmarks`` run the command line of :mod:`benchmarks.cli`."""

from benchmarks.cli import main

if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
