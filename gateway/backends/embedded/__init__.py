"""One machine, no other server: files and SQLite."""
