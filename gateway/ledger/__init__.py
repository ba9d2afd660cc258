"""The disclosure ledger: what left, in hash chains under signed Merkle roots. Pure."""
