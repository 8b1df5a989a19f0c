"""Static files: a directory behind `app.static`, at the speed of a server that does nothing else.

StaticFiles    what answers a path: files, indexes, clean URLs, fallbacks        files.py
Root           from a path to an open file below the directory                   lookup.py
Resource       everything that is sent for a file: codings, 304, ranges          resource.py
Memory         resources that are kept, and how it is noticed that they changed  memory.py
"""

from httpkit.static.files import HeaderRule, StaticFiles, StaticOptions

__all__ = ["HeaderRule", "StaticFiles", "StaticOptions"]
