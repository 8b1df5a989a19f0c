"""`python -m httpkit`: the command line."""

from httpkit.cli import main

main(prog_name="httpkit")
