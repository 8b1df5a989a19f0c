"""Caching at work: a small site of the visitor's own, and a page that shows what the browser does.

`drawing.py` makes the files, `files.py` says what is promised of each, `sites.py` keeps one
directory and one count for each visitor, and `app.py` is what answers.
"""
