"""The files of a directory as a user of aiohttp would serve them.

Run by the harness as ``python -m benchmarks.apps.aiohttp_static_app --port 8000``.
"""

import os

import click
from aiohttp import web

from benchmarks.apps.aiohttp_app import serve
from benchmarks.files import FILES_VARIABLE, PREFIX


@click.command()
@click.option("--port", type=int, required=True)
def main(port: int) -> None:
    """Serve the files."""
    app = web.Application()
    app.router.add_static(PREFIX, os.environ[FILES_VARIABLE])
    serve(app, port)


if __name__ == "__main__":
    main()
