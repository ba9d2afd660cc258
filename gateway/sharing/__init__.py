"""The hot path: plan, fetch, signals, release, seal, append, answer."""
