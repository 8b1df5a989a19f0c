"""Import every module of httpkit and print its name, for `python -W error -X dev`.

`httpkit.__main__` is left out: importing it is running the program.

`--without` names modules that must not be installed, so that a test of the core alone does not
pass because of what something else has brought. A module of httpkit that needs one of them is
passed over; that nobody imports it unasked is what the rest shows.
"""

import argparse
import importlib
import importlib.util
import pkgutil

import httpkit

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--without", action="append", default=[], metavar="MODULE")
without = parser.parse_args().without
for unwanted in without:
    if importlib.util.find_spec(unwanted) is not None:
        raise SystemExit(f"{unwanted} is installed")

names = ["httpkit"]
names += [module.name for module in pkgutil.walk_packages(httpkit.__path__, "httpkit.")]
for name in names:
    if name.endswith("__main__"):
        continue
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in without:
            raise
    else:
        print(name)
