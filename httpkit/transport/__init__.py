"""Sockets, deadlines and the event loop; knows engines by contract, applications not at all."""
