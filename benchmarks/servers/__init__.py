"""The servers that are measured: the registry and the launcher of *the limit*."""
