"""Benchmarks: one command each, every number a ratio to another program in the same run (`make bench`)."""
