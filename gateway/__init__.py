"""The gateway: shares risk signals with issuers under consent, sealed, and proves what it did."""
