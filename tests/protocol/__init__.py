"""Tests of the protocol engines, without a socket."""
