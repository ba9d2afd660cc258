"""What outsiders import: contract stubs, the payment client, the issuer receiver."""
