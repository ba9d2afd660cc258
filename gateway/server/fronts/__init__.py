"""Fronts that calls come in by: `native` (Rust, no TLS) and `grpcio` (every platform)."""
