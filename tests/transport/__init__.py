"""Tests of listeners, connections, deadlines and loops."""
