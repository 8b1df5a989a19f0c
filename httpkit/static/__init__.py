"""Static files: a directory behind `app.static`.

`files.py` decides what answers a path: a file, the index of a directory, clean URLs, fallbacks.
`lookup.py` leads from a path to an open file, and never out of the directory. `resource.py` has
everything that is sent for a file: codings, 304, ranges. `memory.py` keeps resources and notices
that they have changed. `listing.py` shows directories, `header_rules.py` gives fields by path, and
`precompress.py` makes the siblings that are sent.
"""

from httpkit.static.files import HeaderRule, StaticFiles, StaticOptions
from httpkit.static.header_rules import HeaderRules

__all__ = ["HeaderRule", "HeaderRules", "StaticFiles", "StaticOptions"]
