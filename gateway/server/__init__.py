"""Processes, gRPC and HTTP, configuration, wiring, command line."""
