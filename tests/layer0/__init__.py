"""Tests of layer 0, by module. A package, so that other folders may use the same file names."""
