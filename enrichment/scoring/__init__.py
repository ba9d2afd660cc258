"""Scores of a payment."""
