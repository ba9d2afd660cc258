"""Benchmarks: each a ratio to a reference that runs alternated beside it."""
