"""The files of a directory as a user of httpkit would serve them."""

import os

from benchmarks.files import FILES_VARIABLE, PREFIX
from httpkit import App

app = App()
app.static(PREFIX.rstrip("/"), os.environ[FILES_VARIABLE])
