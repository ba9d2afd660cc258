"""Benchmarks: `python -m bench [--only NAME]` prints one JSON line a benchmark."""
