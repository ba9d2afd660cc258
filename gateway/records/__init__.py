"""Ids, closed reasons, journal ports: the words that all packages above share."""
