"""What httpkit can do, in a page: `make demo`."""
