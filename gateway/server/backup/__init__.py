"""Backup and restore of an installation: a consistent copy of what runs, and back into an empty directory."""
