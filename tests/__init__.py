"""The tests of httpkit; a package, since others install one of this name."""
