"""What came of payments: outcomes, labels, receipts, matching, the conservation account."""
