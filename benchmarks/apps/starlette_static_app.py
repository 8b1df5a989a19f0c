"""The files of a directory as a user of Starlette would serve them."""

import os

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from benchmarks.files import FILES_VARIABLE, PREFIX

app = Starlette(
    routes=[Mount(PREFIX.rstrip("/"), StaticFiles(directory=os.environ[FILES_VARIABLE]))]
)
