"""Providers as an installation has them: settings, files that are followed, threads, entry points."""
