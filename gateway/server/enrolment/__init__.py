"""Issuers that come in by themselves: what they send, how they prove it, what an approval puts in place."""
