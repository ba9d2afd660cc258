"""The gateway process: Enrichment behind a front, outcomes, programs."""
