"""Wiring: the one place where ports meet their implementations, a module a process."""
