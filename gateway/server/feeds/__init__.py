"""The feeds process: delivery, SSF over HTTP, look-ups, receipts and labels."""
