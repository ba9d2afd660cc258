"""OAuth 2 client credentials (RFC 6749 4.4) for machines: short-lived tokens against a proof of who asks."""
